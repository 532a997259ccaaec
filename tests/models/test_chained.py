"""Heads that read the logits of the exit before: cascaded, boosted, and both."""

import numpy as np
import pytest
from tiny import tiny_build

import bnn_exit
from bnn_exit import policies
from bnn_exit._keras import keras, make_repeatable, set_seed, tf
from bnn_exit.calibration.constraints import Constraints
from bnn_exit.calibration.select import CHOOSE, select
from bnn_exit.conversion import to_lce
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.operating_points import OperatingPoints
from bnn_exit.models import multi_exit
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.policies import Sizes
from bnn_exit.settings.model import HEADS, ModelConfig
from bnn_exit.training import TrainConfig, fit
from bnn_exit.training.calibrate import exit_logits_of
from bnn_exit.training.loss import joint_loss

CHAINED = {"cascaded": ("cascaded", 0.0), "boosted": ("grid", 0.5), "both": ("cascaded", 0.25)}
CLASSES = 4


def new(task, kind, seed=1):
    set_seed(seed)
    head, boost = CHAINED[kind]
    return tiny_build(num_classes=CLASSES, input_shape=task.input_shape, head=head, boost=boost)


def copy(source, target):
    """The weights of each part; those of the whole have another order where heads read other heads."""
    for one, other in zip(source.stages + source.heads, target.stages + target.heads, strict=True):
        other.set_weights(one.get_weights())


@pytest.fixture(scope="module", params=CHAINED)
def kind(request):
    return request.param


@pytest.fixture
def model(kind, tone_task):
    return new(tone_task, kind)


@pytest.fixture(scope="module")
def batch(tone_task):
    return np.asarray(tone_task.log_mel("validation"))[:5]


def test_logits_are_those_of_numpy_from_the_outputs_of_the_parts(model, kind, batch):
    random = np.random.default_rng(0)
    for weight in model.keras_model.weights:
        if any(part in weight.name for part in ("gamma", "moving_variance", "beta", "moving_mean")):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    logits = model.logits(batch)
    boost, features, before = CHAINED[kind][1], batch[..., None], None
    for index, (stage, head) in enumerate(zip(model.stages, model.heads, strict=True)):
        features = stage(features)
        (flat,) = (layer for layer in head.layers if isinstance(layer, keras.layers.Flatten))
        own = keras.Model(head.inputs[0], flat.output)(features).numpy()
        dense = head.get_layer(f"logits_{index + 1}")
        kernel, bias = (weights.astype(np.float64) for weights in dense.get_weights())
        if index and "cascaded" in CHAINED[kind]:
            (norm,) = (layer for layer in head.layers if "batch_norm" in layer.name and layer.gamma.shape == (CLASSES,))
            gamma, beta, mean, variance = (weights.astype(np.float64) for weights in norm.get_weights())
            own = np.concatenate([own, (before - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta], axis=-1)
        expected = own @ kernel + bias + (boost * before if index else 0)
        assert logits[:, index].shape == (5, CLASSES)
        np.testing.assert_allclose(logits[:, index], expected, rtol=1e-4, atol=1e-4)
        before = expected


def test_no_gradient_reaches_an_exit_through_the_logits_of_a_later_one(model, batch):
    with tf.GradientTape() as tape:
        second = model.exit_logits(tf.constant(batch[..., None]), training=True)[1]
        loss = tf.reduce_sum(second**2)
    first, second = (head.trainable_variables for head in model.heads[:2])
    gradients = tape.gradient(loss, [*first, *second, *model.stages[0].trainable_variables])
    assert gradients[: len(first)] == [None] * len(first)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients[len(first) :])


def test_the_gradient_of_a_stage_is_a_mean_over_the_exits_behind_it_where_boost_is_on(tone_task, batch):
    log_mel, labels = tf.constant(batch[..., None]), tf.one_hot(tf.range(5) % CLASSES, CLASSES)

    def gradients_of_exit_1(model):
        with tf.GradientTape() as tape:
            logits = model.exit_logits(log_mel, training=True)
            loss = joint_loss(logits, labels, weights=[1.0, 0.0, 0.0], label_smoothing=0.0)
        first = model.heads[0].trainable_variables + model.stages[0].trainable_variables
        return [gradient.numpy() for gradient in tape.gradient(loss, first)]

    set_seed(3)
    boosted = tiny_build(num_classes=CLASSES, input_shape=tone_task.input_shape, boost=0.5)
    plain = tiny_build(num_classes=CLASSES, input_shape=tone_task.input_shape)
    copy(boosted, plain)
    heads = len(plain.heads[0].trainable_variables)
    with_boost, without = gradients_of_exit_1(boosted), gradients_of_exit_1(plain)
    for found, expected in zip(with_boost[:heads], without[:heads], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    # Exit 1 of 3: a third of its gradient reaches the stage.
    for found, expected in zip(with_boost[heads:], without[heads:], strict=True):
        np.testing.assert_allclose(found, expected / 3, rtol=1e-4, atol=1e-7)


def test_boosted_and_plain_exits_differ_by_the_logits_before(tone_task, batch):
    boosted = new(tone_task, "boosted")
    plain = tiny_build(num_classes=CLASSES, input_shape=tone_task.input_shape, head="grid")
    copy(boosted, plain)
    f, total = plain.logits(batch), boosted.logits(batch)
    np.testing.assert_allclose(total[:, 0], f[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(total[:, 1], f[:, 1] + 0.5 * f[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(total[:, 2], f[:, 2] + 0.5 * f[:, 1] + 0.25 * f[:, 0], rtol=1e-4, atol=1e-5)


def test_costs_count_the_inputs_that_a_cascade_adds(tone_task):
    cascaded = new(tone_task, "cascaded").exit_costs()
    grid = tiny_build(num_classes=CLASSES, input_shape=tone_task.input_shape, head="grid").exit_costs()
    assert cascaded.chained and not grid.chained
    more = [a.float_macs - b.float_macs for a, b in zip(cascaded.heads, grid.heads, strict=True)]
    assert more == [0, CLASSES * CLASSES, CLASSES * CLASSES]
    # Batch normalisation of the logits: four numbers a class.
    more = [a.bytes - b.bytes for a, b in zip(cascaded.heads, grid.heads, strict=True)]
    assert more == [0] + [4 * (CLASSES * CLASSES + 4 * CLASSES)] * 2
    assert new(tone_task, "boosted").costs() == grid.exits


def test_the_first_exits_of_a_chained_network_stay_the_same_and_others_are_refused(model, batch, tone_task):
    part = model.with_exits([0, 1])
    np.testing.assert_array_equal(part.logits(batch), model.logits(batch)[:, :2])
    assert part.chained and model.exit_costs().select_exits([0, 1]) == part.exit_costs()
    with pytest.raises(
        ArgumentError, match=r"^exit_indices is \[0, 2\], but heads .* be the first ones, such as \[0, 1\]"
    ):
        model.with_exits([0, 2])
    points = OperatingPoints({}, policy=policies.fit("margin"), exits=(1, 2))
    with pytest.raises(ArgumentError, match=r"^exit_indices is \[1, 2\], but heads of this network read the logits"):
        to_lce.export(model, "m.tflite", task=tone_task, operating_points=points)


def test_calibration_offers_the_first_exits_alone(model, tone_task):
    exit_logits, costs = exit_logits_of(model, tone_task, split="validation"), model.exit_costs()
    constraints = Constraints({"max_accuracy_drop": 1.0})
    found = select(exit_logits, costs, constraints, exits=CHOOSE)
    assert sorted(subset.exits for subset in found.subsets) == [(0, 1), (0, 1, 2)]
    message = "^exits is 1,3, but heads of this network read the logits of the exit before, .* such as 1,2$"
    for options in ({}, {"confidence": 0.5}):
        with pytest.raises(ArgumentError, match=message):
            select(exit_logits, costs, constraints, exits=(0, 2), **options)
    with pytest.raises(ArgumentError, match=message):
        bnn_exit.calibrate(model, tone_task, exits=[0, 2])
    assert bnn_exit.calibrate(model, tone_task, exits=[0, 1]).exits == (0, 1)


@pytest.mark.parametrize("policy_name", ["class_means", "ensemble"])
def test_a_file_executes_and_counts_every_earlier_head_with_any_policy(model, tone_task, policy_name):
    exit_logits = exit_logits_of(model, tone_task, split="validation", features=True)
    policy = policies.fit(policy_name, exit_logits)
    # Every backend is compared with Keras, exit by exit, before there is a file.
    made = to_lce.make(model, "m.tflite", task=tone_task, operating_points={}, policy=policy)
    assert len(made.parity.reports) >= 2 and made.parity.notes == []
    sizes = Sizes.of(exit_logits)
    spent = model.exit_costs().with_policy(policy, sizes)
    work = sum(policy.cost(index, sizes).float_macs for index in range(2))
    assert spent[-1].float_macs == model.costs()[-1].float_macs + work


@pytest.mark.parametrize("head", HEADS)
def test_any_head_can_be_boosted(head, tone_task):
    set_seed(2)
    model = tiny_build(num_classes=CLASSES, input_shape=tone_task.input_shape, head=head, boost=0.5)
    model.round_for_file()
    made = to_lce.make(model, "m.tflite", task=tone_task, operating_points={})
    assert made.audit.binary_layers == 3
    for report in made.parity.reports:
        assert all(figures["median_difference"] < 1e-4 for figures in report["exits"])


def test_training_is_repeatable_bit_for_bit(tone_task):
    make_repeatable()
    config, found = TrainConfig(epochs=2, batch_size=16, warmup_steps=2, seed=3), []
    for _ in range(2):
        model = new(tone_task, "both")
        fit(model, tone_task, config=config, progress=False)
        found.append(model.keras_model.get_weights())
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("head, boost", [*CHAINED.values(), ("early_view", 0.0), ("early_view", 0.5)])
def test_gradients_are_the_same_bits_every_time(head, boost):
    make_repeatable()
    # Large enough that both cores are at work and the order in which sums are ready varies.
    set_seed(0)
    network = multi_exit.build(size="small", num_classes=4, input_shape=(98, 64, 1), head=head, boost=boost).keras_model
    log_mel, labels = tf.random.stateless_normal([64, 98, 64, 1], [0, 1]), tf.one_hot(tf.range(64) % 4, 4)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            logits = network(log_mel, training=True)
            loss = joint_loss(logits, labels, weights=[1.0] * len(logits), label_smoothing=0.1)
        return tape.gradient(loss, network.trainable_variables)

    first = [gradient.numpy() for gradient in gradients()]
    for _ in range(4):
        for found, expected in zip(gradients(), first, strict=True):
            np.testing.assert_array_equal(found.numpy(), expected)


def test_a_head_of_too_many_inputs_is_refused(tone_task):
    model = new(tone_task, "cascaded")
    with pytest.raises(ArgumentError, match=r"^head 1 has 2 inputs, but must have the features of its stage and,"):
        MultiExitModel(model.stages[:2], model.heads[1:])


@pytest.mark.parametrize("boost", [-0.1, 1.5, float("nan"), "half"])
def test_a_boost_out_of_range_is_one_line(boost):
    with pytest.raises(ArgumentError, match=r"^boost is .*, but must be (from 0 \(off\) to 1|a finite number)$"):
        ModelConfig(boost=boost)
    assert ModelConfig.from_dict({"backbone": "quicknet"}).boost == 0
