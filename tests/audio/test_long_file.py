"""Files that are read and written in blocks: the same samples as in one piece."""

from __future__ import annotations

import wave

import numpy as np
import pytest

from bnn_exit.audio import long_file, wav
from bnn_exit.audio.long_file import new_wav, open_file
from bnn_exit.errors import DataError


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-0.5, 0.5, size).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 44100, 8000])
@pytest.mark.parametrize("block", [1000, 7001, 1 << 20])
def test_blocks_are_the_whole_file(tmp_path, rate, block):
    wav.write(tmp_path / "a.wav", noise(2 * rate + 17), sample_rate_hz=rate)
    whole = wav.read(tmp_path / "a.wav")
    with open_file(tmp_path / "a.wav", sample_rate_hz=16000) as file:
        assert (file.rate_hz, file.samples, file.name) == (rate, len(whole), str(tmp_path / "a.wav"))
        assert file.seconds == len(whole) / 16000
        parts = list(file.blocks(block))
        assert file.read(5, 5).size == 0
        np.testing.assert_allclose(file.read(100, 300), whole[100:300], rtol=0, atol=1e-6)
    assert [len(part) for part in parts[:-1]] == [block] * (len(parts) - 1)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=1e-6)


def test_ogg_is_read_in_blocks(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.ogg", noise(50000), 16000)
    with open_file(tmp_path / "a.ogg", sample_rate_hz=16000) as file:
        np.testing.assert_allclose(np.concatenate(list(file.blocks(9000))), wav.read(tmp_path / "a.ogg"), atol=1e-6)


def test_a_file_written_in_parts_is_the_file_written_at_once(tmp_path):
    samples = np.concatenate([noise(5000), [1.5, -2.0]]).astype(np.float32)
    wav.write(tmp_path / "whole.wav", samples, sample_rate_hz=8000)
    with new_wav(tmp_path / "parts.wav", sample_rate_hz=8000) as writer:
        for start in range(0, len(samples), 777):
            writer.write(samples[start : start + 777])
    assert (writer.samples, writer.clipped) == (5002, 2)
    assert (tmp_path / "parts.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    with wave.open(str(tmp_path / "parts.wav")) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (5002, 8000, 1)


def test_nothing_is_left_of_a_file_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(long_file, "MAX_WAV_SAMPLES", 2 * 3600 * 100)
    with (
        pytest.raises(DataError, match="a wav file holds at most 2 hours: make two"),
        new_wav(tmp_path / "a.wav", sample_rate_hz=100) as writer,
    ):
        writer.write(np.zeros(2 * 3600 * 100 + 1, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_fault_within_a_file_names_it(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    samples = noise(40000)
    samples[30000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    with open_file(tmp_path / "a.wav", sample_rate_hz=16000) as file:
        blocks = file.blocks(16000)
        assert len(next(blocks)) == 16000
        with pytest.raises(DataError, match=r"a.wav: the audio has 1 NaN or infinite samples, but all must be finite"):
            next(blocks)
    for name, data, message in (
        ("none.wav", None, "none.wav: no such audio file; check the path"),
        ("empty.wav", b"", "empty.wav: the file is empty; copy or download it again"),
        ("text.wav", b"file\tstart", "text.wav: not a wav, flac or ogg file"),
        ("short.wav", b"RIFF", "short.wav: not a wav file, or cut off within its first 12 bytes"),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=message), open_file(tmp_path / name, sample_rate_hz=16000):
            pass
