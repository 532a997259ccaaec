"""The errors that users see; `command_line.run_command` turns them into a line and an exit status."""

from __future__ import annotations

import contextlib
import difflib
import errno
import sys
from collections.abc import Iterable, Iterator

OLDEST_TRAINING, NEWEST_TRAINING = (3, 10), (3, 12)
"""The Pythons that the extra `train` has wheels for; the markers in pyproject.toml are the same."""
_OF_TENSORFLOW = ("tensorflow", "larq", "larq-compute-engine")


class BnnExitError(Exception):
    """Root of every error that bnn_exit raises for a caller's or a file's mistake."""


class ArgumentError(BnnExitError, ValueError):
    """An argument breaks a rule; the message names the argument, the value and the rule."""


class DataError(BnnExitError):
    """A data set, an archive or an audio file cannot be used as it is."""


class ModelFileError(BnnExitError):
    """A model file is damaged, is not ours, or needs something that this version lacks."""


ArtifactError = ModelFileError
"""Its earlier name."""


class ExportError(BnnExitError):
    """A network could not be exported, or the exported file failed a check."""


class DeviceError(BnnExitError):
    """A microphone or another device cannot be used as it is."""


class MissingPackageError(BnnExitError, ImportError):
    """An optional package is needed; the message gives the pip command that brings it."""


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    """Return `value` if it is among `choices`; otherwise raise ArgumentError naming the nearest choice."""
    known = sorted(choices)
    if value in known:
        return value
    raise ArgumentError(f"{name} is {value!r}, but must be one of {', '.join(known)}{nearest(value, known)}")


def nearest(value: str, choices: Iterable[str]) -> str:
    """ "; did you mean 'NAME'?" with the choice that is most like `value`, or nothing if none is."""
    found = difflib.get_close_matches(str(value), list(choices), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


INSTALL = "pip install . in the project's folder"
"""How this package is installed. PyPI has no package of this name."""


def missing_package(package: str, *, purpose: str, extra: str) -> MissingPackageError:
    """The error for an absent optional package, with a command that installs it.

    Args:
        package: its name on the index.
        purpose: what needs it; begins the message.
        extra: the extra of this package that brings it.

    Example:
        >>> missing_package("soundfile", purpose="reading flac", extra="audio")
        MissingPackageError("reading flac needs the package soundfile: pip install '.[audio]' in the project's folder")
    """
    command = INSTALL.replace(" . ", f" '.[{extra}]' ")
    if package in _OF_TENSORFLOW and not OLDEST_TRAINING <= sys.version_info[:2] <= NEWEST_TRAINING:
        running, newest = ("{}.{}".format(*version) for version in (sys.version_info, NEWEST_TRAINING))
        return MissingPackageError(
            f"{purpose} needs the package {package}, and there is none for Python {running} (TensorFlow 2.16 and Larq "
            f"have wheels for {'{}.{}'.format(*OLDEST_TRAINING)} to {newest}): python{newest} -m venv .venv, "
            f"then .venv/bin/{command}"
        )
    return MissingPackageError(f"{purpose} needs the package {package}: {command}")


@contextlib.contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Turn too little memory for one clip into a DataError that begins with `what`, its name; other clips continue."""
    try:
        yield
    except MemoryError as error:
        raise DataError(f"{what}: there is too little free memory to classify it") from error


def describe_os_error(error: OSError) -> str:
    """One line: what went wrong with a file, and what to do."""
    where = f" {error.filename!r}" if error.filename else ""
    advice = {
        errno.ENOSPC: f"no space left on the disk while writing{where}: free some space and run the command again",
        errno.EDQUOT: f"disk quota exceeded while writing{where}: free some space and run the command again",
        errno.EACCES: f"permission denied for{where}: choose a place that you may use",
        errno.EPERM: f"permission denied for{where}: choose a place that you may use",
        errno.EROFS: f"{where.strip()} is on a read-only file system: choose another place",
        errno.ENOENT: f"no such file or folder:{where}",
        errno.ENOTDIR: f"{where.strip()} runs through something that is a file, not a folder",
        errno.EISDIR: f"{where.strip()} is a folder, but a file is needed",
    }
    return advice.get(error.errno or 0, f"{error.strerror or error}{where}")
