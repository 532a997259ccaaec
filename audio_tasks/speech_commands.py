"""Speech Commands and everything in its layout: a folder for each word, official lists for the splits."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

from audio_tasks import archives, download
from audio_tasks.base import Task, check_task
from audio_tasks.cache import count_reasons, decode_clips, default_cache_dir
from audio_tasks.layout import open_data_dir, rights_of, speaker_of, survey_classes
from audio_tasks.silence import choose_unknown, noise_region, read_noise, with_silence
from audio_tasks.split import SPLITS, Split
from audio_tasks.splits import Member, speaker_hash_split, split_of
from bnn_exit.errors import DataError, one_of
from bnn_exit.files import expanded
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.task import SILENCE, UNKNOWN
from bnn_exit.text import counted

URL = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
# The figures that TensorFlow Datasets checks.
SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
SIZE = 2_428_923_189

TEN_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
# Words that together occur in no other data set: they identify its licence.
_TELLTALE = {"backward", "follow", "forward", "learn", "marvin", "sheila", "visual", "wow"}
_ARABIC = {"digit", "direction", "receive", "rotate", "undo", "zoom_in", "zoom_out"}
_ARABIC_CLIP = re.compile(r"\d{8}_NO_\d\d\.")
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
LAYOUT = "a folder for each word with clips called <speaker>_<anything>.wav (or .flac, .ogg), as in Speech Commands"


def load(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    features: FeatureConfig | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    words: str | int = "all",
) -> Task:
    """Words spoken in one second, with the official speaker-disjoint splits.

    Args:
        data_dir: folder or archive in the layout of Speech Commands, with any set of words. Without it, v0.02 is
            downloaded (2.4 GB) to the cache folder.
        features: log-mel settings; clips are resampled to their sample rate.
        cache_dir: where to keep downloads, decoded clips and features.
        seed: chooses the clips of the classes unknown and silence.
        words: "all" (or "35"): every word folder is a class. "12": yes, no, up, down, left, right, on, off, stop, go,
            `unknown` (clips of all other words, as many as an average word has, equally from each word) and
            `silence` (cuts of the background noise at a random gain; each split has its own part of each recording).

    Raises:
        ArgumentError: words is something else.
        DataError: the data is missing, in another layout or too little for three splits.
    """
    features = features or FeatureConfig()
    words = one_of("words", str(words), ("12", "35", "all"))
    cache = expanded(cache_dir) if cache_dir else default_cache_dir()
    root = _downloaded(cache) if data_dir is None else open_data_dir(data_dir, cache_dir=cache, layout=LAYOUT)
    found = survey_classes(root, layout=LAYOUT)
    folders = found.classes
    if words == "12":
        _require_ten_words(folders, root)
    files = {f"{word}/{path.name}": path for word, paths in folders.items() for path in paths}
    split_names, missing, notes = _split_names(root, files)
    clip_samples = features.sample_rate_hz
    clips = decode_clips(
        files,
        name="speech_commands",
        root=root,
        cache_dir=cache,
        clip_samples=clip_samples,
        sample_rate_hz=features.sample_rate_hz,
    )
    background = read_noise(root, features)
    noise = background.recordings
    labels = (*TEN_WORDS, UNKNOWN, SILENCE) if words == "12" else tuple(folders)

    # By split and word. Only decoded files, so that a choice among them is complete.
    members: dict[str, dict[str, list[Member]]] = {name: {word: [] for word in folders} for name in SPLITS}
    for key in clips.rows:
        word = key.split("/", 1)[0]
        label = labels.index(word if word in labels else UNKNOWN)
        members[split_names[key]][word].append(Member(key, label, speaker_of(files[key])))

    def split(name: str) -> Split:
        if words != "12":
            return split_of(name, [member for word in labels for member in members[name][word]], clips)
        chosen = [member for word in TEN_WORDS for member in members[name][word]]
        average = max(1, round(len(chosen) / len(TEN_WORDS)))
        others = {word: found for word, found in members[name].items() if word not in TEN_WORDS}
        chosen += choose_unknown(others, count=average, seed=seed)
        spoken = split_of(name, chosen, clips)
        label = labels.index(SILENCE)
        return with_silence(spoken, noise, label=label, count=average, clip_samples=clip_samples, seed=seed)

    problems = {**clips.problems, **found.problems, **background.problems}
    skipped = count_reasons(problems)
    if missing:
        skipped["in a list, but there is no such file"] = missing
    licence, attribution = _rights(root, folders)
    task = Task(
        name="speech_commands",
        labels=labels,
        train=split("train"),
        validation=split("validation"),
        test=split("test"),
        clip_samples=clip_samples,
        features=features,
        # With silence as a class, the rest of each recording is for validation and test, not for training.
        noise=tuple(noise_region(each, "train") for each in noise) if words == "12" else noise,
        licence=licence,
        attribution=attribution,
        skipped=skipped,
        options={"data_dir": str(expanded(data_dir).resolve()) if data_dir else None, "seed": seed, "words": words},
        cache_dir=clips.folder,
        problems=problems,
        notes=(*notes, *found.notes, *background.notes),
        files=files,
        lengths=clips.lengths,
        contents=clips.contents,
    )
    try:
        return check_task(task)
    except DataError as error:
        # Without lists, a split of few speakers may lack a class; the message names another task.
        advice = f"; {notes[0]}; the task 'folder' splits any folder of classes" if notes else ""
        raise DataError(f"{error}{advice}") from error


def _downloaded(cache: Path) -> Path:
    folder = cache / "speech_commands_v0.02"
    if not folder.is_dir():
        archive = download.fetch(
            URL,
            cache / "downloads" / "speech_commands_v0.02.tar.gz",
            sha256=SHA256,
            size=SIZE,
            advice=f"fetch {URL} by hand and give it, or the folder it unpacks to, as --data-dir",
        )
        archives.unpack_tar(archive, folder)
        archive.unlink()
    return folder


def _rights(root: Path, folders: dict[str, list[Path]]) -> tuple[str, str]:
    if folders.keys() >= _TELLTALE:
        return "CC BY 4.0", "Speech Commands v0.02, Pete Warden, 2018, https://arxiv.org/abs/1804.03209"
    if folders.keys() >= _ARABIC and all(_ARABIC_CLIP.match(path.name) for path in folders["zoom_in"]):
        return "CC BY 4.0", (
            "Arabic Speech Commands, Abdulkader Ghandoura, Farouk Hjabo and Oumayma Al Dakkak, 2021, "
            "https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset"
        )
    return rights_of(root)


def _require_ten_words(folders: dict[str, list[Path]], root: Path) -> None:
    absent = [word for word in TEN_WORDS if word not in folders]
    if absent:
        raise DataError(f"words 12 needs folders that {str(root)!r} lacks: {', '.join(absent)}; use words all")
    if len(folders) == len(TEN_WORDS):
        raise DataError(f"words 12 needs folders of other words in {str(root)!r} for the class {UNKNOWN}")


def _split_names(root: Path, files: dict[str, Path]) -> tuple[dict[str, str], int, tuple[str, ...]]:
    """Split of each file by the lists, or without any by the rule that made them; entries without a file; notes."""
    there = [name for name in LISTS.values() if (root / name).is_file()]
    if not there:
        note = f"no {' and no '.join(LISTS.values())}: speakers are split 80/10/10 by the hash of their name"
        return {key: speaker_hash_split(speaker_of(path)) for key, path in files.items()}, 0, (note,)
    if len(there) < len(LISTS):
        absent = next(name for name in LISTS.values() if name not in there)
        raise DataError(f"data folder {str(root)!r} has {there[0]} but no {absent}: add it, or remove both")
    listed = {split: _listed(root / name) for split, name in LISTS.items()}
    both = sorted(listed["validation"] & listed["test"])
    if both:
        raise DataError(
            f"both lists of {str(root)!r} have {counted(len(both), 'clip')}, as {both[0]}: keep each in one list"
        )
    stems = {key: _stem(key) for key in files}
    missing = len((listed["validation"] | listed["test"]).difference(stems.values()))
    names = {key: next((name for name in listed if stem in listed[name]), "train") for key, stem in stems.items()}
    return names, missing, ()


def _listed(path: Path) -> set[str]:
    """The clips in a list, without suffix, so that it still fits data converted to another audio format."""
    data = path.read_bytes()
    # Editors on Windows begin a file with a byte-order mark; names in it may be bytes that are no UTF-8.
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding, "surrogateescape")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file: {error}") from error
    if "\0" in text:
        raise DataError(f"{path} is not a text file: it holds bytes that are 0")
    return {_stem(line.strip().replace("\\", "/")) for line in text.splitlines() if line.strip()}


def _stem(name: str) -> str:
    return name.removeprefix("./").rsplit(".", 1)[0]
