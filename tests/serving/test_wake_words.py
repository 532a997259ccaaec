import types

import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.serving.wake_words import ServedModel, file_stem, only, wake_words


def model(name, *labels, **settings):
    point = ListeningPoint("p", operating_point="full", thresholds=dict.fromkeys(labels, 0.5), **settings)
    return ServedModel(name, types.SimpleNamespace(), point)


def test_a_wake_word_is_called_by_its_label_or_by_file_and_label():
    lamp, radio = model("lamp", "hey_lamp", "off"), model("radio", "off")
    found = wake_words([lamp, radio])
    assert [(name, word.label, word.phrase) for name, word in found.items()] == [
        ("hey_lamp", "hey_lamp", "hey lamp"), ("lamp/off", "off", "off"), ("radio/off", "off", "off"),
    ]  # fmt: skip
    assert [word.model for word in found.values()] == [lamp, lamp, radio]
    assert all(name == word.name for name, word in found.items())


def test_two_files_of_one_name_with_one_label():
    with pytest.raises(ArgumentError, match="two model files are called 'lamp' and have 'off': rename one of them"):
        wake_words([model("lamp", "off"), model("lamp", "off")])


def test_a_point_for_some_labels():
    point = model("m", "a", "b", refractory_ms={"a": 100, "b": 200}).point
    part = only(point, ["b"])
    assert part.thresholds == {"b": 0.5} and part.refractory_ms == {"b": 200}
    assert only(model("m", "a", "b").point, ["a"]).refractory_ms == 1000


@pytest.mark.parametrize(
    ("path", "stem"), [("models/hey_lamp.tflite", "hey_lamp"), ("esc10-small", "esc10-small"), ("a.b.tflite", "a.b")]
)
def test_the_name_of_a_file(path, stem):
    assert file_stem(path) == stem
