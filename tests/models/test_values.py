"""Networks of values: convolutions are one-dimensional, from the same blocks."""

import numpy as np
import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.models.binary_ops import binary_layers
from bnn_exit.models.multi_exit import build
from bnn_exit.models.standardise import Standardise
from bnn_exit.settings.model import BACKBONES, HEADS

SHAPE = (100, 1, 6)


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_convolutions_of_every_backbone_are_one_dimensional(backbone):
    model = build(backbone, size="small", num_classes=5, input_shape=SHAPE)
    layers = binary_layers(model.keras_model)
    assert layers and {layer.kernel_size[1] for layer in layers} == {1}
    assert {layer.kernel_size[0] for layer in layers} <= {1, 5}
    logits = model.logits(np.zeros((3, 100, 6), np.float32))
    assert logits.shape == (3, model.num_exits, 5)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_every_head_takes_features_of_values(head):
    model = build(size="small", head=head, num_classes=5, input_shape=SHAPE)
    assert model.logits(np.ones((2, 100, 6), np.float32)).shape == (2, 2, 5)


def test_binary_work_of_a_network_by_hand():
    costs = build(size="small", num_classes=5, input_shape=SHAPE).costs()
    # 100 samples leave the stem at 25 places, and the second stage halves them to 13; 2 and 6 layers of 5 places, 64
    # channels each.
    first = 2 * 25 * 5 * 64 * 64
    second = 6 * 13 * 5 * 64 * 64
    assert [cost.binary_macs for cost in costs] == [first, first + second]


def test_each_channel_is_standardised_by_itself():
    model = build(size="small", num_classes=2, input_shape=(64, 1, 3))
    random = np.random.default_rng(0)
    windows = random.normal([1, -20, 3], [1e-6, 5, 0], (50, 64, 3)).astype(np.float32)
    model.adapt(windows)
    (layer,) = [each for each in model.keras_model._flatten_layers() if isinstance(each, Standardise)]
    found = layer(windows[:, :, None, :]).numpy()
    assert found[..., 1].std() == pytest.approx(1, rel=1e-3)
    assert found[..., 1].mean() == pytest.approx(0, abs=1e-3)
    # A channel that never changed in training tells nothing, whatever it does later.
    assert not found[..., 2].any()
    assert not layer(windows[:, :, None, :] + 7).numpy()[..., 2].any()


def test_units_of_a_channel_do_not_matter():
    windows = np.random.default_rng(0).normal(0, 1, (50, 64, 2)).astype(np.float32)
    outputs = []
    for factor in (1.0, 1e-4):
        model = build(size="small", num_classes=2, input_shape=(64, 1, 2))
        model.adapt(windows * np.float32(factor))
        (layer,) = [each for each in model.keras_model._flatten_layers() if isinstance(each, Standardise)]
        outputs.append(layer(windows[:, :, None, :] * np.float32(factor)).numpy())
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-4)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (
            (31, 1, 6),
            {},
            "input_shape is (31, 1, 6), but must be (frames, mels, 1) with at least 32 frames and 32 mels",
        ),
        ((100, 1, 6), {"levels": "normalised"}, "levels is 'normalised', but values have no level as sound has"),
    ],
)
def test_networks_that_cannot_be_built(shape, options, message):
    with pytest.raises(ArgumentError) as caught:
        build(num_classes=2, input_shape=shape, **options)
    assert message in str(caught.value)
