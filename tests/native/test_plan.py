"""What the native backend makes of a file: operators fused into others, layouts of bits, results known in advance.

A wrong plan gives wrong results without a word, so every case is judged by the reference backend. Numbers are small and
whole: float sums are then exact in any order, and results must be equal.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from native.compilers import needs_library

from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.binary import pack
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library


class Drawing:
    """A graph in the making, with the operators that the plan treats in ways of its own."""

    def __init__(self, tiny, *, seed=0):
        self.random = np.random.default_rng(seed)
        self.file = tiny.File()
        self.graph = self.file.graph()
        self.draws = []  # of the values of each input

    def whole(self, *shape):
        return self.random.integers(-4, 5, shape).astype(np.float32)

    def constant(self, *shape):
        return self.graph.constant(self.whole(*shape))

    def input(self, *shape):
        self.draws.append(lambda: self.whole(*shape))
        return self.graph.input(shape)

    def words(self, *shape):
        self.draws.append(lambda: self.random.integers(-(2**31), 2**31, shape, np.int32))
        return self.graph.input(shape, "int32")

    def operator(self, name, inputs, shape, options=None, *, dtype="float32", **settings):
        return self.graph.operator(name, inputs, [(tuple(shape), dtype)], options, **settings)[0]

    def signs(self, value, shape):
        return self.operator("LceQuantize", [value], (*shape[:3], -(-shape[3] // 32)), dtype="int32")

    def binary(self, words, shape, filters, *, channels=None, padding=0, packed=False):
        channels = channels or shape[3]
        weights = self.random.choice([False, True], (filters, 3, 3, channels))
        if packed:
            rest = [-1, -1, self.graph.constant(self.random.integers(0, 9 * channels, filters), "int32")]
            output, dtype = (*shape[:3], -(-filters // 32)), "int32"
        else:
            rest = [self.constant(filters), self.constant(filters), -1]
            output, dtype = (*shape[:3], filters), "float32"
        window = {"dilation_height_factor": 1, "dilation_width_factor": 1, "stride_height": 1, "stride_width": 1}
        inputs = [words, self.graph.constant(pack(weights), "int32"), *rest]
        options = {"channels_in": channels, "fused_activation_function": 0, "pad_values": 1, "padding": padding}
        return self.operator("LceBconv2d", inputs, output, dtype=dtype, **window, **options)

    def pool(self, words, shape):
        window = {"filter_height": 2, "filter_width": 2, "stride_height": 1, "stride_width": 1, "padding": 0}
        return self.operator("LceBMaxPool2d", [words], (*shape[:3], -(-shape[3] // 32)), dtype="int32", **window)

    def dense(self, value, shape, outputs):
        options = {"keepNumDims": True, "fusedActivationFunction": 0, "weightsFormat": 0}
        inputs = [value, self.constant(outputs, shape[-1]), self.constant(outputs)]
        return self.operator("FULLY_CONNECTED", inputs, (*shape[:-1], outputs), "FullyConnectedOptions", **options)

    def agrees(self, *outputs, threads=1):
        """The network, once it gave what the reference backend gives."""
        self.graph.outputs(list(outputs))
        data = self.file.bytes()
        network, reference = NativeNetwork(data, threads=threads), Interpreter(flatbuffer.read(data))
        for _ in range(3):  # results must not depend on values of an earlier run
            values = [draw() for draw in self.draws]
            for ours, theirs in zip(network(values), reference.run(values), strict=True):
                np.testing.assert_array_equal(ours, theirs)
        return network


READERS = ("signs", "again", "RELU", "MUL", "ADD", "square", "dense", "self", "reshape")


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 4, 3, 32), (2, 3, 5, 16), (1, 1, 1, 33), (1, 9, 1, 1), (2, 1, 4, 70)]),
    start=st.sampled_from(["pointwise", "dense", "binary", "input"]),
    readers=st.lists(st.sampled_from(READERS), min_size=1, max_size=7),
    shown=st.sets(st.integers(0, 8), max_size=2),
)
@example(seed=1, shape=(1, 4, 3, 32), start="pointwise", readers=["signs", "RELU"], shown=set())
@example(seed=1, shape=(1, 4, 3, 32), start="binary", readers=["signs", "square", "MUL"], shown=set())
@example(seed=1, shape=(1, 4, 3, 32), start="dense", readers=["signs"], shown=set())
def test_a_value_with_several_readers(tiny, seed, shape, start, readers, shown):
    """Each reader takes one of the newest values: signs and floats of one value, in any order, fused or not."""
    made = Drawing(tiny, seed=seed)
    source = made.input(*shape)
    if start == "pointwise":
        first = made.operator("ADD", [source, made.constant(shape[3])], shape, "AddOptions")
    elif start == "dense":
        first = made.dense(source, shape, shape[3])
    elif start == "binary":
        first = made.binary(made.signs(source, shape), shape, shape[3])
    else:
        first = source
    values = [first]
    for name in readers:
        value, other = values[-1 - made.random.integers(min(3, len(values)))], values[-1]
        if name == "signs":
            values.append(made.binary(made.signs(value, shape), shape, shape[3]))
        elif name == "again":  # the signs of one value, twice
            packed = made.signs(value, shape), made.signs(value, shape)
            values += [made.binary(words, shape, shape[3]) for words in packed]
        elif name == "square":
            values.append(made.operator("MINIMUM", [value, made.graph.constant(3.0)], shape))
        elif name == "dense":
            values.append(
                made.dense(made.operator("MINIMUM", [value, made.graph.constant(3.0)], shape), shape, shape[3])
            )
        elif name == "reshape":
            flat = made.operator("RESHAPE", [value, made.graph.constant([-1], "int32")], (int(np.prod(shape)),))
            values.append(made.operator("RESHAPE", [flat, made.graph.constant(shape, "int32")], shape))
        elif name == "RELU":
            values.append(made.operator("RELU", [value], shape))
        else:
            pair = [value, value if name == "self" else other]
            if made.random.random() < 0.5:
                pair.reverse()
            bounded = made.operator(
                "ADD" if name != "MUL" else "MUL", pair, shape, f"{'Add' if name != 'MUL' else 'Mul'}Options"
            )
            values.append(made.operator("MINIMUM", [bounded, made.graph.constant(50.0)], shape))
            values[-1] = made.operator("MAXIMUM", [values[-1], made.graph.constant(-50.0)], shape)
    outputs = [values[-1], *(values[index] for index in shown if index < len(values))]
    made.agrees(*outputs, outputs[0])


def test_signs_of_a_dense_layer_have_the_borders_of_the_image(tiny):
    made = Drawing(tiny)
    shape = (2, 4, 3, 32)
    value = made.dense(made.input(*shape), shape, 40)
    words = made.signs(value, (*shape[:3], 40))
    network = made.agrees(made.binary(words, (*shape[:3], 40), 8))
    assert network.plan.splitlines()[0].startswith("FULLY_CONNECTED + LceQuantize")


def test_threads_share_the_rows_of_a_dense_layer_and_of_its_signs(tiny):
    made = Drawing(tiny)
    shape = (1, 64, 32, 64)
    value = made.dense(made.input(*shape), shape, 64)
    made.agrees(made.binary(made.signs(value, shape), shape, 64), value, threads=3)


@pytest.mark.parametrize("writer", ["quantize", "packed", "pool", "words"])
@pytest.mark.parametrize("channels", [65, 69, 70, 71, 96])
@pytest.mark.parametrize("kept", [False, True])
def test_a_reader_of_other_channels_than_were_written(tiny, writer, channels, kept):
    """Bits beyond the reader's have no effect, those beyond the writer's are +1."""
    made = Drawing(tiny, seed=channels)
    shape = (2, 3, 4, 70)
    if writer == "words":
        words = made.words(2, 3, 4, 3)
    else:
        words = made.signs(made.input(*shape), shape)
        if writer == "packed":
            words = made.binary(words, shape, 70, packed=True)
        if writer == "pool":
            words = made.pool(words, shape)
    pooled = made.pool(words, shape)
    outputs = [
        made.operator("LceDequantize", [words], (*shape[:3], channels)),
        made.operator("LceDequantize", [pooled], (*shape[:3], channels)),
        made.binary(words, shape, 5, channels=channels),
        made.binary(pooled, shape, 5, channels=channels),
    ]
    made.agrees(*outputs, *([words] if kept else []))  # an output keeps the file's layout


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("steps", ["", "pool", "packed", "pool packed", "packed pool", "packed packed pool"])
def test_results_known_in_advance_have_no_borders(tiny, steps, filled):
    """Operators of constants run while the file is loaded; a convolution of the results needs borders of its own."""
    made = Drawing(tiny, seed=3)
    shape = (1, 4, 5, 33)
    value = made.constant(*shape)
    if filled:
        value = made.operator("FILL", [made.graph.constant(shape, "int32"), made.graph.constant(-2.0)], shape)
    words = made.signs(value, shape)
    for step in steps.split():
        words = made.pool(words, shape) if step == "pool" else made.binary(words, shape, 33, packed=True)
    result = made.binary(words, shape, 4)
    made.agrees(made.operator("ADD", [result, made.input(1, 4, 5, 4)], (1, 4, 5, 4), "AddOptions"), result)
