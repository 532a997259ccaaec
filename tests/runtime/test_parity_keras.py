"""Networks built in Keras with Larq and converted by LCE: Keras, LCE and the reference backend must say the same."""

import numpy as np
import pytest

from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime.reference.interpreter import Interpreter

pytest.importorskip("larq_compute_engine")
pytest.importorskip("larq")


@pytest.fixture(scope="module")
def training():
    """TensorFlow, Keras and Larq, imported when the first test needs them."""
    from bnn_exit import _keras

    return _keras


@pytest.fixture(scope="module")
def binary(training):
    """A layer of binary convolution with a BatchNorm whose gammas have both signs."""

    def layer(inputs, filters, *, activation=None, pool=None, seed=0, **settings):
        settings = {"kernel_size": 3, "padding": "same", "pad_values": 1, **settings}
        outputs = training.larq.layers.QuantConv2D(
            filters,
            input_quantizer="ste_sign",
            kernel_quantizer="ste_sign",
            use_bias=False,
            kernel_initializer=training.keras.initializers.RandomNormal(seed=seed),
            **settings,
        )(inputs)
        if activation is not None:
            outputs = training.keras.layers.Activation(activation)(outputs)
        if pool is not None:
            outputs = training.keras.layers.MaxPool2D(pool)(outputs)
        random = {"stddev": 1.0, "seed": seed + 100}
        spread = training.keras.initializers.RandomUniform(0.5, 30.0, seed=seed)
        return training.keras.layers.BatchNormalization(
            gamma_initializer=training.keras.initializers.RandomNormal(**random),
            beta_initializer=training.keras.initializers.RandomNormal(**random),
            moving_mean_initializer=training.keras.initializers.RandomNormal(stddev=9.0, seed=seed),
            moving_variance_initializer=spread,
        )(outputs)

    return layer


def convert(training, function, *specs):
    """A TFLite file of a TensorFlow function, by the way that keeps the branches of `tf.cond`."""
    from larq_compute_engine.mlir.python.converter import convert_graphdef_to_tflite_flatbuffer
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = training.tf.function(function, autograph=False).get_concrete_function(*specs)
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return bytes(
        convert_graphdef_to_tflite_flatbuffer(
            frozen.graph.as_graph_def().SerializeToString(),
            [tensor.op.name for tensor in frozen.inputs],
            ["DT_FLOAT"] * len(frozen.inputs),
            [tensor.shape.as_list() for tensor in frozen.inputs],
            [tensor.op.name for tensor in frozen.outputs],
            False,
            "arm",
            None,
        )
    )


def names(data):
    return [operator.name for subgraph in flatbuffer.read(data).subgraphs for operator in subgraph.operators]


NETWORKS = {
    "odd channels": [(33, {}), (65, {}), (96, {})],
    "one channel": [(1, {}), (2, {})],
    "strides": [(40, {"strides": 2}), (33, {"strides": (3, 1)})],
    "dilation": [(32, {"dilation_rate": 2}), (17, {"dilation_rate": 2})],
    "padding by zeros": [(33, {"pad_values": 0}), (20, {"pad_values": 0, "strides": 2})],
    "valid": [(33, {"padding": "valid"}), (65, {"padding": "valid"})],
    "relu": [(33, {"activation": "relu"}), (40, {"activation": "relu"})],
    "pooled": [(33, {"pool": 2}), (64, {"pool": 2})],
    "kernels": [(33, {"kernel_size": (1, 5)}), (34, {"kernel_size": 2}), (35, {"kernel_size": 1})],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_agree(training, binary, lce_run, reference_run, name):
    keras, tf = training.keras, training.tf
    training.set_seed(1)
    source = values = keras.Input((12, 11, 3), batch_size=1)
    values = keras.layers.Conv2D(31, 3, padding="same")(values)
    for index, (filters, settings) in enumerate(NETWORKS[name]):
        values = binary(values, filters, seed=index, **settings)
    model = keras.Model(source, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(values)))
    data = convert(training, lambda clip: model(clip, training=False), tf.TensorSpec((1, 12, 11, 3), tf.float32))
    assert names(data).count("LceBconv2d") == len(NETWORKS[name])
    random = np.random.default_rng(5)
    close = 0
    for _ in range(20):
        clip = random.normal(size=(1, 12, 11, 3)).astype(np.float32)
        (found,), (theirs,) = reference_run(data, [clip]), lce_run(data, [clip])
        # A float convolution before a sign may differ in the last bit, and flip a sign that is within it of zero.
        close += np.allclose(found, theirs, rtol=1e-4, atol=1e-4) and np.allclose(
            found, model(clip).numpy(), rtol=1e-3, atol=1e-3
        )
    assert close >= 19


def test_chains_are_bit_packed_from_end_to_end(training, binary, lce_run, reference_run):
    """With nothing but binary operators between input and output, LCE and the reference agree in every bit."""
    keras, tf = training.keras, training.tf
    source = values = keras.Input((9, 8, 33), batch_size=1)
    for index, filters in enumerate((65, 96, 33)):
        values = binary(values, filters, seed=index, strides=1 + index % 2)
    values = keras.layers.MaxPool2D(2, padding="same")(values)
    values = binary(values, 20, seed=9, padding="valid", kernel_size=2)
    model = keras.Model(source, values)
    data = convert(training, lambda clip: model(clip, training=False), tf.TensorSpec((1, 9, 8, 33), tf.float32))
    assert names(data) == ["LceQuantize", *["LceBconv2d"] * 3, "LceBMaxPool2d", "LceBconv2d"]
    for seed in range(20):
        clip = np.random.default_rng(seed).normal(size=(1, 9, 8, 33)).astype(np.float32)
        (found,) = reference_run(data, [clip])
        np.testing.assert_array_equal(found, lce_run(data, [clip])[0])
        np.testing.assert_allclose(found, model(clip).numpy(), rtol=1e-4, atol=1e-4)


EXITS = 6


@pytest.fixture(scope="module")
def adaptive(training, binary):
    """A file of six nested exits, and what Keras says at each exit of a clip."""
    keras, tf = training.keras, training.tf
    training.set_seed(2)
    stages, heads, shape = [], [], (8, 7, 3)
    for index in range(EXITS):
        source = keras.Input(shape, batch_size=1)
        values = source if index else keras.layers.Conv2D(33, 3, padding="same")(source)
        stages.append(keras.Model(source, binary(values, 33, seed=index)))
        shape = stages[-1].output_shape[1:]
        source = keras.Input(shape, batch_size=1)
        pooled = keras.layers.AveragePooling2D(3, padding="same")(source)
        heads.append(keras.Model(source, keras.layers.Dense(4)(keras.layers.Flatten()(pooled))))

    def answer(index, features):
        probabilities = tf.nn.softmax(heads[index](features))
        logarithm = tf.math.log(tf.maximum(probabilities, 1.1754944e-38))
        score = -tf.reduce_sum(probabilities * logarithm, axis=-1) / np.log(4.0)
        return probabilities, tf.constant([index], tf.int32), score

    def freeze(model):
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
        call = tf.function(lambda value: model(value, training=False)).get_concrete_function(spec)
        frozen = convert_variables_to_constants_v2(call)
        graph, source, result = frozen.graph.as_graph_def(), frozen.inputs[0].name, frozen.outputs[0].name
        return lambda value: tf.graph_util.import_graph_def(graph, {source: value}, [result])[0]

    expected_stages, expected_heads = list(stages), list(heads)
    stages, heads = [freeze(stage) for stage in stages], [freeze(head) for head in heads]

    def run(index, features, thresholds):
        reached = stages[index](features)
        taken = answer(index, reached)
        if index == EXITS - 1:
            return taken
        return tf.cond(
            tf.reshape(taken[2] < thresholds[index], []),
            lambda: tuple(tf.identity(value) for value in taken),
            lambda: run(index + 1, tf.identity(reached), tf.identity(thresholds)),
        )

    data = convert(
        training,
        lambda clip, thresholds: run(0, clip, thresholds),
        tf.TensorSpec((1, 8, 7, 3), tf.float32),
        tf.TensorSpec((EXITS - 1,), tf.float32),
    )

    def in_keras(clip):
        features, found = clip, []
        for stage, head in zip(expected_stages, expected_heads, strict=True):
            features = stage(features)
            found.append(tf.nn.softmax(head(features)).numpy()[0])
        return found

    return data, in_keras


def forced(index):
    return np.float32([0] * index + [2] * (EXITS - 1 - index))


def by_type(outputs):
    """(probabilities, exit_index, score): the converted file has no signature yet."""
    exit_index = next(value for value in outputs if value.dtype == np.int32)
    probabilities = next(value for value in outputs if value.size == 4)
    score = next(value for value in outputs if value.size == 1 and value.dtype == np.float32)
    return probabilities[0], int(exit_index[0]), float(score[0])


def test_every_branch_holds_its_binary_convolution(adaptive):
    model = flatbuffer.read(adaptive[0])
    assert names(adaptive[0]).count("LceBconv2d") == EXITS
    assert names(adaptive[0]).count("IF") == EXITS - 1
    assert all([o.name for o in graph.operators].count("LceBconv2d") <= 1 for graph in model.subgraphs)


def test_six_nested_exits_agree_with_keras_and_lce(adaptive, lce_run, reference_run):
    data, in_keras = adaptive
    random = np.random.default_rng(8)
    close, total = 0, 0
    for _ in range(6):
        clip = random.normal(size=(1, 8, 7, 3)).astype(np.float32)
        for index, expected in enumerate(in_keras(clip)):
            ours, theirs = (by_type(run(data, [clip, forced(index)])) for run in (reference_run, lce_run))
            assert ours[1] == theirs[1] == index
            close += np.allclose(ours[0], expected, atol=1e-4) and np.allclose(ours[0], theirs[0], atol=1e-4)
            assert ours[2] == pytest.approx(-(ours[0] * np.log(ours[0])).sum() / np.log(4), abs=1e-5)
            total += 1
    assert close >= total - 2


def test_the_deeper_stages_are_not_run(adaptive):
    interpreter = Interpreter(flatbuffer.read(adaptive[0]))
    clip = np.random.default_rng(0).normal(size=(1, 8, 7, 3)).astype(np.float32)
    for index in range(EXITS):
        steps = []
        interpreter.run(
            [clip, forced(index)], observe=lambda graph, operator, _, steps=steps: steps.append(operator.name)
        )
        assert steps.count("LceBconv2d") == index + 1


def test_the_second_call_on_a_file_gives_the_same_answer(adaptive, lce_run):
    from bnn_exit.runtime import lce

    data, _ = adaptive
    first, second = (np.random.default_rng(k).normal(size=(1, 8, 7, 3)).astype(np.float32) for k in range(2))
    theirs = lce._load().LiteInterpreter(data, 1, False, False, False)
    ours = Interpreter(flatbuffer.read(data))
    for index in range(EXITS):
        for run in (theirs.predict, ours.run):
            before = [np.array(value) for value in run([first, forced(index)])]
            run([second, forced(EXITS - 1 - index)])
            for value, again in zip(before, run([first, forced(index)]), strict=True):
                np.testing.assert_array_equal(value, again)


def test_the_reader_finds_what_tflites_own_schema_finds(adaptive, tiny):
    data, _ = adaptive
    theirs = tiny.schema().ModelT.InitFromPackedBuf(bytearray(data), 0)
    ours = flatbuffer.read(data)
    assert len(ours.subgraphs) == len(theirs.subgraphs) == 2 * EXITS - 1
    for our_graph, their_graph in zip(ours.subgraphs, theirs.subgraphs, strict=True):
        assert our_graph.inputs == tuple(their_graph.inputs) and our_graph.outputs == tuple(their_graph.outputs)
        assert our_graph.name == their_graph.name.decode()
        for our, their in zip(our_graph.tensors, their_graph.tensors, strict=True):
            shape = () if their.shape is None else tuple(their.shape)
            assert (our.name, our.shape) == (their.name.decode(), shape)
            buffer = theirs.buffers[their.buffer].data
            assert bytes(our.data or b"") == (b"" if buffer is None else bytes(buffer))
        for our, their in zip(our_graph.operators, their_graph.operators, strict=True):
            code = theirs.operatorCodes[their.opcodeIndex]
            assert our.custom == (code.customCode is not None)
            assert our.inputs == tuple(their.inputs) and our.outputs == tuple(their.outputs)
