"""Files that are long, endless or lie about their size: only what is needed is read, and too much is refused."""

from __future__ import annotations

import io
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.audio import resample as resampling
from bnn_exit.audio import riff, wav
from bnn_exit.audio.resample import resample, resample_part, resampled_length
from bnn_exit.errors import DataError


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.5, 0.5, size).astype(np.float32)


# ---- a part of a file


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 4000),
    st.sampled_from([(44100, 16000), (48000, 16000), (8000, 16000), (16000, 16000), (11025, 16000)]),
    st.data(),
)
def test_a_part_is_the_part_of_the_whole(size: int, rates: tuple[int, int], data: st.DataObject) -> None:
    waveform = noise(size)
    whole = resample(waveform, from_hz=rates[0], to_hz=rates[1])
    assert len(whole) == resampled_length(size, from_hz=rates[0], to_hz=rates[1])
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.integers(first + 1, len(whole)))
    part = resample_part(
        lambda start, stop: waveform[start:stop], size, from_hz=rates[0], to_hz=rates[1], first=first, last=last
    )
    np.testing.assert_allclose(part, whole[first:last], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_middle_alone_is_what_fit_length_keeps(tmp_path: Path, kind: str, rate: int) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"long.{kind}"
    soundfile.write(path, np.stack([noise(3 * rate), noise(3 * rate)[::-1]], axis=1), rate, format=kind.upper())
    whole = wav.load(path, sample_rate_hz=16000)
    part = wav.load(path, sample_rate_hz=16000, max_samples=16001)
    assert part.samples == whole.samples == len(whole.waveform) == 48000
    np.testing.assert_allclose(part.waveform, wav.fit_length(whole.waveform, 16001), rtol=0, atol=1e-5)
    assert wav.read(path, max_samples=10**9).shape == (48000,)


def test_of_a_long_file_only_the_middle_is_read(tmp_path: Path) -> None:
    frames = 10**9  # 3.5 hours of 44.1 kHz stereo, of which the disk holds but the header and a second
    path = tmp_path / "long.wav"
    header = riff.encode(np.zeros(1, np.float32), sample_rate_hz=44100)[:44]
    with path.open("wb") as file:
        file.write(header[:22] + struct.pack("<HIIHH", 2, 44100, 4 * 44100, 4, 16) + header[36:40])
        file.write(struct.pack("<I", 4 * frames))
        file.seek(44 + 4 * (frames // 2 - 44100))
        file.write(np.full(4 * 44100, 16384, "<i2").tobytes())
        file.truncate(44 + 4 * frames)
    read = wav.load(path, sample_rate_hz=16000, max_samples=16000)
    assert read.samples == -(-frames * 160 // 441)
    np.testing.assert_allclose(read.waveform, 0.5, atol=1e-3)
    with pytest.raises(DataError, match=r"long\.wav: it holds 22676 s of sound in 2 channels .* cut it into parts"):
        wav.read(path)


def test_a_file_in_several_pieces_is_read_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = noise(30_000)
    wav.write(tmp_path / "a.wav", waveform, sample_rate_hz=44100)
    whole = wav.read(tmp_path / "a.wav")
    monkeypatch.setattr(resampling, "_PIECE", 1000)
    np.testing.assert_allclose(wav.read(tmp_path / "a.wav"), whole, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(wav.read(tmp_path / "a.wav", sample_rate_hz=44100), np.rint(waveform * 32768) / 32768)


def test_coefficients_of_odd_rates_do_not_pile_up() -> None:
    for rate in (44101, 44102, 44103):
        resample(noise(1000), from_hz=rate, to_hz=16000)
    assert sum(each.nbytes for each in resampling._kept.values()) <= resampling._KEPT_BYTES


# ---- headers that lie about how much there is


def flac_that_promises(frames: int) -> bytes:
    soundfile = pytest.importorskip("soundfile")
    packed = io.BytesIO()
    soundfile.write(packed, np.zeros(16000), 16000, format="FLAC")
    data = bytearray(packed.getvalue())
    assert struct.unpack_from(">I", data, 22) == (16000,)
    data[21] = data[21] & 0xF0 | frames >> 32
    struct.pack_into(">I", data, 22, frames & 0xFFFFFFFF)
    return bytes(data)


def test_a_flac_that_promises_years_is_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"x: it holds .* cut it into parts"):
        wav.decode(flac_that_promises(2**36 - 1), name="x", sample_rate_hz=16000)
    with pytest.raises(DataError, match="x: damaged flac file"):
        wav.decode(flac_that_promises(2**36 - 1), name="x", sample_rate_hz=16000, max_samples=16000)
    with pytest.raises(DataError, match="x: the flac file does not have its length"):
        wav.decode(flac_that_promises(0), name="x", sample_rate_hz=16000)


def test_a_flac_of_an_odd_rate_is_refused() -> None:
    soundfile = pytest.importorskip("soundfile")
    packed = io.BytesIO()
    soundfile.write(packed, np.zeros(100), 10, format="FLAC")
    with pytest.raises(DataError, match="damaged flac file: its sample rate is 10 Hz"):
        wav.decode(packed.getvalue(), name="x", sample_rate_hz=16000)


def test_too_little_memory_is_a_line_for_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wav.write(tmp_path / "a.wav", noise(100), sample_rate_hz=8000)

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(resampling, "_polyphase", exhausted)
    with pytest.raises(DataError, match=r"a\.wav: there is too little free memory to read it"):
        wav.read(tmp_path / "a.wav")


# ---- what is no regular file


def test_pipes_devices_and_sockets_are_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    listening = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    try:
        os.chdir(tmp_path)  # the name of a socket must be short
        listening.bind("socket.wav")
    finally:
        os.chdir(here)
    with listening:
        for name in ("pipe.wav", "device.wav", "socket.wav"):
            with pytest.raises(DataError, match=f"{name}: a pipe, device or socket, not a regular file") as error:
                wav.read(tmp_path / name)
            assert "\n" not in str(error.value)


def test_a_link_to_a_file_is_a_file(tmp_path: Path) -> None:
    wav.write(tmp_path / "a.wav", noise(10), sample_rate_hz=16000)
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    assert wav.read(tmp_path / "b.wav").shape == (10,)
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    with pytest.raises(DataError, match=r"loop\.wav: "):
        wav.read(tmp_path / "loop.wav")
