import json
import shlex

import numpy as np
import pytest
import tiny_files

from bnn_exit import pretrained
from bnn_exit.errors import ArgumentError, BnnExitError, ModelFileError
from bnn_exit.model_file import rewrite
from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint, how_to_make_one
from bnn_exit.model_file.metadata import Metadata
from bnn_exit.runtime import session


def point(**changes):
    return ListeningPoint(**{"name": "quiet", "operating_point": "full", "thresholds": {"yes": 0.6}, **changes})


FULL = point(
    thresholds={"yes": 0.6, "no": 1},
    hop_ms=50,
    span_ms=300.0,
    release=0.25,
    min_count=2,
    of_count=3,
    refractory_ms={"no": 0, "yes": 500},
    gate=GateSettings(margin_db=6, rise_db_per_s=2, hang_over_ms=700),
    figures={"recall": 0.9, "split": "validation"},
)


@pytest.mark.parametrize("each", [point(), FULL, point(score="against_background")])
def test_a_point_comes_back_from_a_dictionary_and_from_metadata(each):
    assert ListeningPoint.from_dict(each.to_dict()) == each
    metadata = tiny_files.metadata(listening_points={"quiet": each})
    assert Metadata.from_json(metadata.to_json()).listening_points == {"quiet": each}


def test_numbers_may_be_those_of_numpy():
    made = point(
        thresholds={"yes": np.float32(0.5)},
        hop_ms=np.int64(20),
        of_count=np.int32(2),
        refractory_ms={"yes": np.float32(40)},
        gate=GateSettings(margin_db=np.float32(6)),
        figures={"hours": np.float64(1.5), "words": np.int64(3)},
    )
    plain = point(
        thresholds={"yes": 0.5},
        hop_ms=20,
        of_count=2,
        refractory_ms={"yes": 40},
        gate=GateSettings(margin_db=6),
        figures={"hours": 1.5, "words": 3},
    )
    assert made == plain and json.loads(json.dumps(made.to_dict())) == plain.to_dict()


def test_points_of_earlier_versions_average_probabilities():
    assert "score" not in point().to_dict() and ListeningPoint.from_dict(point().to_dict()).score == "probability"
    assert point(score="against_background").to_dict()["score"] == "against_background"


def test_metadata_without_points_are_as_they_were_before_there_were_any():
    assert b"listening" not in tiny_files.metadata().to_json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": {}}, "thresholds is {}, but must be a threshold for at least one label"),
        ({"thresholds": {"yes": 0}}, "threshold of 'yes' is 0, but must be a number above 0 and at most 1"),
        ({"thresholds": {"yes": 1.01}}, "threshold of 'yes' is 1.01"),
        ({"thresholds": {"yes": float("nan")}}, "threshold of 'yes' is nan"),
        ({"hop_ms": 0}, "hop_ms is 0, but must be a number above 0 and at most 60000"),
        ({"span_ms": 1e6}, "span_ms is 1000000.0, but must be"),
        ({"hop_ms": 1, "span_ms": 1001}, "span_ms is 1001, but must be at most 1000 hops of 1 ms"),
        ({"hop_ms": 5e-324}, "span_ms is 500.0, but must be at most 1000 hops"),
        ({"release": -0.1}, "release is -0.1, but must be a number from 0 to 1"),
        ({"min_count": 0}, "min_count is 0, but must be from 1 to 1000"),
        ({"min_count": 2}, "min_count is 2, but must be at most of_count, 1"),
        ({"of_count": 1.0}, "of_count is 1.0, but must be from 1 to 1000"),
        ({"refractory_ms": -1}, "refractory_ms is -1, but must be from 0 to"),
        ({"refractory_ms": {"no": 1}}, "but must be a time for each of yes, and for no other label"),
        ({"gate": {}}, "gate is {}, but must be GateSettings or None"),
        ({"figures": {"recall": 10**400}}, "but must be numbers and texts by name"),
        ({"figures": {"recall": [1]}}, "but must be numbers and texts by name"),
        ({"operating_point": 3}, "operating_point is 3, but must be text"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(changes, message):
    with pytest.raises(ArgumentError) as error:
        point(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin_db": -1}, "margin_db is -1, but must be a number from 0 to 100"),
        ({"rise_db_per_s": 0}, "rise_db_per_s is 0, but must be a number above 0"),
        ({"hang_over_ms": 60001}, "hang_over_ms is 60001, but must be a number from 0 to 60000"),
    ],
)
def test_gate_settings_that_break_a_rule_are_refused(changes, message):
    with pytest.raises(ArgumentError) as error:
        GateSettings(**changes)
    assert message in str(error.value)


def test_a_dictionary_has_all_names_and_no_others():
    with pytest.raises(ArgumentError, match="a listening point lacks figures"):
        ListeningPoint.from_dict({key: value for key, value in point().to_dict().items() if key != "figures"})
    with pytest.raises(ArgumentError, match=r"name in a listening point is 'hop'.*'hop_ms'"):
        ListeningPoint.from_dict({**point().to_dict(), "hop": 1})


def test_a_point_of_another_model_is_refused(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file())
    with pytest.raises(ModelFileError, match=r"cannot take the operating points and listening points: .*'yess'.*'yes'"):
        rewrite.with_points(path, {}, listening_points={"quiet": point(thresholds={"yess": 1})})
    with pytest.raises(BnnExitError, match=r"operating point of listening point 'quiet' is 'fsat'.*'fast'"):
        rewrite.with_points(path, {}, listening_points={"quiet": point(operating_point="fsat")})


def test_points_are_written_into_a_file_and_read_from_it(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny_files.adaptive_file())
    path.write_bytes(rewrite.with_points(path, {}, listening_points={"quiet": FULL}))
    path.write_bytes(rewrite.with_points(path, {}))
    assert session.load(path, backend="reference").metadata.listening_points == {"quiet": FULL}


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("runs/words", "runs/words"),
        ("my model.tflite", "'my model.tflite'"),
        ("esc10-small", "esc10-small"),
        (pretrained.FOLDER / "esc10-small.tflite", "esc10-small"),
    ],
)
def test_the_command_that_makes_one_can_be_copied(model, shown):
    """The words of a shell, which the command takes."""
    from bnn_exit.commands.calibrate import parser

    line, _, end = how_to_make_one(model).partition(" makes one")
    assert line.startswith(f"python -m bnn_exit.calibrate {shown} --stream") and end
    options = parser().parse_args(shlex.split(line)[3:])
    assert (options.run, options.stream) == (shlex.split(shown)[0], ["NEGATIVES"])
