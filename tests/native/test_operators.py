"""Every operator of the native backend against the reference backend."""

import numpy as np
import pytest
from native.compilers import needs_library
from operator_cases import CASES, CONV, IMAGE, ONE, SENSELESS, A, as_arrays, floats, whole

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library


def build(single, name, inputs, outputs, options=None, **settings):
    return single(name, list(as_arrays(inputs)), outputs, options, **settings)


def both(data, values):
    return NativeNetwork(data)(values), Interpreter(flatbuffer.read(data)).run(values)


@pytest.mark.parametrize("name", CASES)
def test_operator_agrees_with_the_reference_backend(name, single):
    operator, inputs, outputs, options, settings = CASES[name]
    found, expected = both(*build(single, operator, inputs, outputs, options, **settings))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_operator_on_constants_is_done_when_the_file_is_loaded(name, single):
    operator, inputs, outputs, options, settings = CASES[name]
    constants = [
        value if value is None else (np.asarray(value[0] if isinstance(value, tuple) else value),)
        for value in as_arrays(inputs)
    ]
    data, values = single(operator, constants, outputs, options, **settings)
    assert values == []
    network = NativeNetwork(data)
    assert network.plan == ""
    for ours, theirs in zip(network([]), Interpreter(flatbuffer.read(data)).run([]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", ["COMPLEX_ABS", "REAL", "IMAG"])
@pytest.mark.parametrize("length", [16, 12, 20])
def test_spectrum(tiny, part, length):
    file = tiny.File()
    graph = file.graph()
    frames = floats(3, 1, length)
    spectrum = graph.operator(
        "RFFT2D", [graph.input(frames.shape), graph.constant([1, 16], "int32")], [((3, 1, 9), "complex64")]
    )
    graph.outputs(graph.operator(part, spectrum, [((3, 1, 9), "float32")]))
    (found,), (expected,) = both(file.bytes(), [frames])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


BINARY = ("MAXIMUM", "MINIMUM", "FLOOR_MOD", "FLOOR_DIV", "PRELU", "SQUARED_DIFFERENCE")
SPECIAL = np.float32([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-39, -1e-39, 3.5, -3.5, 2.5, 7, -7])


@pytest.mark.parametrize(
    ("operator", "options"),
    [
        *[(name, None) for name in ("ABS", "NEG", "SIGN", "ROUND", "FLOOR", "RELU", "RELU6", "RELU_N1_TO_1", "SQUARE")],
        *[(f"{name}", f"{name.capitalize()}Options") for name in ("ADD", "SUB", "MUL", "DIV")],
        *[(name, None) for name in BINARY],
    ],
)
def test_special_numbers_give_the_same_to_the_last_bit(single, operator, options):
    binary = options is not None or operator in BINARY
    inputs = [np.repeat(SPECIAL, len(SPECIAL)), np.tile(SPECIAL, len(SPECIAL))] if binary else [SPECIAL]
    found, expected = both(*single(operator, inputs, [(inputs[0].shape, "float32")], options))
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM"])
def test_whole_numbers_wrap_around(single, operator, dtype):
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    left = np.array([least, least, most, most, -7, 7, -7, 7], dtype)
    right = np.array([1, -1, 1, -1, 2, -2, -2, 2], dtype)
    if operator.startswith("FLOOR"):
        left[:2] = least + 1  # whose quotient by -1 NumPy warns of
    options = f"{operator.capitalize()}Options" if operator in ("ADD", "SUB", "MUL") else None
    found, expected = both(*single(operator, [left, right], [(left.shape, dtype)], options))
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize(
    ("operator", "inputs", "output", "options", "settings", "message"),
    [
        *SENSELESS,
        ("SLICE", [A, np.int32([0, 0, 0]), whole(2, 1, 1)], (2, 1, 1), None, {}, "only known during a run"),
        ("ADD", [A, floats(3)], A.shape, "AddOptions", {}, "do not go together"),
        ("CONV_2D", [IMAGE, floats(1, 2, 2, 4)], (2, 5, 4, 1), CONV, ONE, "input 1 must be a constant"),
        ("CUMSUM", [A, whole(0)], A.shape, None, {}, "the native backend lacks the operator CUMSUM"),
    ],
)
def test_operators_that_make_no_sense_are_an_artifact_error(
    single, operator, inputs, output, options, settings, message
):
    outputs = output if isinstance(output, list) else [(output, "float32")]
    data, values = build(single, operator, inputs, outputs, options, **settings)
    with pytest.raises(ModelFileError, match=message):
        NativeNetwork(data)(values)
