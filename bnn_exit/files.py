"""Files are written beside their place and renamed, so an interrupted command leaves no half file.

The temporary file is called `.NAME.RANDOM.part` and is locked while it is written. So a command can distinguish files
that a killed command left, which it removes, from those that another command is writing.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import secrets
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bnn_exit import strict_json

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing is locked there, and nothing that others left is removed
    fcntl = None  # type: ignore[assignment]

PART = ".part"
"""Ending of the names of what is being written."""


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with ~ at its beginning as the home folder, where no shell did so; where there is none, it stays.

    Every function that takes a path from a user comes by here.
    """
    return Path(os.path.expanduser(path))


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` once the block ends without an error.

    The folder is made if it is missing. On any error the temporary file is removed and `path` stays as it was. What
    commands that were killed have left of the same file is removed, too.
    """
    target = expanded(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{glob.escape(_part_stem(target))}.*{PART}"):
        _remove_if_left(left)
    file, temporary = _new_part(target)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # such systems rename no open files
            # Renamed while it is locked: nobody takes it for a left one.
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file, open for reading; OSError for anything else. A pipe or a device could hang, or never end."""
    path = expanded(path)
    _check_regular(os.stat(path), path)  # first: to open a device may do something
    # Without waiting: between the two calls the file may have become a pipe.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "a pipe, device or socket, not a regular file", os.fspath(path))


def _part_stem(target: Path) -> str:
    """What the names of a file's parts begin with; file systems take names of 255 bytes, endings included."""
    return "." + os.fsdecode(os.fsencode(target.name)[:200])


def _new_part(target: Path) -> tuple[BinaryIO, Path]:
    while True:
        temporary = target.with_name(f"{_part_stem(target)}.{secrets.token_hex(4)}{PART}")
        # Made as any new file is: the system itself takes away what the umask forbids.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(temporary, flags, 0o666), "wb")
        lock(file.fileno())
        # Between its birth and its lock it looks like a left one, and may have been removed.
        if temporary.exists():
            return file, temporary
        file.close()


def remove_left(folder: Path) -> None:
    """Remove what commands that were killed have left in `folder` and below it: files named `.*.part`."""
    for left in folder.rglob(f".*{PART}"):
        _remove_if_left(left)


def _remove_if_left(path: Path) -> None:
    # Where files cannot be locked, nobody knows whether it is still written.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            if lock(handle):
                os.unlink(path)
        finally:
            os.close(handle)


def lock(handle: int) -> bool | None:
    """Lock an open file for its owner until it is closed, also by the end of the process.

    Returns:
        True: it is locked now. False: somebody else has locked it. None: this system or disk knows no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` in one step."""
    with replacing(path) as file:
        file.write(data)


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Write named arrays to an .npz file in one step, uncompressed; `np.load` reads them.

    `np.savez` would do, but on a full disk it leaves an archive that complains once more when it is collected.
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as readable JSON to `path` in one step. NaN is refused: no JSON reader is obliged to take it.

    A name that is no UTF-8 comes back as it was: its bytes become escapes.
    """
    write_bytes(
        path,
        (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode(errors="backslashreplace"),
    )


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no JSON, in whatever way: bytes that are no text, or what `strict_json.parse` refuses.
    """
    return strict_json.parse(expanded(path).read_text(encoding="utf-8"))


def read_json_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object `{...}` in a JSON file; errors as `read_json`, also for a value of another kind."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"it holds {json.dumps(value)[:40]}, but must hold an object {{...}}")
    return value
