"""Half precision for the kernels of dense layers, which hold most of a head's bytes.

A large kernel whose values are all numbers of half precision is stored in half of the bytes without a change of any
output. So training rounds the kernels of the heads once, at its end, and a file is exactly the network that was
calibrated.
"""

from __future__ import annotations

import numpy as np

from bnn_exit._keras import keras

_WORTH_IT = 256
"""Values; the operator that makes floats of them takes about a hundred bytes of a file."""


def round_dense_kernels(model: keras.Model) -> None:
    """Round the kernels of the dense layers of `model` to half precision.

    Those of layers that are not trained stay, and so do those with a value beyond the range.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense) and layer.trainable:
            rounded = _in_half(layer.kernel.numpy())
            if np.isfinite(rounded).all():
                layer.kernel.assign(rounded.astype(np.float32))


def is_stored_in_half(values: np.ndarray) -> bool:
    """Whether a file holds the float32 `values` in half precision: it is exact for each, and they are enough."""
    return values.size >= _WORTH_IT and bool(np.array_equal(_in_half(values), values))


def _in_half(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float16)
