"""A lock on a run folder: one training at a time. After any interruption the folder is new or can be resumed.

The lock is the system's own, on a file `.lock` in the folder: it ends with its process, however that ends. The settings
are written first: without them a folder counts as new, with them `--resume` continues.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from bnn_exit.errors import ArgumentError, BnnExitError
from bnn_exit.files import PART, lock, remove_left
from bnn_exit.runs.folder import ENVIRONMENT

LOCK = ".lock"


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it; leave none if nothing was written there.

    Raises:
        ArgumentError: it holds something already, or cannot be made or written.
        BnnExitError: another training is just starting there.
    """
    made = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    _check_new(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, made)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(folder))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ArgumentError(
                f"--out {str(folder)!r} cannot be written ({error.strerror}): choose a folder that you may write to"
            ) from error
        # Another one may have come and gone since.
        _check_new(folder)
        yield


def _remove_empty(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other trainings out of `folder`, and remove what killed ones have left there.

    On a disk that knows no locks, nothing is kept out.

    Raises:
        BnnExitError: another training is at work there.
    """
    path = folder / LOCK
    handle = _locked(path)
    try:
        remove_left(folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _locked(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if lock(handle) is False:
            owner = os.read(handle, 200).decode("utf-8", "replace").strip() or "unknown process"
            os.close(handle)
            raise BnnExitError(
                f"another training is at work in {str(path.parent)!r} ({owner}): wait until it ends, or choose "
                "another folder"
            )
        # The one before removes the file when it ends: then this is the lock of nothing.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                with contextlib.suppress(OSError):  # a full disk: the lock holds without its text
                    os.ftruncate(handle, 0)
                    os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                return handle
        os.close(handle)


def _check_new(folder: Path) -> None:
    if folder.is_dir() and all(map(_is_no_run, folder.iterdir())):
        return
    if folder.exists() or folder.is_symlink():
        raise ArgumentError(
            f"--out {str(folder)!r} exists already: choose another folder, or resume it with --resume {folder}"
        )


def _is_no_run(path: Path) -> bool:
    """Whether a start that was killed before it had written its settings may have left this."""
    return path.name in (LOCK, ENVIRONMENT) or (path.name.startswith(".") and path.name.endswith(PART))
