"""Keras files for teachers, and changes of them: what the tests of files from strangers share."""

import functools
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bnn_exit._keras import keras, larq, set_seed, tf
from bnn_exit.errors import DataError
from bnn_exit.models.level import LevelNormalisation
from bnn_exit.models.standardise import Standardise
from distill.teachers import load_teacher

SHAPE = (12, 8, 1)
CLIPS = np.random.default_rng(0).normal(size=(5, 12, 8)).astype(np.float32)
ONE_LINE = "^teacher '[^\n]*$"
layers = keras.layers


def flat_model(*between):
    source = keras.Input(SHAPE)
    features = source
    for layer in between:
        features = layer(features)
    return keras.Model(source, layers.Dense(3, name="logits")(layers.Flatten()(features)))


def many_layers():
    """A network with one of nearly everything that a teacher may be made of."""
    set_seed(3)
    source = keras.Input(SHAPE)
    x = Standardise()(LevelNormalisation()(source))
    x = larq.layers.QuantConv2D(
        4, 3, padding="same", input_quantizer="ste_sign", kernel_quantizer="ste_sign", kernel_constraint="weight_clip"
    )(x)
    x = layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2", activation=tf.nn.silu)(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization()(x))
    shared = keras.Sequential([layers.DepthwiseConv2D(3, padding="same"), layers.Activation("gelu")])
    inner = keras.Input(x.shape[1:])
    shared = keras.Model(inner, shared(inner))
    x = layers.Add()([shared(x), shared(x)])
    x = layers.Dense(4, activation=layers.LeakyReLU(), dtype=keras.mixed_precision.Policy("float32"))(x)
    x = layers.Reshape((12, 32))(x)
    x = layers.Normalization(mean=np.arange(32.0), variance=np.ones(32))(x)
    x = layers.MultiHeadAttention(2, 2)(x, value=x)
    x = layers.LayerNormalization()(x)
    x = layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(2.0))(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(source, layers.Dense(3, activation=larq.activations.leaky_tanh)(x))
    model.compile("adam", "mse")
    return model


def recurrent():
    """Layers that hold layers; only made and never asked, which would take long."""
    source = keras.Input(SHAPE[:2])
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(source)
    x = layers.RNN([layers.GRUCell(4), layers.SimpleRNNCell(4)], return_sequences=True)(x)
    return keras.Model(source, layers.TimeDistributed(layers.Dense(2))(x))


@functools.cache
def saved_bytes(make):
    """A network and its Keras file, made once for all tests."""
    model = make()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "teacher.keras")
        model.save(path)
        return model, path.read_bytes()


def saved(folder, make=flat_model):
    path = folder / "teacher.keras"
    path.write_bytes(saved_bytes(make)[1])
    return path


def changed(path, change, *, others=None):
    """Change the description in a Keras file in place; `others`: further members, or None to leave one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config = change(config) or config
    members |= {"config.json": json.dumps(config).encode(), **(others or {})}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def refused(path, match=ONE_LINE, **options):
    with pytest.raises(DataError, match=match) as caught:
        load_teacher(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
