"""Finding audio files in a data folder, and opening an archive given in place of one."""

from __future__ import annotations

import os
from pathlib import Path

from audio_tasks import download
from audio_tasks.cache import digest
from bnn_exit.errors import DataError
from bnn_exit.files import expanded

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
_OTHER_AUDIO = (".aac", ".aif", ".aiff", ".m4a", ".mp3", ".opus", ".webm", ".wma")


def open_data_dir(data_dir: str | os.PathLike[str], *, cache_dir: Path, layout: str) -> Path:
    """The data folder that `data_dir` names: itself, or what an archive (.tar.gz, .zip) at that place unpacks to.

    `layout` says in words what is expected there. DataError if it is missing, empty or something else.
    """
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
    unpack = download.unpacker(archive.name)
    if unpack is None:
        raise DataError(f"{str(archive)!r} is neither a folder nor a .tar.gz or .zip archive; expected {layout}")
    status = archive.stat()
    name = digest([archive.resolve(), status.st_size, status.st_mtime_ns])
    folder = cache_dir / "unpacked" / f"{archive.name.split('.')[0]}-{name}"
    if not folder.is_dir():
        unpack(archive, folder)
    # An archive made from a repository or a folder holds one folder, with the data inside.
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder


def class_folders(root: Path) -> dict[str, list[Path]]:
    """The audio files of each folder in `root`, both in order of name; folders called `_...` or `.…` are no classes."""
    found = {}
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and not folder.name.startswith(("_", ".")):
            files = audio_files(folder)
            if files:
                found[folder.name] = files
    return found


def audio_files(folder: Path) -> list[Path]:
    """The audio files directly in `folder`, in order of name."""
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(AUDIO_SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
        )
    return [folder / name for name in names]


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


def unsupported_audio(root: Path) -> dict[str, str]:
    """Audio files in the class folders of `root` that are in a format that is not read, by id, and why."""
    found = {}
    for path in sorted(root.glob("*/*")):
        if path.suffix.lower() in _OTHER_AUDIO and not path.parent.name.startswith(("_", ".")):
            found[f"{path.parent.name}/{path.name}"] = f"{path.suffix.lower()} file, not .wav, .flac or .ogg"
    return found
