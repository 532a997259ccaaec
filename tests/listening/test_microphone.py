import numpy as np
import pytest
from fake_sounddevice import PortAudioError, device, install

from bnn_exit.audio.resample import resample
from bnn_exit.errors import DeviceError
from bnn_exit.listening.microphone import QUEUE_S, Microphone


@pytest.fixture
def sound(monkeypatch):
    return install(monkeypatch, device("USB mic", rate=48000.0))


@pytest.fixture
def told():
    return []


def test_it_is_opened_at_its_own_rate(sound, told):
    microphone = Microphone(tell=told.append)
    (stream,) = sound.streams
    assert stream.started and stream.settings == {
        "device": 0, "channels": 1, "samplerate": 48000, "blocksize": 2400, "dtype": "float32",
    }  # fmt: skip
    assert (microphone.name, microphone.rate_hz, microphone.refused_hz) == ("USB mic", 48000, [])


def test_other_rates_are_tried_if_it_refuses_its_own(sound, told):
    sound.rates = (44100, 8000)
    microphone = Microphone(tell=told.append)
    assert microphone.rate_hz == 44100 and microphone.refused_hz == [48000, 16000]


@pytest.mark.parametrize("rate", [384000.0, 4000.0])
def test_a_rate_that_streams_do_not_take_is_not_tried(sound, told, rate):
    sound.devices[0]["default_samplerate"] = rate
    microphone = Microphone(tell=told.append)
    assert (microphone.rate_hz, microphone.refused_hz) == (16000, [])


def test_a_device_without_a_single_channel_is_opened_with_all(sound, told):
    sound.devices[0]["max_input_channels"] = 4
    sound.channels = (4,)
    microphone = Microphone(tell=told.append)
    sound.streams[0].deliver([[0.4, 0, 0, 0], [0.4, 0.4, 0.4, 0.4]])
    chunk = next(microphone.chunks())
    assert chunk.samples.dtype == np.float32 and chunk.samples == pytest.approx([0.1, 0.4])


def test_every_rate_refused(sound, told):
    sound.rates = ()
    with pytest.raises(DeviceError, match=r"'USB mic' refuses every rate \(48000, 16000, 44100, .*8000 Hz\): choose"):
        Microphone(tell=told.append)


def test_a_busy_device(sound, told):
    sound.busy = True
    with pytest.raises(DeviceError, match="'USB mic' is busy: close the program that uses it, or choose another --dev"):
        Microphone(tell=told.append)


def test_a_device_that_fails_in_another_way(sound, told, monkeypatch):
    def fail(**settings):
        raise PortAudioError("Unanticipated\nhost error", -9999)

    monkeypatch.setattr(sound, "InputStream", fail)
    with pytest.raises(DeviceError, match=r"'USB mic' cannot be opened: .*Unanticipated"):
        Microphone(tell=told.append)


def test_a_stream_that_does_not_start_is_closed(sound, told, monkeypatch):
    from fake_sounddevice import FakeStream

    def fail(self):
        raise PortAudioError("Device unavailable", -9985)

    monkeypatch.setattr(FakeStream, "start", fail)
    with pytest.raises(DeviceError, match="busy"):
        Microphone(tell=told.append)
    assert sound.streams[0].closed


def test_blocks_come_in_order_and_are_copies(sound, told):
    microphone = Microphone(tell=told.append)
    block = np.full((3, 1), 0.5, np.float32)
    sound.streams[0].deliver(block)
    block[:] = 0.25  # PortAudio uses its memory again
    sound.streams[0].deliver(block)
    chunks = microphone.chunks()
    first, second = next(chunks), next(chunks)
    assert first.samples.tolist() == [0.5] * 3 and second.samples.tolist() == [0.25] * 3
    assert not first.gap and not second.gap
    chunks.close()
    assert sound.streams[0].closed


def test_an_overflow_is_a_gap_as_long_as_the_device_says(sound, told):
    microphone = Microphone(tell=told.append)
    stream = sound.streams[0]
    stream.deliver(np.zeros(100))
    stream.deliver(np.zeros(100), lost=40, overflow=True)
    stream.deliver(np.zeros(100), overflow=True)  # some systems do not say how much
    stream.deliver(np.zeros(100))
    chunks = microphone.chunks()
    found = [next(chunks) for _ in range(4)]
    assert [(chunk.gap, chunk.lost) for chunk in found] == [(False, 0), (True, 40), (True, 0), (False, 0)]
    assert microphone.overflows == 2


def test_what_the_queue_cannot_take_is_counted(sound, told):
    microphone = Microphone(tell=told.append)
    capacity = round(QUEUE_S / 0.05)
    for _ in range(capacity + 3):
        sound.streams[0].deliver(np.zeros(10))
    chunks = microphone.chunks()
    assert not next(chunks).gap
    sound.streams[0].deliver(np.ones(10))
    rest = [next(chunks) for _ in range(capacity)]
    assert not any(chunk.gap for chunk in rest[:-1])
    assert (rest[-1].gap, rest[-1].lost, rest[-1].samples[0]) == (True, 30, 1)


def test_a_device_that_goes_away_is_waited_for(sound, told):
    seconds = iter([0.0, 10.0, 14.5, 14.5, 15.0])
    microphone = Microphone(tell=told.append, patience_s=0.001, retry_s=0, clock=lambda: next(seconds))
    first = sound.streams[0]
    first.deliver(np.zeros(10))
    chunks = microphone.chunks()
    next(chunks)
    before, sound.devices = sound.devices, []
    tries = []

    def query():
        # Busy at first, then there: as a device that was plugged in again.
        tries.append(len(tries))
        sound.busy = len(tries) == 3
        return before if len(tries) >= 3 else []

    sound.query_devices = query
    chunk = next(chunks)
    assert first.closed and sound.restarts == len(tries) == 4
    assert (chunk.gap, chunk.lost, len(chunk.samples)) == (True, round(4.5 * 48000), 0)
    assert told == ["the microphone 'USB mic' went away: waiting for it", "the microphone 'USB mic' is back"]
    sound.streams[1].deliver([0.5])
    assert next(chunks).samples.tolist() == [0.5]


def test_a_device_that_comes_back_at_another_rate_is_resampled(sound, told):
    seconds = iter([0.0, 1.0, 2.5, 2.5, 3.0, 4.0, 5.0])
    microphone = Microphone(tell=told.append, patience_s=0.001, retry_s=0, clock=lambda: next(seconds))
    chunks = microphone.chunks()
    sound.streams[0].deliver(np.zeros(10))
    next(chunks)
    sound.rates = (44100,)
    assert next(chunks).lost == round(1.5 * 48000)
    stream = sound.streams[1]
    assert stream.settings["samplerate"] == 44100 and microphone.rate_hz == 48000
    assert told[-1] == "the microphone 'USB mic' is back, at 44100 Hz"
    wave = np.sin(np.arange(8820) / 10).astype(np.float32)
    stream.deliver(wave)
    expected = resample(wave, from_hz=44100, to_hz=48000)
    found = next(chunks).samples
    assert len(expected) - 1000 < len(found) <= len(expected)
    assert found == pytest.approx(expected[: len(found)], abs=1e-5)
    # After a gap nothing of before it is left, and what was lost is counted at the old rate.
    stream.deliver(wave, lost=441, overflow=True)
    after = next(chunks)
    assert (after.gap, after.lost) == (True, 480) and np.array_equal(after.samples, found)
