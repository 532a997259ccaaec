"""The binary operators: against their definition in loops, and bit for bit against Larq Compute Engine."""

import itertools

import numpy as np
import pytest
from binary_cases import PADDINGS, convolution, convolutions
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.reference.binary import pack, unpack
from bnn_exit.runtime.reference.interpreter import Interpreter


@given(channels=st.integers(1, 130), seed=st.integers(0, 2**32 - 1))
def test_packing_and_unpacking_are_inverse(channels, seed):
    signs = np.random.default_rng(seed).choice(np.float32([-1, 1]), (2, 3, channels))
    words = pack(signs < 0)
    assert words.dtype == np.int32 and words.shape == (2, 3, -(-channels // 32))
    np.testing.assert_array_equal(unpack(words, channels), signs)


def test_the_first_channel_is_the_lowest_bit_and_unused_bits_are_zero():
    negative = np.zeros(33, bool)
    negative[[0, 5, 31, 32]] = True
    assert pack(negative).tolist() == [1 + 32 - 2**31, 1]


def test_only_what_is_below_zero_sets_a_bit(single, reference_run, lce_run):
    # The third is subnormal, which TFLite's kernels see as zero; the last is the normal number nearest to zero.
    values = np.float32([[0.0, -0.0, -1e-39, 1e-39, np.nan, np.inf, -np.inf, -3, -1.1754944e-38]])
    data, inputs = single("LceQuantize", [values], [((1, 1), "int32")])
    assert reference_run(data, inputs)[0].tolist() == [[0b111000000]]
    assert lce_run(data, inputs)[0].tolist() == [[0b111000000]]


def test_quantizing_truth_values_agrees_with_lce(single, reference_run, lce_run):
    values = np.array([[True, False, False] + [True] * 30])
    data, inputs = single("LceQuantize", [values], [((1, 2), "int32")])
    assert reference_run(data, inputs)[0].tolist() == lce_run(data, inputs)[0].tolist() == [[0b110, 0]]


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 65, 96])
def test_quantizing_and_dequantizing_agree_with_lce(tiny, reference_run, lce_run, channels):
    file = tiny.File()
    graph = file.graph()
    values = np.random.default_rng(channels).normal(size=(2, 3, 4, channels)).astype(np.float32)
    words = graph.operator("LceQuantize", [graph.input(values.shape)], [((2, 3, 4, -(-channels // 32)), "int32")])
    graph.outputs([*words, *graph.operator("LceDequantize", words, [(values.shape, "float32")])])
    packed, signs = reference_run(file.bytes(), [values])
    np.testing.assert_array_equal(signs, np.where(values < 0, -1, 1))
    expected_packed, expected_signs = lce_run(file.bytes(), [values])
    np.testing.assert_array_equal(packed, expected_packed)
    np.testing.assert_array_equal(signs, expected_signs)


@pytest.mark.parametrize(
    ("padding", "size", "stride", "filters"),
    [("SAME", 7, 2, 3), ("VALID", 7, 2, 3), ("SAME", 5, 3, 2), ("VALID", 4, 1, 4), ("SAME", 3, 1, 5)],
)
def test_binary_max_pooling_agrees_with_lce(single, reference_run, lce_run, padding, size, stride, filters):
    random = np.random.default_rng(size)
    words = random.integers(-(2**31), 2**31, (2, size, size + 1, 3), np.int32)
    height, width = (
        -(-axis // stride) if padding == "SAME" else (axis - filters) // stride + 1 for axis in (size, size + 1)
    )
    data, inputs = single(
        "LceBMaxPool2d",
        [words],
        [((2, height, width, 3), "int32")],
        filter_height=filters,
        filter_width=filters,
        stride_height=stride,
        stride_width=stride,
        padding=PADDINGS[padding],
    )
    np.testing.assert_array_equal(reference_run(data, inputs)[0], lce_run(data, inputs)[0])


def by_hand(values, weights, multiplier, bias, thresholds, shape, reach, *, stride, dilation, padding, pad_values):
    """The definition: +1 and -1 multiplied and added, one output at a time; float result and packed result."""
    signs = np.where(values[0] < 0, -1, 1)
    before = [0, 0]
    if padding == "SAME":
        totals = [(n - 1) * stride + r - s for n, r, s in zip(shape, reach, signs.shape, strict=False)]
        before = [max(0, total) // 2 for total in totals]
    result = np.zeros((*shape, len(weights)))
    for y, x, out in itertools.product(range(shape[0]), range(shape[1]), range(len(weights))):
        for row, column in itertools.product(*map(range, weights.shape[1:3])):
            from_y = y * stride - before[0] + row * dilation
            from_x = x * stride - before[1] + column * dilation
            inside = 0 <= from_y < signs.shape[0] and 0 <= from_x < signs.shape[1]
            seen = signs[from_y, from_x] if inside else np.full(signs.shape[2], pad_values)
            result[y, x, out] += seen @ weights[out, row, column]
    return result * multiplier + bias, pack((weights[0].size - result) // 2 > thresholds)


@pytest.mark.parametrize(
    ("padding", "pad_values", "stride", "dilation"),
    [("SAME", 1, 1, 1), ("SAME", 0, 1, 1), ("SAME", 0, 2, 1), ("VALID", 0, 2, 1), ("SAME", 1, 1, 2)],
)
@pytest.mark.parametrize("channels", [3, 33])
def test_convolution_is_what_its_definition_says(tiny, reference_run, padding, pad_values, stride, dilation, channels):
    settings = {"stride": stride, "dilation": dilation, "padding": padding, "pad_values": pad_values}
    data, values, parts = convolution(tiny, channels=channels, filters=5, **settings)
    expected, expected_packed = by_hand(values, *parts, **settings)
    np.testing.assert_allclose(reference_run(data, [values])[0][0], expected, rtol=1e-5, atol=1e-4)
    if not (padding == "SAME" and pad_values == 0):
        data, values, _ = convolution(tiny, channels=channels, filters=5, bitpacked=True, **settings)
        np.testing.assert_array_equal(reference_run(data, [values])[0][0], expected_packed)


@settings(max_examples=150, deadline=None)
@given(case=convolutions())
def test_convolution_agrees_with_lce_bit_for_bit(tiny, reference_run, lce_run, case):
    data, values, _ = convolution(tiny, **case)
    (found,) = reference_run(data, [values])
    np.testing.assert_array_equal(found, lce_run(data, [values])[0])
    if not (case["padding"] == "SAME" and case["pad_values"] == 0):  # which LCE's own reference kernels lack
        np.testing.assert_array_equal(found, lce_run(data, [values], reference_kernels=True)[0])


@pytest.mark.parametrize("bitpacked", [False, True])
@pytest.mark.parametrize(("channels", "groups", "filters"), [(64, 2, 32), (96, 3, 96), (128, 2, 64)])
def test_grouped_convolution_agrees_with_lce(tiny, reference_run, lce_run, channels, groups, filters, bitpacked):
    data, values, _ = convolution(tiny, channels=channels, groups=groups, filters=filters, bitpacked=bitpacked)
    np.testing.assert_array_equal(reference_run(data, [values])[0], lce_run(data, [values], indirect=True)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels_in": 65}, "2 words do not hold 65 channels|1 words do not hold 65 channels"),
        ({"stride_height": 0}, "stride 0 and dilation 1 must be at least 1"),
        ({"pad_values": 0, "fused_activation_function": 1}, "fused activation with padding by zeros is not defined"),
    ],
)
def test_options_that_make_no_sense(single, change, message):
    words = np.zeros((1, 4, 4, 1), np.int32)
    filters, numbers = np.zeros((2, 3, 3, 1), np.int32), np.zeros(2, np.float32)
    options = {
        "channels_in": 3,
        "dilation_height_factor": 1,
        "dilation_width_factor": 1,
        "fused_activation_function": 0,
        "pad_values": 1,
        "padding": 0,
        "stride_height": 1,
        "stride_width": 1,
    }
    data, inputs = single(
        "LceBconv2d",
        [words, (filters,), (numbers,), (numbers,), None],
        [((1, 4, 4, 2), "float32")],
        **{**options, **change},
    )
    with pytest.raises(ModelFileError, match=message):
        Interpreter(flatbuffer.read(data)).run(inputs)
