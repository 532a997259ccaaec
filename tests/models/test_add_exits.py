"""Exits for networks made elsewhere: where they can be cut, what they answer, what they cost, and what is refused."""

import re

import numpy as np
import pytest

import bnn_exit
from bnn_exit._keras import keras, larq, set_seed
from bnn_exit.conversion import parity
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file import reader
from bnn_exit.runtime.backends import installed
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.training import TrainConfig, fit

layers = keras.layers
BINARY = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
    "padding": "same",
    "pad_values": 1.0,
    "use_bias": False,
}


def block(features, name, **options):
    """As people write them: a binary convolution, BatchNorm, and a shortcut by the + of TensorFlow."""
    residual = larq.layers.QuantConv2D(features.shape[-1], 3, name=f"{name}_conv", **{**BINARY, **options})(features)
    return layers.Add(name=name)([features, layers.BatchNormalization(name=f"{name}_norm")(residual)])


def classifier(shape=(48, 64, 1), *, ending="softmax", **options):
    """Two residual blocks between a float stem and a dense layer."""
    set_seed(0)
    source = keras.Input(shape, name="picture")
    features = layers.Conv2D(32, 5, strides=4, padding="same", use_bias=False, name="stem")(source)
    features = layers.BatchNormalization(name="stem_norm")(features)
    first = block(features, "first", **options)
    second = block(first, "second", **options)
    pooled = layers.GlobalAveragePooling2D(name="pool")(second)
    logits = layers.Dense(4, name="dense", activation=ending if ending == "tanh" else None)(pooled)
    if ending == "softmax":
        logits = layers.Activation("softmax", name="probabilities")(logits)
    return keras.Model(source, logits)


def keras_3_model():
    """By the other Keras, which TensorFlow brings."""
    import keras as keras_3

    return keras_3.Sequential([keras_3.layers.Input((8, 8, 1)), keras_3.layers.Conv2D(2, 3, name="a")])


def clips(count=6, shape=(48, 64)):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_the_last_exit_is_the_model_itself():
    model = classifier()
    network = bnn_exit.add_exits(model, at=["stem_norm", "first"])
    assert network.num_exits == 3 and network.num_classes == 4 and network.input_shape == (48, 64, 1)
    expected = model(clips()[..., None]).numpy()
    np.testing.assert_allclose(softmax(network.logits(clips())[:, -1]), expected, rtol=1e-5)
    features = clips()[..., None]
    for stage, name in zip(network.stages, ("stem_norm", "first"), strict=False):
        features = stage(features)
        inner = keras.Model(model.inputs, model.get_layer(name).output)
        np.testing.assert_allclose(features, inner(clips()[..., None]), rtol=1e-5, atol=1e-5)


def test_the_weights_are_a_copy():
    model = classifier()
    before = model.get_weights()
    network = bnn_exit.add_exits(model, at=["first"])
    network.keras_model.set_weights([np.zeros_like(weight) for weight in network.keras_model.get_weights()])
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_cut_points_are_where_nothing_passes_by():
    # Within a block the shortcut passes by; behind the pool there is no map of features left.
    assert bnn_exit.cut_points(classifier()) == ["stem", "stem_norm", "first", "second"]


def test_names_may_come_in_any_order():
    network = bnn_exit.add_exits(classifier(), at=["first", "stem_norm"])
    assert [stage.output_shape[1:] for stage in network.stages] == [(12, 16, 32)] * 3
    # The stem does float work alone, so its stage must be the first.
    assert network.costs()[0].binary_macs == 0 < network.costs()[1].binary_macs < network.costs()[2].binary_macs


def test_the_cost_of_each_exit_is_that_counted_by_hand():
    costs = bnn_exit.add_exits(classifier(), at=["first"], head="pooled").costs()
    assert costs[0].binary_macs == 12 * 16 * 9 * 32 * 32
    assert costs[0].float_macs == 12 * 16 * 25 * 32 + 32 * 4
    assert costs[1].binary_macs == 2 * costs[0].binary_macs
    assert costs[1].float_macs == costs[0].float_macs + 32 * 4


@pytest.mark.parametrize("ending", ["logits", "dense softmax", "layer"])
def test_a_softmax_in_any_form_is_taken_off(ending):
    set_seed(0)
    source = keras.Input((16, 16, 1))
    features = layers.Conv2D(4, 3, name="a")(source)
    features = layers.Flatten()(layers.Conv2D(4, 3, strides=4, name="b")(features))
    result = layers.Dense(3, activation="softmax" if ending == "dense softmax" else None)(features)
    if ending == "layer":
        result = layers.Softmax()(result)
    model = keras.Model(source, result)
    inputs = clips(shape=(16, 16))
    logits = bnn_exit.add_exits(model, at=["a"], head="pooled").logits(inputs)[:, -1]
    expected = model(inputs[..., None]).numpy()
    assert np.abs(logits.sum(axis=-1) - 1).max() > 0.01
    np.testing.assert_allclose(logits if ending == "logits" else softmax(logits), expected, rtol=1e-5, atol=1e-6)


def test_a_model_that_ends_in_features_gets_a_head_at_its_end_too():
    model = classifier()
    features = keras.Model(model.inputs, model.get_layer("second").output)
    network = bnn_exit.add_exits(features, at=["first"], num_classes=7)
    assert network.logits(clips()).shape == (6, 2, 7)


def test_a_sequential_model_is_cut_too():
    model = keras.Sequential(
        [
            layers.Conv2D(8, 3, name="a", input_shape=(16, 16, 1)),
            larq.layers.QuantConv2D(8, 3, name="b", **BINARY),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    network = bnn_exit.add_exits(model, at=["a"], head="pooled")
    assert network.num_exits == 2 and network.num_binary_layers == 1


def test_operators_of_tensorflow_count_as_layers():
    source = keras.Input((16, 16, 1))
    features = layers.Conv2D(8, 3, padding="same", name="a")(source)
    features = features + layers.Conv2D(8, 3, padding="same", name="b")(features)
    features = layers.Conv2D(8, 3, padding="same", name="c")(features)
    model = keras.Model(source, layers.Dense(3)(layers.Flatten()(features)))
    (added,) = [layer.name for layer in model.layers if "add" in layer.name]
    assert bnn_exit.cut_points(model) == ["a", added, "c"]
    network = bnn_exit.add_exits(model, at=[added])
    np.testing.assert_allclose(
        network.logits(clips(shape=(16, 16)))[:, 1], model(clips(shape=(16, 16))[..., None]), rtol=1e-5, atol=1e-5
    )


def test_it_trains_calibrates_and_runs_on_every_backend(tone_task, tmp_path):
    network = bnn_exit.add_exits(classifier(tone_task.input_shape), at=["stem_norm", "first"])
    config = TrainConfig(epochs=8, batch_size=8, warmup_steps=5, learning_rate=5e-3)
    gentle = AugmentConfig(
        time_shift_ms=20.0, snr_db=(20.0, 30.0), time_mask_frames=4, frequency_mask_mels=2, frequency_warp=0.0
    )
    fit(network, tone_task, config=config, augment=gentle, progress=False)
    log_mel = np.asarray(tone_task.log_mel("test"))
    accuracy = (network.logits(log_mel).argmax(-1) == tone_task.test.labels[:, None]).mean(axis=0)
    assert accuracy.min() >= 0.8, accuracy

    points = bnn_exit.calibrate(network, tone_task)
    audit = bnn_exit.export(network, tmp_path / "m.tflite", task=tone_task, operating_points=points)
    assert audit.binary_layers == network.num_binary_layers == 2
    file = reader.read(tmp_path / "m.tflite")
    assert file.metadata.normalisation == "none" and len(file.metadata.exits) == network.num_exits
    for backend in installed():
        report = parity.compare(network, file, log_mel[:8], log_mel[:8], backend=backend)
        parity.require(report)


def test_pictures_can_be_cut_and_counted_but_not_exported(tone_task, tmp_path):
    network = bnn_exit.add_exits(classifier((64, 64, 3)), at=["first"])
    assert network.logits(np.zeros((2, 64, 64, 3), np.float32)).shape == (2, 2, 4)
    assert network.costs()[0].float_macs > 16 * 16 * 25 * 3 * 32
    with pytest.raises(ArgumentError, match=r"takes \(64, 64, 3\), but the file .* features \(48, 64, 1\)"):
        bnn_exit.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={})
    with pytest.raises(ArgumentError, match=r"takes \(64, 64, 3\) .* the task gives \(48, 64, 1\)"):
        fit(network, tone_task)
    assert list(tmp_path.iterdir()) == []


def test_zero_padding_is_told_in_one_warning():
    with pytest.warns(UserWarning, match="first_conv, second_conv: pads with zeros, which costs time") as told:
        network = bnn_exit.add_exits(classifier(pad_values=0.0), at=["first"])
    assert len(told) == 1 and network.num_binary_layers == 2


def test_what_stays_float_is_told_and_counted_so():
    with pytest.warns(UserWarning, match="first_conv, second_conv: stays float, .* its weights are not signs"):
        network = bnn_exit.add_exits(classifier(kernel_quantizer="ste_tern"), at=["first"])
    assert network.num_binary_layers == 0 and network.costs()[-1].binary_macs == 0
    assert network.costs()[-1].float_macs > 2 * 12 * 16 * 9 * 32 * 32


def two_inputs():
    sources = [keras.Input((16, 16, 1)), keras.Input((16, 16, 1))]
    return keras.Model(sources, layers.Dense(2)(layers.Flatten()(layers.Add()(sources))))


def nested():
    inner = keras.Sequential([layers.Flatten(input_shape=(8, 8, 2)), layers.Dense(3, activation="softmax")], name="top")
    source = keras.Input((8, 8, 1))
    return keras.Model(source, inner(layers.Conv2D(2, 3, padding="same", name="a")(source)))


class NoConfig(layers.Layer):
    def call(self, inputs):
        return inputs

    def get_config(self):
        raise NotImplementedError("its settings\nare secret")


def not_copied():
    source = keras.Input((8, 8, 1))
    return keras.Model(source, layers.Dense(2)(layers.Flatten()(NoConfig()(source))))


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (classifier, {"at": ["frist"]}, "at has 'frist', but keras_model has no such layer; .* be cut at: 'first'"),
        (
            classifier,
            {"at": ["second_conv"]},
            "at has 'second_conv', but what follows .* cut at are 'first' before it and 'second' after it",
        ),
        (classifier, {"at": ["pool"]}, "'pool', but .* cut at are 'second' before it$"),
        (classifier, {"at": ["first", "first"]}, r"at is \['first', 'first'\], but must name each layer once"),
        (classifier, {"at": "first"}, "at is 'first', but must be a list of at least one layer name"),
        (classifier, {"at": 5}, "at is 5, but must be a list of at least one layer name"),
        (classifier, {"at": []}, r"at is \[\], but must be a list of at least one layer name"),
        (classifier, {"at": ["second"]}, "no convolution stands between 'second' and 'its classifier'"),
        (classifier, {"at": ["stem", "stem_norm"]}, "no convolution stands between 'stem' and 'stem_norm'"),
        (classifier, {"at": ["first"], "head": "gird"}, "head is 'gird', but .*; did you mean 'grid'"),
        (classifier, {"at": ["first"], "num_classes": 9}, "num_classes is 9, and keras_model ends in 4 classes"),
        (lambda: classifier(ending="tanh"), {"at": ["first"]}, "ends in tanh, but exits need logits: .*'dense'"),
        (two_inputs, {"at": ["a"]}, "has 2 inputs and 1 outputs, but must have one of each"),
        (nested, {"at": ["a"]}, "keras_model ends in the model 'top' with a softmax: let it give logits"),
        (
            not_copied,
            {"at": ["a"]},
            "keras_model cannot be copied, because a layer's get_config is wrong: its settings",
        ),
        (
            keras_3_model,
            {"at": ["a"]},
            "is a Keras 3 model, but Larq needs Keras 2: build it with bnn_exit._keras.keras",
        ),
        (lambda: Subclassed(), {"at": ["a"]}, "keras_model is a Subclassed, but must be a functional or a built"),
        (lambda: classifier((None, None, 1)), {"at": ["first"]}, r"takes float32 \(None, None, None, 1\), but must"),
        (
            lambda: keras.Sequential([layers.Conv2D(2, 3, name="a", input_shape=(8, 8, 1)), layers.Conv2D(2, 3)]),
            {"at": ["a"]},
            r"num_classes is None, but must be at least 2: keras_model ends in features \(None, 4, 4, 2\)",
        ),
    ],
)
def test_mistakes_get_one_line(model, options, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        bnn_exit.add_exits(model(), **options)
    assert "\n" not in str(caught.value) and not re.search("object at 0x", str(caught.value))
