"""Fetching an archive so that it can be resumed, and unpacking it so that nothing leaves the folder."""

from __future__ import annotations

import contextlib
import hashlib
import http
import http.client
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bnn_exit.errors import DataError
from bnn_exit.progress import progress_bar

_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 30
_ATTEMPTS = 5


def fetch(url: str, path: Path, *, sha256: str, size: int, advice: str) -> Path:
    """Download `url` to `path` unless it is there already; an interrupted download goes on where it stopped.

    The bytes gather in `<path>.part`, which takes its final name only when `size` and `sha256` are right.
    DataError on anything else: no network or a refusal (the message ends with `advice`), a connection that ends early,
    a wrong checksum.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = _size(part)
    for _ in range(_ATTEMPTS):
        try:
            _receive(url, part, size)
        except urllib.error.HTTPError as error:
            # 416: the server's file is shorter than what is here, so what is here is something else.
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            raise DataError(f"cannot download {url}: it answers {error.code} {error.reason}; {advice}") from error
        except (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError) as error:
            reason = getattr(error, "reason", None) or error
            raise DataError(f"cannot download {url}: {reason}; {advice}") from error
        before, have = have, _size(part)
        if have >= size or have == before:
            break
    if have < size:
        raise DataError(f"the download of {url} ended after {have} of {size} bytes: run the command again to resume it")
    found = _sha256(part)
    if have != size or found != sha256:
        part.unlink()
        raise DataError(
            f"{url} is not the expected archive ({have} bytes, sha256 {found}; "
            f"expected {size} bytes, sha256 {sha256}); it was removed: run the command again, or {advice}"
        )
    os.replace(part, path)
    return path


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(url: str, part: Path, size: int) -> None:
    """Append to `part` what is still missing, until it is complete or the connection ends."""
    have = _size(part)
    if have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with contextlib.ExitStack() as stack:
        answer = stack.enter_context(urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS))
        # A server that ignores Range answers 200 and sends the whole file: start again.
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        file = stack.enter_context(part.open("ab" if resumed else "wb"))
        bar = stack.enter_context(_bar(url, size, have if resumed else 0))
        # What came before the connection broke is kept, and the caller sees that bytes are missing.
        stack.enter_context(contextlib.suppress(http.client.HTTPException, ConnectionError, TimeoutError))
        while block := answer.read(_BLOCK):
            file.write(block)
            bar.update(len(block))


def _bar(url: str, size: int, have: int) -> Any:
    name = url.rsplit("/", 1)[-1]
    return progress_bar(total=size, initial=have, desc=f"downloading {name}", unit="B", unit_scale=True, leave=False)


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def unpacker(name: str) -> Callable[[Path, Path], None] | None:
    """The function that unpacks an archive called `name`, by its suffix; None if it is no archive."""
    lower = name.lower()
    if lower.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        return unpack_tar
    return unpack_zip if lower.endswith(".zip") else None


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, compressed or not, to the new folder `folder`.

    Only plain files and folders are taken and no path may leave the folder. (The standard library's filters do this
    too, but early releases of Python 3.10 and 3.11 lack them.) DataError on a damaged or unsafe archive; then, as
    after any interruption, `folder` does not exist.
    """
    with _filling(folder) as target, _damage_reported(archive), tarfile.open(archive) as tar:
        for member in progress_bar(tar, desc=f"unpacking {archive.name}", unit="file", leave=False):
            place = _safe_place(target, member.name, archive)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            if not member.isreg():
                raise DataError(f"{archive} holds a link or a device, {member.name!r}: it is not unpacked")
            source = tar.extractfile(member)
            assert source is not None  # only links and devices have no content
            _write(source, place, member.size, archive)
        # To the very end, where a compressed file keeps its checksum.
        while tar.fileobj is not None and tar.fileobj.read(_BLOCK):
            pass


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack a zip archive to the new folder `folder`, with the rules of `unpack_tar`."""
    with _filling(folder) as target, _damage_reported(archive), zipfile.ZipFile(archive) as zipped:
        for member in progress_bar(zipped.infolist(), desc=f"unpacking {archive.name}", unit="file", leave=False):
            place = _safe_place(target, member.filename, archive)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            if kind not in (0, stat.S_IFREG):
                raise DataError(f"{archive} holds a link or a device, {member.filename!r}: it is not unpacked")
            if member.flag_bits & 1:
                raise DataError(f"{archive} is encrypted: unpack it by hand and pass the folder")
            with zipped.open(member) as source:
                _write(source, place, member.file_size, archive)


@contextlib.contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        temporary.chmod(0o755)
        yield temporary
        os.replace(temporary, folder)
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
    except OSError as error:
        # gzip and bz2 report bad data as an OSError without a number; one with a number is the disk's.
        if error.errno is not None:
            raise
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: object) -> DataError:
    # tarfile lists every kind of compression that it tried, one a line.
    lines = str(error).splitlines()
    what = lines[0].rstrip(":") if lines else type(error).__name__
    return DataError(f"{archive} is damaged or cut short ({what}): delete it and fetch it again")


def _safe_place(folder: Path, name: str, archive: Path) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
        raise DataError(f"{archive} wants to write outside its folder ({name!r}): it is not unpacked")
    return folder.joinpath(*path.parts)


def _write(source: IO[bytes], place: Path, size: int, archive: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with source, place.open("wb") as file:
        shutil.copyfileobj(source, file, _BLOCK)
    if place.stat().st_size != size:
        raise _damaged(archive, f"{place.name} ends early")
