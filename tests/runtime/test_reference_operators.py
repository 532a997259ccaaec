"""Every builtin operator of the reference backend against TFLite's kernels, which LCE's interpreter carries."""

import numpy as np
import pytest
from operator_cases import CASES, SAME, SENSELESS, as_arrays, floats

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.reference.interpreter import OPERATORS, Interpreter

# Not single operators, because LCE's interpreter neither takes nor hands out complex numbers.
COMPLEX = {"COMPLEX_ABS": np.abs, "REAL": np.real, "IMAG": np.imag}
ELSEWHERE = {"LceQuantize", "LceDequantize", "LceBMaxPool2d", "LceBconv2d", "RFFT2D", *COMPLEX}


def test_every_operator_has_a_case():
    assert {operator for operator, *_ in CASES.values()} | ELSEWHERE == set(OPERATORS)


@pytest.mark.parametrize("name", CASES)
def test_operator_agrees_with_tflite(name, single, reference_run, lce_run):
    operator, inputs, outputs, options, settings = CASES[name]
    data, values = single(operator, list(as_arrays(inputs)), outputs, options, **settings)
    expected = lce_run(data, values)
    found = reference_run(data, values)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("part", COMPLEX)
@pytest.mark.parametrize("length", [16, 12])
def test_spectrum(tiny, reference_run, lce_run, part, length):
    file = tiny.File()
    graph = file.graph()
    frames = floats(3, 1, length)
    spectrum = graph.operator(
        "RFFT2D", [graph.input(frames.shape), graph.constant([1, 16], "int32")], [((3, 1, 9), "complex64")]
    )
    graph.outputs(graph.operator(part, spectrum, [((3, 1, 9), "float32")]))
    (found,) = reference_run(file.bytes(), [frames])
    np.testing.assert_allclose(found, COMPLEX[part](np.fft.rfft(frames.astype(np.float64), 16)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found, lce_run(file.bytes(), [frames])[0], rtol=1e-5, atol=1e-5)


def test_average_pooling_leaves_the_padding_out(single, reference_run):
    ones = np.ones((1, 3, 3, 1), np.float32)
    window = {"padding": SAME, "strideW": 2, "strideH": 2, "filterWidth": 2, "filterHeight": 2}
    data, inputs = single("AVERAGE_POOL_2D", [ones], [((1, 2, 2, 1), "float32")], "Pool2DOptions", **window)
    np.testing.assert_array_equal(reference_run(data, inputs)[0], np.ones((1, 2, 2, 1)))


@pytest.mark.parametrize(("operator", "inputs", "output", "options", "settings", "message"), SENSELESS)
def test_operators_that_make_no_sense_are_an_artifact_error(
    single, operator, inputs, output, options, settings, message
):
    outputs = output if isinstance(output, list) else [(output, "float32")]
    data, values = single(operator, list(as_arrays(inputs)), outputs, options, **settings)
    interpreter = Interpreter(flatbuffer.read(data))
    with pytest.raises(ModelFileError, match=message):
        interpreter.run(values)
