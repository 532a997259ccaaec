"""Standard input and output as the connection to one client."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from typing import Any

from bnn_exit.errors import ArgumentError
from bnn_exit.serving.wire import MAX_LINE_BYTES


def check() -> None:
    """That both can carry a conversation.

    Raises:
        ArgumentError: one is closed, or is no pipe, socket or terminal: the loop of events cannot wait for others.
    """
    for name, file in (("standard input", sys.stdin), ("standard output", sys.stdout)):
        if file is None or not _carries(file):
            found = "closed" if file is None else "no pipe"
            raise ArgumentError(f"stdio:// needs pipes as standard input and output, but {name} is {found}")


def _carries(file: Any) -> bool:
    kind = os.fstat(file.fileno()).st_mode
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or file.isatty()


async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The client.

    Raises:
        ArgumentError: as `check`.
    """
    check()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop=loop), sys.stdout.buffer
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)
