"""A TCP proxy that is a link of so many bits a second and so much delay, and that can break, for `offload.py`.

Where `tc` has netem, a network namespace is the truer link; this one needs no rights and runs anywhere. It delays
bytes, not packets of IP: losses show as what TCP makes of them, a delay.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time

_CHUNK = 4096


class SlowLink:
    """Listens at `port` and passes everything on to `target`.

    Attributes:
        bits_per_s: of each direction; 0: as fast as the machine.
        delay_s: one way.
        is_hanging: bytes vanish.
        corrupted: the way, "up" or "down", on which one bit of whatever arrives at once is flipped; "": none.
        port: where it listens.
    """

    def __init__(self, target: tuple[str, int], *, bits_per_s: float = 0, delay_s: float = 0) -> None:
        self.target, self.bits_per_s, self.delay_s = target, bits_per_s, delay_s
        self.is_hanging = self._is_cut = False
        self.corrupted = ""
        self._free_at = {"up": 0.0, "down": 0.0}
        self._random = random.Random(0)
        self._lock, self._open = threading.Lock(), set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and refuse new ones until `mend`."""
        self._is_cut = True
        for each in list(self._open):
            _end(each)

    def hang(self) -> None:
        """Let bytes vanish until `mend`."""
        self.is_hanging = True

    def corrupt(self, way: str) -> None:
        """Flip bits of requests ("up") or answers ("down") until `mend`."""
        self.corrupted = way

    def mend(self) -> None:
        """As it was at first."""
        self._is_cut = self.is_hanging = False
        self.corrupted = ""

    def close(self) -> None:
        """For good."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                _end(near)
                continue
            try:
                far = socket.create_connection(self.target, timeout=5)
            except OSError:
                _end(near)
                continue
            far.settimeout(None)
            self._open |= {near, far}
            for source, sink, way in ((near, far, "up"), (far, near, "down")):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # A bounded way: a sender must feel that the link is slow.
                waiting: queue.Queue = queue.Queue(64)
                threading.Thread(target=self._receive, args=(source, waiting, way), daemon=True).start()
                threading.Thread(target=self._deliver, args=(sink, source, waiting), daemon=True).start()

    def _receive(self, source: socket.socket, waiting: queue.Queue, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if self.is_hanging:
                    continue
                if self.corrupted == way:
                    data = self._flipped(data)
                with self._lock:
                    takes = 8 * len(data) / self.bits_per_s if self.bits_per_s else 0.0
                    self._free_at[way] = max(self._free_at[way], time.monotonic()) + takes
                    there_at = self._free_at[way] + self.delay_s
                waiting.put((there_at, data))
        waiting.put((0.0, b""))

    def _flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        changed[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _deliver(self, sink: socket.socket, source: socket.socket, waiting: queue.Queue) -> None:
        with contextlib.suppress(OSError):
            while True:
                there_at, data = waiting.get()
                if not data:
                    break
                time.sleep(max(0.0, there_at - time.monotonic()))
                sink.sendall(data)
        for each in (sink, source):
            _end(each)
            self._open.discard(each)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
