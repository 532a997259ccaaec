"""Events of the Wyoming protocol as bytes: a line of JSON, then as many bytes of data and payload as it says.

The package's own reader takes any length and waits for ever. Ours bounds both, because anybody may connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from bnn_exit import strict_json
from bnn_exit.errors import BnnExitError
from bnn_exit.serving.library import library

MAX_LINE_BYTES = 1 << 16
"""Of the line of JSON."""
MAX_DATA_BYTES = 1 << 16
MAX_PAYLOAD_BYTES = 1 << 20
"""Half a minute of 16-bit sound at 16 kHz; satellites send a tenth of a second."""
MAX_TYPE = 64
"""Letters of the type of an event."""
MESSAGE_TIMEOUT_S = 30.0
"""From the first byte of an event to its last."""

Value = TypeVar("Value")


class ProtocolError(BnnExitError):
    """What came is no event of the protocol, or one that is too large."""


async def read_event(reader: asyncio.StreamReader, *, timeout_s: float = MESSAGE_TIMEOUT_S) -> Any:
    """The next event, a `wyoming.event.Event`; None at an orderly end. Waits for ever for its first byte.

    Args:
        reader: made with MAX_LINE_BYTES as its limit.
        timeout_s: from the first byte to the last.

    Raises:
        ProtocolError: no event, one beyond the limits, one that stops, or an end in its middle.
        ConnectionError: the connection was lost.
    """
    first = await reader.read(1)
    if not first:
        return None
    if first != b"{":
        raise ProtocolError(f"an event begins with {{, but {first!r} came")
    return await _within(timeout_s, _rest(reader, first))


async def _within(timeout_s: float, work: Awaitable[Value]) -> Value:
    try:
        return await asyncio.wait_for(work, timeout_s)
    except asyncio.TimeoutError as error:
        raise ProtocolError(f"an event was not complete after {timeout_s:g} s") from error
    except asyncio.IncompleteReadError as error:
        raise ProtocolError("the connection ended in the middle of an event") from error


async def _rest(reader: asyncio.StreamReader, first: bytes) -> Any:
    try:
        line = first + await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        raise ProtocolError(f"a line has more than {MAX_LINE_BYTES} bytes") from error
    head = _object(line, "a line")
    kind = head.get("type")
    if not isinstance(kind, str) or not 0 < len(kind) <= MAX_TYPE:
        raise ProtocolError(f"type is {str(kind)[:40]!r}, but must be a text of 1 to {MAX_TYPE} letters")
    # Both lengths are looked at before anything is read, let alone kept.
    data_length = _length(head, "data_length", MAX_DATA_BYTES)
    payload_length = _length(head, "payload_length", MAX_PAYLOAD_BYTES)
    data = head.get("data") or {}
    if not isinstance(data, dict):
        raise ProtocolError("the data of an event are no object")
    if data_length:
        data = {**data, **_object(await reader.readexactly(data_length), "the data of an event")}
    payload = await reader.readexactly(payload_length) if payload_length else None
    return library("event").Event(type=kind, data=data, payload=payload)


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = strict_json.parse(data.decode())
        _check(value, 0)
    except ValueError as error:
        raise ProtocolError(f"{what} is no JSON: {str(error)[:100]}") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"{what} is no JSON object")
    return value


def _check(value: Any, depth: int) -> None:
    """ValueError for what JSON can say and no answer could repeat."""
    if depth > strict_json.MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{value[:40]!r} has half of a surrogate pair") from error
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(name, 0)
            _check(member, depth + 1)


def _length(head: dict[str, Any], name: str, most: int) -> int:
    value = head.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ProtocolError(f"{name} is {str(value)[:40]}, but must be a whole number from 0 to {most}")
    return value
