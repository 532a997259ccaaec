"""The server: connections, and the one thread that recognises for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import functools
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bnn_exit.errors import ArgumentError, BnnExitError
from bnn_exit.serving import stdio
from bnn_exit.serving.address import Address
from bnn_exit.serving.conversation import Conversation, Offer
from bnn_exit.serving.library import library
from bnn_exit.serving.wire import MAX_LINE_BYTES, MESSAGE_TIMEOUT_S, ProtocolError, read_event

MAX_CLIENTS = 32
"""That are connected at once."""
IDLE_S = 30.0
"""Where all places are taken, the client that has been silent for longest, and for so long, gives its place to a new
one. Satellites send ten events a second while they listen."""
SEND_TIMEOUT_S = 10.0
"""A client that does not take what it is sent for so long is disconnected."""


@dataclasses.dataclass
class _Place:
    """Of a client.

    Attributes:
        task: that serves it.
        last_event_s: when its last event came, or the connection itself, by the clock of the loop.
    """

    task: asyncio.Task[None]
    last_event_s: float


class Server:
    """Serves wake words to many clients.

    Sessions are shared, and one thread recognises for everybody, a piece at a time: a client that is slow, silent or
    gone holds up nobody.
    """

    def __init__(
        self,
        offer: Offer,
        *,
        tell: Callable[[str], None],
        max_clients: int = MAX_CLIENTS,
        idle_s: float = IDLE_S,
        message_timeout_s: float = MESSAGE_TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        """
        Args:
            offer: what is served.
            tell: writes a line into the log.
            max_clients, idle_s, message_timeout_s, send_timeout_s: as the constants of the same names.
        """
        self._offer, self._tell = offer, tell
        self._max_clients, self._idle_s = max_clients, idle_s
        self._message_timeout_s, self._send_timeout_s = message_timeout_s, send_timeout_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recognition")
        self._tasks: set[asyncio.Task[None]] = set()
        self._places: dict[str, _Place] = {}  # by the names of clients
        self._server: asyncio.AbstractServer | None = None
        self._path: Path | None = None
        self._numbers = 0

    @property
    def clients(self) -> int:
        """That are connected now."""
        return len(self._places)

    async def start(self, address: Address) -> Address:
        """Listen at an address, and return it with its port.

        Raises:
            OSError: it is taken, or may not be used.
            ArgumentError: stdio, which has no connections.
        """
        if address.scheme == "unix":
            await _check_free(address.path)
            self._server = await asyncio.start_unix_server(self._accept, path=address.path, limit=MAX_LINE_BYTES)
            self._path = Path(address.path)
            return address
        if address.scheme != "tcp":
            raise ArgumentError(f"scheme is {address.scheme!r}, but must be tcp or unix")
        self._server = await asyncio.start_server(self._accept, address.host, address.port, limit=MAX_LINE_BYTES)
        return Address("tcp", host=address.host, port=self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Disconnect everybody."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._thread.shutdown()

    async def serve_stdio(self) -> None:
        """One client at standard input and output, until it ends.

        Raises:
            ArgumentError: they are no pipes, as `stdio.check`.
        """
        reader, writer = await stdio.connect()
        await self._serve(reader, writer, "the client")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._numbers += 1
        peer = writer.get_extra_info("peername")
        name = f"client {self._numbers}" + (f" ({peer[0]})" if isinstance(peer, tuple) else "")
        if len(self._places) >= self._max_clients and not self._made_room():
            self._tell(f"{name} was refused: {self._max_clients} are connected")
            writer.close()
            return
        sock = writer.get_extra_info("socket")
        if sock is not None and isinstance(peer, tuple):
            # Finds out, after a while, that a silent client has lost its power.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        task = asyncio.ensure_future(self._serve(reader, writer, name))
        self._tasks.add(task)
        self._places[name] = _Place(task, asyncio.get_running_loop().time())
        task.add_done_callback(functools.partial(self._done, name))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.pop(name, None)

    def _made_room(self) -> bool:
        name, place = min(self._places.items(), key=lambda each: each[1].last_event_s)
        silent_s = asyncio.get_running_loop().time() - place.last_event_s
        if silent_s < self._idle_s:
            return False
        self._tell(f"{name} was disconnected: it was silent for {silent_s:.0f} s, and others want its place")
        del self._places[name]
        place.task.cancel()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        conversation = Conversation(
            self._offer,
            send=functools.partial(self._send, writer),
            run=functools.partial(asyncio.get_running_loop().run_in_executor, self._thread),
            tell=lambda line: self._tell(f"{name} {line}"),
        )
        try:
            while True:
                event = await read_event(reader, timeout_s=self._message_timeout_s)
                if event is None:
                    break
                if name in self._places:
                    self._places[name].last_event_s = asyncio.get_running_loop().time()
                await conversation.handle(event)
        except MemoryError:
            self._tell(f"{name} was disconnected: there is too little free memory")
        except OSError:
            self._tell(f"{name} went away")
        except BnnExitError as error:
            self._tell(f"{name} was disconnected: {error}")
        finally:
            # What waits to be sent to a client that does not read would keep the connection for ever.
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, event: Any) -> None:
        try:
            await asyncio.wait_for(library("event").async_write_event(event, writer), self._send_timeout_s)
        except asyncio.TimeoutError as error:
            raise ProtocolError("it does not read what it is sent") from error


async def _check_free(path: str) -> None:
    """OSError if another server listens at a socket: asyncio would take its place without a word."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except (FileNotFoundError, ConnectionRefusedError):  # nothing, or what a server left that was killed
        return
    writer.close()
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
