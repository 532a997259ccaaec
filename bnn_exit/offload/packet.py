"""What goes over the network for one clip: the tensors that travel, in one piece of bytes.

A packet is the magic `BXS1`, 16 bytes of the identity of the split, one byte (1: the body is compressed by zlib, RFC
1950) and the body: each tensor in the order of `Split.travels`, little-endian; a linear code as its step (float32), its
number of cells below 0 (one byte) and its planes of bits. The size of the body follows from the split, so a packet that
would unfold to more is refused before it does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import DataError
from bnn_exit.model_file.split import Split, Traveller
from bnn_exit.offload import linear_code

if TYPE_CHECKING:
    from bnn_exit.offload.halves import ExitAnswer

MAGIC = b"BXS1"
_HEAD = len(MAGIC) + 16 + 1
_CODE = struct.Struct("<fB")


def encode(tensors: Mapping[str, npt.NDArray[Any]], split: Split, *, compress: bool = True) -> bytes:
    """The packet of one clip.

    Args:
        tensors: by name, as the device's network gave them.
        split: of that network.
        compress: by zlib, where that makes it smaller.

    Raises:
        ArgumentError: NaN or infinity in a tensor that travels by a linear code.
    """
    body = b"".join(_encoded(tensors[each.name], each) for each in split.travels)
    smaller = zlib.compress(body, 1) if compress else body
    is_smaller = len(smaller) < len(body)
    return b"".join((MAGIC, _mark(split), bytes([is_smaller]), smaller if is_smaller else body))


def decode(packet: bytes, split: Split) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a packet by name, in the shapes and types of the server's inputs. The bytes may be anybody's.

    Raises:
        DataError: the first thing that is wrong with it.
    """
    if packet[: len(MAGIC)] != MAGIC or len(packet) < _HEAD:
        raise DataError(f"the packet of {len(packet)} bytes does not begin as one")
    if packet[len(MAGIC) : _HEAD - 1] != _mark(split):
        raise DataError(
            f"the packet is of the split {packet[len(MAGIC) : _HEAD - 1].hex()[:12]}, but this server has "
            f"{split.identity[:12]}: both halves must be of one python -m bnn_exit.split"
        )
    size = body_bytes(split)
    body = packet[_HEAD:]
    if packet[_HEAD - 1] == 1:
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(body, size + 1)
        except zlib.error as error:
            raise DataError(f"the packet cannot be uncompressed: {error}") from error
        if not unpacker.eof or unpacker.unused_data:
            raise DataError(f"the packet does not unfold to exactly {size} bytes")
    elif packet[_HEAD - 1] != 0:
        raise DataError(f"the packet has the compression {packet[_HEAD - 1]}, but must have 0 or 1")
    if len(body) != size:
        raise DataError(f"the packet holds {len(body)} bytes, but must hold {size}")
    tensors, at = {}, 0
    for each in split.travels:
        tensors[each.name] = _decoded(body[at : at + _bytes(each)], each)
        at += _bytes(each)
    return tensors


def body_bytes(split: Split) -> int:
    """Bytes of the body before compression."""
    return sum(map(_bytes, split.travels))


def max_bytes(split: Split) -> int:
    """Bytes of the largest packet that `encode` makes."""
    return _HEAD + body_bytes(split)


def checksum(request_id: str, packet: bytes, thresholds: npt.ArrayLike, answer: ExitAnswer) -> int:
    """CRC-32 of a request and its answer together: the server says it of what came there and what it answers, and the
    client compares it with what it sent and what came back. So one check covers both ways.
    """
    parts = (
        request_id.encode(),
        packet,
        np.asarray(thresholds, "<f4").tobytes(),
        np.asarray(answer.probabilities, "<f4").tobytes(),
        struct.pack("<if", answer.exit_index, answer.score),
    )
    return zlib.crc32(b"".join(parts))


def _mark(split: Split) -> bytes:
    return bytes.fromhex(split.identity[:32])


def _bytes(each: Traveller) -> int:
    return each.packed_bytes + (_CODE.size if each.code == "linear" else 0)


def _encoded(values: npt.NDArray[Any], each: Traveller) -> bytes:
    if each.code != "linear":
        return values.astype("<i4" if each.code == "bits" else "<f4").tobytes()
    step, zero, planes = linear_code.encode(values, each.bits)
    return _CODE.pack(step, zero) + planes


def _decoded(data: bytes, each: Traveller) -> npt.NDArray[Any]:
    if each.code == "linear":
        step, zero = _CODE.unpack(data[: _CODE.size])
        return linear_code.decode(step, zero, data[_CODE.size :], bits=each.bits, shape=each.shape)
    values = np.frombuffer(data, "<i4" if each.code == "bits" else "<f4").reshape(each.shape)
    if each.code == "float" and not np.all(np.isfinite(values)):
        raise DataError(f"the packet holds NaN or infinity in {each.name}")
    return values.astype(each.dtype)
