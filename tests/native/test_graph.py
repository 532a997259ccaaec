"""Subgraphs of a file on the native backend: branches, what they share, what must hold of each, how they are loaded."""

import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from native.compilers import needs_library

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library
SMALL_STACK = 128 * 1024  # of a thread of musl


def branch(graph, inputs, shapes, first, second):
    """An IF; the numbers of its subgraphs."""
    options = {"thenSubgraphIndex": first, "elseSubgraphIndex": second}
    return graph.operator("IF", inputs, [(shape, "float32") for shape in shapes], "IfOptions", **options)


def agrees(data, draws):
    network, reference = NativeNetwork(data), Interpreter(flatbuffer.read(data))
    random = np.random.default_rng(5)
    for _ in range(2):
        for condition in (True, False):
            values = [np.array([condition]), *(random.normal(size=shape).astype(np.float32) for shape in draws)]
            for ours, theirs in zip(network(values), reference.run(values), strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_results_that_are_the_same_value(tiny):
    """Inputs, constants and results of branches are handed out as they are, twice, reshaped, and in another order."""
    file = tiny.File()
    main = file.graph()
    condition, value, other = main.input((1,), "bool"), main.input((4,)), main.input((2, 2))
    # Fused with what follows unless somebody else reads it.
    (shifted,) = main.operator("ADD", [value, main.constant([1, 2, 3, 4])], [((4,), "float32")], "AddOptions")
    (flat,) = main.operator("RESHAPE", [other, main.constant([4], "int32")], [((4,), "float32")])
    results = branch(main, [condition, shifted, flat, shifted], [(4,)] * 4, 1, 2)
    (clamped,) = main.operator("RELU", [shifted], [((4,), "float32")])
    (again,) = main.operator("RESHAPE", [results[0], main.constant([2, 2], "int32")], [((2, 2), "float32")])
    (fixed,) = main.operator("NEG", [main.constant([1, 2])], [((2,), "float32")])
    main.outputs([value, *results, results[1], clamped, again, again, other, flat, fixed, main.constant([7])])
    first = file.graph("first")
    x, y, z = (first.input((4,)) for _ in range(3))
    (sum_,) = first.operator("ADD", [x, z], [((4,), "float32")], "AddOptions")
    (both,) = first.operator("MUL", [sum_, y], [((4,), "float32")], "MulOptions")
    first.outputs([both, y, both, first.constant([1, 2, 3, 4])])
    second = file.graph("second")
    x, y, z = (second.input((4,)) for _ in range(3))
    (square,) = second.operator("RESHAPE", [y, second.constant([2, 2], "int32")], [((2, 2), "float32")])
    (line,) = second.operator("RESHAPE", [square, second.constant([4], "int32")], [((4,), "float32")])
    second.outputs([line, x, y, z])
    agrees(file.bytes(), [(4,), (2, 2)])


@pytest.mark.parametrize("side", [0, 1])
def test_a_value_that_a_later_branch_reads(tiny, side):
    """A layer that waits for what is fused to it must still come before a branch that reads its signs or floats."""
    file = tiny.File()
    main = file.graph()
    shape, words = (1, 3, 3, 32), ((1, 3, 3, 1), "int32")
    condition, value, gate = main.input((1,), "bool"), main.input(shape), main.input(shape)
    (shifted,) = main.operator("ADD", [value, main.constant(np.arange(-16, 16))], [(shape, "float32")], "AddOptions")
    (signs,) = main.operator("LceQuantize", [shifted], [words])
    (floats,) = main.operator("LceDequantize", [signs], [(shape, "float32")])
    results = branch(main, [condition, shifted, floats], [shape], *((1, 2) if side else (2, 1)))
    (gated,) = main.operator("MUL", [results[0], gate], [(shape, "float32")], "MulOptions")
    (added,) = main.operator("ADD", [gated, shifted], [(shape, "float32")], "AddOptions")
    main.outputs([added])
    for name, operator in (("first", "MUL"), ("second", "ADD")):
        graph = file.graph(name)
        inputs = [graph.input(shape), graph.input(shape)]
        packed = graph.operator("LceQuantize", [inputs[0]], [words])
        (back,) = graph.operator("LceDequantize", packed, [(shape, "float32")])
        (made,) = graph.operator(operator, inputs, [(shape, "float32")], f"{operator.capitalize()}Options")
        graph.outputs(graph.operator("ADD", [made, back], [(shape, "float32")], "AddOptions"))
    agrees(file.bytes(), [shape, shape])


def nested(tiny, depth):
    file = tiny.File()
    graph = file.graph()
    for number in range(depth):
        condition, value = graph.input((1,), "bool"), graph.input((1,))
        graph.outputs(branch(graph, [condition, condition, value], [(1,)], depth, number + 1))
        graph = file.graph(f"deeper{number}")
    graph.input((1,), "bool")
    graph.outputs(graph.operator("NEG", [graph.input((1,))], [((1,), "float32")]))
    return file.bytes()


def test_deeply_nested_branches_need_no_large_stack(tiny, tmp_path):
    """In a process of its own: an overflow ends it."""
    (tmp_path / "model.tflite").write_bytes(nested(tiny, 255))
    program = f"""
import sys, threading
import numpy as np
from bnn_exit.runtime.native_backend import NativeNetwork
data = open(sys.argv[1], "rb").read()
done = []
def work():
    network = NativeNetwork(data)
    done.append(float(network([np.array([False]), np.float32([3])])[0][0]))
    network.plan
    del network
NativeNetwork({tiny.everything_file()!r})  # whatever the binding does only once
threading.stack_size({SMALL_STACK})
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(*done)
"""
    run = subprocess.run([sys.executable, "-c", program, tmp_path / "model.tflite"], capture_output=True, text=True)
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["-3.0"], "")


def broken_subgraphs(tiny):
    """Files whose last subgraph makes no sense, by what is wrong with it."""

    def started(outputs=1):
        file = tiny.File()
        main = file.graph()
        main.outputs(main.operator("NEG", [main.input((1,))], [((1,), "float32")]))
        graph = file.graph("nobody")
        value = graph.input((1,))
        graph.outputs([value] * outputs)
        return file, graph, value

    one = [((1,), "float32")]
    file, graph, _ = started()
    graph.operator("NEG", [graph.tensor((1,))], one)
    yield "reads what no earlier step writes", file
    file, graph, value = started()
    graph.operator("NEG", [value], one)
    graph.table.operators[0].outputs = [value]
    yield "writes what is already there", file
    file, graph, value = started()
    graph.operator("SPLIT", [graph.constant(0, "int32"), value], one * 2, "SplitOptions", numSplits=2)
    graph.table.operators[0].outputs = graph.table.operators[0].outputs[:1] * 2
    yield "writes what is already there", file
    file, graph, _ = started()
    graph.outputs([graph.tensor((1,))])
    yield "never written", file
    file, graph, value = started()
    graph.operator("LSTM", [value], one)
    yield "lacks the operator LSTM", file
    file, graph, _ = started()
    graph.table.tensors[graph.tensor((1,))].isVariable = True
    yield "a variable", file
    file, graph, value = started()
    branch(graph, [graph.constant([True], "bool"), value], [(1,)], 1, 1)
    yield "subgraph 1 runs itself", file
    file, graph, value = started()
    branch(graph, [graph.constant([True], "bool"), value], [(1,)], 0, 2)
    yield "a branch of an IF", file
    file, graph, value = started()
    branch(graph, [graph.constant([True], "bool"), value, value], [(1,)], 0, 0)
    yield "does not fit its branch", file


def test_what_must_hold_of_a_subgraph_that_nothing_runs(tiny):
    for fault, file in broken_subgraphs(tiny):
        for backend in (NativeNetwork, lambda data: Interpreter(flatbuffer.read(data))):
            with pytest.raises(ModelFileError, match=fault if backend is NativeNetwork else None):
                backend(file.bytes())


def chain(tiny, operator, count):
    file = tiny.File()
    graph = file.graph()
    value, shape = graph.input((4,)), graph.constant([4], "int32")
    for _ in range(count):
        inputs = [value, shape] if operator == "RESHAPE" else [value]
        (value,) = graph.operator(operator, inputs, [((4,), "float32")])
    graph.outputs([value])
    return file.bytes()


def star(tiny, count):
    """Many outputs of one operator, many ports, each in the signature."""
    file = tiny.File()
    graph = file.graph()
    inputs = [graph.constant(0, "int32"), graph.input((count,))]
    parts = graph.operator("SPLIT", inputs, [((1,), "float32")] * count, "SplitOptions", numSplits=count)
    graph.outputs(parts)
    names = {f"part{index}": part for index, part in enumerate(reversed(parts))}
    file.signature({f"value{index}": inputs[1] for index in range(count)}, names)
    return file.bytes()


@pytest.mark.parametrize("kind", ["RESHAPE", "RELU", "star"])
def test_loading_takes_time_in_proportion_to_the_file(tiny, kind):
    """20,000 operators or ports take milliseconds, unless each is compared with each."""
    data = star(tiny, 20_000) if kind == "star" else chain(tiny, kind, 20_000)
    loaded = []
    thread = threading.Thread(target=lambda: loaded.append(NativeNetwork(data)), daemon=True)
    thread.start()
    thread.join(60)
    assert loaded
    network = loaded[0]
    (values,) = network.inputs
    values[:] = np.arange(values.size)
    network.run()
    expected = np.split(values, values.size) if kind == "star" else [values]
    for ours, theirs in zip(network.outputs, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_options_that_all_operators_share(tiny):
    """Each would go through all of them: a small file could keep its reader busy for hours."""
    file = tiny.File()
    graph = file.graph()
    value = graph.input((1, 2, 2, 32))
    many = {f"option{index}": index for index in range(300)}
    for index in range(60):
        words = graph.operator("LceQuantize", [value], [((1, 2, 2, 1), "int32")], **({"a": 1} if index else many))
    graph.outputs(words)
    data = bytearray(file.bytes())
    NativeNetwork(bytes(data))
    subgraph = tiny.schema().Model.GetRootAs(data, 0).Subgraphs(0)
    tables = [subgraph.Operators(index)._tab for index in range(60)]
    fields = [table.Pos + table.Offset(14) for table in tables]  # customOptions
    target = fields[0] + struct.unpack_from("<I", data, fields[0])[0]
    for field in fields[1:]:
        struct.pack_into("<I", data, field, target - field)
    for read in (NativeNetwork, flatbuffer.read):
        with pytest.raises(ModelFileError, match="refer to one another without end"):
            read(bytes(data))


def test_a_subgraph_that_is_run_very_often(tiny):
    """Every place where it is run takes time to build, also for operators with long lists of inputs."""
    file = tiny.File()
    main = file.graph()
    condition, value = main.input((1,), "bool"), main.input((1,))
    for _ in range(1000):
        (value,) = branch(main, [condition, value], [(1,)], 1, 1)
    main.outputs([value])
    often = file.graph("often")
    value = often.input((1,))
    joined = [((5000,), "float32")]
    often.operator("CONCATENATION", [value] * 5000, joined, "ConcatenationOptions", axis=0)
    often.outputs([value])
    with pytest.raises(ModelFileError, match="unfolds into more than"):
        NativeNetwork(file.bytes())
