"""Training towards a teacher on the task of tones."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from tiny import tiny_model

from bnn_exit._keras import set_seed, tf
from bnn_exit.commands import train
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.model_file import reader
from bnn_exit.models.network import Network
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.training import TrainConfig, fit
from bnn_exit.training.loss import joint_loss
from distill import train_teacher
from distill.losses import soft_label_loss
from distill.objective import Distillation, DistillConfig
from distill.teachers.residual import residual
from distill.teachers.teacher import NetworkTeacher


class Oracle:
    """A teacher that is sure of the right answer, and counts how often it is asked."""

    kind, input, size, input_shape, keras_model = "logits", "log_mel", 4, (48, 64, 1), None

    def __init__(self, labels):
        self.labels, self.asked = labels, 0

    def outputs(self, clips):
        self.asked += len(clips)
        return 8 * np.eye(4, dtype=np.float32)[np.resize(self.labels, len(clips))]

    def digest(self):
        return "oracle"


def student(task):
    set_seed(0)
    return tiny_model(num_classes=4, input_shape=task.input_shape)


def objective(task, teacher, **settings):
    model = student(task)
    config = TrainConfig(epochs=2, batch_size=16, warmup_steps=4)
    return model, Distillation(model, teacher, task, config=DistillConfig(**settings), training=config), config


def test_the_loss_is_the_sum_of_its_parts(tone_task):
    _, distillation, config = objective(
        tone_task, Oracle(tone_task.train.labels), temperature=2.0, teacher_weight=0.25, deepest_weight=0.5
    )
    log_mel = tf.constant(tone_task.log_mel("train")[:8, ..., None])
    labels, targets = tf.one_hot(tone_task.train.labels[:8], 4), tf.constant(np.eye(4, dtype=np.float32)[[0] * 8])
    found, logits = distillation(log_mel, labels, targets)
    hard = joint_loss(logits, labels, weights=[1.0, 1.0, 1.0], label_smoothing=config.label_smoothing)
    soft = sum(float(soft_label_loss(z, targets, temperature=2.0)) for z in logits)
    deepest = sum(float(soft_label_loss(z, logits[-1], temperature=2.0)) for z in logits[:-1])
    assert float(found) == pytest.approx(0.75 * float(hard) + 0.25 * soft + 0.5 * deepest, rel=1e-5)


def test_a_student_learns_from_a_teacher_what_labels_do_not_tell(tone_task):
    # The labels are wrong for everybody; only the teacher knows.
    right = tone_task.train.labels
    wrong = dataclasses.replace(
        tone_task, train=dataclasses.replace(tone_task.train, labels=((right + 1) % 4).astype(np.int32))
    )
    set_seed(3)
    model = tiny_model(num_classes=4, input_shape=wrong.input_shape, head="grid")
    config = TrainConfig(epochs=10, batch_size=8, warmup_steps=5, learning_rate=5e-3, seed=3)
    gentle = AugmentConfig(time_shift_ms=20.0, snr_db=(20.0, 30.0), time_mask_frames=4, frequency_mask_mels=2)
    distillation = Distillation(model, Oracle(right), wrong, config=DistillConfig(teacher_weight=1.0), training=config)
    fit(model, wrong, config=config, augment=gentle, objective=distillation, progress=False)
    predicted = model.logits(tone_task.log_mel("test")).argmax(axis=-1)
    assert np.mean(predicted[:, -1] == tone_task.test.labels) > 0.8


@pytest.mark.parametrize(("views", "times"), [(0, 1), (2, 2), (20, 2)])  # at most one an epoch
def test_the_teacher_is_asked_once_for_each_clip_and_view(tone_task, tmp_path, views, times):
    clips = len(tone_task.train)
    teacher = Oracle(tone_task.train.labels)
    model, distillation, config = objective(tone_task, teacher, views=views)
    fit(model, tone_task, config=config, objective=distillation, folder=tmp_path, progress=False)
    assert teacher.asked == times * clips
    again, resumed, config = objective(tone_task, teacher, views=views)
    fit(again, tone_task, config=config, objective=resumed, folder=tmp_path, resume=True, progress=False)
    assert teacher.asked == times * clips  # kept in the folder


def test_from_python_a_teacher_is_an_objective_with_the_usual_settings(tone_task):
    teacher, model, training = Oracle(tone_task.train.labels), student(tone_task), TrainConfig(epochs=1, batch_size=32)
    fit(model, tone_task, config=training, objective=Distillation(model, teacher, tone_task), progress=False)
    assert teacher.asked == DistillConfig().views * len(tone_task.train)
    log_mel, labels = tf.constant(tone_task.log_mel("train")[:8, ..., None]), tf.one_hot([1] * 8, 4)
    targets = tf.constant(np.eye(4, dtype=np.float32)[[0] * 8])
    usual = Distillation(model, teacher, tone_task, config=DistillConfig(), training=TrainConfig())
    losses = [float(each(log_mel, labels, targets)[0]) for each in (usual, Distillation(model, teacher, tone_task))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.fixture(scope="module", params=[0, 2])
def trained(request, tone_task, tmp_path_factory):
    """The number of views, a task whose clips have a fingerprint, and the folder of a training on it."""
    folder = tmp_path_factory.mktemp("trained")
    task = dataclasses.replace(tone_task, train=dataclasses.replace(tone_task.train, fingerprint="before"))
    model, distillation, config = objective(task, Oracle(task.train.labels), views=request.param)
    fit(model, task, config=config, objective=distillation, folder=folder, progress=False)
    return request.param, task, folder


def test_answers_of_another_teacher_are_not_taken(trained, tmp_path):
    views, task, folder = trained
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    teacher = Oracle(task.train.labels)
    teacher.digest = lambda: "another"
    model, distillation, config = objective(task, teacher, views=views)
    with pytest.raises(DataError, match="holds the outputs of another teacher: start a new run for this one"):
        fit(model, task, config=config, objective=distillation, folder=tmp_path, progress=False)
    for path in (tmp_path / "teacher_outputs").iterdir():
        path.write_bytes(b"PK damaged")
    with pytest.raises(DataError, match="delete it, and the teacher is run again"):
        fit(model, task, config=config, objective=distillation, folder=tmp_path, progress=False)


def test_an_interruption_loses_the_view_that_was_being_heard(tone_task, tmp_path):
    teacher = Oracle(tone_task.train.labels)
    clips, answer = len(tone_task.train), teacher.outputs

    def stopping(batch):
        if teacher.asked >= clips:
            raise KeyboardInterrupt
        return answer(batch)

    teacher.outputs = stopping
    model, distillation, config = objective(tone_task, teacher, views=2)
    with pytest.raises(KeyboardInterrupt):
        fit(model, tone_task, config=config, objective=distillation, folder=tmp_path, progress=False)
    assert [path.name for path in tmp_path.rglob("*.npz")] == ["view_0.npz"]
    teacher.outputs = answer
    model, distillation, config = objective(tone_task, teacher, views=2)
    fit(model, tone_task, config=config, objective=distillation, folder=tmp_path, resume=True, progress=False)
    assert teacher.asked == 2 * clips  # the teacher did not run on the first view again


@pytest.mark.parametrize("change", ["more clips", "another order"])
def test_answers_to_other_clips_are_not_taken(trained, change):
    views, task, folder = trained
    # Whoever has no fingerprint has at least a number of clips.
    changed = {"fingerprint": "after"} if change == "another order" else {"ids": (*task.train.ids, "new")}
    other = dataclasses.replace(task, train=dataclasses.replace(task.train, **changed))
    model, distillation, config = objective(task, Oracle(task.train.labels), views=views)
    _, distillation, _ = objective(other, Oracle(task.train.labels), views=views)
    with pytest.raises(DataError, match=r"'.*teacher_outputs.*npz' holds outputs for other clips: start a new run"):
        fit(model, task, config=config, objective=distillation, folder=folder, resume=True, progress=False)


@pytest.mark.parametrize("change", ["seed", "augment"])
@pytest.mark.parametrize("trained", [2], indirect=True)
def test_answers_to_clips_that_were_changed_in_another_way_are_not_taken(trained, change):
    views, task, folder = trained
    model, distillation, config = objective(task, Oracle(task.train.labels), views=views)
    config = dataclasses.replace(config, seed=config.seed + (change == "seed"))
    augment = AugmentConfig(gain_db=8.0 + (change == "augment"))
    with pytest.raises(DataError, match=r"view_0.npz' holds outputs for clips that another seed or augment changed"):
        fit(model, task, config=config, augment=augment, objective=distillation, folder=folder, progress=False)


def test_a_student_hears_the_same_views_in_every_round(tone_task):
    seen = []

    class Listening(Oracle):
        def outputs(self, clips):
            seen.append(np.array(clips))
            return super().outputs(clips)

    model, distillation, config = objective(tone_task, Listening(tone_task.train.labels), views=2)
    fit(model, tone_task, config=config, objective=distillation, progress=False)
    first, second = seen
    assert first.shape == second.shape == tone_task.log_mel("train").shape
    assert np.abs(first - second).max() > 0.1


def test_teachers_that_do_not_fit(tone_task):
    teacher = NetworkTeacher(Network(residual(tone_task.input_shape, 5, size="small")))
    with pytest.raises(ArgumentError, match="gives 5 logits, but must give logits of the student's 4 classes"):
        objective(tone_task, teacher)
    listener = Oracle(tone_task.train.labels)
    listener.input = "waveform"
    listener.input_shape = (tone_task.clip_samples,)
    _, distillation, _ = objective(tone_task, listener, views=2)
    assert distillation.views == 0  # it gets clips as they were recorded
    listener.input_shape = (16000,)
    with pytest.raises(
        ArgumentError, match="takes waveforms of 16000 samples, but the task gives 8000: take a teacher"
    ):
        objective(tone_task, listener)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0, but must be above 0"),
        ({"teacher_weight": 1.5}, "teacher_weight is 1.5, but must be from 0 to 1"),
        ({"deepest_weight": -1.0}, "deepest_weight is -1.0, but must be at least 0"),
        ({"views": -1}, "views is -1, but must be at least 0"),
        ({"features": ("stage_1",)}, "features holds 'stage_1', but must hold pairs of layers such as"),
        ({"attention": ({"student": "stage_1"},)}, "teacher is '', but must be the name of a layer"),
        ({"features": ({"student": "a", "teacher": "b", "weight": 0},)}, r"weight is 0.0, but must be above 0"),
    ],
)
def test_settings_that_break_a_rule(settings, message):
    with pytest.raises(ArgumentError, match=message):
        DistillConfig(**settings)


SYNTHETIC = [
    "--task",
    "synthetic",
    "--option",
    "words=yes,no",
    "--option",
    "speakers=6",
    "--option",
    "clips_per_word=2",
]


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory):
    pytest.importorskip("espeakng_loader")
    folder = tmp_path_factory.mktemp("teachers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_EXIT_CACHE", str(folder / "cache"))
        out = ["--size", "small", "--epochs", "2", "--out", str(folder / "teacher")]
        assert train_teacher.main([*SYNTHETIC, *out]) == 0
        yield folder / "teacher"


def test_a_teacher_is_trained_by_its_command(teacher_folder):
    assert {path.name for path in teacher_folder.iterdir()} == {
        *("config.json", "environment.json", "history.json", "last.npz", "best.npz", "teacher.json")
    }
    report = json.loads((teacher_folder / "teacher.json").read_text())
    assert set(report["accuracy"]) == {"validation", "test"} and report["cost"]["binary_macs"] == 0
    assert [epoch["epoch"] for epoch in json.loads((teacher_folder / "history.json").read_text())] == [1, 2]


def test_the_cache_folder_holds_for_the_training_and_for_its_resumption(tone_task, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("audio_tasks.load", lambda *_, **options: asked.append(options["cache_dir"]) or tone_task)
    monkeypatch.setattr(train_teacher, "train", lambda *_, **__: "trained")
    folder = str(tmp_path / "teacher")
    assert train_teacher.main(["--cache-dir", "one", "--out", folder]) == 0
    assert train_teacher.main(["--resume", folder, "--cache-dir", "two"]) == 0
    assert asked == ["one", "one", "two"]


def test_a_teacher_has_one_exit_to_weigh(tmp_path, capsys):
    recipe = tmp_path / "mine.json"
    recipe.write_text(json.dumps({"default": {"teacher": {"training": {"exit_weights": [1, 2]}}}}))
    assert train_teacher.main(["--recipe", str(recipe), "--out", str(tmp_path / "teacher")]) == 2
    assert capsys.readouterr().err == "error: exit_weights has 2 values, but the network has 1 exit\n"
    assert not (tmp_path / "teacher").exists()


def test_a_student_is_trained_with_it_and_exported(teacher_folder, tmp_path, capsys):
    run = tmp_path / "run"
    options = ["--size", "small", "--epochs", "1", "--teacher", str(teacher_folder), "--out", str(run)]
    assert train.main([*SYNTHETIC, *options, "--deepest-weight", "0.5", "--views", "1"]) == 0
    config = json.loads((run / "config.json").read_text())
    assert config["distillation"] == {
        **{"teachers": [str(teacher_folder)], "temperature": 2.0, "teacher_weight": 0.7},
        **{"deepest_weight": 0.5, "views": 1, "features": [], "attention": []},
    }
    assert reader.read(run / "model.tflite").metadata.labels == ("yes", "no")
    assert [path.name for path in run.rglob("teacher_outputs/*")] == ["view_0.npz"]


def test_mistakes_of_the_commands_are_one_line(teacher_folder, tmp_path, capsys):
    copy = tmp_path / "unfinished"
    shutil.copytree(teacher_folder, copy)
    (copy / "best.npz").unlink()
    out = ["--out", str(tmp_path / "run")]
    others = [*SYNTHETIC[:3], "words=yes,stop", *SYNTHETIC[4:]]
    for arguments, message in (
        ([*SYNTHETIC, *out, "--temperature", "2"], "--temperature is for training with a --teacher: add one"),
        ([*SYNTHETIC, *out, "--teacher", str(tmp_path)], "is no teacher: give a folder"),
        ([*others, *out, "--teacher", str(teacher_folder)], "knows 2 labels (yes, no, ...), but the task has 2"),
        ([*SYNTHETIC, *out, "--teacher", str(copy)], "has no best.npz: its training has not finished an epoch"),
    ):
        assert train.main(arguments) in (1, 2)
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ") and message in error
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert train_teacher.main(["--resume", str(teacher_folder), "--epochs", "3"]) == 2
    assert "--epochs cannot change in a training that is resumed" in capsys.readouterr().err
    assert train_teacher.main(["--resume", str(teacher_folder), "--seed", "0"]) == 2
    assert "--seed cannot change in a training that is resumed" in capsys.readouterr().err
    assert train_teacher.main(["--resume", str(tmp_path / "gone")]) == 2
    assert (
        "gone' is no teacher: there is no such folder (distill.train_teacher makes teachers)" in capsys.readouterr().err
    )
    assert train.main(["--resume", str(teacher_folder)]) == 1
    told = f"'{teacher_folder}' is a teacher, not a run of a student: python -m distill.train_teacher --resume"
    assert told in capsys.readouterr().err


def test_settings_of_a_run_that_cannot_be_its_own(tmp_path, tone_task):
    RunConfig(RunTask.of(tone_task), ModelConfig(), AugmentConfig(), TrainConfig()).save(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "distillation": 5}))
    with pytest.raises(DataError, match=r"distillation is 5, but must be null or settings.*start the training again"):
        RunConfig.load(tmp_path)
