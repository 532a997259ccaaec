"""Files are written beside their place and renamed, so an interrupted command leaves no half file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


def expanded(path: str | os.PathLike[str]) -> Path:
    """`path` with ~ at its beginning as the home folder, where no shell did so; where there is none, it stays.

    Every function that takes a path from a user comes by here.
    """
    return Path(os.path.expanduser(path))


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` once the block ends without an error.

    The folder is made if it is missing. On any error the temporary file is removed and `path` stays as it was.
    """
    target = expanded(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; give this one the permissions an ordinary new file would have.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
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


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` in one step."""
    with replacing(path) as file:
        file.write(data)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as readable JSON to `path` in one step. NaN is refused: no JSON reader is obliged to take it.

    A name that is no UTF-8 comes back as it was: its bytes become escapes.
    """
    write_bytes(
        path,
        (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode(errors="backslashreplace"),
    )


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file."""
    return json.loads(expanded(path).read_text(encoding="utf-8"))
