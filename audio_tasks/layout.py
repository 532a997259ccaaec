"""Finding audio files in a data folder, and opening an archive given in place of one."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from audio_tasks import archives
from audio_tasks.cache import digest
from bnn_exit.audio import file_names as suffixes
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import expanded

AUDIO_SUFFIXES = suffixes.READ
NOISE_FOLDER = suffixes.NOISE_FOLDER


def open_data_dir(data_dir: str | os.PathLike[str], *, cache_dir: Path, layout: str) -> Path:
    """The data folder that `data_dir` names: itself, or what an archive (.tar.gz, .zip) at that place unpacks to.

    `layout` describes the expected content. DataError if it is missing, empty or something else.
    """
    if not isinstance(data_dir, (str, os.PathLike)):  # a config.json from elsewhere may hold anything
        raise ArgumentError(f"data_dir is {data_dir!r}, but must be the path of a folder or an archive")
    path = expanded(data_dir)
    if path.is_file():
        path = _unpacked(path, cache_dir, layout)
    if not path.exists():
        raise DataError(f"data folder {str(path)!r} does not exist; expected {layout}")
    if not path.is_dir():
        raise DataError(f"data folder {str(path)!r} is not a folder; expected {layout}")
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    if not entries:
        raise DataError(f"data folder {str(path)!r} is empty; expected {layout}")
    return path


def _unpacked(archive: Path, cache_dir: Path, layout: str) -> Path:
    unpack = archives.unpacker(archive.name)
    if unpack is None:
        raise DataError(f"{str(archive)!r} is neither a folder nor a .tar.gz or .zip archive; expected {layout}")
    status = archive.stat()
    name = digest([archive.resolve(), status.st_size, status.st_mtime_ns])
    folder = cache_dir / "unpacked" / f"{archive.name.split('.')[0]}-{name}"
    if not folder.is_dir():
        unpack(archive, folder)
    # An archive made from a repository or a folder holds one folder, with the data inside.
    while (inside := _only_folder(folder)) is not None:
        folder = inside
    return folder


def _only_folder(folder: Path) -> Path | None:
    """The folder that holds the data if no other is beside it, whatever files are: it holds folders, not clips."""
    inside = [entry for entry in _entries(folder) if _is_folder(entry) and not _is_of_system(entry.name)]
    if len(inside) != 1 or inside[0].name == NOISE_FOLDER:
        return None
    path = folder / inside[0].name
    within = [entry for entry in _entries(path) if not _is_of_system(entry.name)]
    has_folders = any(map(_is_folder, within))
    return path if has_folders and not any(_has_sound(entry.name) for entry in within) else None


def _is_of_system(name: str) -> bool:
    return name.startswith(".") or name in suffixes.OF_SYSTEM


class Survey(NamedTuple):
    """The content of a data folder.

    Attributes:
        classes: the audio files of each folder directly in it, both in order of name.
        problems: id of each unreadable audio file of a class -> reason.
        notes: other audio files that are left out, a sentence each.
    """

    classes: dict[str, list[Path]]
    problems: dict[str, str]
    notes: list[str]


def survey(root: Path) -> Survey:
    """Every folder in `root` with audio files directly in it is a class, but NOISE_FOLDER and hidden ones.

    Every audio file that is left out is in a note or a problem.
    """
    found = Survey({}, {}, [])
    loose, without = 0, []
    for entry in _entries(root):
        if entry.name in suffixes.OF_SYSTEM:
            continue
        folder = root / entry.name
        if not _is_folder(entry):
            loose += _has_sound(entry.name) and not entry.name.startswith(".")
        elif entry.name.startswith("."):
            hidden = _sounds_below(folder)
            if hidden:
                found.notes.append(f"{entry.name} is hidden, so it is no class: {_files(hidden)} in it")
        else:
            try:
                files = _audio_of(folder, found)
            except OSError as error:
                found.notes.append(f"{entry.name} cannot be read, so it is no class: {error.strerror}")
                continue
            if entry.name == NOISE_FOLDER:
                continue
            if files:
                found.classes[entry.name] = files
            else:
                without.append(entry.name)
    if loose:
        found.notes.append(f"{_files(loose)} beside the folders of classes are not read")
    if without:
        found.notes.append(f"folders without audio files directly in them are no classes: {', '.join(without)}")
    return found


def survey_classes(root: Path, *, layout: str) -> Survey:
    """`survey` of a data folder with at least one class; DataError, with the expected `layout`, if it has none."""
    found = survey(root)
    if not found.classes:
        raise nothing_found(root, found, layout=layout)
    return found


def nothing_found(root: Path, found: Survey, *, layout: str) -> DataError:
    """The error for a data folder without classes: what there is in place of them, and what is expected."""
    counts = Counter(os.path.splitext(key)[1].lower() for key in found.problems)
    there = [
        f"{count} {suffix} file{'' if count == 1 else 's'}, which {'is' if count == 1 else 'are'} not read"
        for suffix, count in counts.most_common()
    ] + found.notes
    why = f" ({'; '.join(there)})" if there else ""
    return DataError(f"data folder {str(root)!r} has no folder with audio files{why}; expected {layout}")


def _audio_of(folder: Path, found: Survey) -> list[Path]:
    """The audio files directly in a folder; those that cannot be read become problems, folders in it a note."""
    files, deeper = [], 0
    for entry in _entries(folder):
        if entry.name.startswith("."):
            continue
        key, suffix = f"{folder.name}/{entry.name}", os.path.splitext(entry.name)[1].lower()
        if _is_folder(entry):
            deeper += _sounds_below(folder / entry.name)
        elif suffix in suffixes.OTHER:
            found.problems[key] = f"{suffix} file, not .wav, .flac or .ogg"
        elif suffix in AUDIO_SUFFIXES:
            if entry.is_symlink() and not os.path.exists(entry.path):
                found.problems[key] = "link to a file that is not there"
            elif not os.path.isfile(entry.path):
                found.problems[key] = "pipe, device or socket, not a regular file"
            else:
                files.append(folder / entry.name)
    if deeper:
        found.notes.append(f"{_files(deeper)} in folders within {folder.name} are not read: a class is one folder")
    return files


def audio_files(folder: Path) -> list[Path]:
    """The audio files directly in `folder` that can be read, in order of name."""
    return _audio_of(folder, Survey({}, {}, []))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _sounds_below(folder: Path) -> int:
    """Audio files in a folder and those within it; links to folders are not followed, since they may lead back."""
    return sum(_has_sound(name) and not name.startswith(".") for _, _, names in os.walk(folder) for name in names)


def _has_sound(name: str) -> bool:
    return name.lower().endswith((*AUDIO_SUFFIXES, *suffixes.OTHER))


def _files(count: int) -> str:
    return f"{count} audio file{'' if count == 1 else 's'}"


def speaker_of(path: Path) -> str:
    """The part of a file name before the first underscore; the whole name without its suffix if there is none."""
    return path.stem.split("_", 1)[0]


def rights_of(root: Path) -> tuple[str, str]:
    """Licence and attribution of a user's data: the first line of its LICENSE file, if there is one."""
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"):
        path = root / name
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            first = next((line.strip(" #\t") for line in lines if line.strip(" #\t")), "")
            return first[:120] or "not stated", f"data of the user, folder {root.resolve().name}"
    return "not stated", f"data of the user, folder {root.resolve().name}"
