"""Reads the map of named numbers and texts (a "flexbuffer") in which LCE stores the options of its operators.

A map is three lists: keys, values and one type byte a value. A value's type byte holds its kind in the upper six bits
and the logarithm of its width in the lower two. The last three bytes of the buffer are the root: value, type, width.
"""

from __future__ import annotations

import struct
from typing import Union

from bnn_exit.model_file.tables import Buffer, damaged

_SIGNED = {1: "<b", 2: "<h", 4: "<i", 8: "<q"}
_UNSIGNED = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
_REAL = {4: "<f", 8: "<d"}

_NULL, _INT, _UINT, _FLOAT, _KEY, _STRING, _MAP, _BOOL = 0, 1, 2, 3, 4, 5, 9, 26

Value = Union[int, float, bool, str, None]


def read_map(data: bytes) -> dict[str, Value]:
    """The named values of a flexbuffer whose root is a map of numbers, texts and truth values.

    Raises:
        ModelFileError: damaged bytes, or a root or a value of another kind.
    """
    buffer = Buffer(data)
    buffer.check(0, 3)
    width = data[-1]
    kind, _ = _unpack_type(data[-2])
    if kind != _MAP:
        raise damaged("the options of an operator are not a map")
    values = _back(buffer, len(data) - 2 - width, width)
    # The width of the map's own elements is in the low bits of the root's type.
    width = 1 << (data[-2] & 3)
    count = _number(buffer, values - width, width)
    keys = _back(buffer, values - 3 * width, width)
    key_width = _number(buffer, values - 2 * width, width)
    buffer.check(values, count * (width + 1))
    buffer.spend(2 * count)
    if _number(buffer, keys - key_width, key_width) != count:
        raise damaged("the options of an operator have more keys than values, or fewer")
    options: dict[str, Value] = {}
    for index in range(count):
        name = _text_to_nul(buffer, _back(buffer, keys + index * key_width, key_width))
        kind, child_width = _unpack_type(data[values + count * width + index])
        if name in options:
            raise damaged(f"the option {name!r} is there twice")
        options[name] = _value(buffer, name, values + index * width, width, kind, child_width)
    return options


def _value(buffer: Buffer, name: str, position: int, width: int, kind: int, child_width: int) -> Value:
    if kind == _NULL:
        return None
    if kind in (_INT, _UINT, _FLOAT, _BOOL):
        forms = {_INT: _SIGNED, _FLOAT: _REAL}.get(kind, _UNSIGNED)
        value = _number(buffer, position, width, forms)
        return bool(value) if kind == _BOOL else value
    if kind == _KEY:
        return _text_to_nul(buffer, _back(buffer, position, width))
    if kind == _STRING:
        start = _back(buffer, position, width)
        size = int(_number(buffer, start - child_width, child_width))
        buffer.check(start, size)
        return _decode(buffer.data[start : start + size])
    raise damaged(f"option {name} is of a kind that no operator uses")


def _unpack_type(packed: int) -> tuple[int, int]:
    return packed >> 2, 1 << (packed & 3)


def _number(buffer: Buffer, position: int, width: int, forms: dict[int, str] = _UNSIGNED) -> int:
    if width not in forms:
        raise damaged(f"a number in the options of an operator is {width} bytes wide")
    buffer.check(position, width)
    return struct.unpack_from(forms[width], buffer.data, position)[0]


def _back(buffer: Buffer, position: int, width: int) -> int:
    """Where the offset at a position points; these offsets count backwards."""
    target = position - _number(buffer, position, width)
    buffer.check(target, 0)
    return target


def _text_to_nul(buffer: Buffer, start: int) -> str:
    end = buffer.data.find(b"\0", start)
    if end < 0:
        raise damaged("a name in the options of an operator has no end")
    buffer.spend(end - start)
    return _decode(buffer.data[start:end])


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise damaged("a text in the options of an operator is not UTF-8") from error
