"""`train --scheme`: its phases through the command, interrupted and resumed, with a teacher, and with mistakes."""

from __future__ import annotations

import functools
import json
import re

import numpy as np
import pytest
from tiny import tiny_build

from bnn_exit._keras import keras, set_seed
from bnn_exit.commands import train
from bnn_exit.runs.folder import RunFolder
from bnn_exit.settings.scheme import SCHEMES
from bnn_exit.training import loop
from distill import trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:Even though the `tf.config"),  # clips are read in a graph all the same
    pytest.mark.usefixtures("without_graphs", "tiny_command"),
]
BASIC = ["--epochs", "3", "--batch-size", "32"]
small_build = functools.partial(tiny_build, channels=(16, 16, 16))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tone_task):
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    set_seed(5)
    source = keras.Input(tone_task.input_shape)
    maps = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(source)
    keras.Model(source, keras.layers.Dense(4)(keras.layers.Flatten()(maps))).save(path)
    return str(path)


def arrays(path):
    with np.load(path) as file:
        return [file[name] for name in file.files if name != "state"]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Starts a run that is interrupted before its first epoch, and returns its folder."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("distill.trainer.fit", interrupted)

    def begin(*arguments):
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        assert train.main([*BASIC, *arguments, "--out", str(run)]) == 130
        return run

    return begin


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_trains_with_a_teacher(name, teacher, tmp_path, capsys):
    run = tmp_path / "run"
    taught = ["--teacher", teacher, "--views", "1"]
    assert train.main([*BASIC, "--scheme", name, *taught, "--out", str(run)]) == 0, capsys.readouterr().err
    check_histories(run, name)


# The teacher is a term of the loss: without it, one of a single phase, of several, and with a head of its own.
@pytest.mark.parametrize("name", ["joint", "two_stage", "boosted"])
def test_a_scheme_trains_alone(name, tmp_path, capsys):
    run = tmp_path / "run"
    assert train.main([*BASIC, "--scheme", name, "--out", str(run)]) == 0, capsys.readouterr().err
    check_histories(run, name)


def check_histories(run, name):
    assert RunFolder(run).config.scheme.name == name
    assert (run / "history.json").is_file()
    histories = [json.loads(path.read_text()) for path in run.rglob("history.json")]
    assert sum(map(len, histories)) == 3
    assert all(np.isfinite(record["loss"]) for history in histories for record in history)


def test_phases_resume_to_the_same_weights_and_none_is_trained_twice(tmp_path, monkeypatch, capsys):
    arguments = [*BASIC, "--scheme", "cascade", "--scheme-option", "replay=0.5", "--out"]
    assert train.main([*arguments, str(tmp_path / "whole")]) == 0
    trained, original, stops = [], loop._Fit._train_epoch, {2, 4}

    def stopping(self, epoch):
        trained.append(epoch)
        if len(trained) in stops:
            raise KeyboardInterrupt
        return original(self, epoch)

    monkeypatch.setattr(loop._Fit, "_train_epoch", stopping)
    run = tmp_path / "stopped"
    assert train.main([*arguments, str(run)]) == 130
    assert train.main(["--resume", str(run)]) == 130
    assert train.main(["--resume", str(run)]) == 0
    assert len(trained) == 5  # three epochs, two of them begun twice
    capsys.readouterr()
    folders = ["steps/1_train_stage_1", "steps/2_train_stage_2", "."]
    for folder in folders:
        found, expected = (arrays(place / folder / "best.npz") for place in (run, tmp_path / "whole"))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=folder)


def test_the_last_step_of_a_plan_goes_by_the_scheme(tmp_path):
    plan = tmp_path / "plan.json"
    steps = [{"name": "real", "precision": "real_weights", "epochs": 1}, {"name": "binary", "teacher_weight": 0}]
    plan.write_text(json.dumps({"steps": [{**step, "teacher_weight": 0} for step in steps]}))
    run = tmp_path / "run"
    assert train.main([*BASIC, "--plan", str(plan), "--scheme", "cached", "--out", str(run)]) == 0
    assert sorted(path.name for path in (run / "steps").iterdir()) == ["1_real", "2_binary_backbone"]


def test_a_recipe_names_a_scheme_and_options_change_it(begun, tmp_path):
    recipe = tmp_path / "mine.json"
    recipe.write_text(json.dumps({"default": {"scheme": {"name": "joint", "options": {"ramp": True}}}}))
    for arguments, expected in (
        ([], {"name": "joint", "options": {"ramp": True}}),
        (["--scheme-option", "ramp=false"], {"name": "joint", "options": {"ramp": False}}),
        (["--scheme", "self_distilled"], {"name": "self_distilled", "options": {}}),
    ):
        run = begun("--recipe", str(recipe), *arguments)
        assert json.loads((run / "config.json").read_text())["scheme"] == expected


def test_a_scheme_brings_its_head_and_its_policy(begun):
    config = RunFolder(begun("--scheme", "zero_time_waste")).config
    assert (config.model.head, config.policy) == ("cascaded", "ensemble")
    config = RunFolder(begun("--scheme", "boosted", "--scheme-option", "temperature=0.4")).config
    assert config.model.boost == 0.4
    config = RunFolder(begun("--scheme", "cascade", "--policy", "entropy")).config
    assert config.policy == "entropy"


def test_a_run_of_an_earlier_version_has_the_joint_scheme(begun):
    run = begun()
    path = run / "config.json"
    values = json.loads(path.read_text())
    assert values.pop("scheme") == {"name": "joint", "options": {}}
    path.write_text(json.dumps(values))
    assert RunFolder(run).config.scheme.name == "joint"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "boost"], "scheme is 'boost', but must be one of .*; did you mean 'boosted'"),
        (["--scheme", "joint", "--scheme-option", "ramp"], "--scheme-option is 'ramp', but must be NAME=VALUE"),
        (["--scheme", "cascade", "--scheme-option", "step=2"], "option of the scheme cascade is 'step', .*'steps'"),
        (["--scheme", "cascade", "--scheme-option", "steps=4"], "steps is 4, but the network has 3 exits: at most one"),
        (["--scheme-option", "weights=[1,2]"], "weights has 2 values, but the network has 3 exits"),
        (["--scheme", "cascade", "--epochs", "2"], "epochs is 2, but the scheme cascade has 3 phases: it needs at lea"),
        (
            ["--scheme", "two_stage", "--scheme-option", "teacher=given"],
            "the scheme two_stage with teacher given needs a teacher: add --teacher PATH or auto",
        ),
        (
            ["--scheme", "early_view", "--head", "grid"],
            "--head is 'grid', but the scheme early_view needs 'early_view'",
        ),
        (["--scheme", "early_view", "--distribute", "mirrored"], "the scheme early_view copies weights within a step"),
        (
            ["--scheme", "boosted", "--deepest-weight", "0.5"],
            "deepest_weight goes with the scheme joint without option",
        ),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train.main([*BASIC, *arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1 and error.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_skip_gate_on_two_exits_is_refused_before_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    two = functools.partial(tiny_build, channels=(16, 16))
    monkeypatch.setattr(trainer, "build", two)
    assert train.main([*BASIC, "--policy", "skip_gate"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: policy is skip_gate, but the network has 2 exits, and a skip gate needs at least 3")
    assert error.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_a_damaged_scheme_in_a_run_is_one_line(begun, capsys):
    run = begun()
    path = run / "config.json"
    values = json.loads(path.read_text())
    for scheme, message in (
        ({"name": "joint", "options": {"ramp": 3}}, "ramp is 3, but must be true or false"),
        ({"name": "joint", "options": []}, "options of the scheme are (), but must be values by name"),
        ("joint", "SchemeConfig is 'joint', but must be settings by name"),
    ):
        path.write_text(json.dumps({**values, "scheme": scheme}))
        capsys.readouterr()
        assert train.main(["--resume", str(run)]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_a_teacher_that_listens_to_nobody_is_asked_once_for_all_phases(teacher, tmp_path, monkeypatch):
    asked, original = [], trainer.load_teacher

    def counting(*arguments, **options):
        found = original(*arguments, **options)
        answer = found.outputs
        found.outputs = lambda clips: asked.append(len(clips)) or answer(clips)
        return found

    monkeypatch.setattr(trainer, "load_teacher", counting)
    run = tmp_path / "run"
    arguments = ["--epochs", "4", "--batch-size", "32", "--scheme", "two_stage", "--teacher", teacher, "--views", "5"]
    assert train.main([*arguments, "--out", str(run)]) == 0
    assert len(list((run / "teacher_outputs").iterdir())) == 2  # as many views as the longest phase has epochs
    assert sum(asked) == 2 * 96
