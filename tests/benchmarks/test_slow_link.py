"""The link of the benchmark of device and server: it passes bytes on, and breaks as it is told."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from slow_link import SlowLink


@pytest.fixture
def link():
    """To a server that gives back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    made = SlowLink(("127.0.0.1", listener.getsockname()[1]), bits_per_s=1e8, delay_s=0.001)
    yield made
    made.close()
    listener.close()


def received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return data


def test_everything_comes_back_in_order(link):
    sent = bytes(range(256)) * 200
    with socket.create_connection(("127.0.0.1", link.port), timeout=30) as connection:
        connection.sendall(sent)
        assert received(connection, len(sent)) == sent


def test_it_corrupts_hangs_is_cut_and_mended(link):
    with socket.create_connection(("127.0.0.1", link.port), timeout=30) as connection:
        for way in ("up", "down"):
            link.corrupt(way)
            connection.sendall(bytes(64))
            assert sum(byte.bit_count() for byte in received(connection, 64)) == 1
        link.corrupted, link.is_hanging = "", True
        connection.sendall(b"lost")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(30)
        link.cut()
        assert connection.recv(1) == b""
    link.mend()
    with socket.create_connection(("127.0.0.1", link.port), timeout=30) as connection:
        connection.sendall(b"again")
        assert received(connection, 5) == b"again"
