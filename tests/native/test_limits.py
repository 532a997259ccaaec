"""What a file may ask for: shapes, numbers of inputs and outputs, memory and work, in both backends."""

import re
from pathlib import Path

import numpy as np
import pytest
from native.compilers import needs_library
from operator_cases import CASES, as_arrays, floats, whole

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import arity, flatbuffer
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference import interpreter as reference
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library
CORE = Path(native_backend.__file__).parent / "native" / "core"
BIG = 2**31 - 1


def on_native(data, values, **limits):
    return NativeNetwork(data, **limits)(values)


def on_reference(data, values):
    return Interpreter(flatbuffer.read(data)).run(values)


BACKENDS = pytest.mark.parametrize("run", [on_native, on_reference])


def make(single, name, *, more_inputs=(), more_outputs=()):
    operator, inputs, outputs, options, settings = CASES[name]
    return single(operator, [*as_arrays(inputs), *more_inputs], [*outputs, *more_outputs], options, **settings)


def test_both_backends_have_one_table_of_inputs_and_outputs():
    text = (CORE / "format" / "arity.inc").read_text().replace("kMany", str(arity.MANY))
    rows = re.findall(r"^BNN_EXIT_ARITY\((\w+), (\d+), (\d+), (\d+), (\d+)\)$", text, re.MULTILINE)
    assert {name: tuple(map(int, numbers)) for name, *numbers in rows} == arity.ARITY
    names = set(re.findall(r'\{"(\w+)", \w+(?:<[^>]*>)?\}', "".join(path.read_text() for path in CORE.rglob("*.cpp"))))
    assert set(arity.ARITY) == {*reference.OPERATORS, "IF"}
    assert set(reference.OPERATORS) <= names


@BACKENDS
@pytest.mark.parametrize("name", CASES)
def test_inputs_and_outputs_that_nothing_reads_or_writes_are_refused(name, run, single):
    _, most_inputs, _, most_outputs = arity.ARITY[CASES[name][0]]
    found = [*as_arrays(CASES[name][1])]
    if most_inputs != arity.MANY:
        spare = [found[0]] * (most_inputs + 1 - len(found))
        with pytest.raises(ModelFileError, match=r"has \d+ inputs"):
            run(*make(single, name, more_inputs=spare))
    with pytest.raises(ModelFileError, match=r"has \d+ outputs"):
        run(*make(single, name, more_outputs=CASES[name][2][:1]))
    if most_outputs == arity.MANY:
        return
    with pytest.raises(ModelFileError, match="has 0 outputs"):
        operator, inputs, _, options, settings = CASES[name]
        run(*single(operator, [*as_arrays(inputs)], [], options, **settings))


def test_an_operator_of_the_reference_backend_leaves_what_it_reads(tiny):
    file = tiny.File()
    graph = file.graph()
    source, constant = graph.input((3,)), graph.constant([1, 2, 3])
    graph.outputs([source, *graph.operator("ADD", [source, constant], [((3,), "float32")]), constant])
    values = np.float32([4, 5, 6])
    seen = []
    Interpreter(flatbuffer.read(file.bytes())).run([values], observe=lambda _, __, results: seen.extend(results))
    results = Interpreter(flatbuffer.read(file.bytes())).run([values])
    np.testing.assert_array_equal(results[0], values)
    values += 1  # still the caller's own


@BACKENDS
@pytest.mark.parametrize("shape", [(BIG, BIG, 0), (0, 2**26, 2**26), (2**14, 2**13), (2**27, 0), (1,) * 9])
def test_a_tensor_with_axes_that_no_network_has(run, shape, tiny):
    file = tiny.File()
    graph = file.graph()
    graph.outputs(graph.operator("ABS", [graph.input(shape)], [(shape, "float32")]))
    with pytest.raises(ModelFileError, match="has the shape"):
        run(file.bytes(), [])


EMPTY = floats(2, 0, 3)


@BACKENDS
@pytest.mark.parametrize(
    ("operator", "inputs", "options", "settings"),
    [
        ("RESHAPE", [EMPTY, whole(BIG, BIG, 0)], "ReshapeOptions", {}),
        ("RESHAPE", [EMPTY], "ReshapeOptions", {"newShape": [BIG, BIG, 0]}),
        ("PAD", [EMPTY, ([[BIG, BIG], [0, 0], [BIG, BIG]],)], None, {}),
        ("MIRROR_PAD", [EMPTY, ([[BIG, BIG], [0, 0], [BIG, BIG]],)], "MirrorPadOptions", {"mode": 1}),
        ("TILE", [EMPTY, whole(2**25, 1, 2**25)], None, {}),
        ("BROADCAST_TO", [EMPTY, whole(BIG, BIG, 2, 0, 3)], None, {}),
        ("FILL", [whole(BIG, BIG, 0), np.float32(1)], None, {}),
        ("SPACE_TO_BATCH_ND", [floats(1, 0, 0, 1), whole(BIG, BIG), ([[0, 0], [0, 0]],)], None, {}),
        ("SPACE_TO_BATCH_ND", [floats(1, 0, 1, 1), whole(1, 1), ([[0, 0], [0, BIG]],)], None, {}),
        ("BATCH_TO_SPACE_ND", [floats(0, 1, 1, 1), whole(BIG, BIG), ([[0, 0], [0, 0]],)], None, {}),
        ("GATHER", [floats(2**15, 1, 0), whole(*[0] * 4096)], "GatherOptions", {"axis": 1}),
        ("ADD", [floats(0, 2**20, 1), floats(0, 1, 2**20)], "AddOptions", {}),
        ("LESS", [floats(0, 2**20, 1), floats(0, 1, 2**20)], None, {}),
        ("SELECT_V2", [np.ones((2**14, 1, 0), bool), floats(2**13, 0), np.float32(0)], None, {}),
        ("BATCH_MATMUL", [floats(0, 2**20, 0), floats(0, 0, 2**20)], "BatchMatMulOptions", {}),
        ("EXPAND_DIMS", [floats(1, 1, 1, 1, 1, 1, 1, 1), whole(0)], None, {}),
        ("SLICE", [floats(2), whole(BIG), whole(BIG)], None, {}),
        ("RANGE", [np.float32(0), (np.float32(3e38),), (np.float32(1e-38),)], None, {}),
        ("RANGE", [np.float32(0), (np.float32(np.nan),), (np.float32(1),)], None, {}),
        ("RANGE", [np.int32(0), (np.int32(5),), (np.int32(0),)], None, {}),
    ],
)
def test_a_shape_that_an_operator_makes_is_checked_before_it_is_used(single, run, operator, inputs, options, settings):
    dtype = "bool" if operator == "LESS" else as_dtype(inputs, operator)
    data, values = single(operator, list(as_arrays(inputs)), [((0,), dtype)], options, **settings)
    with pytest.raises(ModelFileError, match=f"{operator}.* cannot be computed"):
        run(data, values)


def as_dtype(inputs, operator):
    return next(as_arrays(inputs)).dtype.name if operator == "RANGE" and inputs[0].dtype == np.int32 else "float32"


@BACKENDS
@pytest.mark.parametrize(
    ("operator", "inputs", "output", "options"),
    [
        ("SUM", [floats(2**11, 0, 2**11), whole(1)], (2**11, 2**11), "ReducerOptions"),
        ("MEAN", [floats(2**20, 0), whole(0, 1)], (), "ReducerOptions"),
        ("TRANSPOSE", [floats(2**26, 0), whole(1, 0)], (0, 2**26), None),
        ("PAD", [floats(0, 2**25), ([[0, 0], [2**24, 2**24]],)], (0, 2**26), None),
        ("TILE", [floats(0, 1), whole(5, 2**26)], (0, 2**26), None),
        ("CONCATENATION", [floats(2**20, 0), floats(2**20, 0)], (2**20, 0), "ConcatenationOptions"),
        ("SPACE_TO_BATCH_ND", [floats(0, 2**13, 2**13, 1), whole(1, 1), ([[0, 0]] * 2,)], (0, 2**13, 2**13, 1), None),
    ],
)
def test_what_has_no_values_takes_no_time_and_no_memory(single, run, operator, inputs, output, options):
    settings = {"axis": 1} if operator == "CONCATENATION" else {}
    data, values = single(operator, list(as_arrays(inputs)), [(output, "float32")], options, **settings)
    limits = {"max_bytes": 2**25, "max_operations": 2**27} if run is on_native else {}
    assert run(data, values, **limits)[0].shape == output


@BACKENDS
def test_a_stride_longer_than_the_values_takes_one_of_them(single, run):
    inputs = [floats(3, 2**10), whole(1, 0), whole(3, 2**10), whole(2**31 - 1, 2**31 - 1)]
    data, values = single("STRIDED_SLICE", list(as_arrays(inputs)), [((1, 1), "float32")], "StridedSliceOptions")
    np.testing.assert_array_equal(run(data, values)[0], values[0][1:2, :1])


@BACKENDS
@pytest.mark.parametrize("far", [2**40, 2**62, 2**63 - 1])
def test_a_slice_may_end_anywhere(single, run, far):
    def slice_of(shape, *bounds):
        inputs = [floats(3, 5), *(whole(*values, dtype=np.int64) for values in bounds)]
        data, values = single("STRIDED_SLICE", list(as_arrays(inputs)), [(shape, "float32")], "StridedSliceOptions")
        return run(data, values)[0], values[0]

    found, values = slice_of((1, 5), [0, -far], [far, far], [far, 1])
    np.testing.assert_array_equal(found, values[:1])
    found, values = slice_of((3, 5), [far, -1], [-far - 1, -far - 1], [-1, -1])
    np.testing.assert_array_equal(found, values[::-1, ::-1])


@BACKENDS
@pytest.mark.parametrize("name", ["ADD", "IF", "CUSTOM"])
def test_a_custom_operator_that_is_called_as_a_builtin_one(run, tiny, name):
    file = tiny.File()
    graph = file.graph()
    graph.outputs(graph.operator("CustomThing", [graph.input((3,))], [((3,), "float32")]))
    file.model.operatorCodes[0].customCode = name
    with pytest.raises(ModelFileError, match=f"a custom operator is called {name}"):
        run(file.bytes(), [np.ones(3, np.float32)])
