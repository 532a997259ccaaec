"""Downloads that can be resumed."""

from __future__ import annotations

import contextlib
import hashlib
import http
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from bnn_exit.errors import DataError
from bnn_exit.progress import progress_bar

_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 30
_ATTEMPTS = 5


def fetch(url: str, path: Path, *, sha256: str, size: int, advice: str) -> Path:
    """Download `url` to `path` unless it is there already; an interrupted download is resumed.

    The data goes to `<path>.part`, which gets its final name only when `size` and `sha256` are right.
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
            error.close()
            # 416: the server's file is shorter than the part here, so the part is of another file.
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            raise DataError(f"cannot download {url}: server error {error.code} {error.reason}; {advice}") from error
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
        response = stack.enter_context(urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS))
        # A server that ignores Range returns 200 and the whole file: start again.
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        file = stack.enter_context(part.open("ab" if resumed else "wb"))
        bar = stack.enter_context(_bar(url, size, have if resumed else 0))
        # What came before the connection broke is kept, and the caller sees that bytes are missing.
        stack.enter_context(contextlib.suppress(http.client.HTTPException, ConnectionError, TimeoutError))
        while block := response.read(_BLOCK):
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
