"""A linear code of few bits for floats, whose cells meet at 0: the sign of every value survives.

As the packing of DynO (Almeida et al. 2022, "DynO: Dynamic Onloading of Deep Neural Networks from Cloud to Device",
section 4.3) it spans the least and the largest value of each tensor, and the bits are shuffled: the first bit of all
values, then the second. Binary layers read signs alone, so here no cell holds values of both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError, DataError

Floats = npt.NDArray[np.float32]


def encode(values: Floats, bits: int) -> tuple[float, int, bytes]:
    """The code of some floats.

    Args:
        values: finite, of any shape.
        bits: 2 to 8 for each value. An error of at most half a cell remains, and a cell is the span of the values
            over 2^bits - 2.

    Returns:
        (step, zero, planes): the size of a cell, the number of cells below 0, and `bits` planes of one bit for each
        value, the most significant first.

    Raises:
        ArgumentError: NaN or infinity among the values.

    Example:
        >>> encode(np.array([-1.0, 0.0, 1.0], np.float32), 2)
        (1.0, 1, b' @')
    """
    flat = np.ravel(np.asarray(values, np.float32))
    if not np.all(np.isfinite(flat)):
        raise ArgumentError("values holds NaN or infinity, but must be finite")
    low, high = min(float(flat.min()), 0.0), max(float(flat.max()), 0.0)
    cells = 2**bits
    step = float(np.float32(high / (cells - 2) - low / (cells - 2)))
    if not np.isfinite(step):
        raise ArgumentError("values span more than float32 holds")
    if step == 0.0:
        return 0.0, 0, bytes(bits * -(-flat.size // 8))
    zero = int(np.clip(np.ceil(-low / step), 1 if low < 0 else 0, cells - 1))
    codes = np.floor(flat.astype(np.float64) / step) + zero
    # Rounding must not carry a value over the border at 0.
    codes = np.where(flat < 0, np.clip(codes, 0, zero - 1), np.clip(codes, zero, cells - 1)).astype(np.uint8)
    planes = np.unpackbits(codes[:, None], axis=1)[:, 8 - bits :]
    return step, zero, np.packbits(planes.T, axis=1).tobytes()


def decode(step: float, zero: int, planes: bytes, *, bits: int, shape: tuple[int, ...]) -> Floats:
    """The middle of the cell of each value: float32 of `shape`; the arguments as `encode` gave them.

    Raises:
        DataError: a step that is negative or not finite, or another number of bytes.

    Example:
        >>> decode(1.0, 1, b' @', bits=2, shape=(3,))
        array([-0.5,  0.5,  1.5], dtype=float32)
    """
    count = int(np.prod(shape))
    if not (np.isfinite(step) and step >= 0) or len(planes) != bits * -(-count // 8):
        raise DataError(f"a code of step {step} and {len(planes)} bytes does not hold {count} values of {bits} bits")
    unpacked = np.unpackbits(np.frombuffer(planes, np.uint8).reshape(bits, -1), axis=1)[:, :count]
    codes = np.zeros(count, np.float32)
    for plane in unpacked:
        codes = 2 * codes + plane
    return ((codes - np.float32(zero) + np.float32(0.5)) * np.float32(step)).reshape(shape)
