"""The steps of a plan, through the command: interrupted, resumed, and with mistakes."""

import functools
import json
import re

import numpy as np
import pytest
from tiny import tiny_build

import audio_tasks
from bnn_exit._keras import keras, set_seed, tf
from bnn_exit.commands import evaluate, train
from bnn_exit.commands.deploy import deploy
from bnn_exit.training import loop
from distill import trainer
from distill.embedding import EmbeddingMatching

pytestmark = [
    pytest.mark.filterwarnings("ignore:Even though the `tf.config"),  # clips are read in a graph all the same
    pytest.mark.usefixtures("without_graphs", "tiny_command"),
]
BASIC = ["--epochs", "2", "--batch-size", "32", "--head", "pooled"]
small_build = functools.partial(tiny_build, channels=(16, 16))


@pytest.fixture(scope="module")
def teachers(tmp_path_factory, tone_task):
    """Keras files: `logits` of the four tones with named layers, `embedding` of 6 values, and ones that do not fit."""
    folder = tmp_path_factory.mktemp("teachers")

    def save(name, size, shape=tone_task.input_shape):
        set_seed(5)
        source = keras.Input(shape)
        maps = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu", name="maps")(source)
        pooled = keras.layers.AveragePooling2D((12, 1))(maps)
        keras.Model(source, keras.layers.Dense(size)(keras.layers.Flatten()(pooled))).save(folder / f"{name}.keras")

    save("logits", 4)
    save("embedding", 6)
    save("five", 5)
    save("wide", 4, shape=(48, 40, 1))
    (folder / "corrupt.keras").write_bytes(b"PK no model")
    return folder


def write_plan(path, *steps):
    path.write_text(json.dumps({"steps": steps}))
    return ["--plan", str(path)]


def arrays(path):
    with np.load(path) as file:
        return [file[name] for name in file.files if name != "state"]


def assert_equal_runs(one, other):
    names = sorted(str(path.relative_to(one)) for path in one.rglob("*.npz"))
    assert names == sorted(str(path.relative_to(other)) for path in other.rglob("*.npz"))
    for name in names:
        for found, expected in zip(arrays(one / name), arrays(other / name), strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=name)


def test_every_step_resumes_to_the_same_weights_and_none_is_trained_twice(tmp_path, teachers, monkeypatch, capsys):
    pair = {"student": "stage_2", "teacher": "maps", "weight": 0.5}
    plan = write_plan(
        tmp_path / "plan.json",
        {"name": "real", "precision": "real_weights", "views": 2, "features": [pair]},
        {"name": "binary", "views": 2, "learning_rate": 0.001, "epochs": 3},
    )
    arguments = [*BASIC, *plan, "--teacher", str(teachers / "logits.keras")]
    assert train.main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    assert "deployed" in capsys.readouterr().out

    trained, asked = [], []
    original, outputs = loop._Fit._train_epoch, trainer.load_teacher

    def stopping(self, epoch):
        trained.append((len(trained), epoch, self.config.learning_rate))
        if len(trained) in stops:
            raise KeyboardInterrupt
        return original(self, epoch)

    def counting(*arguments, **options):
        teacher = outputs(*arguments, **options)
        answer = teacher.outputs
        teacher.outputs = lambda clips: asked.append(len(clips)) or answer(clips)
        return teacher

    monkeypatch.setattr(loop._Fit, "_train_epoch", stopping)
    monkeypatch.setattr(trainer, "load_teacher", counting)
    run, stops = tmp_path / "stopped", {2, 5}
    assert train.main([*arguments, "--out", str(run)]) == 130  # in the second epoch of the first step
    assert f"interrupted: python -m bnn_exit.train --resume {run} resumes it" in capsys.readouterr().err
    assert not (run / "last.npz").exists() and not (run / "steps" / "1_real" / "history.json").exists()
    assert train.main(["--resume", str(run)]) == 130  # in the second epoch of the second step
    assert train.main(["--resume", str(run)]) == 0
    assert [epoch for _, epoch, _ in trained] == [0, 1, 1, 0, 1, 1, 2]
    assert [rate for _, _, rate in trained][2:] == [0.008] + [0.001] * 4
    assert asked == [96, 96]  # each view once, for both steps
    assert_equal_runs(run, tmp_path / "whole")
    assert len(json.loads((run / "history.json").read_text())) == 3
    recorded = json.loads((run / "config.json").read_text())
    assert [step["name"] for step in recorded["distillation"]["plan"]["steps"]] == ["real", "binary"]
    assert (
        recorded["distillation"]["plan"]["steps"][0]["features"] == [pair]
        and recorded["model"]["precision"] == "binary"
    )


def test_a_step_starts_with_the_best_weights_of_the_one_before(tmp_path, monkeypatch):
    plan = write_plan(
        tmp_path / "plan.json",
        {"name": "float", "precision": "float", "teacher_weight": 0},
        {"name": "binary", "teacher_weight": 0, "deepest_weight": 0.5},
    )
    starts = []
    original = trainer.fit

    def fit(network, *arguments, **options):
        starts.append((network.precision, network.keras_model.get_weights(), options["objective"]))
        return original(network, *arguments, **options)

    monkeypatch.setattr(trainer, "fit", fit)
    run = tmp_path / "run"
    assert train.main([*BASIC, *plan, "--out", str(run)]) == 0  # nobody listens to a teacher, so none is asked for
    assert [precision for precision, _, _ in starts] == ["float", "binary"]
    for found, expected in zip(starts[1][1], arrays(run / "steps" / "1_float" / "best.npz"), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert starts[0][2] is None and starts[1][2] is not None and not list(run.rglob("teacher_outputs*"))


@pytest.mark.parametrize("source", ["options", "recipe"])
def test_the_last_exit_teaches_the_others_without_a_teacher(tmp_path, source):
    run, recipe = tmp_path / "run", tmp_path / "mine.json"
    recipe.write_text(json.dumps({"default": {"distillation": {"deepest_weight": 0.5, "temperature": 3}}}))
    chosen = ["--deepest-weight", "0.5", "--temperature", "3"] if source == "options" else ["--recipe", str(recipe)]
    assert train.main([*BASIC, *chosen, "--out", str(run)]) == 0
    found = json.loads((run / "config.json").read_text())["distillation"]
    assert (found["teachers"], found["teacher_weight"]) == ([], 0.0)
    assert (found["deepest_weight"], found["temperature"]) == (0.5, 3.0)
    assert not list(run.rglob("teacher_outputs*"))
    plain = tmp_path / "plain"
    assert train.main([*BASIC, "--out", str(plain)]) == 0
    losses = [json.loads((folder / "history.json").read_text())[0]["loss"] for folder in (run, plain)]
    assert losses[0] > losses[1]  # one term more


def test_an_embedding_is_learned_then_heads_then_all(tmp_path, teachers, tone_task):
    plan = write_plan(
        tmp_path / "plan.json",
        {"name": "embedding", "objective": "embedding", "epochs": 8, "learning_rate": 0.01},
        {"name": "heads", "trainable": "heads", "teacher_weight": 0},
        {"name": "all", "teacher_weight": 0, "epochs": 1},
    )
    run = tmp_path / "run"
    assert train.main([*BASIC, *plan, "--teacher", str(teachers / "embedding.keras"), "--out", str(run)]) == 0
    folders = [run / "steps" / "1_embedding", run / "steps" / "2_heads", run]
    losses = [epoch["loss"] for epoch in json.loads((folders[0] / "history.json").read_text())]
    assert losses[-1] < 0.85 * losses[0]
    # Weights of stages stay in the second step, BatchNorm's statistics included, and those of heads in the first.
    set_seed(0)
    network = small_build(num_classes=4, input_shape=tone_task.input_shape, levels="normalised")
    start, *ends = [network.keras_model.get_weights(), *(arrays(folder / "best.npz") for folder in folders)]
    heads = {id(weight) for head in network.heads for weight in head.weights}
    is_head = [id(weight) in heads for weight in network.keras_model.weights]
    changed = [
        [not np.array_equal(a, b) for a, b in zip(x, y, strict=True)]
        for x, y in zip([start, *ends], ends, strict=False)
    ]
    assert not any(change for change, head in zip(changed[0], is_head, strict=True) if head)
    assert not any(change for change, head in zip(changed[1], is_head, strict=True) if not head)
    # The statistics of the training split (level, mean, scale) are set in the first step alone.
    assert [sum(step) for step in changed] == [18, 4, 19]
    assert {path.name for path in run.rglob("teacher_outputs/*")} == {f"view_{view}.npz" for view in range(8)}


def test_a_teacher_is_trained_first_and_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    short = {"size": "small", "training": {"epochs": 2, "batch_size": 96}}
    (tmp_path / "recipe.json").write_text(json.dumps({"default": {"teacher": short}}))
    run, save = tmp_path / "run", loop.checkpoint.save

    def interrupted(path, **state):
        save(path, **state)
        if path.name == loop.LAST:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.checkpoint, "save", interrupted)
    arguments = [*BASIC, "--recipe", str(tmp_path / "recipe.json"), "--teacher", "auto", "--views", "1"]
    assert train.main([*arguments, "--out", str(run)]) == 130
    assert not (run / "teacher" / "teacher.json").exists() and not (run / loop.LAST).exists()
    monkeypatch.setattr(loop.checkpoint, "save", save)
    assert train.main(["--resume", str(run)]) == 0
    history = json.loads((run / "teacher" / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    assert (run / "teacher" / "teacher.json").is_file()
    # The student learned from the trained teacher, not the untrained one of the first check.
    with np.load(run / "teacher_outputs" / "view_0.npz") as exit_logits:
        assert str(exit_logits["teacher"]) == trainer.load_teacher(run / "teacher").digest()
    assert len(json.loads((run / "history.json").read_text())) == 2


def test_the_embedding_loss_is_that_of_a_dense_layer_over_pooled_features(tone_task, teachers):
    set_seed(0)
    student = small_build(num_classes=4, input_shape=tone_task.input_shape)
    teacher = trainer.load_teacher(teachers / "embedding.keras", kind="embedding")
    objective = EmbeddingMatching(student, teacher, tone_task, views=0, seed=1)
    clips = tf.constant(tone_task.log_mel("train")[:8, ..., None])
    targets = teacher.outputs(tone_task.log_mel("train")[:8])
    losses = [float(objective(clips, tf.fill([8], label), tf.constant(targets))[0]) for label in (0, 3)]
    features = clips
    for stage in student.stages:
        features = stage(features, training=True)
    kernel, bias = (variable.numpy() for variable in objective.variables)
    found = features.numpy().mean(axis=(1, 2)) @ kernel + bias
    assert losses == pytest.approx([np.square(found - targets).mean()] * 2, rel=1e-4)  # whatever the labels
    assert objective.score({"loss": 2.0}) < objective.score({"loss": 1.0})


def test_a_network_that_is_not_binary_is_trained_and_calibrated(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bnn_exit.commands.deploy.deploy", deploy)
    monkeypatch.setitem(audio_tasks.TASKS, "tones", None)
    run = tmp_path / "run"
    assert train.main([*BASIC, "--precision", "float", "--out", str(run)]) == 0
    output = capsys.readouterr().out
    assert "precision float: weights and thresholds, but no model.tflite" in output and "evaluate" not in output
    assert {path.name for path in run.iterdir()} == {
        *("config.json", "environment.json", "history.json", "operating_points.json", "last.npz", "best.npz"),
        *("exit_logits", "costs.json"),
    }
    assert evaluate.main([str(run)]) == 1
    error = capsys.readouterr().err
    assert f"{run} is a run of precision 'float', which has no model.tflite to measure: give a binary run" in error


PAIR = {"student": "stage_1", "teacher": "maps"}


@pytest.mark.parametrize(
    ("steps", "arguments", "message"),
    [
        (
            None,
            ["--teacher", "TEACHERS/none.keras"],
            "--teacher is '.*none.keras', which does not exist: give auto, none, a",
        ),
        (None, ["--teacher", "Auto"], "--teacher is 'Auto', which does not exist: .*; did you mean 'auto'"),
        (
            [{"name": "a", "objective": "embedding"}],
            ["--teacher", "TEACHERS/embedding.keras"],
            "step 'a' is the last and has objective 'embedding', but must have 'labels'",
        ),
        (None, ["--teacher", "TEACHERS"], "teacher '.*' is no teacher: give a folder of"),
        (None, ["--teacher", "TEACHERS/corrupt.keras"], "teacher '.*corrupt.keras' is no zip, as files of this"),
        (None, ["--teacher", "TEACHERS/five.keras"], "gives 5 logits, but must give logits of the student's 4 classes"),
        (
            None,
            ["--teacher", "TEACHERS/wide.keras"],
            "takes log-mel of 48 frames x 40 mels, but the task gives 48 x 64",
        ),
        (None, ["--plan", "two-step"], "step 1 of the plan .real_weights.: teacher_weight is above 0, but there is no"),
        (None, ["--plan", "twostep"], "--plan is 'twostep', but must be one of .*; did you mean 'two-step'"),
        (None, ["--plan", "none.json"], "plan 'none.json' cannot be read"),
        (None, ["--plan", "two-step", "--views", "2"], "--views stands in the steps of a --plan: leave it out"),
        (None, ["--plan", "two-step", "--precision", "float"], "--precision stands in the steps of a --plan"),
        (None, ["--plan", "embedding"], "an embedding is to be learned, but there is no teacher"),
        (
            [{"name": "a", "temprature": 2}],
            [],
            "step 1: setting of Step is 'temprature', .*; did you mean 'temperature'",
        ),
        (
            [{"name": "a"}, {"name": "b", "features": [PAIR, {**PAIR, "student": "stage_7"}]}],
            ["--teacher", "TEACHERS/logits.keras"],
            "step 2 of the plan .b.: student of a pair in features is 'stage_7', but .*; did you mean 'stage_",
        ),
        (
            [{"name": "a", "attention": [{**PAIR, "teacher": "mops"}]}],
            ["--teacher", "TEACHERS/logits.keras"],
            "teacher of a pair in attention is 'mops', but must be one of 4 layers such as maps.*; did you mean 'maps'",
        ),
        (
            [{"name": "a", "features": [PAIR]}],
            ["--teacher", "TEACHERS/logits.keras", "--teacher", "TEACHERS/logits.keras"],
            "features and attention name layers, but the teacher's layers cannot be reached",
        ),
        (
            [{"name": "a", "features": [{**PAIR, "teacher": "stage_9"}]}],
            ["--teacher", "auto"],
            "teacher of a pair in features is 'stage_9', .*; did you mean 'stage_4'",
        ),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(steps, arguments, message, teachers, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if steps is not None:
        arguments = [*arguments, *write_plan(teachers / "plan.json", *steps)]
    assert train.main([*BASIC, *(word.replace("TEACHERS", str(teachers)) for word in arguments)]) in (1, 2)
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1 and error.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_the_plan_of_a_run_cannot_change(tmp_path, capsys):
    assert train.main(["--resume", str(tmp_path), "--plan", "two-step"]) == 2
    assert "--plan cannot change in a training that is resumed: leave it out" in capsys.readouterr().err


def test_a_run_goes_on_from_another_folder_to_the_file_that_was_asked_for(tmp_path, teachers, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    deployed, run = [], str(tmp_path / "run")
    monkeypatch.setattr("bnn_exit.commands.deploy.deploy", lambda *_, input, **__: deployed.append(input) or "deployed")
    with monkeypatch.context() as stopping:
        stopping.chdir(teachers)
        stopping.setattr("distill.trainer.fit", interrupted)
        options = ["--teacher", "logits.keras", "--views", "1", "--input", "waveform", "--out", run]
        assert train.main([*BASIC, *options]) == 130
    monkeypatch.chdir(tmp_path)
    assert train.main(["--resume", run]) == 0
    assert train.main(["--resume", run, "--input", "log_mel"]) == 0
    assert deployed == ["waveform", "log_mel"]


def test_fewer_clips_than_a_batch_are_named_once(tmp_path, capsys):
    assert train.main(["--epochs", "1", "--batch-size", "500", "--out", str(tmp_path / "run")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "batch_size" in line]
    assert lines == ["batch_size is 500, but there are 96 training clips: every step takes all"]
