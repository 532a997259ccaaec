"""The disk cache: the decoded clips of a data folder, and the features of a split."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from audio_tasks import stored
from audio_tasks.split import Split
from bnn_exit.audio import logmel, wav
from bnn_exit.errors import DataError
from bnn_exit.files import expanded, remove_left
from bnn_exit.pairs import zip_strict
from bnn_exit.progress import progress_bar
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.values import Features, ValuesConfig

# Part of the name of every entry. Increase it when decoding, the features or the entries change, so that old ones are
# not used.
_VERSION = 2
# Part of the fingerprint of clips. Increase it only when they become others: outputs of teachers that runs have stored
# are refused then.
_CLIPS_VERSION = 1
_FULL_SCALE = 32768
_SAMPLES, _FEATURES = np.dtype("<i2"), np.dtype("<f4")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def default_cache_dir() -> Path:
    """Where computed data goes: the environment variable BNN_EXIT_CACHE, or ~/.cache/bnn_exit."""
    chosen = os.environ.get("BNN_EXIT_CACHE")
    if chosen:
        return expanded(chosen)
    try:
        return Path.home() / ".cache" / "bnn_exit"
    except RuntimeError as error:  # neither HOME nor an entry in the list of users, as in some containers
        raise DataError("no home folder to keep computed data in: set BNN_EXIT_CACHE to a folder") from error


def digest(parts: Iterable[object]) -> str:
    """A short fingerprint of a sequence of values with a stable text."""
    state = hashlib.sha256()
    for part in parts:
        state.update(f"{part}\0".encode("utf-8", "surrogateescape"))
    return state.hexdigest()[:16]


class Clips(NamedTuple):
    """The usable files of a data folder, decoded.

    Attributes:
        waveforms: int16 [files, clip_samples], memory-mapped. Sixteen bits keep what a 16-bit recording has, exactly,
            and need half the disk of float32.
        rows: row of each usable file, by id.
        lengths: samples of each usable file before it was padded or cropped, by id.
        contents: fingerprint of the decoded samples of each usable file, by id.
        problems: id of each unusable file -> reason.
        fingerprint: of the data and of how it was decoded.
        folder: where this and the features made from it are cached.
    """

    waveforms: np.ndarray
    rows: dict[str, int]
    lengths: dict[str, int]
    contents: dict[str, str]
    problems: dict[str, str]
    fingerprint: str
    folder: Path

    def waveform(self, row: int) -> np.ndarray:
        """One clip as float32 [clip_samples] in [-1, 1]."""
        return from_int16(self.waveforms[row])


def decode_clips(
    files: Mapping[str, Path], *, name: str, root: Path, cache_dir: Path, clip_samples: int, sample_rate_hz: int
) -> Clips:
    """Decode `files` (id -> path) to clips of one length, or take them from the cache if no file has changed.

    A file that cannot be used is left out and recorded in `problems`. DataError if none can be used.
    """
    place = digest([root.resolve(), clip_samples, sample_rate_hz])
    folder = cache_dir / f"{name}-{place}"
    fingerprint = digest(fingerprint_parts(files, clip_samples, sample_rate_hz))
    entry = digest([_VERSION, fingerprint])
    data = folder / f"clips-{entry}.int16"
    clips = _open_clips(data, clip_samples, fingerprint)
    if clips is None:
        remove_left(folder)
        _write_clips(files, data, clip_samples=clip_samples, sample_rate_hz=sample_rate_hz)
        _forget_others(folder, entry)
        clips = _open_clips(data, clip_samples, fingerprint)
        if clips is None:
            raise DataError(f"the cache in {folder} cannot be read back: check the disk, or set BNN_EXIT_CACHE")
    return clips


def fingerprint_parts(files: Mapping[str, Path], *settings: object) -> Iterable[object]:
    """What identifies `files` (id -> path) without reading them, and the settings they are decoded with."""
    yield from (_CLIPS_VERSION, *settings)
    for key, path in files.items():
        try:
            status = path.stat()
            yield f"{key}\0{status.st_size}\0{status.st_mtime_ns}"
        except OSError:
            yield f"{key}\0missing"


def _write_clips(files: Mapping[str, Path], data: Path, *, clip_samples: int, sample_rate_hz: int) -> None:
    def decode(path: Path) -> tuple[np.ndarray, int] | str:
        read = load_or_reason(path, sample_rate_hz=sample_rate_hz, max_samples=clip_samples)
        if isinstance(read, str):
            return read
        waveform = wav.fit_length(read.waveform, clip_samples)
        return to_int16(waveform), read.samples

    usable: list[tuple[str, int, str]] = []
    problems: dict[str, str] = {}

    def rows() -> Iterator[np.ndarray]:
        results = _in_parallel(decode, list(files.values()), what="decoding audio", unit="file")
        for key, result in zip_strict(files, results):
            if isinstance(result, str):
                problems[key] = result
            else:
                samples, length = result
                usable.append((key, length, hashlib.sha1(samples.tobytes()).hexdigest()[:16]))
                yield samples
        if not usable:
            first = next(iter(problems.items()), None)
            example = f"; the first, {first[0]}: {first[1]}" if first else ""
            raise DataError(f"none of the {len(files)} audio files can be used{example}")

    facts = {"usable": usable, "problems": problems}
    stored.write(data, rows(), facts=facts)


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as they are stored."""
    return np.clip(np.rint(waveform * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(_SAMPLES)


def from_int16(samples: np.ndarray) -> np.ndarray:
    """Stored samples as float32 in [-1, 1]."""
    return samples.astype(np.float32) / np.float32(_FULL_SCALE)


def _open_clips(data: Path, clip_samples: int, fingerprint: str) -> Clips | None:
    found = stored.read(data)
    if found is None:
        return None
    waveforms, facts = found
    # An entry of another version or folder under this name is made again as well.
    usable = facts.get("usable", [])
    if (waveforms.shape, waveforms.dtype) != ((len(usable), clip_samples), _SAMPLES):
        return None
    return Clips(
        waveforms=waveforms,
        rows={key: row for row, (key, _, _) in enumerate(usable)},
        lengths={key: length for key, length, _ in usable},
        contents={key: content for key, _, content in usable},
        problems=facts["problems"],
        fingerprint=fingerprint,
        folder=data.parent,
    )


def _forget_others(folder: Path, entry: str) -> None:
    """Remove what was computed from an earlier state of the same data: it would never be read again."""
    for path in folder.iterdir():
        stale = path.name.startswith("clips-") and not path.name.startswith(f"clips-{entry}.")
        if stale or path.name.startswith("log_mel-"):
            with contextlib.suppress(OSError):
                path.unlink()


def load_or_reason(path: Path, *, sample_rate_hz: int, max_samples: int | None = None) -> wav.Recording | str:
    """What `wav.load` gives of a file or, without its path and without advice, why the file cannot be used."""
    try:
        return wav.load(path, sample_rate_hz=sample_rate_hz, max_samples=max_samples)
    except DataError as error:
        message = str(error).replace(repr(str(path)), "").replace(str(path), "")
        return " ".join(message.split(";")[0].split()).strip(" :,-") or "cannot be read"
    except OSError as error:
        return error.strerror or "cannot be read"


def kind_of(reason: str) -> str:
    """A reason without its figures: a file cut at another byte is unusable for the same reason."""
    return re.sub(r"\b\d+(\.\d+)?\b", "N", reason)


def count_reasons(problems: Mapping[str, str]) -> dict[str, int]:
    """How many files are unusable for each kind of reason, the most frequent first."""
    return dict(Counter(map(kind_of, problems.values())).most_common())


def cached_features(split: Split, *, features: Features, cache_dir: Path | None) -> np.ndarray:
    """Features of every clip of `split`, float32 [clips, frames, mels], or values [windows, samples, channels];
    read-only.

    With a cache folder and a fingerprint log-mels are cached on disk and memory-mapped, else computed in memory.
    """
    if isinstance(features, ValuesConfig):
        result = split.waveforms(range(len(split)))
        result.flags.writeable = False
        return result
    if cache_dir is None or not split.fingerprint:
        result = np.stack(list(_log_mels(split, features)))
        result.flags.writeable = False
        return result
    name = f"log_mel-{split.name}-{split.fingerprint}-{digest([_VERSION, features.digest()])}"
    path = cache_dir / f"{name}.float32"
    found = _open_log_mel(path, len(split), features)
    if found is None:
        stored.write(path, _log_mels(split, features), facts={})
        found = _open_log_mel(path, len(split), features)
        if found is None:
            raise DataError(f"the cache in {cache_dir} cannot be read back: check the disk, or set BNN_EXIT_CACHE")
    return found


def _open_log_mel(path: Path, clips: int, features: FeatureConfig) -> np.ndarray | None:
    found = stored.read(path)
    if found is None:
        return None
    array, _ = found
    right = array.ndim == 3 and array.dtype == _FEATURES and (len(array), array.shape[2]) == (clips, features.num_mels)
    return array if right else None


def _log_mels(split: Split, features: FeatureConfig) -> Iterator[np.ndarray]:
    def compute(index: int) -> np.ndarray:
        return np.ascontiguousarray(logmel.log_mel(split.waveform(index), features), dtype=_FEATURES)

    return _in_parallel(compute, range(len(split)), what=f"features of {split.name}", unit="clip")


def _in_parallel(
    function: Callable[[_Item], _Result], items: Sequence[_Item], *, what: str, unit: str
) -> Iterator[_Result]:
    """Results of `function` for `items`, in order, on all cores, with a progress bar on a terminal.

    Threads, because reading, decoding and NumPy's larger steps let go of the interpreter lock, and because processes
    would start the caller's program again. Taken in blocks, so that results never pile up in memory.
    """
    block = 256
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress_bar(total=len(items), desc=what, unit=unit, leave=False) as bar,
    ):
        for start in range(0, len(items), block):
            for result in pool.map(function, items[start : start + block]):
                yield result
                bar.update()
