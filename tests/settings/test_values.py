import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.augment_values import ValuesAugmentConfig, augment_of, check_augment, usual_augment
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.values import ValuesConfig, features_of, sound_features

THREE = ValuesConfig(sample_rate_hz=50, channels=("acc_x", "acc_y", "acc_z"))


def test_shapes_of_both_kinds_of_features():
    assert THREE.shape(100) == (100, 3)
    assert THREE.input_shape(100) == (100, 1, 3)
    assert FeatureConfig().shape(16000) == (98, 64)
    assert FeatureConfig().input_shape(16000) == (98, 64, 1)


@pytest.mark.parametrize("features", [THREE, FeatureConfig(num_mels=40)])
def test_features_go_to_json_and_back(features):
    assert features_of(features.to_dict()) == features


def test_features_without_a_kind_are_log_mels_as_in_earlier_versions():
    assert features_of({"num_mels": 40}) == FeatureConfig(num_mels=40)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "value"}, "kind of features is 'value', but must be one of log_mel, values; did you mean 'values'?"),
        ({"kind": "values", "mels": 3}, "setting of ValuesConfig is 'mels'"),
        ({"kind": "values", "channels": []}, "channels is (), but must be from 1 to 4096 printable names"),
        ({"kind": "values", "channels": ["a", "a"]}, "names that all differ"),
        ({"kind": "values", "channels": ["a\n"]}, "printable names"),
        ({"kind": "values", "channels": "abc"}, "printable names"),
        ({"kind": "values", "sample_rate_hz": 0}, "sample_rate_hz is 0.0, but must be above 0 and at most 1000000"),
        ({"kind": "values", "sample_rate_hz": float("nan")}, "sample_rate_hz is nan, but must be a finite number"),
        ([], "features is [], but must be settings by name"),
    ],
)
def test_features_that_break_a_rule(values, message):
    with pytest.raises(ArgumentError) as caught:
        features_of(values)
    assert message in str(caught.value)


def test_values_are_no_sound():
    assert sound_features(FeatureConfig()) == FeatureConfig()
    with pytest.raises(ArgumentError) as caught:
        sound_features(THREE, what="mix")
    assert str(caught.value) == "mix needs sound, but the features are values of sensors (acc_x, acc_y, acc_z)"


@pytest.mark.parametrize("augment", [AugmentConfig(gain_db=3), ValuesAugmentConfig(jitter=0.2)])
def test_augmentations_go_to_json_and_back(augment):
    assert augment_of(augment.to_dict()) == augment


def test_augmentation_must_suit_the_features():
    assert usual_augment(THREE) == ValuesAugmentConfig()
    assert usual_augment(FeatureConfig()) == AugmentConfig()
    with pytest.raises(ArgumentError, match="augment is AugmentConfig, but these features need ValuesAugmentConfig"):
        check_augment(AugmentConfig(), THREE)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("jitter", -0.1, "at least 0"),
        ("scaling", 1.0, "at least 0 and below 1"),
        ("rotation_deg", 181.0, "from 0 to 180"),
        ("time_warp", 1.0, "at least 0 and below 1"),
        ("shift", 0.6, "from 0 to 0.5"),
    ],
)
def test_augmentation_that_breaks_a_rule(name, value, rule):
    with pytest.raises(ArgumentError) as caught:
        ValuesAugmentConfig(**{name: value})
    assert str(caught.value) == f"{name} is {value}, but must be {rule}"
