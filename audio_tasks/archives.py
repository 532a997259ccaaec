"""Unpack an untrusted archive: no path leaves the folder, and the unpacked size is limited."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bnn_exit.errors import DataError
from bnn_exit.progress import progress_bar

MAX_BYTES = 1 << 40
"""Bytes that may come out of an archive."""

MAX_RATIO = 200
"""Times the size of an archive that may come out of it; recordings come to 2 or 3, silence to more."""

FREE_BYTES = 1 << 28
"""Bytes that may come out of any archive, however small it is."""

MAX_MEMBERS = 5_000_000
"""Files and folders in an archive."""

_BLOCK = 1 << 20
_LARGEST_READ = 16 << 20  # tarfile reads whole headers, of any declared size
_DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def unpacker(name: str) -> Callable[[Path, Path], None] | None:
    """The function that unpacks an archive called `name`, by its suffix; None if it is no archive."""
    lower = name.lower()
    if lower.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        return unpack_tar
    return unpack_zip if lower.endswith(".zip") else None


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, compressed or not, to the new folder `folder`.

    Only plain files and folders are taken and no path may leave the folder. (The standard library's filters do this
    too, but early releases of Python 3.10 and 3.11 lack them.) What Finder adds is left out. If another process
    unpacks to `folder` at the same time, its result is as good. DataError on a damaged or unsafe archive, or one of
    which too much comes out; then, as after any interruption, `folder` does not exist.
    """
    with _filling(folder) as target, _damage_reported(archive), _decompressed(archive) as file:
        budget = _Budget(archive)
        limited: Any = _Limited(file, budget.limit, archive)
        with tarfile.open(fileobj=limited, mode="r:") as tar:
            for member in progress_bar(tar, desc=f"unpacking {archive.name}", unit="file", leave=False):
                budget.claim(member.size)
                place = _place(target, member.name, archive)
                if place is None:
                    continue
                if member.isdir():
                    _make_folder(place, member.name, archive)
                    continue
                if not member.isreg():
                    raise _no_file(archive, member.name)
                source = tar.extractfile(member)
                assert source is not None  # only links and devices have no content
                _write(source, place, member.name, member.size, archive)
            # To the very end, where a compressed file keeps its checksum.
            while tar.fileobj is not None and tar.fileobj.read(_BLOCK):
                pass


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack a zip archive to the new folder `folder`, with the rules of `unpack_tar`."""
    with _filling(folder) as target, _damage_reported(archive), zipfile.ZipFile(archive) as zipped:
        budget = _Budget(archive)
        for member in progress_bar(zipped.infolist(), desc=f"unpacking {archive.name}", unit="file", leave=False):
            budget.claim(member.file_size)  # no more is read
            # Archivers of Windows have written backslashes for folders; in a tar they are part of a name.
            place = _place(target, member.filename.replace("\\", "/"), archive)
            if place is None:
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.filename.endswith(("/", "\\")):
                _make_folder(place, member.filename, archive)
                continue
            if kind not in (0, stat.S_IFREG):
                raise _no_file(archive, member.filename)
            if member.flag_bits & 1:
                raise DataError(f"{archive} is encrypted: unpack it by hand and pass the folder")
            with zipped.open(member) as source:
                _write(source, place, member.filename, member.file_size, archive)


class _Budget:
    """What may come out of an archive, claimed member by member."""

    def __init__(self, archive: Path) -> None:
        self._archive, self._bytes, self._members = archive, 0, 0
        self.limit = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * archive.stat().st_size))

    def claim(self, size: int) -> None:
        self._bytes += size
        self._members += 1
        if self._bytes > self.limit:
            raise _too_much(self._archive, self.limit)
        if self._members > MAX_MEMBERS:
            raise DataError(f"{self._archive} holds more than {MAX_MEMBERS} files: unpack it by hand, pass the folder")


class _Limited:
    """A file of which no more than `limit` bytes are read, and never many at once."""

    def __init__(self, file: IO[bytes], limit: int, archive: Path) -> None:
        # Headers and padding come on top of what members hold.
        self._file, self._limit, self._archive = file, 2 * limit, archive

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise _damaged(self._archive, f"a header of {size} bytes")
        data = self._file.read(size)
        self._check(self._file.tell())
        return data

    def seek(self, position: int) -> int:
        self._check(position)
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise _too_much(self._archive, self._limit)


def _no_file(archive: Path, name: str) -> DataError:
    return DataError(f"{archive} holds a link or a device, {name!r}: unpack it by hand and pass the folder")


def _too_much(archive: Path, limit: int) -> DataError:
    return DataError(
        f"more than {limit / 1e6:.0f} MB come out of {archive} ({archive.stat().st_size / 1e6:.3g} MB): it is not "
        "unpacked; if you trust it, unpack it by hand and pass the folder"
    )


@contextlib.contextmanager
def _decompressed(archive: Path) -> Iterator[IO[bytes]]:
    with archive.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        opener = next((each for magic, each in _DECOMPRESSORS.items() if start.startswith(magic)), None)
        if opener is None:
            yield file
        else:
            with opener(file) as inner:
                yield inner


@contextlib.contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        temporary.chmod(0o755)
        yield temporary
        try:
            os.replace(temporary, folder)
        except OSError:
            if not folder.is_dir():
                raise
            shutil.rmtree(temporary, ignore_errors=True)  # another process was quicker
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextlib.contextmanager
def _damage_reported(archive: Path) -> Iterator[None]:
    damage = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError)
    try:
        yield
    except damage as error:
        raise _damaged(archive, error) from error
    except (UnicodeError, ValueError) as error:  # numbers and names in a header
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise DataError(f"{archive} holds a name that is too long for this disk: unpack it by hand") from error
        # gzip and bz2 report bad data as an OSError without a number; one with a number is the disk's.
        if error.errno is not None:
            raise
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: object) -> DataError:
    # tarfile lists every kind of compression that it tried, one a line.
    lines = str(error).splitlines()
    what = lines[0].rstrip(":") if lines else type(error).__name__
    return DataError(f"{archive} is damaged or cut short ({what}): delete it and fetch it again")


def _place(folder: Path, name: str, archive: Path) -> Path | None:
    """Where a member goes; None for what Finder adds. A path that leaves the folder on Windows is refused here, too."""
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in name.replace("\\", "/").split("/")
        or "\0" in name
        or ":" in "".join(path.parts[:1])
    ):
        raise DataError(f"{archive} wants to write outside its folder ({name!r}): it is not unpacked")
    if "__MACOSX" in path.parts or path.name == ".DS_Store" or path.name.startswith("._"):
        return None
    return folder.joinpath(*path.parts)


def _make_folder(place: Path, name: str, archive: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(f"{archive} holds {name!r} as a file and as a folder: it is not unpacked") from error


def _write(source: IO[bytes], place: Path, name: str, size: int, archive: Path) -> None:
    _make_folder(place.parent, name, archive)
    if place.is_dir():
        raise DataError(f"{archive} holds {name!r} as a file and as a folder: it is not unpacked")
    with source, place.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
    if place.stat().st_size != size:
        raise _damaged(archive, f"{place.name} ends early")
