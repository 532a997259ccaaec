"""The only constructors of binary layers, and the check that a layer declared binary is binary.

Larq turns a `Quant*` layer without quantizers into an ordinary float layer without a word, and Larq Compute Engine
(LCE) leaves binary dense, 1-D and depthwise layers in float. So the backbones build binary layers here, in the one form
that converts, and `check_binary` looks at what was built.
"""

from __future__ import annotations

from bnn_exit._keras import keras, larq
from bnn_exit.errors import ArgumentError

ACTIVATION_QUANTIZERS = ("approx_sign", "ste_sign")
BINARY_PREFIX = "binary_"


def binary_conv(
    features: keras.KerasTensor,
    filters: int,
    *,
    name: str,
    kernel_size: int = 3,
    strides: int = 1,
    activation_quantizer: str = "approx_sign",
) -> keras.KerasTensor:
    """A convolution of sign(features) with sign(kernel), output in [-k*k*channels, k*k*channels].

    Features of width 1, as values of sensors have, get a one-dimensional kernel of (2 k - 1) x 1, 5 for 3: it sees 5 of
    the 9 places that k x k sees, and reaches further in time.

    The forward pass is sign(x) * sign(w) for both quantizers. Their gradients differ: `approx_sign` passes
    (2 - 2|x|) for |x| <= 1 (Bi-Real Net, Liu et al. 2018, section 3.2), `ste_sign` passes 1 for |x| <= 1
    (Hubara et al. 2016, section 1.3). Kernels keep a real latent value, clipped to [-1, 1], whose sign is used.

    Args:
        features: `[batch, height, width, channels]`, not straight from a ReLU (its sign would be +1 everywhere).
        filters: output channels; multiples of 64 fill the words of the fast kernels.
        name: layer name; the prefix `binary_` is added and declares the layer binary.
        kernel_size, strides: as in Conv2D. Padding is "same" with ones, which LCE runs without a float detour.
    """
    return larq.layers.QuantConv2D(
        filters,
        (2 * kernel_size - 1, 1) if features.shape[2] == 1 else kernel_size,
        strides=strides,
        padding="same",
        pad_values=1.0,
        use_bias=False,
        input_quantizer=activation_quantizer,
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        kernel_initializer="glorot_normal",
        name=BINARY_PREFIX + name,
    )(features)


def kernel(features: keras.KerasTensor, size: int) -> tuple[int, int]:
    """Height and width of a convolution or pooling over `size` places: 1 wide where the features are."""
    return size, 1 if features.shape[2] == 1 else size


def binary_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of `model`, nested models included, that are declared binary: by name, or by being Larq's."""
    return [
        layer
        for layer in model._flatten_layers()
        if not isinstance(layer, keras.Model)
        and (layer.name.startswith(BINARY_PREFIX) or type(layer).__name__.startswith("Quant"))
    ]


def check_binary(model: keras.Model) -> int:
    """Count the binary layers of `model`; raise ArgumentError for the first that is declared binary but is not.

    Checked: the layer is a QuantConv2D (others stay float in LCE), has a quantizer on its input and its kernel,
    pads "same" with ones, and does not read the output of a ReLU.
    """
    layers = binary_layers(model)
    for layer in layers:
        reason = _not_binary(layer)
        if reason:
            raise ArgumentError(f"layer {layer.name!r} is declared binary, but {reason}")
    return len(layers)


def _not_binary(layer: keras.layers.Layer) -> str | None:
    if not isinstance(layer, larq.layers.QuantConv2D):
        return f"a {type(layer).__name__} stays float after conversion: build it with binary_ops.binary_conv"
    if layer.input_quantizer is None:
        return "it has no input_quantizer: Larq made an ordinary float convolution"
    if layer.kernel_quantizer is None:
        return "it has no kernel_quantizer: Larq made an ordinary float convolution"
    if layer.padding == "same" and layer.pad_values != 1.0:
        return f"pad_values is {layer.pad_values}: pad with 1.0, or every layer is unpacked and packed again"
    for node in layer.inbound_nodes:
        for source in _as_list(node.inbound_layers):
            if _is_relu(source):
                return f"its input comes from the ReLU {source.name!r}, whose sign is +1 everywhere"
    return None


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def _is_relu(layer: keras.layers.Layer) -> bool:
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return isinstance(layer, keras.layers.ReLU) or activation == "relu"
