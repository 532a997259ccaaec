"""NaN, infinities, zeros with a sign and numbers that a type does not hold: the native backend is the reference's twin.

To the last bit but for rounding, on every instruction set of this machine, fused and not.
"""

import numpy as np
import pytest
from native.compilers import needs_library

from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime import capabilities, native_backend
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library
SPECIAL = np.float32(
    [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-39, -1e-39, 0.5, -3.5, 2.5, 7, -7, 300, -1, 3e9, -3e9, 1e20]
)
ROUNDED = [
    "ELU",
    "HARD_SWISH",
    "LOGISTIC",
    "TANH",
    "EXP",
    "LOG",
    "SIN",
    "COS",
    "RSQRT",
    "SOFTMAX",
    "LOG_SOFTMAX",
    "POW",
]
ONE = [
    "ABS",
    "NEG",
    "SIGN",
    "SQUARE",
    "FLOOR",
    "CEIL",
    "ROUND",
    "SQRT",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "RELU_0_TO_1",
    "ZEROS_LIKE",
]
TWO = ["ADD", "SUB", "MUL", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU", "POW"]
TRUTH = ["LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"]
WHOLE = ("float32", "int32", "int64", "int8", "uint8", "bool", "float16")


@pytest.fixture(params=capabilities()["isas"])
def isa(request, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", request.param)
    return request.param


def agree(data, values, *, exact=True):
    found, expected = NativeNetwork(data)(values), Interpreter(flatbuffer.read(data)).run(values)
    for ours, theirs in zip(found, expected):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if ours.dtype.kind == "f":
            np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
            number = ~np.isnan(ours)
            np.testing.assert_array_equal(np.signbit(ours[number]), np.signbit(theirs[number]))
        if exact:
            np.testing.assert_array_equal(ours, theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def pairs():
    return [np.repeat(SPECIAL, len(SPECIAL)), np.tile(SPECIAL, len(SPECIAL))]


@pytest.mark.parametrize("name", [*ONE, *ROUNDED[:-1], "LEAKY_RELU"])
def test_functions(single, isa, name):
    options = {"SOFTMAX": ("SoftmaxOptions", {"beta": 1.0}), "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.5})}
    kind, settings = options.get(name, (None, {}))
    values = SPECIAL[:, None] if "SOFTMAX" in name else SPECIAL
    agree(*single(name, [values], [(values.shape, "float32")], kind, **settings), exact=name not in ROUNDED)


@pytest.mark.parametrize("activation", range(4))
@pytest.mark.parametrize("name", TWO)
def test_functions_of_two(single, isa, name, activation):
    fused = name in TWO[:4]
    if activation and not fused:
        return
    settings = {"fusedActivationFunction": activation} if fused else {}
    options = f"{name.capitalize()}Options" if fused else None
    for constant in (False, True):
        left, right = pairs()
        inputs = [left, (right,) if constant else right]
        data, values = single(name, inputs, [(left.shape, "float32")], options, **settings)
        agree(data, values, exact=name not in ROUNDED)


@pytest.mark.parametrize("name", TRUTH)
def test_comparisons(single, isa, name):
    agree(*single(name, pairs(), [(pairs()[0].shape, "bool")]))


@pytest.mark.parametrize("target", ["float32", "int32", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("source", WHOLE)
def test_casts(single, source, target):
    with np.errstate(all="ignore"):
        values = (
            SPECIAL.astype(source)
            if source in ("float32", "float16")
            else np.array([0, 1, -1, 127, -128, 200, 2**31 - 1, -(2**31)], np.int64).astype(source)
        )
    agree(*single("CAST", [values], [(values.shape, target)], "CastOptions"))


def test_a_sum_or_a_greatest_of_zeros_has_no_sign(single, isa):
    values = np.float32([[-0.0, -0.0], [-0.0, 0.0], [0.0, -0.0], [-0.0, 1.0], [-0.0, -1.0]])
    axis = (np.int32([1]),)
    for name in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN"):
        agree(*single(name, [values, axis], [((5,), "float32")], "ReducerOptions"))
        data, inputs = single(
            name, [np.ascontiguousarray(values.T), (np.int32([0]),)], [((5,), "float32")], "ReducerOptions"
        )
        agree(data, inputs)


@pytest.mark.parametrize("name", ["SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])
def test_reductions(single, isa, name):
    left, right = pairs()
    values = np.stack([left, right], 1)
    data, inputs = single(name, [values, (np.int32([1]),)], [(left.shape, "float32")], "ReducerOptions")
    agree(data, inputs, exact=False)


@pytest.mark.parametrize("activation", range(4))
@pytest.mark.parametrize("name", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_pools(single, isa, name, activation):
    left, right = pairs()
    settings = {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 1}
    for channels in (1, 17):  # less than a vector, and more
        values = np.repeat(np.stack([left, right], 1)[:, None, :, None], channels, axis=3)
        result = [((len(left), 1, 1, channels), "float32")]
        settings["fusedActivationFunction"] = activation
        agree(*single(name, [values], result, "Pool2DOptions", **settings), exact=False)


@pytest.mark.parametrize("after", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_an_activation_that_is_fused_is_the_one_that_is_not(tiny, isa, after):
    """A layer takes the operators after it in; a value that is an output, too, keeps them apart."""
    left, right = pairs()
    for apart in (False, True):
        file = tiny.File()
        graph = file.graph()
        shape = (1, 1, len(left), 1)
        source = graph.input(shape)
        (product,) = graph.operator(
            "MUL", [source, graph.constant(right.reshape(shape))], [(shape, "float32")], "MulOptions"
        )
        (clamped,) = graph.operator(after, [product], [(shape, "float32")])
        graph.outputs([clamped, product] if apart else [clamped])
        agree(file.bytes(), [left.reshape(shape)])


@pytest.mark.parametrize("name", ["DIV", "FLOOR_DIV", "FLOOR_MOD"])
def test_whole_numbers_divided_by_zero_are_refused_by_both(single, name):
    options = "DivOptions" if name == "DIV" else None
    values = np.int32([1, 0, -5])
    data, inputs = single(name, [values, np.int32([1, 0, 2])], [((3,), "int32")], options)
    for run in (NativeNetwork(data), Interpreter(flatbuffer.read(data)).run):
        with pytest.raises(native_backend.ModelFileError, match="divided by zero"):
            run(inputs)


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_filters_that_are_no_numbers_meet_no_padding(single, name):
    for padding in (0, 1):
        filters = np.ones((1, 2, 2, 1), np.float32)
        filters[0, 0, 0, 0] = np.inf
        shape = (1, 3, 3, 1) if padding == 0 else (1, 2, 2, 1)
        settings = {"padding": padding, "strideW": 1, "strideH": 1}
        options = "Conv2DOptions" if name == "CONV_2D" else "DepthwiseConv2DOptions"
        inputs = [np.ones((1, 3, 3, 1), np.float32), (filters,)]
        data, values = single(name, inputs, [(shape, "float32")], options, **settings)
        if padding:
            agree(data, values)
            continue
        for run in (
            lambda data=data: NativeNetwork(data),
            lambda data=data, values=values: Interpreter(flatbuffer.read(data)).run(values),
        ):
            with pytest.raises(native_backend.ModelFileError, match="holds infinity or NaN"):
                run()
