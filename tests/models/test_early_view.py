import numpy as np
import pytest
from tiny import tiny_build, tiny_model

from bnn_exit import add_exits
from bnn_exit._keras import keras, set_seed
from bnn_exit.errors import ArgumentError
from bnn_exit.models import multi_exit
from bnn_exit.models.early_view import early_view_pairs
from bnn_exit.settings.model import BACKBONES


@pytest.fixture
def network(tone_task):
    set_seed(1)
    return tiny_build(num_classes=4, input_shape=tone_task.input_shape, head="early_view", channels=(16, 24, 32))


def test_the_clone_has_the_shape_of_the_kernel_of_the_first_exit(network):
    ((source, clone),) = early_view_pairs(network)
    assert source.shape == clone.shape == (3, 3, 8, 1)
    assert {id(weight) for weight in network.heads[0].weights} & {id(source)}
    assert {id(weight) for weight in network.heads[2].weights} & {id(clone)}
    trained = {id(weight) for weight in network.keras_model.trainable_variables}
    assert {id(source), id(clone)} <= trained


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_room_for_the_clone(backbone):
    model = multi_exit.build(backbone, size="small", num_classes=3, input_shape=(98, 64, 1), head="early_view")
    ((source, clone),) = early_view_pairs(model)
    assert source.shape == clone.shape == (3, 3, model.stages[0].outputs[0].shape[-1] // 2, 1)


def test_the_last_head_reads_its_pooled_features_and_the_view_of_the_clone(network, tone_task):
    head, random = network.heads[-1], np.random.default_rng(0)
    features = random.normal(size=(2, *head.input_shape[1:])).astype(np.float32)
    ((source, clone),) = early_view_pairs(network)
    clone.assign(source)
    kernel = source.numpy()[..., 0]
    height, width = features.shape[1:3]
    padded = np.pad(features[..., :8], ((0, 0), (1, 1), (1, 1), (0, 0)))
    view = sum(
        padded[:, row : row + height, column : column + width] * kernel[row, column]
        for row in range(3)
        for column in range(3)
    )
    view = np.maximum(view / np.sqrt(1 + 1e-3), 0)  # BatchNorm as it starts
    pooled = [np.maximum(features, 0).mean(axis=(1, 2)), view.mean(axis=(1, 2))]
    dense, bias = head.get_layer("logits_3").get_weights()
    expected = np.concatenate(pooled, axis=-1) @ dense + bias
    np.testing.assert_allclose(head(features).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_earlier_heads_are_strided(network, tone_task):
    strided = tiny_build(num_classes=4, input_shape=tone_task.input_shape, head="strided", channels=(16, 24, 32))
    assert network.head_costs()[:2] == strided.head_costs()[:2]
    assert not network.chained and [len(head.inputs) for head in network.heads] == [1, 1, 1]


def test_a_network_without_an_early_view_is_one_line(network, tone_task):
    message = r"^the network has no early view: its head is {}, but must be 'early_view', with the first and the last"
    other = tiny_build(num_classes=4, input_shape=tone_task.input_shape, head="strided")
    with pytest.raises(ArgumentError, match=message.format("'strided'")):
        early_view_pairs(other)
    with pytest.raises(ArgumentError, match=message.format("unknown")):
        early_view_pairs(tiny_model(num_classes=4, input_shape=tone_task.input_shape))
    for kept in ([0, 1], [1, 2]):
        with pytest.raises(ArgumentError, match=message.format("'early_view'")):
            early_view_pairs(network.with_exits(kept))
    assert len(early_view_pairs(network.with_exits([0, 2]))) == 1


def test_a_last_stage_that_is_too_narrow_is_one_line():
    source = keras.Input((64, 64, 1))
    wide = keras.layers.Conv2D(16, 3, strides=4, name="wide")(source)
    narrow = keras.layers.Conv2D(7, 3)(wide)
    with pytest.raises(ArgumentError, match=r"^head is 'early_view', but the last stage has 7 channels, fewer than"):
        add_exits(keras.Model(source, narrow), at=["wide"], head="early_view", num_classes=3)
