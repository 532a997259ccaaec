"""Decoded clips and features on disk: right, reused, and made again when the data or the settings change."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audio_tasks import cache as cache_module
from audio_tasks.cache import Clips, cached_features, count_reasons, decode_clips
from audio_tasks.splits import Member, split_of
from bnn_exit.audio import logmel, wav
from bnn_exit.errors import DataError, MissingPackageError
from bnn_exit.settings.features import FeatureConfig

WriteWav = Callable[..., Path]


@pytest.fixture
def files(tmp_path: Path, write_wav: WriteWav) -> dict[str, Path]:
    return {f"c{n}.wav": write_wav(tmp_path / "data" / f"c{n}.wav", seed=n) for n in range(5)}


def decode(files: dict[str, Path], cache: Path, clip_samples: int = 1600) -> Clips:
    root = next(iter(files.values())).parent
    return decode_clips(files, name="toy", root=root, cache_dir=cache, clip_samples=clip_samples, sample_rate_hz=16000)


def count_decoding(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths that are read from now on."""
    load, paths = cache_module.wav.load, []

    def counting(path: Path, **options: int) -> wav.Recording:
        paths.append(path)
        return load(path, **options)

    monkeypatch.setattr(cache_module.wav, "load", counting)
    return paths


def test_sixteen_bit_recordings_come_back_exactly(files: dict[str, Path], cache: Path) -> None:
    clips = decode(files, cache)
    for key, path in files.items():
        with wave.open(str(path)) as file:
            expected = np.frombuffer(file.readframes(1600), "<i2").astype(np.float32) / 32768
        waveform = clips.waveform(clips.rows[key])
        assert waveform.dtype == np.float32
        np.testing.assert_array_equal(waveform, expected)
        assert clips.lengths[key] == 1600


def test_shorter_and_longer_files_get_one_length(tmp_path: Path, cache: Path, write_wav: WriteWav) -> None:
    files = {name: write_wav(tmp_path / name, seed=1, seconds=s) for name, s in (("a.wav", 0.05), ("b.wav", 0.3))}
    clips = decode(files, cache)
    assert clips.waveforms.shape == (2, 1600)
    assert clips.lengths == {"a.wav": 800, "b.wav": 4800}
    short = clips.waveform(clips.rows["a.wav"])
    assert not short[:400].any()
    assert short[400:1200].any()
    assert not short[1200:].any()


def test_full_scale_does_not_wrap_round(tmp_path: Path, cache: Path) -> None:
    from bnn_exit.audio import wav

    path = tmp_path / "loud.wav"
    wav.write(path, np.array([1.0, -1.0] * 800, np.float32), sample_rate_hz=16000)
    waveform = decode({"loud": path}, cache).waveform(0)
    assert waveform.max() == np.float32(32767 / 32768)
    assert waveform.min() == -1.0


def test_second_call_reads_no_audio(files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode(files, cache)
    paths = count_decoding(monkeypatch)
    second = decode(files, cache)
    assert paths == []
    assert second.fingerprint == first.fingerprint
    assert second.contents == first.contents
    np.testing.assert_array_equal(second.waveforms, first.waveforms)


def test_changed_data_is_decoded_again_and_the_old_is_removed(
    files: dict[str, Path], cache: Path, write_wav: WriteWav
) -> None:
    first = decode(files, cache)
    (first.folder / "log_mel-train-x-y.npy").write_bytes(b"features of the old data")
    before = first.waveform(0).copy()
    write_wav(files["c0.wav"], seed=99)
    os.utime(files["c0.wav"], ns=(1, 1))
    second = decode(files, cache)
    assert second.fingerprint != first.fingerprint
    assert not np.array_equal(second.waveform(0), before)
    assert sorted(path.suffix for path in second.folder.iterdir()) == [".int16", ".json"]
    # What is open stays readable.
    np.testing.assert_array_equal(first.waveform(0), before)


def test_other_clip_length_is_another_cache(files: dict[str, Path], cache: Path) -> None:
    assert decode(files, cache).folder != decode(files, cache, clip_samples=800).folder
    assert len(list(cache.iterdir())) == 2


def test_unusable_files_are_left_out_and_remembered(
    files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files["c1.wav"].write_bytes(b"")
    files["c3.wav"].write_bytes(files["c3.wav"].read_bytes()[:1001])
    files["c4.wav"].write_bytes(files["c4.wav"].read_bytes()[:2001])
    clips = decode(files, cache)
    assert list(clips.rows) == ["c0.wav", "c2.wav"]
    assert clips.waveforms.shape[0] == 2
    assert clips.problems["c1.wav"] == "the file is empty"
    assert "truncated" in clips.problems["c3.wav"]
    assert str(files["c3.wav"]) not in clips.problems["c3.wav"]
    counts = count_reasons(clips.problems)
    assert sorted(counts.values()) == [1, 2]  # both cut files count as one kind
    paths = count_decoding(monkeypatch)
    assert decode(files, cache).problems == clips.problems
    assert paths == []


def test_nothing_usable(files: dict[str, Path], cache: Path) -> None:
    for path in files.values():
        path.write_bytes(b"not audio at all")
    with pytest.raises(DataError, match=r"none of the 5 audio files can be used; the first, c0\.wav: not a wav"):
        decode(files, cache)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_damaged_cache_is_made_again(files: dict[str, Path], cache: Path) -> None:
    clips = decode(files, cache)
    expected = np.array(clips.waveforms)
    data = next(clips.folder.glob("*.int16"))
    data.write_bytes(data.read_bytes()[:-2])
    np.testing.assert_array_equal(decode(files, cache).waveforms, expected)
    next(clips.folder.glob("*.json")).write_text("{")
    np.testing.assert_array_equal(decode(files, cache).waveforms, expected)


def test_interrupted_decoding_leaves_nothing(
    files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path, **options: int) -> wav.Recording:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module.wav, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode(files, cache)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_features_are_kept_and_keyed_by_settings(
    files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = decode(files, cache)
    split = split_of("train", [Member(key, 0, "s") for key in reversed(files)], clips)
    features = FeatureConfig()
    first = cached_features(split, features=features, cache_dir=clips.folder)
    assert isinstance(first, np.memmap)
    assert first.shape == (5, 8, 64)
    np.testing.assert_array_equal(first[0], logmel.log_mel(split.waveform(0), features))
    other = cached_features(split, features=FeatureConfig(num_mels=40), cache_dir=clips.folder)
    assert other.shape == (5, 8, 40)

    def fail(*arguments: object) -> np.ndarray:
        raise AssertionError("computed again")

    monkeypatch.setattr(cache_module.logmel, "log_mel", fail)
    np.testing.assert_array_equal(cached_features(split, features=features, cache_dir=clips.folder), first)
    fewer = split_of("train", [Member("c1.wav", 0, "s")], clips)
    with pytest.raises(AssertionError, match="computed again"):
        cached_features(fewer, features=features, cache_dir=clips.folder)
    assert len(list(clips.folder.glob("*.part"))) == 0


def other_array(data: bytes, generator: random.Random) -> bytes:
    """What a cache entry may look like after something went wrong."""
    whole = io.BytesIO()
    np.save(whole, np.arange(12.0).reshape(3, 4))
    middle = generator.randrange(len(data))
    half = len(data) // 2
    return generator.choice(
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"3",
            b"\xff" * 40,
            b"PK\x03\x04" + data,
            b"[" * 100_000,
            bytes(len(data)),
            data[:-1],
            data[:middle],
            data + b"\0",
            data[half:] + data[:half],
            data[:middle] + bytes([data[middle] ^ 1 << generator.randrange(8)]) + data[middle + 1 :],
            whole.getvalue(),
            pickle.dumps({"usable": []}),
            b'{"usable": [["c0.wav", 5, "x"]], "problems": {}}',
        ]
    )


def test_a_damaged_entry_is_made_again_whatever_is_wrong_with_it(files: dict[str, Path], cache: Path) -> None:
    def split_and_features() -> tuple[Clips, np.ndarray]:
        clips = decode(files, cache)
        split = split_of("train", [Member(key, 0, "s") for key in files], clips)
        return clips, cached_features(split, features=FeatureConfig(), cache_dir=clips.folder)

    clips, features = split_and_features()
    expected = np.array(clips.waveforms), np.array(features), clips.lengths, clips.contents, clips.rows
    entries = sorted(clips.folder.iterdir())
    assert [path.suffix for path in entries] == [".int16", ".json", ".float32", ".json"]
    contents = [path.read_bytes() for path in entries]
    generator = random.Random(0)
    for _ in range(150):
        for path, content in zip(entries, contents, strict=True):
            path.unlink()
            if generator.random() < 0.95:
                path.write_bytes(other_array(content, generator) if generator.random() < 0.5 else content)
        if generator.random() < 0.1:  # of one another
            entries[0].write_bytes(contents[2])
        clips, features = split_and_features()
        found = clips.waveforms, features, clips.lengths, clips.contents, clips.rows
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_equal(one, other)


def test_an_entry_of_an_earlier_version_is_made_again(files: dict[str, Path], cache: Path) -> None:
    clips = decode(files, cache)
    expected, record = np.array(clips.waveforms), next(clips.folder.glob("*.json"))
    usable = [[key, clips.lengths[key], clips.contents[key]] for key in clips.rows]
    record.write_text(json.dumps({"usable": usable, "problems": {}}))
    np.testing.assert_array_equal(decode(files, cache).waveforms, expected)
    assert "crc32" in record.read_text()


def test_what_a_killed_command_left_is_removed(files: dict[str, Path], cache: Path) -> None:
    folder = decode(files, cache).folder
    (folder / ".clips-older.int16.1234.part").write_bytes(b"half")
    os.utime(files["c0.wav"], ns=(1, 1))
    decode(files, cache)
    assert not list(folder.glob(".*"))


def test_full_disk_keeps_the_error_and_leaves_nothing(
    files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bnn_exit.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        decode(files, cache)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_missing_package_is_no_fault_of_the_file(
    files: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files["c2.wav"].write_bytes(b"OggS" + bytes(100))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingPackageError, match=r"needs the package soundfile: pip install '\.\[audio\]'"):
        decode(files, cache)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_clips_keep_the_fingerprint_of_earlier_versions(tmp_path: Path, write_wav: WriteWav) -> None:
    # Runs store it beside their teacher's outputs, and refuse to resume with other clips.
    path = write_wav(tmp_path / "data" / "a.wav", seed=0)
    size = path.stat().st_size
    assert size == 3244
    os.utime(path, ns=(10**18, 10**18))
    assert decode({"yes/a.wav": path}, tmp_path / "cache").fingerprint == "e34c08260b0c2372"
