"""Plans as data, and the errors for mistakes in them."""

import json
from pathlib import Path

import pytest

from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.models import registry
from bnn_exit.settings.distillation import Pair
from bnn_exit.settings.model import sizes
from bnn_exit.settings.plan import Plan, Step, read_plan, shipped_plans, step_folders
from distill.teachers.residual import SIZES as TEACHER_SIZES
from distill.teachers.residual import residual


def test_the_shipped_plans_say_what_they_are_for():
    plans = {name: read_plan(name) for name in shipped_plans()}
    assert {name: [step.name for step in plan.steps] for name, plan in plans.items()} == {
        "embedding": ["embedding", "heads", "all"],
        "features": ["features"],
        "two-step": ["real_weights", "binary"],
    }
    assert all(plan.about and plan.precision == "binary" for plan in plans.values())
    assert [step.precision for step in plans["two-step"].steps] == ["real_weights", "binary"]
    assert plans["features"].steps[0].features[0] == Pair("stage_1", "stage_2", 0.5)
    assert [(step.objective, step.trainable) for step in plans["embedding"].steps] == [
        *(("embedding", "all"), ("labels", "heads"), ("labels", "all"))
    ]
    assert (plans["embedding"].teacher_kind, plans["features"].teacher_kind) == ("embedding", "logits")


@pytest.fixture(scope="module")
def smallest_teacher():
    assert all(len(size.blocks) >= len(TEACHER_SIZES["small"].blocks) for size in TEACHER_SIZES.values())
    return residual((98, 64, 1), 2, size="small")


@pytest.mark.parametrize("size", sizes("quicknet"))
def test_the_features_plan_fits_every_size_of_network_and_teacher(smallest_teacher, size):
    # Stages of the other backbones have the shapes of QuickNet's base, but for glance, which `test_matching` has.
    student = {stage.name: stage.output_shape for stage in registry.backbone("quicknet")((98, 64, 1), size=size)}
    (step,) = read_plan("features").steps
    for pair in step.features:
        taught, own = smallest_teacher.get_layer(pair.teacher).output_shape[1:3], student[pair.student][1:3]
        # Larger maps are averaged to the size of the teacher's: those of the sizes that halve later.
        larger = 2 if size in ("micro", "tiny", "deep") and pair.student == "stage_2" else 1
        assert tuple(-(-places // larger) for places in own) == taught


def test_a_plan_survives_json_and_a_file(tmp_path):
    pair = Pair("stage_1", "block", 0.25)
    plan = Plan(steps=(Step(name="first", epochs=3, features=(pair,), attention=(pair,)), Step(name="second", views=2)))
    (tmp_path / "mine.json").write_text(json.dumps(plan.to_dict()))
    assert read_plan(str(tmp_path / "mine.json")) == plan


def test_the_last_step_lives_in_the_run_itself():
    assert step_folders(["a", "b", "c"], Path("run")) == [Path("run/steps/1_a"), Path("run/steps/2_b"), Path("run")]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], r"steps is \(\), but must be a list of at least one step"),
        ("two", "but must be a list of at least one step"),
        (["binary"], "step 1: is 'binary', but must be settings such as {'name': 'binary'}"),
        ([{"name": "a"}, {"name": "a"}], "steps are called a, a, but must have different names"),
        ([{"name": "A b"}], "step 1: name is 'A b', but must be small letters, digits, _ and -"),
        ([{}], "step 1: name is '', but must be small letters"),
        (
            [{"name": "a"}, {"name": "b", "temprature": 2}],
            "step 2: setting of Step is 'temprature', .* mean 'temperature'",
        ),
        ([{"name": "a", "precision": "int8"}], "step 1: precision is 'int8', but must be one of binary, float, real_w"),
        ([{"name": "a", "objective": "label"}], "objective is 'label', but must be one of .*; did you mean 'labels'"),
        ([{"name": "a", "trainable": "head"}], "trainable is 'head', but must be one of .*; did you mean 'heads'"),
        ([{"name": "a", "epochs": 0}], "epochs is 0, but must be a whole number of at least 1"),
        ([{"name": "a", "epochs": 1.5}], "epochs is 1.5, but must be a whole number of at least 1"),
        ([{"name": "a", "learning_rate": -1}], "learning_rate is -1, but must be above 0"),
        ([{"name": "a", "learning_rate": "fast"}], "learning_rate is 'fast', but must be above 0"),
        (
            [{"name": "a", "features": [{"student": "x", "techer": "y"}]}],
            "setting of Pair is 'techer', .* mean 'teacher'",
        ),
        (
            [{"name": "a", "features": 5}],
            "step 1: features is 5, but must be a list of pairs such as {.student.: .stage_1",
        ),
        ([{"name": "a", "attention": {"student": "x"}}], "attention is {.*}, but must be a list of pairs such as {"),
        (
            [{"name": "a", "trainable": "heads", "features": [{"student": "x", "teacher": "y"}]}],
            "trainable is 'heads', but must be 'all' where layers are compared: heads do not change them",
        ),
        (
            [{"name": "a", "objective": "embedding"}, {"name": "b"}],
            "step 'b' has teacher_weight 0.7, but must have 0: a teacher of embeddings gives no soft labels",
        ),
        (
            [{"name": "a", "objective": "embedding", "trainable": "heads"}],
            "trainable is 'heads', but must be 'all' where an",
        ),
        (
            [{"name": "a", "teacher_weight": 0}, {"name": "b", "objective": "embedding"}],
            "step 'b' is the last and has objective 'embedding', but must have 'labels': exits that never learned them",
        ),
    ],
)
def test_mistakes_in_a_plan(steps, message):
    with pytest.raises(ArgumentError, match=message):
        Plan.from_dict({"steps": steps})


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{'steps'", DataError, r"is no JSON \(.* line 1 column 2 .*\): embedding, features, two-step show the form"),
        (b"\xff\xfe", DataError, "is no JSON"),
        ("[]", ArgumentError, r"plan '.*': a plan must be of the form {\"steps\": \[...\]}"),
        ('{"stpes": []}', ArgumentError, "plan '.*': setting of Plan is 'stpes', .*; did you mean 'steps'"),
        ("{}", ArgumentError, "plan '.*': .*steps"),
        ('{"about": 5, "steps": [{"name": "a"}]}', ArgumentError, "plan '.*': about is 5, but must be text"),
    ],
)
def test_files_that_are_no_plan(tmp_path, text, error, message):
    path = tmp_path / "mine.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error, match=message):
        read_plan(str(path))


def test_plans_that_are_not_there(tmp_path):
    with pytest.raises(ArgumentError, match=r"--plan is 'twostep', but must be one of .*; did you mean 'two-step'"):
        read_plan("twostep")
    with pytest.raises(
        DataError,
        match=r"plan '.*none.json' cannot be read \(No such file .*\): give a JSON file or one of embedding, ",
    ):
        read_plan(str(tmp_path / "none.json"))
