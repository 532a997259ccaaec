"""A network that brings every clip to one level sees a quiet clip as it sees the same clip at the usual level."""

import dataclasses
import warnings

import numpy as np
import pytest

import bnn_exit
from bnn_exit.audio.logmel import log_mel
from bnn_exit.conversion import to_lce
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.metadata import Metadata
from bnn_exit.models.level import MAX_GAIN_DB, RANGE_DB, LevelNormalisation
from bnn_exit.runtime.backends import installed
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.model import ModelConfig

FEATURES = FeatureConfig(log_offset=1e-10)


def clips(count=4, *, level_db=-20.0, seed=0):
    """Noise that swells and falls, as waveforms [count, samples] of this RMS."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(count, 16000)) * (0.01 + np.sin(np.linspace(0, np.pi, 16000)) ** 4)
    rms = np.sqrt(np.square(noise).mean(axis=1, keepdims=True))
    return np.float32(noise / rms * 10 ** (level_db / 20))


def features_of(waveforms):
    return np.stack([log_mel(waveform, FEATURES) for waveform in waveforms])


def adapted(waveforms):
    layer = LevelNormalisation()
    layer.build((None, None, None, 1))
    layer.adapt(features_of(waveforms))
    return layer


def applied(layer, waveforms):
    return layer(features_of(waveforms)[..., None]).numpy()[..., 0]


@pytest.mark.parametrize("gain_db", [12, 0, -10, -30, -39])
def test_a_clip_looks_the_same_at_every_level(gain_db):
    usual = clips()
    layer = adapted(usual)
    found = applied(layer, usual * np.float32(10 ** (gain_db / 20)))
    # The offset of the log-mel is well below the range of even the quietest clip.
    np.testing.assert_allclose(found, applied(layer, usual), atol=0.05)


def test_it_is_the_log_mel_below_the_level_down_to_its_range():
    log_mel = features_of(clips())
    level = np.log(np.exp(np.float64(log_mel).max(axis=2)).mean(axis=1))
    expected = np.maximum(log_mel - level[:, None, None], -RANGE_DB * np.log(10) / 10)
    np.testing.assert_allclose(applied(adapted(clips()), clips()), expected, atol=1e-4)
    assert RANGE_DB == 60 and (expected == expected.min()).mean() < 0.2


def test_the_gain_is_bounded_and_silence_is_the_lowest_value():
    usual = clips()
    layer = adapted(usual)
    silence = applied(layer, np.zeros((1, 16000), np.float32))
    np.testing.assert_allclose(silence, -RANGE_DB * np.log(10) / 10, rtol=1e-6)
    # Below the bound each further decibel is lost.
    quieter, quietest = (applied(layer, usual * np.float32(10 ** (db / 20))).max() for db in (-50, -60))
    assert quieter - quietest == pytest.approx(np.log(10), abs=0.01)
    assert MAX_GAIN_DB == 40


def test_the_level_of_the_training_split_is_the_median():
    loud, usual = clips(1), clips(1, level_db=-40)
    found = adapted(np.concatenate([loud, usual, np.zeros_like(usual)]))
    assert float(found.level) == pytest.approx(float(adapted(usual).level), abs=1e-5)


def test_the_standardisation_is_fitted_to_what_the_level_gives(tone_task):
    model = bnn_exit.build(size="small", num_classes=4, input_shape=tone_task.input_shape, levels="normalised")
    train = tone_task.log_mel("train")
    # Half of the clips 20 dB quieter: at one level they have the statistics of the others.
    model.adapt(np.concatenate([train, train - 20 * np.log(10) / 10]))
    kept = bnn_exit.build(size="small", num_classes=4, input_shape=tone_task.input_shape)
    kept.adapt(np.concatenate([train, train - 20 * np.log(10) / 10]))

    def spread(network):
        (layer,) = (each for each in network.keras_model._flatten_layers() if each.name == "standardise")
        return 1 / layer.scale.numpy().mean()

    assert spread(model) < 0.8 * spread(kept)


def test_networks_that_keep_levels_are_as_before():
    shape = (98, 64, 1)
    usual, chosen = (bnn_exit.build(num_classes=4, input_shape=shape, **more) for more in ({}, {"levels": "kept"}))
    assert not usual.normalises_level and len(usual.keras_model.weights) == len(chosen.keras_model.weights)
    assert ModelConfig.from_dict({"backbone": "quicknet"}).levels == "kept"
    with pytest.raises(ArgumentError, match="levels is 'normalized', but must be one of kept, normalised"):
        ModelConfig(levels="normalized")


def test_the_file_carries_it(tone_task, tmp_path):
    model = bnn_exit.build(size="small", num_classes=4, input_shape=tone_task.input_shape, levels="normalised")
    model.adapt(tone_task.log_mel("train"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = to_lce.make(model, "model.tflite", task=tone_task, operating_points={})
    path = tmp_path / "model.tflite"
    path.write_bytes(made.data)
    waveform = tone_task.test.waveform(0)
    for backend in installed():
        session = bnn_exit.load(path, backend=backend)
        assert session.metadata.normalises_level
        expected = "every clip to one level, then mean and variance of each mel band, first in the network"
        assert session.metadata.normalisation == expected
        usual, quiet = (session.exit_probabilities(waveform * np.float32(gain)) for gain in (1, 0.03))
        np.testing.assert_allclose(quiet, usual, atol=0.02)
    older = dataclasses.replace(session.metadata, model={"backbone": "quicknet"})
    assert not Metadata.from_json(older.to_json()).normalises_level
