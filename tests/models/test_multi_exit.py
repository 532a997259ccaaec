import functools
import importlib
import itertools

import numpy as np
import pytest

from bnn_exit._keras import keras
from bnn_exit.errors import ArgumentError
from bnn_exit.models import multi_exit, profile
from bnn_exit.models.binary_ops import binary_conv
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.settings.model import BACKBONES, HEADS, SIZES, sizes

SHAPE = (98, 64, 1)


def build(**options):
    return multi_exit.build(**{"num_classes": 5, "input_shape": SHAPE, "size": "small", **options})


@functools.cache
def exit_costs(backbone, size):
    return build(backbone=backbone, size=size).costs()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_the_sizes_that_its_settings_name(backbone):
    assert set(importlib.import_module(f"bnn_exit.models.backbones.{backbone}").SIZES) == set(sizes(backbone))
    assert set(SIZES) <= set(sizes(backbone))


@pytest.mark.parametrize("backbone, size", [(backbone, size) for backbone in BACKBONES for size in sizes(backbone)])
def test_every_backbone_has_exits_of_rising_cost_and_mostly_binary_work(backbone, size):
    costs = exit_costs(backbone, size)
    # Each exit after the first has its bytes; the smallest network can pay for one.
    assert len(costs) >= (2 if backbone == "quicknet" and size in ("tiny", "small") else 3)
    assert all(a.ops < b.ops and a.bytes < b.bytes for a, b in itertools.pairwise(costs))
    # A cheap stem and no large float layer: even counted 64 to 1 the binary work is not dwarfed.
    # The published shortcuts of the others have float 1x1 convolutions, which QuickNet here does without.
    assert costs[-1].float_macs < (0.03 if backbone == "quicknet" else 0.06) * costs[-1].binary_macs


@pytest.mark.parametrize("backbone", BACKBONES)
def test_sizes_grow(backbone):
    rising = [size for size in ("small", "medium", "base", "large") if size in sizes(backbone)]
    costs = [exit_costs(backbone, size)[-1] for size in rising]
    assert all(a.ops < b.ops for a, b in itertools.pairwise(costs))
    assert all(a.bytes < b.bytes for a, b in itertools.pairwise(costs))


def test_tiny_has_the_fewest_bytes_of_all_sizes():
    others = [size for size in sizes("quicknet") if size != "tiny"]
    assert exit_costs("quicknet", "tiny")[-1].bytes < min(exit_costs("quicknet", size)[-1].bytes for size in others)


def test_deep_has_more_blocks_than_base():
    deep, base = exit_costs("quicknet", "deep"), exit_costs("quicknet", "base")
    assert len(deep) == len(base) and all(a.ops > b.ops and a.bytes > b.bytes for a, b in zip(deep, base, strict=True))


@pytest.mark.parametrize("head", HEADS)
def test_logits_of_every_exit_come_from_its_own_stage(head):
    model = build(head=head)
    log_mel = np.random.default_rng(0).normal(size=(3, 98, 64)).astype(np.float32)
    logits = model.logits(log_mel, batch_size=2)
    assert logits.shape == (3, model.num_exits, 5)
    features = log_mel[..., None]
    found = None
    for index, (stage, head_model) in enumerate(zip(model.stages, model.heads, strict=True)):
        features = stage(features)
        found = head_model([features, found][: len(head_model.inputs)])
        np.testing.assert_allclose(found.numpy(), logits[:, index], rtol=1e-4, atol=1e-4)


def test_costs_are_those_counted_by_hand():
    source = keras.Input((6, 4, 1))
    features = keras.layers.Conv2D(33, 3, padding="same", use_bias=False)(source)
    first = keras.Model(source, binary_conv(features, 8, name="a"))
    middle = keras.Input((6, 4, 8))
    second = keras.Model(middle, binary_conv(middle, 16, name="b", strides=2))
    heads = []
    for shape in ((6, 4, 8), (3, 2, 16)):
        inputs = keras.Input(shape)
        heads.append(keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(inputs))))
    model = MultiExitModel([first, second], heads)
    costs = model.costs()
    assert costs[0].binary_macs == 24 * 9 * 33 * 8
    assert costs[0].float_macs == 24 * 9 * 33 + 24 * 8 * 5
    # 33 channels take two 32-bit words.
    assert costs[0].bytes == 4 * 9 * 33 + 4 * 9 * 2 * 8 + 4 * (24 * 8 * 5 + 5)
    assert costs[1].binary_macs - costs[0].binary_macs == 6 * 9 * 8 * 16
    assert costs[1].float_macs - costs[0].float_macs == 6 * 16 * 5
    assert costs[0].ops == costs[0].float_macs + costs[0].binary_macs / 64
    assert [head.float_macs for head in model.head_costs()] == [24 * 8 * 5, 6 * 16 * 5]
    assert [head.bytes for head in model.head_costs()] == [4 * (24 * 8 * 5 + 5), 4 * (6 * 16 * 5 + 5)]


def test_depthwise_convolutions_count_one_filter_a_channel():
    source = keras.Input((6, 4, 8))
    model = keras.Model(source, keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(source))
    assert profile.cost(model).float_macs == 24 * 9 * 8
    model = keras.Model(source, keras.layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=4)(source))
    assert profile.cost(model).float_macs == 6 * 9 * 8 * 4


def test_standardisation_has_zero_mean_and_unit_variance_on_what_it_was_fitted_to():
    model = build()
    log_mel = np.random.default_rng(0).normal(-5, 3, size=(20, 98, 64)).astype(np.float32)
    log_mel[..., 7] = -13.8  # a band of digital silence
    model.adapt(log_mel)
    layer = model.stages[0].get_layer("standardise")
    result = layer(log_mel[..., None]).numpy()[..., 0]
    np.testing.assert_allclose(result.mean(axis=(0, 1)), 0, atol=2e-4)
    np.testing.assert_allclose(np.delete(result.std(axis=(0, 1)), 7), 1, atol=1e-3)
    assert np.abs(result[..., 7]).max() < 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "quiknet"}, "backbone is 'quiknet', but must be one of .*; did you mean 'quicknet'"),
        (
            {"size": "bas"},
            "size is 'bas', but must be one of base, deep, large, medium, micro, small, tiny; did you mean 'base'",
        ),
        ({"head": "gird"}, "head is 'gird', but must be one of .*; did you mean 'grid'"),
        ({"num_classes": 1}, "num_classes is 1, but a classifier needs at least 2"),
        ({"input_shape": (20, 64, 1)}, r"input_shape is \(20, 64, 1\), but must be \(frames, mels, 1\)"),
    ],
)
def test_bad_arguments_get_one_line(options, message):
    with pytest.raises(ArgumentError, match=message):
        build(**options)


def test_stages_and_heads_must_match():
    with pytest.raises(ArgumentError, match="at least one stage, each with a head; got 1 stages and 0 heads"):
        MultiExitModel([build().stages[0]], [])


@pytest.mark.parametrize("exit_index", range(3))
def test_a_truncated_network_gives_what_its_exit_gave_and_pays_for_one_head(exit_index):
    model = build(size="base")
    log_mel = np.random.default_rng(0).normal(size=(3, 98, 64)).astype(np.float32)
    static = model.truncated(exit_index)
    assert static.num_exits == 1 and static.config == model.config
    np.testing.assert_array_equal(static.logits(log_mel)[:, 0], model.logits(log_mel)[:, exit_index])
    others = model.head_costs()[:exit_index]
    (cost,) = static.costs()
    assert cost.float_macs == model.costs()[exit_index].float_macs - sum(each.float_macs for each in others)
    assert cost.binary_macs == model.costs()[exit_index].binary_macs


@pytest.mark.parametrize("exit_index", [-1, 2])
def test_a_network_is_truncated_at_exits_that_it_has(exit_index):
    with pytest.raises(ArgumentError, match=f"exit_index is {exit_index}, but must be 0 to 1"):
        build().truncated(exit_index)
