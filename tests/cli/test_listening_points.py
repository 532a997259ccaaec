"""The listening point of `listen` and `serve`, from a file that a user wrote by hand."""

import json

import pytest

import bnn_exit
from bnn_exit.commands.listening_points import chosen_point
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint

MODEL = "arabic-speech-commands-small"
LEAST = {"name": "mine", "operating_point": "fast", "thresholds": {"open": 0.4}}


@pytest.fixture(scope="module")
def session():
    return bnn_exit.load(MODEL)


@pytest.fixture
def chosen(session, tmp_path):
    def choose(values):
        (tmp_path / "point.json").write_text(json.dumps(values))
        return chosen_point(session, str(tmp_path / "point.json"), name=MODEL)

    return choose


def test_three_values_are_enough(chosen):
    assert chosen(LEAST) == ListeningPoint("mine", operating_point="fast", thresholds={"open": 0.4})
    assert chosen({**LEAST, "gate": {}}).gate == GateSettings()


def test_what_is_given_stands(chosen):
    point = chosen({**LEAST, "span_ms": 300, "gate": {"margin_db": 6}, "refractory_ms": {"open": 5}})
    assert (point.span_ms, point.gate, point.refractory_ms) == (300, GateSettings(margin_db=6), {"open": 5})
    assert point.hop_ms == 100


def test_what_the_package_writes_is_read(chosen):
    whole = ListeningPoint(
        "x", operating_point="fast", thresholds={"open": 0.4}, hop_ms=50.0, gate=GateSettings(2.0), figures={"hours": 5}
    )
    assert chosen(whole.to_dict()) == whole


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "lacks name, operating_point, thresholds"),
        ({**LEAST, "treshold": 1}, "name in a listening point is 'treshold', but must be one of"),
        ({**LEAST, "gate": {"margin": 1}}, "name in a gate is 'margin', but must be one of hang_over_ms, margin_db"),
        ({**LEAST, "gate": 5}, "a gate is 5, but must be settings by name"),
        ({**LEAST, "thresholds": {}}, "but must be a threshold for at least one label"),
        ({**LEAST, "thresholds": {"open": 2}}, "threshold of 'open' is 2, but must be a number above 0 and at most 1"),
        ({**LEAST, "hop_ms": "100"}, "hop_ms is '100', but must be a number"),
    ],
)
def test_a_mistake_names_the_file_and_the_rule(chosen, values, text):
    with pytest.raises(ArgumentError) as found:
        chosen(values)
    assert "point.json holds no listening point: " in str(found.value) and text in str(found.value)
