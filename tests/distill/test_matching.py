"""Features and attention of pairs of layers, against NumPy."""

import re

import numpy as np
import pytest
from tiny import tiny_model

from bnn_exit._keras import keras, make_repeatable, set_seed, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.multi_exit import build
from bnn_exit.models.network import Network
from bnn_exit.settings.distillation import DistillConfig, Pair
from bnn_exit.settings.model import BACKBONES, PRECISIONS
from bnn_exit.settings.plan import read_plan
from bnn_exit.training import TrainConfig
from distill.matching import Matching
from distill.objective import Distillation
from distill.recording import layer_called, recording
from distill.teachers.residual import residual
from distill.teachers.teacher import NetworkTeacher

SHAPE = (48, 64, 1)
CLIPS = tf.constant(np.random.default_rng(0).normal(size=(6, *SHAPE)), tf.float32)


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    make_repeatable()


@pytest.fixture(scope="module")
def networks():
    set_seed(0)
    # Stages of the student: 12 x 16 x 16. Of the teacher: 24 x 32 x 16, 12 x 16 x 32, 6 x 8 x 64.
    return tiny_model(num_classes=4, input_shape=SHAPE).keras_model, residual(SHAPE, 4, size="small")


def inner(model, name, clips):
    return keras.Model(model.inputs, model.get_layer(name).output)(clips, training=False).numpy()


def averaged(features, by):
    n, time, frequency, channels = features.shape
    return features.reshape(n, time // by, by, frequency // by, by, channels).mean(axis=(2, 4))


def standardised(features):
    return (features - features.mean(axis=(0, 1, 2))) / np.sqrt(features.var(axis=(0, 1, 2)) + 1e-5)


def energy(features):
    flat = np.square(features).sum(axis=-1).reshape(len(features), -1)
    return flat / np.linalg.norm(flat, axis=-1, keepdims=True)


def matched(networks, **config):
    student, teacher = networks
    matching = Matching(student, teacher, config=DistillConfig(**config), seed=1)
    with matching.recording() as features:
        student(CLIPS, training=False)
    return matching, features, float(matching(features, CLIPS))


def test_what_layers_give_is_recorded_and_the_network_is_as_before(networks):
    student, _ = networks
    stage = student.get_layer("stage_1")
    plain = student(CLIPS, training=False)
    with recording({"stage": stage, "inside": layer_called(student, "binary_block_1", what="layer")}) as found:
        listened = student(CLIPS, training=False)
    np.testing.assert_array_equal(found["stage"], stage(CLIPS, training=False))
    inside = keras.Model(stage.input, stage.get_layer("binary_block_1").output)(CLIPS, training=False)
    np.testing.assert_array_equal(found["inside"], inside)
    for one, other in zip(plain, listened, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "call" not in vars(stage)


def sliced_model():
    """With a layer that Keras makes of a function."""
    source = keras.Input(SHAPE)
    return keras.Model(source, keras.layers.Conv2D(2, 1)(source)[..., :1])


def test_a_layer_of_a_function_is_as_before_as_well():
    model = sliced_model()
    plain, layer = model(CLIPS), model.layers[-1]
    with recording({"one": layer, "other": layer}) as found:
        model(CLIPS)
    np.testing.assert_array_equal(found["one"], plain)
    np.testing.assert_array_equal(found["other"], plain)
    np.testing.assert_array_equal(model(CLIPS), plain)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_a_block_gives_has_one_name_in_every_build_and_precision(backbone):
    for precision in PRECISIONS:
        network = build(backbone, size="small", num_classes=4, input_shape=SHAPE, precision=precision).keras_model
        out = layer_called(network, "s2_b1_out", what="layer", built=True)
        assert out is network.get_layer("stage_2").get_layer("s2_b1_out")
        for name in ("s2_b1", "binary_s2_b1"):
            found = layer_called(network, name, what="layer", built=True)
            assert type(found).__name__ == "QuantConv2D" and found.name.removeprefix("binary_") == "s2_b1"


def test_layers_without_a_name_of_their_own_can_be_named_in_files_only(networks):
    student, teacher = networks
    numbered = next(layer.name for layer in teacher.layers if layer.name.startswith("conv2d"))
    assert layer_called(teacher, numbered, what="layer").name == numbered
    sliced = sliced_model()
    assert layer_called(sliced, sliced.layers[-1].name, what="layer") is sliced.layers[-1]
    function = next(layer.name for layer in student.layers if layer.name.startswith("tf."))
    for model, name in ((teacher, numbered), (student, function), (sliced, sliced.layers[-1].name)):
        with pytest.raises(ArgumentError, match=f"layer is '{re.escape(name)}', but must be one of "):
            layer_called(model, name, what="layer", built=True)
    names = {layer_called(student, name, what="layer", built=True).name for name in ("stage_1", "block_1", "logits_3")}
    assert names == {"stage_1", "binary_block_1", "logits_3"}


@pytest.mark.parametrize("built", [True, False])
def test_an_input_gives_nothing_to_compare(networks, built):
    with pytest.raises(ArgumentError, match="layer is 'log_mel', but must be one of "):
        layer_called(networks[1], "log_mel", what="layer", built=built)


def test_features_go_through_a_convolution_and_the_larger_map_is_averaged(networks):
    _, teacher = networks
    pairs = (Pair("stage_1", "stage_2", 0.5), Pair("stage_3", "stage_3"), Pair("stage_2", "stage_1", 2.0))
    matching, features, found = matched(networks, features=pairs)
    # 16 channels against 32, 64 and again 16, which need no convolution.
    assert [tuple(kernel.shape) for kernel in matching.variables] == [(16, 32), (16, 64)]
    kernels = [kernel.numpy() for kernel in matching.variables]
    own = {name: features[name].numpy() for name in ("stage_1", "stage_2", "stage_3")}
    theirs = {name: inner(teacher, name, CLIPS) for name in ("stage_1", "stage_2", "stage_3")}
    differences = [
        standardised(own["stage_1"] @ kernels[0]) - standardised(theirs["stage_2"]),
        standardised(averaged(own["stage_3"], 2) @ kernels[1]) - standardised(theirs["stage_3"]),
        standardised(own["stage_2"]) - standardised(averaged(theirs["stage_1"], 2)),
    ]
    expected = sum(weight * np.square(d).mean() for weight, d in zip((0.5, 1.0, 2.0), differences, strict=True))
    assert found == pytest.approx(expected, rel=1e-4)


def test_attention_needs_no_convolution(networks):
    _, teacher = networks
    matching, features, found = matched(networks, attention=(Pair("stage_2", "stage_2", 3.0),))
    difference = energy(features["stage_2"].numpy()) - energy(inner(teacher, "stage_2", CLIPS))
    assert matching.variables == []
    assert found == pytest.approx(3.0 * np.square(difference).sum(axis=-1).mean(), rel=1e-4)


def test_pairs_are_part_of_the_loss_and_reach_the_student_alone(tone_task):
    set_seed(0)
    student, teacher = (
        tiny_model(num_classes=4, input_shape=SHAPE),
        NetworkTeacher(Network(residual(SHAPE, 4, size="small"))),
    )
    pairs = {
        "features": (Pair("stage_1", "stage_2"),),
        "attention": (Pair("stage_1", "stage_2"), Pair("stage_2", "stage_3")),
    }
    before = [weight.numpy() for weight in teacher.keras_model.weights]
    parts = {}
    for name, chosen in (("without", {}), ("with", pairs)):
        objective = Distillation(
            student, teacher, tone_task, config=DistillConfig(teacher_weight=0.0, **chosen), training=TrainConfig()
        )
        parts[name] = objective
    labels, none = tf.one_hot(tf.range(6) % 4, 4), tf.zeros([6, 0])
    variables = student.keras_model.trainable_variables + parts["with"].variables

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss, _ = parts["with"](CLIPS, labels, none)
        return loss, tape.gradient(loss, variables)

    loss, gradients = step()
    assert float(loss) > float(parts["without"](CLIPS, labels, none)[0]) + 0.1
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients[-1:])
    for _ in range(4):
        for found, expected in zip(step()[1], gradients, strict=True):
            np.testing.assert_array_equal(found.numpy(), expected.numpy())
    for weight, old in zip(teacher.keras_model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)  # its BatchNorm runs, but does not learn


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (
            ("stage_9", "stage_1"),
            r"student of a pair in features is 'stage_9', but must be .* layers such as stage_\d, ",
        ),
        (("stage_1", "stage2"), r"teacher of a pair in features is 'stage2', .*; did you mean 'stage_2'\?"),
        (
            ("stage_1", "embedding"),
            "'stage_1' of the student gives 12 x 16 x 16, 'embedding' of the teacher 64, but both",
        ),
    ],
)
def test_pairs_that_do_not_fit(networks, pair, message):
    with pytest.raises(ArgumentError, match=message):
        matched(networks, features=(Pair(*pair),))


@pytest.mark.parametrize("size", ["small", "base"])
def test_the_features_plan_fits_a_stage_that_hands_on_more_than_its_features(size):
    student = build("glance", size=size, num_classes=4, input_shape=(98, 64, 1)).keras_model
    (step,) = read_plan("features").steps
    clips = tf.constant(np.random.default_rng(0).normal(size=(2, 98, 64, 1)), tf.float32)
    expected = student(clips, training=False)
    matching = Matching(student, residual((98, 64, 1), 4, size="small"), config=step, seed=1)
    with matching.recording() as features:
        found = student(clips, training=False)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert features["stage_1"].shape[1:] == student.get_layer("stage_1").output_shape[0][1:]
    loss = float(matching(features, clips))
    assert np.isfinite(loss) and loss > 0


def test_maps_of_unlike_sizes(networks):
    with pytest.raises(ArgumentError, match=r"12 x 16 x 16, .* 9 x 16 x 8, but one must be a whole multiple of the"):
        source = keras.Input(SHAPE)
        convolution = keras.layers.Conv2D(8, 1, strides=(5, 4), padding="valid", name="odd")(source[:, :45])
        matched((networks[0], keras.Model(source, convolution)), features=(Pair("stage_1", "odd"),))


def test_a_teacher_without_layers_to_name(tone_task):
    student, pairs = (
        tiny_model(num_classes=4, input_shape=SHAPE),
        DistillConfig(teacher_weight=0.0, features=(Pair("a", "b"),)),
    )
    with pytest.raises(
        ArgumentError, match="features and attention name layers, but there is no teacher: give one folder"
    ):
        Distillation(student, None, tone_task, config=pairs, training=TrainConfig())
