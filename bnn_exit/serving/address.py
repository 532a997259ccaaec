"""Where a server listens: tcp://HOST:PORT, unix://PATH, or stdio://."""

from __future__ import annotations

import dataclasses
import os
from urllib.parse import urlsplit

from bnn_exit.errors import ArgumentError

SCHEMES = ("tcp", "unix", "stdio")


@dataclasses.dataclass(frozen=True)
class Address:
    """An address.

    Attributes:
        scheme: one of SCHEMES.
        host, port: of tcp; port 0 takes any that is free.
        path: of unix.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.scheme == "tcp":
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"tcp://{host}:{self.port}"
        return f"{self.scheme}://{self.path}"


def parse(uri: str) -> Address:
    """The address of a URI.

    Raises:
        ArgumentError: another scheme, or a part that is missing or too much.

    Example:
        >>> parse("tcp://0.0.0.0:10400").port
        10400
    """
    rule = "must be such as tcp://0.0.0.0:10400, unix:///run/wake.sock or stdio://"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as the system's resolver is asked for it: a label of 1 to 63 letters
    except ValueError as error:
        raise ArgumentError(f"uri is {uri!r} ({error}), but {rule}") from error
    extra = parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme == "tcp" and host and port is not None and parts.path in ("", "/") and not extra:
        return Address("tcp", host=host, port=port)
    if parts.scheme == "unix" and not parts.query and not parts.fragment and parts.netloc + parts.path:
        return Address("unix", path=os.path.expanduser(parts.netloc + parts.path))
    if parts.scheme == "stdio" and not parts.netloc + parts.path and not extra:
        return Address("stdio")
    raise ArgumentError(f"uri is {uri!r}, but {rule}")
