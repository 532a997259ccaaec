"""Writes the map of named values ("flexbuffer") in which LCE keeps the options of its operators."""

from __future__ import annotations

import struct
from typing import Any


def flexbuffer(options: list[tuple[str, Any]], *, width: int = 4) -> bytes:
    """A map of the flexbuffers in which LCE keeps options: whole numbers, floats, truth values and texts.

    A list of pairs, so that a name may come twice. `width` is that of numbers and offsets, in bytes.
    """
    data = bytearray()
    names = sorted(options, key=lambda item: item[0].encode())
    starts, texts = [], {}
    for name, value in names:
        starts.append(len(data))
        data += name.encode() + b"\0"
        if isinstance(value, str):
            data += bytes(-len(data) % width) + len(value.encode()).to_bytes(width, "little")
            texts[name] = len(data)
            data += value.encode() + b"\0"
    data += bytes(-len(data) % width)
    count = len(names).to_bytes(width, "little")
    data += count
    keys = len(data)
    for start in starts:
        data += (len(data) - start).to_bytes(width, "little")
    data += (len(data) - keys).to_bytes(width, "little") + width.to_bytes(width, "little") + count
    values, types, log = len(data), bytearray(), width.bit_length() - 1
    for name, value in names:
        if isinstance(value, str):
            data += (len(data) - texts[name]).to_bytes(width, "little")
            types.append(5 << 2 | log)
        elif isinstance(value, bool):
            data += int(value).to_bytes(width, "little")
            types.append(26 << 2 | log)
        elif isinstance(value, float) and width >= 4:
            data += struct.pack("<f" if width == 4 else "<d", value)
            types.append(3 << 2 | log)
        else:
            data += (int(value) & (256**width - 1)).to_bytes(width, "little")
            types.append(1 << 2 | log)
    data += types
    root = len(data) + (-len(data) % 2)
    data += bytes(root - len(data))
    return bytes(data + struct.pack("<HBB", root - values, 9 << 2 | log, 2))
