"""Larq Zoo's networks with exits: cut, counted, exported and run, with the answers that they had without."""

import importlib
import sys
import warnings
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest

import bnn_exit
from bnn_exit._keras import set_seed
from bnn_exit.conversion import parity
from bnn_exit.model_file import reader

pytestmark = pytest.mark.skipif(find_spec("larq_zoo") is None, reason="larq-zoo is not installed: `make test` does")


def zoo(name, module, shape):
    # Larq Zoo imports the data sets that it is trained on; they would bring many packages along, and are not read here.
    absent = {} if find_spec("tensorflow_datasets") else {"tensorflow_datasets": mock.MagicMock()}
    set_seed(0)
    with warnings.catch_warnings(), mock.patch.dict(sys.modules, absent):
        warnings.simplefilter("ignore")
        make = getattr(importlib.import_module(f"larq_zoo.{module}"), name)
        model = make(weights=None, input_shape=shape, num_classes=4)
    random = np.random.default_rng(0)
    for weight in model.weights:
        # As after some training: with fresh statistics the values grow from block to block.
        if "moving_variance" in weight.name:
            weight.assign(random.uniform(200, 300, weight.shape))
    return model


def with_exits(model, told):
    places = bnn_exit.cut_points(model)
    at = [places[len(places) // 3], places[2 * len(places) // 3]]
    if told is None:
        return bnn_exit.add_exits(model, at=at, head="pooled")
    with pytest.warns(UserWarning, match=told):
        return bnn_exit.add_exits(model, at=at, head="pooled")


@pytest.mark.parametrize(
    ("name", "module", "told"),
    [("QuickNetSmall", "sota", None), ("BiRealNet", "literature", "pads with zeros and is larger than its input")],
)
def test_a_zoo_network_of_log_mel_becomes_a_file(name, module, told, tone_task, tmp_path):
    model = zoo(name, module, tone_task.input_shape)
    network = with_exits(model, told)
    log_mel = np.asarray(tone_task.log_mel("test"))[:4]
    logits = network.logits(log_mel)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    expected = model(log_mel[..., None]).numpy()
    np.testing.assert_allclose(powers[:, -1] / powers[:, -1].sum(axis=-1, keepdims=True), expected, atol=1e-5)

    audit = bnn_exit.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={})
    assert audit.binary_layers == network.num_binary_layers == 16
    parity.require(parity.compare(network, reader.read(tmp_path / "m.tflite"), log_mel, log_mel, backend="native"))


def test_a_zoo_network_of_pictures_is_cut_and_counted():
    model = zoo("BinaryDenseNet28", "literature", (64, 64, 3))
    network = with_exits(model, "pads with zeros, which costs time")
    pictures = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    assert network.logits(pictures).shape == (2, 3, 4)
    costs = network.costs()
    assert network.num_binary_layers == 23 and costs[0].ops < costs[1].ops < costs[2].ops
    # The first convolution reads pictures, the last binary layer 2 x 2 places.
    assert costs[0].float_macs > 32 * 32 * 49 * 3 * 64
