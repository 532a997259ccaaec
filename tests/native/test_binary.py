"""The binary operators of the native backend, bit for bit against the reference backend, on every instruction set."""

import numpy as np
import pytest
from binary_cases import PADDINGS, convolution, convolutions
from hypothesis import given, settings
from hypothesis import strategies as st
from native.compilers import needs_library

from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.binary import pack
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library
ISAS = native_backend.capabilities()["isas"]


@pytest.fixture(params=ISAS)
def isa(request, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", request.param)
    assert native_backend.capabilities()["isa"] == request.param


def assert_equal(data, values):
    network = NativeNetwork(data)
    expected = Interpreter(flatbuffer.read(data)).run(values)
    for _ in range(2):
        for ours, theirs in zip(network(values), expected, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    return network


@pytest.mark.parametrize("isa_name", ISAS)
@settings(max_examples=200, deadline=None)
@given(case=convolutions())
def test_convolution(tiny, isa_name, case):
    data, values, _ = convolution(tiny, **case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_EXIT_ISA", isa_name)
        assert_equal(data, [values])


@pytest.mark.parametrize("bitpacked", [False, True])
@pytest.mark.parametrize(("channels", "groups", "filters"), [(64, 2, 32), (96, 3, 96), (128, 2, 64), (256, 4, 256)])
def test_grouped_convolution(tiny, isa, channels, groups, filters, bitpacked):
    data, values, _ = convolution(tiny, channels=channels, groups=groups, filters=filters, bitpacked=bitpacked)
    assert_equal(data, [values])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 65, 96])
def test_quantizing_and_dequantizing(tiny, isa, channels, batch):
    for keep_words in (True, False):  # with the words as an output they keep the file's layout
        file = tiny.File()
        graph = file.graph()
        values = np.random.default_rng(channels).normal(size=(batch, 3, 4, channels)).astype(np.float32)
        values.flat[:5] = 0, -0.0, np.nan, -1e-39, np.inf
        words = graph.operator(
            "LceQuantize", [graph.input(values.shape)], [((batch, 3, 4, -(-channels // 32)), "int32")]
        )
        signs = graph.operator("LceDequantize", words, [(values.shape, "float32")])
        graph.outputs([*words, *signs] if keep_words else signs)
        network = assert_equal(file.bytes(), [values])
        assert ("bits" in network.plan) is not keep_words


def test_quantizing_truth_values(single, isa):
    values = np.array([[True, False, False] + [True] * 30])
    assert_equal(*single("LceQuantize", [values], [((1, 2), "int32")]))


@pytest.mark.parametrize("words_only", [True, False])
@pytest.mark.parametrize(
    ("padding", "size", "stride", "filters"),
    [("SAME", 7, 2, 3), ("VALID", 7, 2, 3), ("SAME", 5, 3, 2), ("VALID", 4, 1, 4), ("SAME", 3, 1, 5)],
)
def test_max_pooling(tiny, isa, padding, size, stride, filters, words_only):
    random = np.random.default_rng(size)
    height, width = (
        -(-axis // stride) if padding == "SAME" else (axis - filters) // stride + 1 for axis in (size, size + 1)
    )
    file = tiny.File()
    graph = file.graph()
    options = {
        "filter_height": filters,
        "filter_width": filters,
        "stride_height": stride,
        "stride_width": stride,
        "padding": PADDINGS[padding],
    }
    if words_only:
        values = random.integers(-(2**31), 2**31, (2, size, size + 1, 3), np.int32)
        source = graph.input(values.shape, "int32")
        graph.outputs(graph.operator("LceBMaxPool2d", [source], [((2, height, width, 3), "int32")], **options))
    else:
        values = random.normal(size=(2, size, size + 1, 70)).astype(np.float32)
        words = graph.operator("LceQuantize", [graph.input(values.shape)], [((2, size, size + 1, 3), "int32")])
        pooled = graph.operator("LceBMaxPool2d", words, [((2, height, width, 3), "int32")], **options)
        graph.outputs(graph.operator("LceDequantize", pooled, [((2, height, width, 70), "float32")]))
    assert_equal(file.bytes(), [values])


STEPS = ("PRELU", "MUL", "ADD", "SUB", "scalar", "residual", "product", "RELU", "RELU6", "branch", "MAXIMUM")


@st.composite
def blocks(draw):
    """What may follow a binary convolution in a file."""
    return {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "channels": draw(st.sampled_from([3, 16, 33, 64, 100])),
        "batch": draw(st.integers(1, 2)),
        "size": draw(st.tuples(st.integers(1, 9), st.integers(1, 9))),
        "zeros": draw(st.booleans()),
        "steps": draw(
            st.lists(
                st.sampled_from(
                    [
                        "PRELU",
                        "MUL",
                        "ADD",
                        "SUB",
                        "scalar",
                        "residual",
                        "product",
                        "RELU",
                        "RELU6",
                        "branch",
                        "MAXIMUM",
                    ]
                ),
                max_size=10,
            )
        ),
        "fused": draw(st.integers(0, 3)),
        "second": draw(st.booleans()),
    }


def block(tiny, *, seed, channels, batch, size, zeros, steps, fused, second):
    """A file: quantize, convolve, the steps, quantize again and convolve again or hand out the floats."""
    random = np.random.default_rng(seed)
    file = tiny.File()
    graph = file.graph()
    shape, words = (batch, *size, channels), (batch, *size, -(-channels // 32))
    source = graph.input(shape)
    extra = []

    def convolve(value, output=(shape, "float32")):
        packed = graph.operator("LceQuantize", [value], [(words, "int32")])
        filters = random.choice(np.float32([-1, 1]), (channels, 3, 3, channels))
        inputs = [*packed, graph.constant(pack(filters < 0), "int32")]
        inputs += [graph.constant(random.normal(size=channels)), graph.constant(random.normal(size=channels)), -1]
        options = {"channels_in": channels, "dilation_height_factor": 1, "dilation_width_factor": 1, "padding": 0}
        options |= {"fused_activation_function": 0, "pad_values": int(not zeros), "stride_height": 1, "stride_width": 1}
        return graph.operator("LceBconv2d", inputs, [output], **options)[0]

    def step(name, value):
        made = [(shape, "float32")]
        constant = graph.constant(random.normal(size=channels))
        if name == "PRELU":
            return graph.operator(name, [value, graph.constant(random.normal(size=(1, 1, channels)))], made)[0]
        if name in ("RELU", "RELU6"):
            return graph.operator(name, [value], made)[0]
        if name == "MAXIMUM":
            return graph.operator(name, [value, constant], made)[0]
        if name == "branch":
            extra.append(value)  # somebody else reads it, too
            return value
        if name == "scalar":
            return graph.operator("MUL", [value, graph.constant(0.5)], made, "MulOptions")[0]
        if name in ("residual", "product"):
            operator = "ADD" if name == "residual" else "MUL"
            pair = [source, value] if random.random() < 0.5 else [value, source]
            options = f"{operator.capitalize()}Options"
            return graph.operator(operator, pair, made, options, fusedActivationFunction=fused)[0]
        pair = [constant, value] if random.random() < 0.5 else [value, constant]
        return graph.operator(name, pair, made, f"{name.capitalize()}Options")[0]

    value = convolve(source)
    for name in steps:
        value = step(name, value)
    last = convolve(value) if second else value
    graph.outputs([last, *(made for made in dict.fromkeys(extra) if made != last)])
    return file.bytes(), [random.normal(size=shape).astype(np.float32)]


@pytest.mark.parametrize("isa_name", ISAS)
@settings(max_examples=120, deadline=None)
@given(case=blocks())
def test_what_follows_a_convolution_becomes_part_of_it(tiny, isa_name, case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_EXIT_ISA", isa_name)
        assert_equal(*block(tiny, **case))


def test_a_residual_block_is_one_step(tiny):
    case = {"seed": 1, "channels": 64, "batch": 1, "size": (5, 4), "zeros": False, "fused": 1, "second": True}
    data, values = block(tiny, steps=["PRELU", "MUL", "ADD", "residual"], **case)
    network = assert_equal(data, values)
    assert [line.split(" -> ")[0] for line in network.plan.splitlines()] == [
        "LceQuantize",
        "LceBconv2d + PRELU + MUL + ADD + ADD + LceQuantize",
        "LceBconv2d",
    ]
