"""The reader of files: what it finds in good ones, and that bad ones end in ModelFileError and nothing else."""

import dataclasses

import flatbuffers
import numpy as np
import pytest
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer, header
from bnn_exit.model_file.flexbuffer import read_map
from bnn_exit.model_file.tables import Buffer
from bnn_exit.runtime.reference.interpreter import Interpreter


@pytest.fixture(scope="module")
def small(tiny):
    return tiny.everything_file()


def test_what_a_file_holds(small):
    model = flatbuffer.read(small)
    main, leave, deeper = model.subgraphs
    assert model.description == "made by a test"
    assert model.metadata == {"note": b"hello"}
    assert (main.name, leave.name, deeper.name) == ("main", "leave", "deeper")
    assert [main.tensors[index].name for index in main.inputs] == ["log_mel", "thresholds"]
    assert [(main.tensors[index].shape, main.tensors[index].dtype) for index in main.inputs] == [
        ((1, 2, 2, 3), "float32"),
        ((1,), "float32"),
    ]
    assert model.signatures["serving_default"] == header.Signature(
        {"log_mel": main.inputs[0], "thresholds": main.inputs[1]}, {"probabilities": main.outputs[0]}, 0
    )
    names = ["LceQuantize", "LceBconv2d", "ADD", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "MEAN", "LESS", "IF"]
    assert [operator.name for operator in main.operators] == names
    assert [operator.custom for operator in main.operators] == [True, True, *[False] * 7]
    convolution, pool, choice = (main.operators[index] for index in (1, 3, 8))
    assert convolution.inputs[4] == -1
    assert convolution.options == {
        "channels_in": 3,
        "dilation_height_factor": 1,
        "dilation_width_factor": 1,
        "fused_activation_function": "RELU",
        "pad_values": 1,
        "padding": "SAME",
        "stride_height": 1,
        "stride_width": 1,
    }
    assert pool.options["padding"] == "VALID" and pool.options["fused_activation_function"] == "NONE"
    assert flatbuffer.branches(choice) == (1, 2) and flatbuffer.branches(pool) == ()
    filters = main.tensors[convolution.inputs[1]]
    np.testing.assert_array_equal(filters.array(), np.arange(36).reshape(4, 3, 3, 1))
    assert main.tensors[main.inputs[0]].array() is None


def test_the_branch_that_is_not_taken_is_not_run(small):
    interpreter = Interpreter(flatbuffer.read(small))
    clip = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    steps = []

    def observe(subgraph, operator, results):
        steps.append((subgraph, operator.name, results[0].shape))

    (left,) = interpreter.run([clip, np.float32([1e6])], observe=observe)
    assert steps[-2:] == [(1, "NEG", (1, 4)), (0, "IF", (1, 4))]
    (went_on,) = interpreter.run([clip, np.float32([-1e6])], observe=observe)
    assert steps[-2:] == [(2, "EXP", (1, 4)), (0, "IF", (1, 4))]
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(np.exp(-left), went_on, rtol=1e-6)


def test_results_are_not_shared_with_later_calls_or_constants(small):
    interpreter = Interpreter(flatbuffer.read(small))
    clip = np.ones((1, 2, 2, 3), np.float32)
    (first,) = interpreter.run([clip, np.float32([1e6])])
    before = first.copy()
    (second,) = interpreter.run([-clip, np.float32([1e6])])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, before)
    first[:] = 9
    np.testing.assert_array_equal(interpreter.run([clip, np.float32([1e6])])[0], before)


def test_every_truncation_is_an_artifact_error_or_harmless(small):
    whole = flatbuffer.read(small)
    harmless = 0
    for size in range(len(small)):
        try:
            model = flatbuffer.read(small[:size])
        except ModelFileError as error:
            assert "\n" not in str(error)
        else:
            # Only padding behind the last piece of data may be missing.
            assert model == whole and size > len(small) - 16
            harmless += 1
    assert harmless < 16


def outcome(data):
    """Read and run a file however damaged it is; anything but ModelFileError is a failure of the test."""
    try:
        model = flatbuffer.read(data)
        interpreter = Interpreter(model)
        inputs = [
            np.zeros(model.subgraphs[0].tensors[index].shape, model.subgraphs[0].tensors[index].dtype)
            for index in model.subgraphs[0].inputs
            if model.subgraphs[0].tensors[index].dtype in ("float32", "int32", "bool")
        ]
        interpreter.run(inputs)
    except ModelFileError as error:
        assert "\n" not in str(error)
        return "refused"
    return "ran"


def test_one_damaged_byte_anywhere(small):
    outcomes = set()
    for position in range(len(small)):
        damaged = bytearray(small)
        damaged[position] ^= (0x01, 0x80, 0xFF, 0x04)[position % 4]
        outcomes.add(outcome(bytes(damaged)))
    assert outcomes == {"refused", "ran"}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_damage(small, data):
    damaged = bytearray(small)
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(damaged) - 4))
        damaged[position : position + 4] = data.draw(st.binary(min_size=4, max_size=4) | st.just(bytes(4)))
    outcome(bytes(damaged))


@given(st.binary(max_size=200))
def test_random_bytes_after_the_identifier(data):
    with pytest.raises(ModelFileError):
        flatbuffer.read(b"\x10\0\0\0TFL3" + data)


@given(st.binary(max_size=200))
def test_random_bytes_are_not_a_tflite_file(data):
    if data[4:8] != b"TFL3":
        with pytest.raises(ModelFileError, match=r"^this is not a TFLite file: it (is empty|does not begin as one)$"):
            flatbuffer.read(data)


def test_lists_that_refer_to_one_another_do_not_unfold():
    """A thousand times the same table with a list of a thousand numbers: four megabytes out of eight kilobytes."""
    builder = flatbuffers.Builder()
    numbers = builder.CreateNumpyVector(np.arange(1000, dtype=np.int32))
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, numbers, 0)
    table = builder.EndObject()
    builder.StartVector(4, 1000, 4)
    for _ in range(1000):
        builder.PrependUOffsetTRelative(table)
    tables = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, tables, 0)
    builder.Finish(builder.EndObject())
    once = next(Buffer(bytes(builder.Output())).root().tables(0))
    assert once.int32s(0) == tuple(range(1000))
    with pytest.raises(ModelFileError, match="refer to one another without end"):
        [entry.int32s(0) for entry in Buffer(bytes(builder.Output())).root().tables(0)]


def change(tiny, edit):
    """A small valid file after `edit(file, graph)` spoils it."""
    file = tiny.File()
    graph = file.graph()
    graph.outputs(graph.operator("NEG", [graph.input((1, 4))], [((1, 4), "float32")]))
    edit(file, graph)
    return file.bytes()


def spoil_if(file, graph, *, then, otherwise):
    condition = graph.constant(True, "bool")
    branches = {"thenSubgraphIndex": then, "elseSubgraphIndex": otherwise}
    graph.outputs(graph.operator("IF", [condition, 0], [((1, 4), "float32")], "IfOptions", **branches))


SPOILED = {
    "schema": (lambda file, graph: setattr(file.model, "version", 2), "is of schema 2, but bnn_exit reads schema 3"),
    "no subgraph": (lambda file, graph: file.model.subgraphs.clear(), "holds 0 subgraphs"),
    "too many subgraphs": (lambda file, graph: [file.graph() for _ in range(300)], "holds 301 subgraphs"),
    "input of an operator": (
        lambda file, graph: setattr(graph.table.operators[0], "inputs", [7]),
        "an input of NEG is number 7 of 2",
    ),
    "negative output": (
        lambda file, graph: setattr(graph.table.operators[0], "outputs", [-1]),
        "an output of NEG is number -1 of 2",
    ),
    "output of a subgraph": (
        lambda file, graph: graph.outputs([9]),
        "an output of a subgraph is number 9 of 2",
    ),
    "operator code": (
        lambda file, graph: setattr(graph.table.operators[0], "opcodeIndex", 3),
        "an operator code is number 3 of 1",
    ),
    "buffer": (lambda file, graph: setattr(graph.table.tensors[0], "buffer", 5), "a buffer is number 5 of 1"),
    "element type": (lambda file, graph: setattr(graph.table.tensors[0], "type", 99), "an element type is number 99"),
    "shape": (lambda file, graph: setattr(graph.table.tensors[0], "shape", [2**20, 2**20]), "has the shape"),
    "negative shape": (lambda file, graph: setattr(graph.table.tensors[0], "shape", [-4]), "has the shape"),
    "size of a constant": (
        lambda file, graph: setattr(graph.table.tensors[graph.constant([1, 2])], "shape", [3]),
        "has 8 bytes, but its shape needs 12",
    ),
    "signature": (lambda file, graph: file.signature({"x": 0}, {"y": 40}), "a tensor of a signature is number 40 of 2"),
    "options of another": (
        lambda file, graph: graph.operator("MEAN", [0, 1], [((1,), "float32")], "AddOptions"),
        "an operator MEAN has the options of another",
    ),
    "padding": (
        lambda file, graph: graph.operator("MAX_POOL_2D", [0], [((1, 4), "float32")], "Pool2DOptions", padding=2),
        "padding of MAX_POOL_2D is number 2 of 2",
    ),
    "branch": (
        lambda file, graph: spoil_if(file, graph, then=1, otherwise=2),
        "a branch of an IF in subgraph 0 is number 1 of 1",
    ),
    "circle": (lambda file, graph: spoil_if(file, graph, then=0, otherwise=0), "subgraph 0 runs itself"),
    "weights elsewhere": (
        lambda file, graph: setattr(file.model.buffers[0], "offset", 4096),
        "keeps its weights behind the flatbuffer",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_wrong_is_said(tiny, name):
    edit, message = SPOILED[name]
    with pytest.raises(ModelFileError, match=message) as caught:
        flatbuffer.read(change(tiny, edit))
    assert "\n" not in str(caught.value)


def test_branches_that_would_unfold_without_end(tiny):
    """Each of 40 subgraphs runs the next one twice: a trillion steps from a few kilobytes."""
    file = tiny.File()
    graphs = [file.graph() for _ in range(41)]
    for index, graph in enumerate(graphs):
        value = graph.input((1, 4))
        if index < 40:
            branches = {"thenSubgraphIndex": index + 1, "elseSubgraphIndex": index + 1}
            for _ in range(2):
                condition = graph.constant(True, "bool")
                (value,) = graph.operator("IF", [condition, value], [((1, 4), "float32")], "IfOptions", **branches)
        graph.outputs([value])
    with pytest.raises(ModelFileError, match=r"unfolds into \d+ steps"):
        flatbuffer.read(file.bytes())


LACKING = {
    "unknown builtin": (
        lambda file, graph: graph.outputs(graph.operator("CUMSUM", [0], [((1, 4), "float32")])),
        r"the reference backend lacks the operator CUMSUM, which subgraph 0 \(main\) uses: choose the lce backend",
    ),
    "unknown custom": (
        lambda file, graph: graph.outputs(graph.operator("CustomThing", [0], [((1, 4), "float32")])),
        "lacks the operator CustomThing, which subgraph 0",
    ),
    "newer builtin": (
        lambda file, graph: setattr(file.model.operatorCodes[0], "builtinCode", 500),
        "lacks the operator builtin operator 500",
    ),
    "reads too early": (
        lambda file, graph: setattr(graph.table.operators[0], "inputs", [graph.tensor((1, 4))]),
        "NEG in subgraph 0 reads what no earlier step writes",
    ),
    "writes twice": (
        lambda file, graph: graph.table.operators.append(graph.table.operators[0]),
        "NEG in subgraph 0 writes what is already there",
    ),
    "output unwritten": (
        lambda file, graph: graph.outputs([graph.tensor((1, 4))]),
        "an output of subgraph 0 is never written",
    ),
    "variable": (
        lambda file, graph: setattr(graph.table.tensors[0], "isVariable", True),
        "tensor 't0' of subgraph 0 is a variable, which the reference backend does not run",
    ),
}


@pytest.mark.parametrize("name", LACKING)
def test_what_the_reference_backend_lacks_is_said_when_a_file_is_loaded(tiny, name):
    edit, message = LACKING[name]
    model = flatbuffer.read(change(tiny, edit))
    with pytest.raises(ModelFileError, match=message):
        Interpreter(model)


def test_a_quantized_tensor_is_refused(tiny):
    def edit(file, graph):
        quantization = tiny.schema().QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [0.5], [3]
        graph.table.tensors[0].quantization = quantization

    with pytest.raises(ModelFileError, match="tensor 't0' of subgraph 0 is quantized"):
        Interpreter(flatbuffer.read(change(tiny, edit)))


def test_an_if_that_does_not_fit_its_branch(tiny):
    def edit(file, graph):
        spoil_if(file, graph, then=1, otherwise=1)
        file.graph("empty")

    with pytest.raises(ModelFileError, match="an IF in subgraph 0 does not fit its branch, subgraph 1"):
        Interpreter(flatbuffer.read(change(tiny, edit)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "subgraph 0 takes 1 inputs, but got 0"),
        ([np.zeros((1, 3), np.float32)], r"an input of subgraph 0 is float32 \[1, 3\], but must be float32 \[1, 4\]"),
        ([np.zeros((1, 4))], r"is float64 \[1, 4\], but must be float32"),
    ],
)
def test_inputs_that_do_not_fit(tiny, inputs, message):
    interpreter = Interpreter(flatbuffer.read(change(tiny, lambda file, graph: None)))
    with pytest.raises(ModelFileError, match=message):
        interpreter.run(inputs)


def test_a_dynamic_tensor_may_have_another_shape(tiny):
    def edit(file, graph):
        for tensor in graph.table.tensors:
            tensor.shapeSignature = [-1, 4]

    model = flatbuffer.read(change(tiny, edit))
    assert model.subgraphs[0].tensors[0].dynamic
    assert Interpreter(model).run([np.ones((3, 4), np.float32)])[0].shape == (3, 4)


VALUES = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, width=32),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300),
)
NAMES = st.text(st.characters(min_codepoint=1, max_codepoint=126), min_size=1, max_size=40)


@given(st.dictionaries(NAMES, VALUES, max_size=12))
def test_maps_that_another_writer_wrote(values):
    assert read_map(bytes(flexbuffers.Dumps(values))) == values


@pytest.mark.parametrize("value", [[1, 2], {"deeper": 1}, b"bytes"])
def test_maps_of_lists_are_refused(value):
    with pytest.raises(ModelFileError, match="option x is of a kind that no operator uses"):
        read_map(bytes(flexbuffers.Dumps({"x": value})))


def test_a_map_that_is_none_is_refused():
    with pytest.raises(ModelFileError, match="the options of an operator are not a map"):
        read_map(bytes(flexbuffers.Dumps([1, 2, 3])))


@given(data=st.data())
def test_damaged_maps(data):
    whole = bytearray(flexbuffers.Dumps({"padding": 1, "name": "text", "scale": 0.25, "flag": True}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(0, len(whole)))
    try:
        values = read_map(bytes(whole[:size]))
    except ModelFileError:
        return
    assert all(isinstance(name, str) for name in values)


def test_models_are_plain_values(small):
    assert flatbuffer.read(small) == flatbuffer.read(bytearray(small))
    with pytest.raises(dataclasses.FrozenInstanceError):
        flatbuffer.read(small).description = "other"
