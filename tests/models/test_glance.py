"""The first look of the backbone `glance` is reused: its positions and the later ones are the whole stem's."""

import itertools

import numpy as np
import pytest

from bnn_exit._keras import keras, make_repeatable, set_seed
from bnn_exit.models import multi_exit
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.training import TrainConfig, fit

layers = keras.layers


def build(shape=(98, 64, 1), **options):
    return multi_exit.build("glance", **{"size": "small", "num_classes": 3, "input_shape": shape, **options})


def log_mel(shape, *, clips=2, seed=0):
    return np.random.default_rng(seed).normal(size=(clips, *shape)).astype(np.float32)


def whole_stem(stage, stride):
    """The same stem over the whole, with ordinary "same" padding; weights are those of the stage."""
    source = keras.Input(stage.input_shape[1:])
    values = source.shape[2] == 1
    channels, kernel, strides = (4, (stride + 1, 1), (stride, 1)) if values else (16, (2 * stride - 1, 5), (stride, 4))
    made = [
        layers.Conv2D(channels, kernel, strides=strides, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.DepthwiseConv2D(
            (1, 1 if values else 3), padding="same", use_bias=False, depth_multiplier=2 if values else 4
        ),
        layers.BatchNormalization(),
    ]
    features = source
    for layer in made:
        features = layer(features)
    theirs = [
        layer for layer in stage.layers if type(layer) in map(type, made) and not layer.name.startswith("binary_")
    ]
    for layer, other in zip(made, theirs, strict=False):
        assert type(layer) is type(other)
        layer.set_weights(other.get_weights())
    return keras.Model(source, features)


@pytest.mark.parametrize(
    ("shape", "stride", "positions"),
    [
        ((98, 64, 1), 4, 25),  # an odd number: the last one is of the first look
        ((96, 64, 1), 4, 24),
        ((49, 40, 1), 4, 13),
        ((33, 35, 1), 4, 9),
        ((498, 64, 1), 8, 63),  # a long clip
        ((100, 1, 6), 4, 25),  # values
        ((97, 1, 3), 4, 25),
        ((300, 1, 1), 8, 38),
    ],
)
def test_even_and_odd_positions_are_the_stem_over_the_whole_to_the_last_bit(shape, stride, positions):
    model = build(shape, size="micro" if shape[1] == 1 else "small")
    random = np.random.default_rng(1)
    for layer in model.stages[0].layers:
        if isinstance(layer, layers.BatchNormalization):
            width = layer.gamma.shape[0]
            values = [
                random.uniform(0.5, 1.5, width),
                *random.normal(0, 0.3, (2, width)),
                random.uniform(0.5, 2, width),
            ]
            layer.set_weights(values)
    clips = log_mel(shape)
    look, padded, even = model.stages[0](clips)
    halves = keras.Model(model.stages[1].inputs, model.stages[1].get_layer("whole").input[0])
    found = halves([look, padded, even]).numpy()
    expected = whole_stem(model.stages[0], stride)(clips).numpy()
    assert found.shape == expected.shape == (2, positions, -(-shape[1] // 4), 8 if shape[1] == 1 else 64)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(even.numpy(), expected[:, ::2])


def test_the_first_exit_sees_no_frame_between_two_looks():
    clips = log_mel((98, 64, 1))
    changed = clips.copy()
    # Position 2u of the whole reads 7 frames from 8u - 2 on (2 of padding), so the frame 8u + 5 is seen by none.
    changed[:, 5::8] += 100
    model = build()
    before, after = model.logits(clips[..., 0]), model.logits(changed[..., 0])
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert np.abs(before[:, 1:] - after[:, 1:]).max() > 1e-3


def test_of_values_the_first_exit_sees_five_samples_of_eight():
    windows = np.random.default_rng(0).normal(size=(2, 100, 6)).astype(np.float32)
    model = build((100, 1, 6), size="micro")
    before = model.logits(windows)

    def exits_that_see(first, last):
        changed = windows.copy()
        for sample in range(first, last):
            changed[:, sample::8] += 100
        return [bool(difference > 1e-3) for difference in np.abs(model.logits(changed) - before).max(axis=(0, 2))[:2]]

    # Position 2u of the whole reads 5 samples from 8u on: no padding is needed before the first.
    assert exits_that_see(5, 8) == [False, True]
    assert all(exits_that_see(sample, sample + 1)[0] for sample in range(5))


def test_the_stem_is_one_in_training_and_costs_half_at_a_time():
    model = build()
    shared = [id(weight) for stage in model.stages[:2] for weight in stage.weights]
    assert len(shared) - len(set(shared)) == 2 + 2 * 4  # two kernels, two normalisations
    assert len(model.keras_model.weights) == len({id(weight) for weight in model.keras_model.weights})
    first, second = (
        sum(
            np.prod(node.output_shapes[1:3]) * np.prod(node.layer.weights[0].shape)
            for node in itertools.chain(*stage._nodes_by_depth.values())
            if type(node.layer) in (layers.Conv2D, layers.DepthwiseConv2D)
        )
        for stage in model.stages[:2]
    )
    # 13 and 12 of 25 positions in time, 16 in frequency; 7 x 5 to 16 channels, then 3 to 4 of each.
    assert (first, second) == tuple(count * 16 * (7 * 5 * 16 + 3 * 64) for count in (13, 12))
    heads = [head.float_macs for head in model.head_costs()]
    assert [cost.float_macs for cost in model.costs()[:2]] == [first + heads[0], first + second + heads[0] + heads[1]]


def test_the_first_exit_takes_less_than_half_of_quicknets():
    usual = multi_exit.build("quicknet", size="base", num_classes=3, input_shape=(98, 64, 1))
    assert build(size="base").costs()[0].ops < usual.costs()[0].ops / 2


def test_a_training_can_be_repeated_bit_for_bit(tone_task):
    make_repeatable()
    found = []
    for _ in range(2):
        set_seed(0)
        model = build(tone_task.input_shape, num_classes=4)
        fit(model, tone_task, config=TrainConfig(epochs=1, batch_size=16, warmup_steps=2), progress=False)
        found.append(model.keras_model.get_weights())
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)


def test_exits_that_stay_say_what_they_said():
    model = build(size="base")
    clips = log_mel((98, 64))
    expected = model.logits(clips)
    for subset in ((0, 1), (0, 3), (1, 2), (2, 3)):
        part = model.with_exits(subset)
        assert isinstance(part, MultiExitModel)
        np.testing.assert_allclose(part.logits(clips), expected[:, list(subset)], rtol=1e-5, atol=1e-5)
        costs = model.exit_costs().select_exits(subset)
        assert part.head_costs() == costs.heads
        assert [cost.ops for cost in part.costs()] == [cost.ops for cost in costs.exits]
        # A file has the stem once for the first two stages together, and once for each where an exit is between.
        saved = [whole.bytes - own.bytes for whole, own in zip(costs.exits, part.costs(), strict=True)]
        assert saved == [0 if 0 in subset else 4 * (7 * 5 * 16 + 4 * 16 + 3 * 64 + 4 * 64)] * 2


def test_the_level_is_normalised_before_the_look():
    model = build(levels="normalised")
    model.adapt(log_mel((98, 64), clips=4))
    clips = log_mel((98, 64))
    np.testing.assert_allclose(model.logits(clips - 3), model.logits(clips), atol=1e-3)
