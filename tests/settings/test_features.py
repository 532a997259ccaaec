import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.errors import ArgumentError
from bnn_exit.settings.base import Config
from bnn_exit.settings.features import FeatureConfig


@dataclasses.dataclass(frozen=True)
class Example(Config):
    size: int
    sizes: tuple[int, ...] = (1, 2)


def test_the_defaults_are_the_documented_ones():
    features = FeatureConfig()
    assert (features.window_samples, features.hop_samples, features.fft_size) == (400, 160, 512)
    assert (features.sample_rate_hz, features.num_mels, features.lower_hz, features.upper_hz) == (16000, 64, 60, 7800)


# ----------------------------------------------------------------------------------------------------- to and from JSON


def test_tuples_go_to_json_as_lists_and_come_back_as_tuples():
    example = Example(3, (4, 5))
    assert example.to_dict() == {"size": 3, "sizes": [4, 5]}
    assert Example.from_dict(json.loads(json.dumps(example.to_dict()))) == example


def test_a_setting_that_is_left_out_gets_its_default():
    assert FeatureConfig.from_dict({"num_mels": 40}) == FeatureConfig(num_mels=40)


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(ArgumentError, match=r"setting of FeatureConfig is 'num_mel', .*did you mean 'num_mels'"):
        FeatureConfig.from_dict({"num_mel": 40})


def test_a_missing_setting_is_named():
    with pytest.raises(ArgumentError, match=r"Example: .*missing 1 required positional argument: 'size'"):
        Example.from_dict({})


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FeatureConfig().num_mels = 3


# --------------------------------------------------------------------------------------------------------------- digest


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(FeatureConfig)])
def test_every_setting_changes_the_digest(field):
    changed = {
        "sample_rate_hz": 16100, "window_ms": 20.0, "hop_ms": 12.0, "fft_size": 1024, "num_mels": 40,
        "lower_hz": 0.0, "upper_hz": 7000.0, "log_offset": 1e-5,
    }[field]  # fmt: skip
    assert FeatureConfig(**{field: changed}).digest() != FeatureConfig().digest()


def test_the_digest_is_the_same_in_another_process():
    code = "from bnn_exit.settings.features import FeatureConfig; print(FeatureConfig(num_mels=40).digest())"
    other = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert FeatureConfig(num_mels=40).digest() == other
    assert len(other) == 16


# ---------------------------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate_hz": 999}, "sample_rate_hz is 999, but must be from 1000 to 192000"),
        ({"sample_rate_hz": 192001}, "sample_rate_hz is 192001, but must be from 1000 to 192000"),
        ({"window_ms": 0.05}, "window_ms is 0.05, but must be from two to 1048576 samples long"),
        ({"hop_ms": 0.0}, "hop_ms is 0.0, but must be from one to 1048576 samples long"),
        ({"fft_size": 256}, "fft_size is 256, but must be a power of two, at least the window of 400 samples"),
        ({"fft_size": 500}, "fft_size is 500, but must be a power of two"),
        ({"fft_size": 2**34}, "fft_size is 17179869184, but must be a power of two, .* and at most 1048576"),
        ({"window_ms": 1e308}, r"window_ms is 1e\+308, but must be from two to 1048576 samples long"),
        ({"hop_ms": -1e308}, r"hop_ms is -1e\+308, but must be from one to 1048576 samples long"),
        ({"lower_hz": 10**400}, "lower_hz is 10+, but must be a finite number"),
        ({"num_mels": 0}, "num_mels is 0, but must be from 1 to 4096 with an fft_size of 512"),
        ({"num_mels": 4097}, "num_mels is 4097, but must be from 1 to 4096 with an fft_size of 512"),
        ({"num_mels": 64, "fft_size": 2**20}, "num_mels is 64, but must be from 1 to 31 with an fft_size of 1048576"),
        ({"lower_hz": -1.0}, "lower_hz is -1.0, but must be at least 0"),
        ({"upper_hz": 60.0}, r"upper_hz is 60.0, but must be above lower_hz \(60.0\) and at most half"),
        ({"upper_hz": 8001.0}, r"upper_hz is 8001.0, .* at most half the sample rate \(8000.0\)"),
        ({"log_offset": 0.0}, "log_offset is 0.0, but must be above 0"),
        ({"log_offset": -1.0}, "log_offset is -1.0, but must be above 0"),
    ],
)
def test_a_setting_that_breaks_a_rule_is_named_with_the_rule(settings, message):
    with pytest.raises(ArgumentError, match=message):
        FeatureConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_ms": float("nan")}, "window_ms is nan, but must be a finite number"),
        ({"hop_ms": float("inf")}, "hop_ms is inf, but must be a finite number"),
        ({"log_offset": float("inf")}, "log_offset is inf, but must be a finite number"),
        ({"window_ms": None}, "window_ms is None, but must be a finite number"),
        ({"lower_hz": "60"}, "lower_hz is '60', but must be a finite number"),
        ({"num_mels": "64"}, "num_mels is '64', but must be a whole number"),
        ({"num_mels": 64.5}, "num_mels is 64.5, but must be a whole number"),
        ({"fft_size": 512.0}, "fft_size is 512.0, but must be a whole number"),
        ({"sample_rate_hz": True}, "sample_rate_hz is True, but must be a whole number"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_named(settings, message):
    with pytest.raises(ArgumentError, match=message):
        FeatureConfig.from_dict(settings)


def test_a_whole_number_will_do_for_a_float_setting():
    features = FeatureConfig(window_ms=25, lower_hz=60)
    assert features == FeatureConfig()
    assert features.digest() == FeatureConfig().digest()


# -------------------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)])
def test_num_frames_counts_whole_frames(samples, frames):
    assert FeatureConfig().num_frames(samples) == frames


@given(samples=st.integers(0, 50000), window_ms=st.floats(1, 32), hop_ms=st.floats(1, 40))
def test_num_frames_is_what_a_loop_counts(samples, window_ms, hop_ms):
    features = FeatureConfig(window_ms=window_ms, hop_ms=hop_ms)
    starts = range(0, max(0, samples - features.window_samples + 1), features.hop_samples)
    assert features.num_frames(samples) == len(starts)
