"""Reads flatbuffer tables from untrusted bytes: every offset, vtable, list and text is checked before use."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bnn_exit.errors import ModelFileError

_FORMATS = {
    **{"bool": struct.Struct("<?"), "uint8": struct.Struct("<B"), "int8": struct.Struct("<b")},
    **{"uint16": struct.Struct("<H"), "int32": struct.Struct("<i"), "uint32": struct.Struct("<I")},
    **{"uint64": struct.Struct("<Q"), "float32": struct.Struct("<f")},
}

_TABLE_BYTES = 8
"""The least that a table takes: where its vtable is, and the list entry that leads to it."""


def damaged(reason: str) -> ModelFileError:
    """The error for bytes that no writer would have produced."""
    return ModelFileError(f"this file is damaged ({reason}): copy it again, or export it again")


def pick(items: Sequence[Any], index: object, what: str) -> Any:
    """The item of that number, or ModelFileError saying what is out of range."""
    if not isinstance(index, int) or not 0 <= index < len(items):
        raise damaged(f"{what} is number {index} of {len(items)}")
    return items[index]


class Buffer:
    """The bytes of a file, and how much more of it may be read.

    A file written by anyone sane refers to each table and each list element once, so what is read cannot exceed what
    is there. Counting it stops a small file whose lists all point at one another from unfolding into billions.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._allowance = 2 * len(data) + 4096

    def spend(self, size: int) -> None:
        """Note that a table or list of at least `size` bytes is read."""
        self._allowance -= size
        if self._allowance < 0:
            raise damaged("its parts refer to one another without end")

    def check(self, start: int, size: int) -> None:
        """Raise ModelFileError unless the bytes [start, start + size) are in the file."""
        if start < 0 or size < 0 or start + size > len(self.data):
            raise damaged(f"{size} bytes at {start} lie outside its {len(self.data)} bytes; is it truncated?")

    def scalar(self, position: int, kind: str) -> Any:
        """The number at a position."""
        form = _FORMATS[kind]
        self.check(position, form.size)
        return form.unpack_from(self.data, position)[0]

    def follow(self, position: int) -> int:
        """Where the offset at a position points; offsets are unsigned, so always forward."""
        offset = self.scalar(position, "uint32")
        if offset == 0:
            raise damaged(f"an offset at {position} points to itself")
        return position + offset

    def root(self) -> FlatbufferTable:
        """The table that the file begins with."""
        return FlatbufferTable(self, self.follow(0))


class FlatbufferTable:
    """One flatbuffer table: a vtable of 16-bit offsets gives the position of each numbered field; 0 means absent."""

    def __init__(self, buffer: Buffer, position: int) -> None:
        buffer.spend(_TABLE_BYTES)
        self._buffer = buffer
        self._position = position
        self._vtable = position - buffer.scalar(position, "int32")
        self._vtable_size = buffer.scalar(self._vtable, "uint16")
        if self._vtable_size < 4:
            raise damaged(f"the vtable at {self._vtable} is too short")
        buffer.check(self._vtable, self._vtable_size)
        self._size = buffer.scalar(self._vtable + 2, "uint16")
        buffer.check(position, self._size)

    def _field(self, slot: int) -> int | None:
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return None
        offset = self._buffer.scalar(self._vtable + entry, "uint16")
        if offset == 0:
            return None
        if not 4 <= offset < self._size:
            raise damaged(f"field {slot} of the table at {self._position} lies outside the table")
        return self._position + offset

    def scalar(self, slot: int, kind: str, default: Any) -> Any:
        """The number in a field, or the default."""
        position = self._field(slot)
        return default if position is None else self._buffer.scalar(position, kind)

    def table(self, slot: int) -> FlatbufferTable | None:
        """The table that a field refers to."""
        position = self._field(slot)
        return None if position is None else FlatbufferTable(self._buffer, self._buffer.follow(position))

    def _elements(self, slot: int, size: int) -> tuple[int, int]:
        """Start and number of a list's elements of `size` bytes each; an absent list is empty."""
        position = self._field(slot)
        if position is None:
            return 0, 0
        start = self._buffer.follow(position)
        count = self._buffer.scalar(start, "uint32")
        self._buffer.check(start + 4, count * size)
        return start + 4, count

    def tables(self, slot: int) -> Iterator[FlatbufferTable]:
        """The tables of a list."""
        start, count = self._elements(slot, 4)
        for index in range(count):
            yield FlatbufferTable(self._buffer, self._buffer.follow(start + 4 * index))

    def int32s(self, slot: int) -> tuple[int, ...]:
        """The whole numbers of a list."""
        start, count = self._elements(slot, 4)
        self._buffer.spend(4 * count)
        return tuple(np.frombuffer(self._buffer.data, "<i4", count, start).tolist())

    def bytes(self, slot: int) -> memoryview:
        """The bytes of a list, not copied, for later."""
        start, count = self._elements(slot, 1)
        return memoryview(self._buffer.data)[start : start + count]

    def read_bytes(self, slot: int) -> memoryview:
        """The bytes of a list that is gone through now: they are counted, since many tables may share them."""
        data = self.bytes(slot)
        self._buffer.spend(len(data))
        return data

    def text(self, slot: int) -> str:
        """The text in a field, "" if absent."""
        data = self.read_bytes(slot)
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise damaged(f"a text in the table at {self._position} is not UTF-8") from error
