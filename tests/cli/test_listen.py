"""`python -m bnn_exit.listen` as a user runs it: on files, real pipes and a fake microphone."""

import datetime
import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap
import wave
from pathlib import Path

import numpy as np
import pytest

import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.model_file.listening_points import ListeningPoint

ROOT = Path(__file__).resolve().parents[2]
MODEL = "arabic-speech-commands-small"
POINT = ListeningPoint("loose", operating_point="balanced", thresholds={"open": 0.4, "zero": 0.9}, span_ms=300)
SECONDS = 5


def noise():
    """Which the network takes for the word "open", as far as it takes it for anything."""
    return np.random.default_rng(0).normal(0, 0.1, 16000 * SECONDS).astype(np.float32).clip(-1, 1)


def pcm():
    return (noise() * 32767).astype("<i2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("listen")
    (place / "point.json").write_text(json.dumps(POINT.to_dict()))
    wav.write(place / "noise.wav", noise(), sample_rate_hz=16000)
    wav.write(place / "short.wav", noise()[:8000], sample_rate_hz=16000)
    return place


def command(*arguments):
    return [sys.executable, "-m", "bnn_exit.listen", *arguments]


def environment(modules=None):
    """Ours, with a folder of modules before all others."""
    places = [modules, ROOT, os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(str(place) for place in places if place)}


def listen(folder, *arguments, data=None, modules=None):
    """The finished command: (status, lines of stdout, lines of stderr)."""
    given = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
    done = subprocess.run(command(*arguments), cwd=folder, env=environment(modules), capture_output=True, **given)
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode().splitlines()


def expected(samples, *, rate=16000, point=POINT, **settings):
    stream = bnn_exit.Stream(bnn_exit.load(MODEL), sample_rate_hz=rate, listening_point=point, **settings)
    windows = stream.windows(samples)
    assert any(window.event for window in windows)
    return windows


def objects(lines, kind):
    return [value for value in map(json.loads, lines) if value.pop("type") == kind]


def test_the_events_of_a_file_are_those_of_a_stream(folder):
    status, out, err = listen(folder, MODEL, "noise.wav", "--listening-point", "point.json", "--json")
    windows = expected(wav.read(folder / "noise.wav"))
    events = [vars(window.event) for window in windows if window.event]
    found = objects(out, "event")
    assert status == 0 and found == [{name: event[name] for name in found[0]} for event in events]
    assert set(events[0]) - set(found[0]) == {"label_index"}
    (summary,) = objects(out[-1:], "summary")
    exits = [sum(window.exit_index == index for window in windows) / len(windows) for index in (0, 1)]
    assert (summary["hours"], summary["windows"]) == (SECONDS / 3600, len(windows))
    assert summary["events"] == {"open": len(found)} and summary["exit_shares"] == exits
    assert summary["lost_samples"] == summary["gaps"] == 0 and summary["core_share"] > 0
    assert err == ["note: listening to noise.wav at 16000 Hz"]


def test_as_text(folder):
    status, out, err = listen(folder, MODEL, "noise.wav", "--listening-point", "point.json")
    event = next(window.event for window in expected(wav.read(folder / "noise.wav")) if window.event)
    assert status == 0
    assert out[0] == f"{event.time_s:.3f}\tevent\topen\t{event.probability:.3f}\texit {event.exit_index + 1} of 2"
    assert len(out) == 1 and err[1:3] == ["listened for 0.0014 h: 1 event (720.0 an hour)", "  1\topen"]
    assert err[3].startswith("41 windows, one each 100 ms: exit 1 ") and err[4].endswith(" % of a core")


def test_windows_need_no_listening_point(folder):
    status, out, _ = listen(folder, MODEL, "noise.wav", "--windows", "--json", "--hop-ms", "200")
    session = bnn_exit.load(MODEL)
    windows = bnn_exit.Stream(session, hop_ms=200).windows(wav.read(folder / "noise.wav"))
    found = objects(out, "window")
    assert status == 0 and len(found) == len(windows) == 21
    for each, window in zip(found, windows, strict=True):
        assert (each["start_s"], each["end_s"], each["exit_index"]) == (
            window.start_s, window.end_s, window.exit_index
        )  # fmt: skip
        assert each["probabilities"] == dict(zip(session.labels, map(float, window.probabilities), strict=True))
    assert objects(out, "event") == []


def test_windows_as_text(folder):
    _, out, _ = listen(folder, MODEL, "noise.wav", "--windows", "--operating-point", "full")
    assert len(out) == 41
    assert all(line.split("\t")[1] == "window" and line.endswith("\texit 2 of 2") for line in out)


@pytest.mark.parametrize(("width", "rate"), [(16, 16000), (32, 16000), (16, 48000)])
def test_raw_samples_on_standard_input(folder, width, rate):
    data = pcm() if width == 16 else pcm().astype("<i4") << 16
    point = ListeningPoint("loose", operating_point="balanced", thresholds={each: 0.2 for each in ("open", "zero")})
    (folder / "lower.json").write_text(json.dumps(point.to_dict()))
    status, out, err = listen(
        folder, MODEL, "-", "--json", "--listening-point", "lower.json", "--width", str(width), "--rate", str(rate),
        data=data.tobytes(),
    )  # fmt: skip
    assert status == 0, err
    events = [window.event for window in expected(pcm(), rate=rate, point=point) if window.event]
    found = objects(out, "event")
    assert [(each["label"], each["time_s"], each["probability"]) for each in found] == [
        (event.label, event.time_s, event.probability) for event in events
    ]
    assert all(datetime.datetime.fromisoformat(each["date"]) for each in found)
    assert err == [f"note: listening to standard input at {rate} Hz"]


def test_an_odd_number_of_bytes(folder):
    status, _, err = listen(folder, MODEL, "-", "--windows", data=pcm().tobytes() + b"\x00")
    assert status == 0
    assert "note: standard input ended within a sample: 1 of its 2 bytes were left; check --width and --channels" in err


def test_a_stream_that_ends_within_a_window(folder):
    status, out, err = listen(folder, MODEL, "short.wav", "--windows")
    assert (status, out) == (0, [])
    assert err[1] == "note: short.wav ended within the first window: it has 0.5 s, but a window has 1 s"
    assert not [line for line in err if "of a core" in line]  # it would be the work of the start
    assert err[2] == "listened for 0.0001 h: 0 events"
    (summary,) = objects(listen(folder, MODEL, "short.wav", "--windows", "--json")[1], "summary")
    assert summary["core_share"] is None and summary["hours"] == 0.5 / 3600


def test_zeros_on_standard_input_are_told(folder):
    status, _, err = listen(folder, MODEL, "-", "--windows", data=bytes(2 * 16000 * 6))
    assert status == 0 and sum("only zeros for 5 s" in line for line in err) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_gives_the_summary(folder, number):
    arguments = [MODEL, "-", "--listening-point", "point.json", "--json"]
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        process.stdin.write(pcm().tobytes())
        process.stdin.flush()  # it stays open: more may come
        assert json.loads(process.stdout.readline())["label"] == "open"
        process.send_signal(number)
        rest = process.stdout.read().decode().splitlines()
        errors = process.stderr.read().decode()
    assert process.returncode == 0 and "Traceback" not in errors
    (summary,) = objects(rest, "summary")
    assert summary["events"]["open"] >= 1 and 0 < summary["hours"] <= SECONDS / 3600


def test_events_are_saved_and_start_programs(folder, tmp_path):
    log = tmp_path / "log"
    write = "import os, sys; open(sys.argv[1], 'a').write(' '.join(sys.argv[2:] + [os.environ['BNN_EXIT_LABEL']]))"
    run = shlex.join([sys.executable, "-c", write, str(log), "{label}", "{time_s}", "{file}"])
    status, out, err = listen(
        folder, MODEL, "noise.wav", "--listening-point", "point.json", "--json", "--save", str(tmp_path / "kept"),
        "--run", run,
    )  # fmt: skip
    assert status == 0, err
    (event,) = objects(out, "event")
    assert log.read_text() == f"open {event['time_s']:.3f} {event['file']} open"
    (kept,) = (tmp_path / "kept").iterdir()
    assert str(kept) == event["file"] and kept.name == f"noise_{event['time_s']:010.3f}s_open.wav"
    with wave.open(str(kept)) as file:
        samples = np.frombuffer(file.readframes(1 << 20), "<i2")
    start, end = max(0, round(16000 * (event["start_s"] - 0.25))), round(16000 * (event["end_s"] + 0.25))
    there = wav.read(folder / "noise.wav")[start : min(end, round(16000 * event["time_s"]))]
    assert samples / 32768 == pytest.approx(there, abs=1e-4)


def test_the_saved_sound_of_another_recording_is_not_written_over(folder, tmp_path):
    (tmp_path / "same.wav").write_bytes((folder / "noise.wav").read_bytes())
    for recording in ("noise.wav", str(tmp_path / "same.wav")):
        listen(folder, MODEL, recording, "--listening-point", "point.json", "--save", str(tmp_path / "kept"))
    assert sorted(path.name.partition("_")[0] for path in (tmp_path / "kept").iterdir()) == ["noise", "same"]


@pytest.mark.skipif(os.name != "posix", reason="a folder that is open cannot be removed elsewhere")
def test_a_place_that_can_no_longer_be_written_does_not_end_the_listening(folder, tmp_path):
    arguments = [MODEL, "-", "--listening-point", "point.json", "--json", "--save", str(tmp_path / "kept")]
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stderr.readline() == b"note: listening to standard input at 16000 Hz\n"
        (tmp_path / "kept").rmdir()
        (tmp_path / "kept").write_text("")
        out, err = process.communicate(pcm().tobytes())
    events = objects(out.decode().splitlines(), "event")
    assert process.returncode == 0 and len(events) == 1 and "file" not in events[0]
    assert err.decode().count("note: the sound of an event was not saved: ") == 1


def test_saving_stops_at_its_limit(folder, tmp_path):
    (tmp_path / "of-others.wav").write_bytes(bytes(999_000))
    status, out, err = listen(
        folder, MODEL, "noise.wav", "--listening-point", "point.json", "--json", "--save", str(tmp_path),
        "--save-limit", "1",
    )  # fmt: skip
    (event,) = objects(out, "event")
    assert status == 0 and "file" not in event and len(list(tmp_path.iterdir())) == 1
    assert err[1] == (
        f"note: {tmp_path} holds 0.999 MB of 1 MB: no more sound of events is saved until you take files out of it, or "
        "give a larger --save-limit"
    )


def test_nothing_on_standard_input(folder):
    status, out, err = listen(folder, MODEL, "-", "--windows", data=b"")
    assert (status, out) == (0, [])
    assert err[1:] == [
        "note: standard input ended before the first sample: nothing came",
        "listened for 0.0000 h: 0 events",
    ]


MICROPHONE = """
import threading, types
import numpy as np

class PortAudioError(Exception):
    pass

def query_devices():
    return [{"name": "Fake mic", "hostapi": 0, "max_input_channels": 1, "default_samplerate": 16000.0}]

def query_hostapis():
    return [{"name": "ALSA", "default_input_device": 0}]

class InputStream:
    def __init__(self, *, callback, **settings):
        self.callback = callback

    def start(self):
        threading.Thread(target=self.deliver, daemon=True).start()

    def deliver(self):
        samples = np.load(DATA)
        for start in range(0, len(samples), 800):
            block = samples[start : start + 800, None].copy()
            overflow = start == GAP
            self.callback(block, len(block), types.SimpleNamespace(inputBufferAdcTime=0.0),
                          types.SimpleNamespace(input_overflow=overflow))

    def close(self):
        pass
"""


@pytest.fixture
def microphone(tmp_path):
    """A folder with a module sounddevice whose microphone gives five seconds of noise and then nothing."""
    np.save(tmp_path / "noise.npy", noise())
    text = MICROPHONE.replace("DATA", repr(str(tmp_path / "noise.npy"))).replace("GAP", "16000 * 4")
    (tmp_path / "sounddevice.py").write_text(textwrap.dedent(text))
    return tmp_path


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_microphone_until_ctrl_c(folder, microphone):
    arguments = [MODEL, "--listening-point", str(folder / "point.json"), "--json", "--save", str(microphone / "kept")]
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=environment(microphone), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        event = json.loads(process.stdout.readline())
        lines = [process.stderr.readline().rstrip("\n") for _ in range(3)]
        process.send_signal(signal.SIGINT)
        (summary,) = objects(process.stdout.read().splitlines()[-1:], "summary")
        process.stderr.read()
    assert process.returncode == 0 and event["label"] == "open"
    assert lines[:2] == [
        "note: listening to Fake mic at 16000 Hz",
        "note: samples were lost, it is unknown how many: recognition begins again after the gap",
    ]
    assert lines[2] == "note: the microphone 'Fake mic' went away: waiting for it"
    assert (summary["gaps"], summary["hours"]) == (1, SECONDS / 3600)
    date = datetime.datetime.fromisoformat(event["date"])
    assert date.utcoffset() == datetime.timedelta(0)
    assert Path(event["file"]).name.endswith(f"Z_{event['time_s']:010.3f}s_open.wav")


def test_the_devices_are_listed(folder, microphone):
    status, out, _ = listen(folder, "--list-devices", modules=microphone)
    assert (status, out) == (0, ["* 0\tFake mic\tALSA\t1 channel\t16000 Hz"])


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "the following arguments are required: model"),
        (["nowhere.tflite", "noise.wav"], 1, "nowhere.tflite"),
        ([MODEL, "noise.wav"], 2, "has no listening point, so nothing says which labels make events: python -m bnn_exit"
         f".calibrate {MODEL} --stream NEGATIVES --max-false-accepts-per-hour 0.5 makes one"),
        ([MODEL, "noise.wav", "--listening-point", "quiet"], 2, "has no listening point"),
        ([MODEL, "noise.wav", "--listening-point", "none.json"], 2, "listening point: no such file or folder: 'none"),
        ([MODEL, "noise.wav", "--listening-point", "bad.json"], 2, "bad.json holds no listening point: "),
        ([MODEL, "noise.wav", "--listening-point", "other.json"], 2, "other.json is of another model than "
         f"{MODEL}: label of listening point 'loose' is 'opne', but must be one of backward"),
        ([MODEL, "none.wav", "--windows"], 1, "none.wav: no such audio file"),
        ([MODEL, "bad.json", "--windows"], 1, "bad.json: not a wav, flac or ogg file"),
        ([MODEL, "noise.wav", "--windows", "--device", "usb"], 2, "--device chooses a microphone, but the input is "),
        ([MODEL, "noise.wav", "--windows", "--rate", "8000"], 2, "--rate is of raw samples on standard input"),
        ([MODEL, "--windows", "--width", "16"], 2, "--width is of raw samples on standard input"),
        ([MODEL, "-", "--windows", "--rate", "4000"], 2, "--rate is 4000 Hz, but must be from 8000 to 192000"),
        ([MODEL, "-", "--windows", "--width", "0"], 2, "width is 0, but must be 8, 16 or 32 bits"),
        ([MODEL, "-", "--windows", "--width", "24"], 2, "width is 24, but must be 8, 16 or 32 bits"),
        ([MODEL, "-", "--windows", "--channels", "99"], 2, "channels is 99, but must be a whole number from 1 to 32"),
        ([MODEL, "noise.wav", "--windows", "--hop-ms", "15"], 2, "hop_ms is 15, but must be a multiple of the 10 ms"),
        ([MODEL, "noise.wav", "--windows", "--operating-point", "fats"], 2, "did you mean 'fast'?"),
        ([MODEL, "noise.wav", "--windows", "--operating-point", ""], 2, "is '', but must be one of"),
        ([MODEL, "noise.wav", "--windows", "--save", "bad.json"], 2, "save is 'bad.json', which is a file, but must"),
        ([MODEL, "noise.wav", "--windows", "--save", "bad.json/x"], 2, "runs through something that is a file"),
        ([MODEL, "noise.wav", "--windows", "--save", "/proc/none"], 2, "save is '/proc/none', but "),
        ([MODEL, "noise.wav", "--windows", "--save", ""], 2, "save is empty, but must be a folder"),
        ([MODEL, "noise.wav", "--windows", "--save-limit", "5"], 2, "--save-limit is of --save"),
        ([MODEL, "noise.wav", "--windows", "--run", "/no/such/program"], 2, "there is no such program"),
        ([MODEL, "noise.wav", "--windows", "--run", "echo {file}"], 2, "--run has {file}, the saved sound of an event, "
         "but nothing is saved: give --save DIR"),
        ([MODEL, "--windows", "--device", "mick"], 2, "no microphone has such a name; did you mean 'Fake mic'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(folder, microphone, arguments, status, text):
    (folder / "bad.json").write_text('{"name": "x"}')
    (folder / "other.json").write_text(json.dumps({**POINT.to_dict(), "thresholds": {"opne": 0.5}}))
    found, out, err = listen(folder, *arguments, data=b"", modules=microphone)
    assert (found, out) == (status, [])
    assert len(err) == 1 and err[0].startswith("error: ") and text in err[0]
