"""The training schemes: their losses against NumPy, what learns when, and from which clips."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from tiny import tiny_model

from bnn_exit._keras import set_seed, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models.multi_exit import build
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.scheme import SCHEMES, SchemeConfig
from bnn_exit.training import TrainConfig, fit, schemes
from bnn_exit.training.exit_loss import LabelLoss
from bnn_exit.training.schemes.base import ExitBatch, Phase, epochs_of
from bnn_exit.training.schemes.objective import SchemeObjective

EXITS, CLIPS, CLASSES = 3, 12, 4
WEIGHTS, COSTS = [1.0, 0.5, 2.0], [0.25, 0.5, 1.0]


def made(name, **options):
    return schemes.make(SchemeConfig(name, options))


# ------------------------------------------------------------------------------------- losses, again in plain NumPy


@pytest.fixture
def numbers():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (EXITS, CLIPS, CLASSES))
    labels = np.eye(CLASSES)[random.integers(0, CLASSES, CLIPS)]
    teacher = random.normal(0, 2, (CLIPS, CLASSES))
    return logits, labels, teacher


def softmax(values, temperature=1.0):
    powers = np.exp(values / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    return -(labels * np.log(softmax(logits))).sum(axis=-1)


def divergence(teacher, student, temperature=1.0):
    target, found = softmax(teacher, temperature), softmax(student, temperature)
    return temperature**2 * (target * np.log(target / found)).sum(axis=-1)


def loss_of(scheme, phase, numbers, *, progress=0.0, number=0, exits=EXITS, taught=False):
    logits, labels, teacher = numbers
    batch = ExitBatch(
        logits=[tf.constant(each, tf.float32) for each in logits[:exits]],
        labels=tf.constant(labels, tf.float32),
        losses=[tf.constant(cross_entropy(each, labels), tf.float32) for each in logits[:exits]],
        targets=tf.constant(teacher, tf.float32) if taught else None,
        weights=WEIGHTS,
        progress=tf.constant(progress),
        number=tf.constant(number),
        costs=COSTS,
    )
    return float(scheme.loss(phase, batch))


def test_joint_is_the_weighted_sum(numbers):
    logits, labels, _ = numbers
    means = [cross_entropy(each, labels).mean() for each in logits]
    (phase,) = made("joint").phases(EXITS)
    assert loss_of(made("joint"), phase, numbers) == pytest.approx(np.dot(WEIGHTS, means), rel=1e-5)
    given = made("joint", weights=[3, 0, 1])
    assert loss_of(given, phase, numbers) == pytest.approx(3 * means[0] + means[2], rel=1e-5)


@pytest.mark.parametrize(("progress", "first", "second"), [(0.0, 0.01, 0.01), (0.5, 0.13, 0.255), (1.0, 0.25, 0.5)])
def test_the_ramp_rises_from_a_hundredth_to_the_share_of_the_cost(numbers, progress, first, second):
    logits, labels, _ = numbers
    means = [cross_entropy(each, labels).mean() for each in logits]
    scheme = made("joint", ramp=True)
    found = loss_of(scheme, scheme.phases(EXITS)[0], numbers, progress=progress)
    assert found == pytest.approx(first * means[0] + second * means[1] + means[2], rel=1e-5)


@pytest.mark.parametrize(("number", "taking_part"), [(0, [0, 1]), (1, [0]), (2, [0, 1]), (3, [0])])
def test_exits_take_part_in_the_backbone_phase_as_often_as_they_are_early(numbers, number, taking_part):
    logits, labels, _ = numbers
    means = [cross_entropy(each, labels).mean() for each in logits]
    scheme = made("two_stage")
    backbone, _ = scheme.phases(EXITS)
    expected = WEIGHTS[2] * means[2] + sum(WEIGHTS[index] * means[index] for index in taking_part)
    assert loss_of(scheme, backbone, numbers, number=number) == pytest.approx(expected, rel=1e-5)
    alone = made("two_stage", exit_dropout=False)
    assert loss_of(alone, backbone, numbers, number=number) == pytest.approx(WEIGHTS[2] * means[2], rel=1e-5)
    assert alone.phases(EXITS)[0].heads == (2,)


@pytest.mark.parametrize("filtered", ["labels", "soft", "none"])
@pytest.mark.parametrize("teacher", ["last", "given"])
def test_distillation_counts_only_where_the_teacher_is_right(numbers, filtered, teacher):
    logits, labels, outside = numbers
    scheme = made("two_stage", filter=filtered, teacher=teacher, alpha=0.3, temperature=2.0)
    source = logits[-1] if teacher == "last" else outside
    right = source.argmax(axis=-1) == labels.argmax(axis=-1)
    assert 0 < right.sum() < CLIPS  # else the filter would show nothing
    expected = 0.0
    for index in range(EXITS - 1):
        for clip in range(CLIPS):
            hard = 0.3 * cross_entropy(logits[index, clip], labels[clip])
            soft = 0.7 * divergence(source[clip], logits[index, clip], 2.0)
            hard *= right[clip] if filtered == "labels" else 1
            soft *= right[clip] if filtered == "soft" else 1
            expected += WEIGHTS[index] * (hard + soft) / CLIPS
    found = loss_of(scheme, scheme.phases(EXITS)[1], numbers, taught=True)
    assert found == pytest.approx(expected, rel=1e-5)
    assert scheme.needs_teacher == (teacher == "given")


def test_self_distillation_has_the_last_exit_as_teacher(numbers):
    logits, labels, _ = numbers
    means = [cross_entropy(each, labels).mean() for each in logits]
    scheme = made("self_distilled", alpha=0.25, temperature=3.0)
    expected = WEIGHTS[2] * means[2]
    for index in range(2):
        soft = divergence(logits[2], logits[index], 3.0).mean()
        expected += WEIGHTS[index] * (0.75 * means[index] + 0.25 * soft)
    assert loss_of(scheme, scheme.phases(EXITS)[0], numbers) == pytest.approx(expected, rel=1e-5)


def test_the_other_losses(numbers):
    logits, labels, _ = numbers
    means = np.array([cross_entropy(each, labels).mean() for each in logits]) * WEIGHTS
    cascade = made("cascade")
    for index, phase in enumerate(cascade.phases(EXITS)):
        assert loss_of(cascade, phase, numbers, exits=index + 1) == pytest.approx(means[index], rel=1e-5)
    boosted = made("boosted")
    assert loss_of(boosted, boosted.phases(EXITS)[0], numbers) == pytest.approx(means.sum(), rel=1e-5)
    view = made("early_view", early_weight=0.4)
    found = loss_of(view, view.phases(EXITS)[0], numbers)
    assert found == pytest.approx(0.4 * (means[0] + means[1]) + means[2], rel=1e-5)
    for name in ("cached", "zero_time_waste"):
        scheme = made(name)
        assert loss_of(scheme, scheme.phases(EXITS)[0], numbers) == pytest.approx(means[2], rel=1e-5)
    zero = made("zero_time_waste")
    assert loss_of(zero, zero.phases(EXITS)[1], numbers) == pytest.approx(means.mean(), rel=1e-5)
    cached = made("cached", temperature=2.0)
    expected = np.mean([divergence(logits[2], logits[index], 2.0).mean() for index in range(2)])
    assert loss_of(cached, cached.phases(EXITS)[1], numbers) == pytest.approx(expected, rel=1e-5)


# ---------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_says_what_it_is_and_its_phases_make_a_whole(name):
    scheme = made(name)
    for exits in (2, 3, 6):
        phases = scheme.phases(exits)
        assert sum(phase.share for phase in phases) == pytest.approx(1)
        assert len({phase.name for phase in phases}) == len(phases)
        learning = [phase.heads if phase.heads is not None else range(exits) for phase in phases]
        assert {head for heads in learning for head in heads} == set(range(exits))
    assert type(scheme).from_dict(scheme.to_dict()) == scheme


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "joint",
            {"ramps": True},
            "option of the scheme joint is 'ramps', but must be one of ramp, weights; did you mean 'ramp'?",
        ),
        ("joint", {"ramp": 1}, "ramp is 1, but must be true or false"),
        ("joint", {"weights": "1,2"}, "weights is '1,2', but must be a list of numbers of at least 0"),
        ("joint", {"weights": [1, -1]}, "weights is (1, -1), but must be a list of numbers of at least 0"),
        ("joint", {"weights": [0, 0]}, "weights is [0, 0], but one must be above 0, or nothing is trained"),
        ("joint", {"weights": [1, 1, 1], "ramp": True}, "weights is [1, 1, 1], but must be empty with ramp"),
        (
            "two_stage",
            {"filter": "label"},
            "filter is 'label', but must be one of labels, none, soft; did you mean 'labels'",
        ),
        ("two_stage", {"teacher": "auto"}, "teacher is 'auto', but must be one of given, last"),
        ("two_stage", {"alpha": 1.5}, "alpha is 1.5, but must be from 0 to 1"),
        ("two_stage", {"backbone_share": 1}, "backbone_share is 1.0, but must be above 0 and below 1"),
        ("two_stage", {"temperature": 0}, "temperature is 0.0, but must be above 0"),
        ("cascade", {"replay": "all"}, "replay is 'all', but must be a finite number"),
        ("cascade", {"steps": -1}, "steps is -1, but must be at least 1, or 0 for one for each exit"),
        ("boosted", {"temperature": 2}, "temperature is 2.0, but must be above 0 and at most 1"),
        ("self_distilled", {"alpha": -0.1}, "alpha is -0.1, but must be from 0 to 1"),
        ("early_view", {"until": 80}, "until is 80.0, but must be from 0 to 1"),
        ("early_view", {"early_weight": 0}, "early_weight is 0.0, but must be above 0"),
        ("cached", {"temperature": -1}, "temperature is -1.0, but must be above 0"),
        ("zero_time_waste", {"backbone_share": 0}, "backbone_share is 0.0, but must be above 0 and below 1"),
    ],
)
def test_a_wrong_option_is_one_clear_line(name, options, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        made(name, **options)


def test_options_that_do_not_fit_the_network_are_found_before_training():
    with pytest.raises(ArgumentError, match="weights has 2 values, but the network has 3 exits"):
        made("joint", weights=[1, 1]).phases(3)
    with pytest.raises(ArgumentError, match="steps is 4, but the network has 3 exits: at most one step for each"):
        made("cascade", steps=4).phases(3)
    with pytest.raises(ArgumentError, match="epochs is 2, but the scheme cascade has 3 phases: it needs at least 3"):
        epochs_of(made("cascade").phases(3), 2, scheme="cascade")
    with pytest.raises(ArgumentError, match=r"scheme is 'boost', but must be one of .*; did you mean 'boosted'"):
        SchemeConfig("boost")


@pytest.mark.parametrize("epochs", [3, 4, 7, 12, 100])
@pytest.mark.parametrize("shares", [(1 / 3, 1 / 3, 1 / 3), (0.98, 0.01, 0.01), (0.01, 0.01, 0.98)])
def test_epochs_are_shared_out_and_every_phase_has_one(epochs, shares):
    phases = tuple(Phase(str(index), share) for index, share in enumerate(shares))
    found = epochs_of(phases, epochs, scheme="any")
    assert sum(found) == epochs and min(found) >= 1
    if all(round(share * epochs) >= 1 for share in shares):
        assert np.abs(np.array(found) - np.array(shares) * epochs).max() <= 1


# --------------------------------------------------------------------------------------------------------- training


def test_a_cascade_takes_the_clips_that_exits_before_have_wrong(capsys):
    correct = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    cascade = made("cascade", replay=0.0)
    _, second, third = cascade.phases(3)
    assert cascade.clips(second, correct, seed=0).tolist() == [1, 2, 3]
    assert cascade.clips(third, correct, seed=0).tolist() == [2, 3]
    many = np.concatenate([np.ones((1000, 3), bool), np.zeros((1, 3), bool)])
    kept = made("cascade", replay=0.2).clips(second, many, seed=3)
    assert 150 < len(kept) < 250 and kept[-1] == 1000 and (np.diff(kept) > 0).all()
    assert kept.tolist() == made("cascade", replay=0.2).clips(second, many, seed=3).tolist()
    assert capsys.readouterr().err == ""
    assert cascade.clips(second, np.ones((7, 3), bool), seed=0) is None
    assert "phase stage_2: the exits before have all 7 training clips right, so it gets all" in capsys.readouterr().err


def test_fewer_steps_than_exits_leave_the_rest_to_the_last_one():
    first, rest = made("cascade", steps=2).phases(4)
    assert (first.stages, first.depth, rest.stages, rest.depth) == ((0,), 1, (1, 2, 3), 4)


def test_only_what_learns_in_a_phase_changes(tone_task):
    set_seed(0)
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    scheme = made("cascade")
    _, second, _ = scheme.phases(3)
    config = TrainConfig(epochs=1, batch_size=16, warmup_steps=2)
    objective = SchemeObjective(
        model, scheme=scheme, phase=second, exit_loss=LabelLoss(label_smoothing=0.1), weights=[1.0] * 3
    )
    parts = [*model.stages, *model.heads]
    model.adapt(tone_task.log_mel("train"))
    before = [part.get_weights() for part in parts]
    history = fit(
        model,
        tone_task,
        config=config,
        augment=AugmentConfig(),
        objective=objective,
        clips=np.arange(32),
        progress=False,
    )
    changed = [
        any((now != then).any() for now, then in zip(part.get_weights(), was, strict=True))
        for part, was in zip(parts, before, strict=True)
    ]
    assert changed == [False, True, False, False, True, False]
    assert len(history[0]["train_accuracy"]) == 2 and len(history[0]["validation_accuracy"]) == 3
    assert history[0]["peak_memory_bytes"] > 50e6
    assert objective.score({"validation_accuracy": [0.1, 0.6, 0.2]}) == 0.6


def test_a_subset_of_clips_is_all_that_an_epoch_sees(tone_task):
    seen = []

    class Watching(LabelLoss):
        def targets(self, view):
            return np.arange(len(tone_task.train), dtype=np.float32)[:, None]

        def __call__(self, logits, labels, targets):
            tf.py_function(lambda values: seen.extend(values.numpy().ravel().tolist()), [targets], [])
            return super().__call__(logits, labels, targets)

    set_seed(0)
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, channels=(16, 16))
    scheme = made("joint", ramp=True)
    (phase,) = scheme.phases(2)
    objective = SchemeObjective(
        model, scheme=scheme, phase=phase, exit_loss=Watching(label_smoothing=0.0), weights=[1.0, 1.0]
    )
    clips = np.array([3, 5, 8, 13, 21, 34, 40, 41])
    config = TrainConfig(epochs=2, batch_size=4, warmup_steps=2)
    fit(model, tone_task, config=config, augment=AugmentConfig(), objective=objective, clips=clips, progress=False)
    assert set(seen) == set(clips.tolist())


def test_weights_of_exits_count_in_every_scheme(numbers):
    phase = Phase("train")
    batch = ExitBatch([], None, [tf.constant([1.0, 3.0])], None, [0.5], tf.constant(0.0), tf.constant(0), [1.0])
    assert float(batch.mean_loss(0)) == 1.0
    assert dataclasses.replace(phase, name="other").share == 1.0


def test_a_layer_of_two_stages_learns_with_the_first_of_them():
    model = build("glance", size="small", num_classes=4, input_shape=(98, 64, 1))
    shared = {id(weight) for weight in model.stages[0].weights} & {id(weight) for weight in model.stages[1].weights}
    assert shared
    first, second, _ = made("cascade").phases(3)
    for phase, learns in ((first, True), (second, False)):
        phase.freeze(model)
        learning = {id(weight) for weight in model.keras_model.trainable_variables}
        assert bool(shared & learning) == learns


@pytest.mark.parametrize("name", SCHEMES)
def test_checkpoints_have_one_order_of_weights_whatever_is_frozen(name):
    # A phase writes best.npz of a network that is partly frozen, and the next one reads it.
    scheme = made(name)
    config = scheme.of_model(ModelConfig(size="base"))
    model = build(**config.to_dict(), num_classes=4, input_shape=(98, 64, 1))
    order = [id(weight) for weight in model.keras_model.weights]
    for phase in scheme.phases(model.num_exits):
        phase.freeze(model)
        assert [id(weight) for weight in model.keras_model.weights] == order
