"""What one backend refuses the other refuses, too: cases that random graphs and changed files brought up."""

import numpy as np
import pytest
from native.compilers import needs_library
from operator_cases import floats, whole

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library


def on_native(data, values):
    return NativeNetwork(data)(values)


def on_reference(data, values):
    return Interpreter(flatbuffer.read(data)).run(values)


BACKENDS = pytest.mark.parametrize("run", [on_native, on_reference])


def binary(single, *, packed, settings=None, filters=None, parts=None):
    """A binary convolution of 3 filters, packed or not."""
    words, rest = np.zeros((1, 4, 4, 1), np.int32), np.int32([1, 2, 3]) if packed else np.float32([1, 2, 3])
    constants = [None, None, (rest,)] if packed else [(rest,), (rest,), None]
    options = {
        **{"channels_in": 5, "padding": 0, "pad_values": 1, "fused_activation_function": 0},
        **{"stride_height": 1, "stride_width": 1, "dilation_height_factor": 1, "dilation_width_factor": 1},
        **(settings or {}),
    }
    filters = np.ones((3, 2, 2, 1), np.int32) if filters is None else filters
    output = ((1, 4, 4, 1), "int32") if packed else ((1, 4, 4, 3), "float32")
    return single("LceBconv2d", [words, (filters,), *(parts or constants)], [output], **options)


@BACKENDS
def test_settings_of_lce_are_whole_numbers_however_they_are_kept(single, run):
    as_they_are, as_floats = binary(single, packed=False), binary(single, packed=False, settings={"padding": 0.0})
    np.testing.assert_array_equal(run(*as_floats)[0], run(*as_they_are)[0])
    for value in (0.5, 2.0, float("nan")):
        with pytest.raises(ModelFileError):
            run(*binary(single, packed=False, settings={"padding": value}))


@BACKENDS
def test_one_size_alone_may_be_left_to_be_found_out(single, run):
    with pytest.raises(ModelFileError, match="RESHAPE"):
        run(*single("RESHAPE", [floats(7, 4), whole(-3, 7, 4)], [((1, 7, 4), "float32")], "ReshapeOptions"))


AXES = {  # operator -> its inputs, outputs and options for an axis that does not exist
    "ARG_MAX": lambda axis: ([floats(1, 1, 1, 1), whole(axis)], [((), "int32")], "ArgMaxOptions", {"outputType": 2}),
    "SPLIT": lambda axis: ([whole(axis), floats(4)], [((2,), "float32")] * 2, "SplitOptions", {"numSplits": 2}),
    "SPLIT_V": lambda axis: (
        [floats(4), whole(2, 2), whole(axis)],
        [((2,), "float32")] * 2,
        "SplitVOptions",
        {"numSplits": 2},
    ),
    "PACK": lambda axis: (
        [floats(4), floats(4)],
        [((2, 4), "float32")],
        "PackOptions",
        {"valuesCount": 2, "axis": axis},
    ),
    "UNPACK": lambda axis: ([floats(2, 4)], [((4,), "float32")] * 2, "UnpackOptions", {"num": 2, "axis": axis}),
    "GATHER": lambda axis: ([floats(4), whole(1)], [((1,), "float32")], "GatherOptions", {"axis": axis}),
    "MEAN": lambda axis: ([floats(1, 1), whole(axis)], [((1,), "float32")], "ReducerOptions", {}),
    "CONCATENATION": lambda axis: ([floats(4)] * 2, [((8,), "float32")], "ConcatenationOptions", {"axis": axis}),
    "EXPAND_DIMS": lambda axis: ([floats(4), whole(axis)], [((4, 1), "float32")], None, {}),
}


@BACKENDS
@pytest.mark.parametrize("axis", [32, -33, 2**31 - 1])
@pytest.mark.parametrize("operator", AXES)
def test_an_axis_exists(single, run, operator, axis):
    inputs, outputs, options, settings = AXES[operator](axis)
    with pytest.raises(ModelFileError, match=f"{operator}.*axis"):
        run(*single(operator, inputs, outputs, options, **settings))


@BACKENDS
@pytest.mark.parametrize("name", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize("axis", [2, -3, 32, 64])
def test_an_axis_that_is_not_there(single, run, name, axis):
    options = f"Arg{name[4:].capitalize()}Options"
    with pytest.raises(ModelFileError, match=name):
        run(*single(name, [floats(7, 4), whole(axis)], [((), "int32")], options, outputType=2))


@BACKENDS
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"pad_values": "x"}},
        {"settings": {"channels_in": 33}},
        {"filters": np.ones((3, 2, 2, 1), np.float32)},
        {"parts": [None, None, None]},
        {"parts": [(np.float32([1]),), (np.float32([1]),), (np.int32([1]),)]},
        {"parts": [(np.int32([1, 2, 3]),), (np.int32([1, 2, 3]),), (np.float32([1, 2, 3]),)]},
    ],
)
def test_binary_convolutions_of_parts_that_do_not_fit(single, run, packed, change):
    with pytest.raises(ModelFileError):
        run(*binary(single, packed=packed, **change))


BLOCKS = (np.zeros((2, 2), np.int32),)
UNFIT = {  # what NumPy takes, and TFLite's operator does not
    "SOFTMAX": ([np.array(2, np.float32)], [((), "float32")], "SoftmaxOptions", {"beta": 1.0}),
    "LOG_SOFTMAX": ([np.array(2, np.float32)], [((), "float32")], None, {}),
    "GATHER": ([floats(4), np.uint8([1])], [((1,), "float32")], "GatherOptions", {}),
    "SPACE_TO_BATCH_ND": ([floats(1, 3, 4, 0), whole(2, 2), BLOCKS], [((4, 1, 2, 0), "float32")], None, {}),
    "BATCH_TO_SPACE_ND": ([floats(5, 3, 4, 0), whole(2, 2), BLOCKS], [((1, 6, 8, 0), "float32")], None, {}),
    "FULLY_CONNECTED": (
        [np.array(2, np.float32), (floats(3, 1),), None],
        [((3,), "float32")],
        "FullyConnectedOptions",
        {"keepNumDims": True},
    ),
}


@BACKENDS
@pytest.mark.parametrize("name", UNFIT)
def test_what_only_numpy_takes(single, run, name):
    inputs, outputs, options, settings = UNFIT[name]
    with pytest.raises(ModelFileError, match=name):
        run(*single(name, inputs, outputs, options, **settings))


@BACKENDS
def test_what_bits_do_not_need_may_be_anything(single, run):
    parts = [(np.int32([1]),), (np.float32([1]),), (np.int32([1, 2, 3]),)]
    assert run(*binary(single, packed=True, parts=parts))[0].shape == (1, 4, 4, 1)


@BACKENDS
def test_a_single_number_goes_through_every_step(tiny, run):
    file = tiny.File()
    graph = file.graph()
    (total,) = graph.operator(
        "SUM", [graph.input((3,)), graph.constant([0], "int32")], [((), "float32")], "ReducerOptions"
    )
    (part,) = graph.operator("ABS", [total], [((), "float32")])
    (real,) = graph.operator("REAL", [graph.input((), "complex64")], [((), "float32")])
    graph.outputs(graph.operator("ADD", [part, real], [((), "float32")], "AddOptions"))
    assert run(file.bytes(), [np.float32([1, -2, -4]), np.array(2 + 1j, np.complex64)])[0] == 7
