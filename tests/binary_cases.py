"""Binary convolutions of every kind, as files; judged in several test files."""

import numpy as np
from hypothesis import strategies as st

from bnn_exit.runtime.reference.binary import pack

ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
PADDINGS = {"SAME": 0, "VALID": 1}


def convolution(
    tiny,
    *,
    seed=0,
    channels=40,
    filters=33,
    size=(6, 5),
    kernel=(3, 3),
    stride=1,
    dilation=1,
    padding="SAME",
    pad_values=1,
    activation="NONE",
    bitpacked=False,
    groups=1,
):
    """A file that quantizes its input and convolves it; the input, and everything for doing it by hand."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(1, *size, channels)).astype(np.float32)
    weights = random.choice(np.float32([-1, 1]), (filters, *kernel, channels // groups))
    multiplier = random.normal(size=filters).astype(np.float32)
    bias = random.normal(size=filters).astype(np.float32) * 9
    # Some thresholds that always or never fire, as a negative or zero BatchNorm gamma makes them.
    largest = weights[0].size
    thresholds = random.integers(0, largest + 1, filters).astype(np.int32)
    thresholds[:: max(1, filters // 3)] = random.choice([-1, largest, 2**31 - 1, -(2**31)])
    reach = [(tap - 1) * dilation + 1 for tap in kernel]
    shape = [
        -(-axis // stride) if padding == "SAME" else (axis - far) // stride + 1
        for axis, far in zip(size, reach, strict=True)
    ]
    file = tiny.File()
    graph = file.graph()
    words = graph.operator("LceQuantize", [graph.input(values.shape)], [((1, *size, -(-channels // 32)), "int32")])
    fixed = [graph.constant(pack(weights < 0), "int32")]
    if bitpacked:
        fixed += [-1, -1, graph.constant(thresholds, "int32")]
    else:
        fixed += [graph.constant(multiplier), graph.constant(bias), -1]
    output = ((1, *shape, -(-filters // 32)), "int32") if bitpacked else ((1, *shape, filters), "float32")
    graph.outputs(
        graph.operator(
            "LceBconv2d",
            [*words, *fixed],
            [output],
            channels_in=channels,
            dilation_height_factor=dilation,
            dilation_width_factor=dilation,
            fused_activation_function=ACTIVATIONS[activation],
            pad_values=pad_values,
            padding=PADDINGS[padding],
            stride_height=stride,
            stride_width=stride,
        )
    )
    return file.bytes(), values, (weights, multiplier, bias, thresholds, shape, reach)


@st.composite
def convolutions(draw):
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    pad_values = draw(st.sampled_from([0, 1]))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2)) if stride == 1 else 1
    # LCE is right for padding by zeros only where the filter is smaller than the input.
    least = [(tap - 1) * dilation + 2 for tap in kernel]
    zeros = padding == "SAME" and pad_values == 0
    return {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "channels": draw(st.sampled_from([1, 5, 31, 32, 33, 64, 65, 96, 130])),
        "filters": draw(st.sampled_from([1, 2, 31, 32, 33, 65, 96])),
        "size": (draw(st.integers(least[0], 9)), draw(st.integers(least[1], 9))),
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "pad_values": pad_values,
        "activation": "NONE" if zeros else draw(st.sampled_from(sorted(ACTIVATIONS))),
        "bitpacked": False if zeros else draw(st.booleans()),
    }
