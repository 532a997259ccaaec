"""Audio files: every encoding against independent writers, every damage against its message."""

from __future__ import annotations

import struct
import sys
import wave

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnn_exit.audio import riff, wav
from bnn_exit.errors import ArgumentError, DataError, MissingPackageError

RATE = 16000


@pytest.fixture
def tone() -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(800) / RATE)).astype(np.float32)


def wav_bytes(
    body: bytes, *, encoding=1, channels=1, rate=RATE, bits=16, extra=b"", before=b"", data_size=None
) -> bytes:
    """A wav file made field by field, so that any of them can be wrong."""
    block = channels * ((bits + 7) // 8)
    fmt = struct.pack("<HHIIHH", encoding, channels, rate, rate * block, block, bits) + extra
    size = len(body) if data_size is None else data_size
    chunks = before + struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + struct.pack("<4sI", b"data", size) + body
    return struct.pack("<4sI4s", b"RIFF", (4 + len(chunks)) & 0xFFFFFFFF, b"WAVE") + chunks


def one_line(error: pytest.ExceptionInfo, path) -> str:
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text


# ---- reading what others wrote


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-24), ("FLOAT", 0), ("DOUBLE", 2**-24)],
)
def test_reads_what_libsndfile_writes(tmp_path, kind, channels, subtype, step):
    soundfile = pytest.importorskip("soundfile")
    signal = np.random.default_rng(1).uniform(-0.9, 0.9, (333, channels))
    if subtype == "FLOAT":
        signal = signal.astype(np.float32)
    path = tmp_path / "clip.wav"
    soundfile.write(path, signal, RATE, subtype=subtype, format=kind)
    read = wav.read(path, sample_rate_hz=RATE)
    assert read.dtype == np.float32 and read.shape == (333,)
    np.testing.assert_allclose(read, signal.mean(axis=1), rtol=0, atol=step + 2e-7)


def test_reads_what_the_standard_library_writes(tmp_path):
    values = np.array([0, 1, -1, 32767, -32768, 12345], "<i2")
    path = tmp_path / "clip.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(values.tobytes())
    np.testing.assert_array_equal(wav.read(path), values / np.float32(32768))


def test_the_standard_library_reads_what_we_write(tmp_path, tone):
    path = tmp_path / "new" / "clip.wav"
    wav.write(path, tone, sample_rate_hz=22050)
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22050)
        body = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(body, np.rint(tone * 32768))


def test_eight_bits_are_unsigned_and_twelve_fill_the_upper_bits(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(wav_bytes(bytes([0, 128, 255]), bits=8))
    np.testing.assert_array_equal(wav.read(path), np.float32([-1, 0, 127 / 128]))
    path.write_bytes(wav_bytes(struct.pack("<2h", -32768, 0x4000), bits=12))
    np.testing.assert_array_equal(wav.read(path), np.float32([-1, 0.5]))


@pytest.mark.parametrize("kind", ["flac", "ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_reads_flac_and_ogg(tmp_path, tone, kind, channels):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"clip.{kind}"
    soundfile.write(path, np.stack([tone] * channels, axis=1), RATE, format=kind.upper())
    read = wav.read(path)
    assert read.shape == tone.shape
    np.testing.assert_allclose(read, tone, atol=1e-4 if kind == "flac" else 0.05)


def test_the_first_bytes_tell_the_kind_not_the_name(tmp_path, tone):
    path = tmp_path / "clip.ogg"
    path.write_bytes(riff.encode(tone, sample_rate_hz=RATE))
    assert wav.read(path).shape == tone.shape


def test_other_chunks_and_their_padding_are_skipped(tmp_path):
    path = tmp_path / "clip.wav"
    note = struct.pack("<4sI", b"LIST", 3) + b"abc\0"
    cut_comment = struct.pack("<4sI", b"id3 ", 1000) + b"short"
    path.write_bytes(wav_bytes(struct.pack("<2h", 0, 16384), before=note) + cut_comment)
    np.testing.assert_array_equal(wav.read(path), np.float32([0, 0.5]))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_size_unknown_to_the_writer_means_to_the_end(tmp_path, size):
    path = tmp_path / "piped.wav"
    path.write_bytes(wav_bytes(struct.pack("<2h", 0, 16384), data_size=size))
    np.testing.assert_array_equal(wav.read(path), np.float32([0, 0.5]))


def test_silence_is_valid(tmp_path):
    path = tmp_path / "silent.wav"
    wav.write(path, np.zeros(100, np.float32), sample_rate_hz=RATE)
    np.testing.assert_array_equal(wav.read(path), np.zeros(100, np.float32))


def test_stereo_44100_hz_becomes_mono_16000_hz(tmp_path):
    time = np.arange(44100) / 44100
    left, right = 0.8 * np.sin(2 * np.pi * 500 * time), 0.2 * np.sin(2 * np.pi * 3000 * time)
    body = np.rint(np.stack([left, right], axis=1) * 32767).astype("<i2").tobytes()
    path = tmp_path / "clip.wav"
    path.write_bytes(wav_bytes(body, channels=2, rate=44100))
    read = wav.read(path, sample_rate_hz=16000)
    new_time = np.arange(16000) / 16000
    expected = 0.4 * np.sin(2 * np.pi * 500 * new_time) + 0.1 * np.sin(2 * np.pi * 3000 * new_time)
    assert read.shape == (16000,)
    np.testing.assert_allclose(read[200:-200], expected[200:-200], atol=2e-4)


def test_stays_in_range_when_resampling_or_the_file_overshoots(tmp_path):
    path = tmp_path / "loud.wav"
    square = np.where(np.arange(4410) // 40 % 2, 1.0, -1.0).astype("<f4")
    path.write_bytes(wav_bytes(square.tobytes(), encoding=3, bits=32, rate=44100))
    assert np.abs(wav.resample(square, from_hz=44100, to_hz=16000)).max() > 1
    assert np.abs(wav.read(path)).max() == 1
    path.write_bytes(wav_bytes((square * 1.5).tobytes(), encoding=3, bits=32))
    assert np.abs(wav.read(path)).max() == 1


# ---- write and read back

floats = hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-1.5, 1.5, width=32))


@given(floats, st.sampled_from([8000, 16000, 44100]))
@example(np.float32([-1, 1, 0]), 8000)
def test_a_written_clip_comes_back_within_half_a_step(waveform, rate):
    frames, read_rate = riff.decode(riff.encode(waveform, sample_rate_hz=rate))
    assert read_rate == rate and frames.shape == (len(waveform), 1)
    np.testing.assert_allclose(frames[:, 0], np.clip(waveform, -1, 32767 / 32768), rtol=0, atol=0.5 / 32768)


@given(hnp.arrays(np.int16, st.integers(1, 300)))
def test_sixteen_bits_come_back_exactly(values):
    frames, _ = riff.decode(riff.encode(wav.check(values), sample_rate_hz=RATE))
    np.testing.assert_array_equal(frames[:, 0] * 32768, values)


@given(st.data())
def test_no_damage_to_a_file_ends_in_another_error(data):
    clean = wav_bytes(struct.pack("<8h", *range(8)), extra=b"\0" * 24)
    damaged = bytearray(clean[: data.draw(st.integers(0, len(clean)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        frames, rate = riff.decode(bytes(damaged))
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert frames.size > 0 and rate > 0


# ---- bad files

BODY = struct.pack("<4h", 1, 2, 3, 4)
EXTENSIBLE = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + riff._GUID_TAIL
BAD_FILES = {
    "empty": (b"", "the file is empty; copy or download it again"),
    "header only": (b"RIFF\0\0", "cut off within its first 12 bytes; copy or download it again"),
    "not wave": (b"RIFF\4\0\0\0AVI ....", "not a wav file"),
    "other kind": (b"ID3\x03 and so on", r"not a wav, flac or ogg file \(it starts with b'ID3\\x03'\); convert it"),
    "no format": (b"RIFF\4\0\0\0WAVE", "it has no fmt chunk"),
    "no data": (wav_bytes(b"")[:-8], "no data chunk"),
    "zero length": (wav_bytes(b""), "holds no samples; record it again"),
    "truncated": (wav_bytes(BODY, data_size=32000), "declares 32000 bytes of data, but 8 follow"),
    "cut in the format": (wav_bytes(BODY)[:30], "declares 16 bytes of fmt, but 10 follow"),
    "less than a frame": (wav_bytes(BODY[:3], channels=2), "holds no samples"),
    "format after the samples": (wav_bytes(BODY)[:12] + wav_bytes(BODY)[36:] + wav_bytes(BODY)[12:36], "no fmt chunk"),
    "mu-law": (wav_bytes(BODY, encoding=7, bits=8), "holds mu-law, not PCM or float samples; convert it"),
    "unknown encoding": (wav_bytes(BODY, encoding=4660), "holds encoding 4660, not PCM"),
    "64-bit integers": (wav_bytes(BODY, bits=64), "samples of 64 bits, which are not read; convert it"),
    "16-bit floats": (wav_bytes(BODY, encoding=3, bits=16), "samples of 16 bits, which are not read"),
    "no channels": (wav_bytes(BODY, channels=0), "damaged wav file: its header declares 0 channels"),
    "no rate": (wav_bytes(BODY, rate=0), "its sample rate is 0 Hz, but must be from 1000 to 768000"),
    "short extensible": (wav_bytes(BODY, encoding=0xFFFE), "extensible fmt chunk has 16 bytes, not 40"),
    "foreign extensible": (wav_bytes(BODY, encoding=0xFFFE, extra=EXTENSIBLE[:-1] + b"?"), "unknown encoding"),
    "NaN": (wav_bytes(struct.pack("<3f", 0, np.nan, np.inf), encoding=3, bits=32), "2 NaN or infinite samples"),
    "off scale": (wav_bytes(struct.pack("<2d", 0, -20000), encoding=3, bits=64), "reaches 20000, but full scale is 1"),
    "ogg noise": (b"OggS" + bytes(range(100)), "truncated ogg file"),
    "flac noise": (b"fLaC" + bytes(range(100)), "damaged flac file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gives_one_line(tmp_path, name):
    data, message = BAD_FILES[name]
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as error:
        wav.read(path)
    one_line(error, path)


def test_the_extensible_header_used_above_is_valid():
    frames, _ = riff.decode(wav_bytes(BODY, encoding=0xFFFE, extra=EXTENSIBLE))
    np.testing.assert_array_equal(frames[:, 0] * 32768, [1, 2, 3, 4])


@pytest.mark.parametrize("kind", ["flac", "ogg"])
@pytest.mark.parametrize("keep", [0.95, 0.5, 0.1])
def test_a_truncated_flac_or_ogg_gives_one_line(tmp_path, kind, keep):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"clip.{kind}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 32000), RATE, format=kind.upper())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError, match=f"(truncated|damaged) {kind} file.*copy or download it again") as error:
        wav.read(path)
    one_line(error, path)


def test_an_ogg_without_samples_gives_one_line(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "clip.ogg"
    soundfile.write(path, np.zeros(0), RATE, format="OGG")
    with pytest.raises(DataError, match="the ogg file holds no samples; record it again or remove it") as error:
        wav.read(path)
    one_line(error, path)


def test_a_flac_with_fewer_samples_than_its_header_promises_is_damaged(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "clip.flac"
    soundfile.write(path, np.zeros(32000), RATE, format="FLAC")
    whole = bytearray(path.read_bytes())
    assert struct.unpack_from(">I", whole, 22) == (32000,)
    struct.pack_into(">I", whole, 22, 64000)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="damaged flac file"):
        wav.read(path)


def test_an_ogg_cut_between_pages_is_truncated(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "clip.ogg"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 64000), RATE, format="OGG")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rfind(b"OggS")])
    with pytest.raises(DataError, match="truncated ogg file: the last page is missing or cut"):
        wav.read(path)


def test_a_missing_file_and_a_folder_give_one_line(tmp_path):
    with pytest.raises(DataError, match="no such audio file; check the path") as error:
        wav.read(tmp_path / "absent.wav")
    one_line(error, tmp_path / "absent.wav")
    with pytest.raises(DataError, match="a folder, not an audio file") as error:
        wav.read(tmp_path)
    one_line(error, tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DataError, match="runs through something that is a file"):
        wav.read(tmp_path / "file" / "clip.wav")


def test_flac_without_soundfile_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "clip.flac").write_bytes(b"fLaC....")
    with pytest.raises(MissingPackageError, match=r"soundfile: pip install '\.\[audio\]'"):
        wav.read(tmp_path / "clip.flac")


@pytest.mark.parametrize("rate", [0, -1, 16000.5, "16000", None, True])
def test_a_bad_rate_is_refused_before_any_file_is_touched(tmp_path, rate):
    with pytest.raises(ArgumentError, match=r"sample_rate_hz is .*, but must be a whole number of Hz above 0"):
        wav.read(tmp_path / "absent.wav", sample_rate_hz=rate)
    with pytest.raises(ArgumentError, match="sample_rate_hz is"):
        wav.write(tmp_path / "new.wav", np.zeros(3), sample_rate_hz=rate)
    assert list(tmp_path.iterdir()) == []


# ---- waveforms in memory


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros((2, 100)), r"shape \(2, 100\), but must be one-dimensional"),
        (np.float32(1), "is 1.0, but must be an array of samples"),
        (np.zeros(3, np.complex64), r"dtype complex64, but must be float in \[-1, 1\] or int16"),
        (np.zeros(3, np.int32), "dtype int32, but must be float"),
        (np.zeros(3, bool), "dtype bool, but must be float"),
        (["a"], "dtype <U1, but must be float"),
        ([], "0 samples, but must have at least 1"),
        ([0.0, np.nan, -np.inf], "2 NaN or infinite samples"),
        (np.array([1e300, 0.0]), r"reaches 1e\+300, but full scale is 1: divide 16-bit values by 32768"),
    ],
)
def test_check_refuses(waveform, message):
    with pytest.raises(ArgumentError, match=f"^waveform .*{message}"):
        wav.check(waveform)


def test_check_accepts_floats_of_any_width_and_int16():
    for dtype in (np.float16, np.float32, np.float64, ">f4"):
        checked = wav.check(np.array([0.5, -1.25], dtype))
        assert checked.dtype == np.float32
        np.testing.assert_array_equal(checked, [0.5, -1.25])
    np.testing.assert_array_equal(wav.check(np.array([-32768, 16384], np.int16)), np.float32([-1, 0.5]))
    np.testing.assert_array_equal(wav.check([0.25]), np.float32([0.25]))


def test_fit_length_centres():
    np.testing.assert_array_equal(wav.fit_length([0.1, 0.2], 5), np.float32([0, 0.1, 0.2, 0, 0]))
    np.testing.assert_array_equal(wav.fit_length([0.1, 0.2, 0.3, 0.4, 0.5], 2), np.float32([0.2, 0.3]))
    with pytest.raises(ArgumentError, match="samples is 0, but must be at least 1"):
        wav.fit_length([0.1], 0)


@given(st.integers(1, 50), st.integers(1, 50))
def test_fit_length_there_and_back_is_the_clip(long, short):
    clip = np.linspace(0.1, 1, min(long, short), dtype=np.float32)
    fitted = wav.fit_length(clip, max(long, short))
    assert fitted.shape == (max(long, short),) and np.count_nonzero(fitted) == clip.size
    np.testing.assert_array_equal(wav.fit_length(fitted, clip.size), clip)


def test_bytes_are_decoded_as_a_file_is_read_and_tell_their_rate(tmp_path, tone):
    wav.write(tmp_path / "a.wav", tone, sample_rate_hz=8000)
    read = wav.decode((tmp_path / "a.wav").read_bytes(), name="b", sample_rate_hz=16000)
    assert (read.rate_hz, read.samples) == (8000, 1600)
    assert np.array_equal(read.waveform, wav.read(tmp_path / "a.wav", sample_rate_hz=16000))
    with pytest.raises(DataError, match=r"^b: the file is empty; copy or download it again$"):
        wav.decode(b"", name="b", sample_rate_hz=16000)
