"""`adapt`: exits refitted, or thresholds alone, on clips without labels."""

import json
import shutil

import numpy as np
import pytest
import tone_run

import bnn_exit
from bnn_exit import policies
from bnn_exit.audio import wav
from bnn_exit.calibration.agreement import LOST
from bnn_exit.commands import adapt as command
from bnn_exit.commands import export
from bnn_exit.commands.unlabelled import log_mel_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import rule
from bnn_exit.training import adapt as adapt_module
from bnn_exit.training import head_inputs
from bnn_exit.training.adapt import held_back


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    with pytest.MonkeyPatch.context() as patch:
        yield tone_run.make_run(folder / "run", data=folder / "data", patch=patch)


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Tones that begin and end within their clip, in soft noise."""
    folder, random, time = tmp_path_factory.mktemp("clips") / "field", np.random.default_rng(9), np.arange(8000) / 16000
    for label, pitch in tone_run.TONES_HZ.items():
        for index in range(20):
            waveform = 0.3 * np.sin(2 * np.pi * pitch * random.uniform(0.95, 1.05) * time) * (abs(time - 0.25) < 0.15)
            waveform += random.normal(0, 0.004, len(time))
            wav.write(folder / f"{label}_{index}.wav", waveform.astype(np.float32), sample_rate_hz=16000)
    return folder


@pytest.fixture(scope="module")
def without_words(tmp_path_factory):
    """Tones from end to end."""
    folder = tmp_path_factory.mktemp("clips") / "field"
    tone_run.write_tones(folder, clips_per_class=20, seed=9, noise=0.1, nested=False)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_run_stays_and_figures_are_those_of_the_file(run, field, tmp_path, capsys):
    before = contents(run.path)
    options = ["--views", "3", "--replay", "2", "--batch-size", "8"]
    assert command.main([str(run), "--unlabelled", str(field), *options]) == 0
    text = capsys.readouterr()
    assert "60 clips: 48 to learn from, 12 held back" in text.err
    out, values = run.path / "adapted.tflite", json.loads((run.path / "adapted.json").read_text())
    assert {name: data for name, data in contents(run.path).items() if not name.startswith("adapted")} == before
    # Independent of the command: the clips held back through the files.
    paths = np.array(sorted(field.iterdir()))[held_back(60)]
    old, new = (bnn_exit.load(path) for path in (run.model, out))
    of_old, of_new = (
        np.stack([session.exit_probabilities(wav.read(path)) for path in paths]) for session in (old, new)
    )
    labels = of_old[:, -1].argmax(axis=-1)
    assert of_new[:, -1].argmax(axis=-1).tolist() == labels.tolist()
    for name, found in (("before", of_old), ("after", of_new)):
        agreement = (found.argmax(axis=-1) == labels[:, None]).mean(axis=0)
        assert values[name]["agreement"] == pytest.approx(agreement.tolist())
        assert list(values[name]["ops_at_agreement_lost"]) == [f"{lost:g}" for lost in LOST]
    assert np.sum(values["after"]["agreement"]) >= np.sum(values["before"]["agreement"])
    assert values["replayed_clips"] == 48  # of 60, a fifth for test
    # A hidden layer is slower and larger.
    assert new.metadata.exits[0].ops > old.metadata.exits[0].ops
    assert out.stat().st_size > run.model.stat().st_size
    ops = list(values["after"]["ops_at_agreement_lost"].values())
    assert ops == sorted(ops, reverse=True)
    for name, point in new.operating_points.items():
        left = [new.predict(wav.read(path), operating_point=name) for path in paths]
        assert point.split == "unlabelled" and point.sample_count == 12
        assert point.accuracy == pytest.approx(np.mean([each.label_index for each in left] == labels))
        assert point.exit_shares == pytest.approx(np.bincount([each.exit_index for each in left], minlength=3) / 12)
    assert "ops at full" not in text.err  # more by the hidden layer, whatever was learned
    table = text.out.splitlines()
    assert table[0] == "agreement with the last exit on 12 clips held back"
    assert table[2].split() == ["1", *(f"{100 * values[each]['agreement'][0]:.2f}%" for each in ("before", "after"))]
    # Once more: the same bytes.
    again = tmp_path / "again.tflite"
    assert command.main([str(run), "--unlabelled", str(field), *options, "--out", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()
    assert (tmp_path / "again.json").read_bytes() == (run.path / "adapted.json").read_bytes()


def test_without_a_hidden_layer_the_costs_stay(run, field, tmp_path):
    out = tmp_path / "m.tflite"
    options = ["--views", "2", "--replay", "0", "--batch-size", "8", "--hidden", "0", "--out", str(out)]
    assert command.main([str(run), "--unlabelled", str(field), *options]) == 0
    assert bnn_exit.load(out).metadata.exits == bnn_exit.load(run.model).metadata.exits


def test_heads_that_did_not_get_better_have_no_hidden_layer(run, field, tmp_path):
    out = tmp_path / "m.tflite"
    options = ["--views", "1", "--replay", "0", "--learning-rate", "10", "--epochs", "1", "--out", str(out)]
    assert command.main([str(run), "--unlabelled", str(field), *options]) == 0
    old, new = bnn_exit.load(run.model), bnn_exit.load(out)
    clip = wav.read(next(field.iterdir()))
    np.testing.assert_array_equal(new.exit_probabilities(clip), old.exit_probabilities(clip))
    assert new.metadata.exits == old.metadata.exits


def test_clips_that_cannot_be_used_are_counted_and_left_out(run, field, tmp_path, capsys):
    folder = shutil.copytree(field, tmp_path / "field")
    (folder / "broken.wav").write_bytes(b"RIFFnothing")
    (folder / "deep").mkdir()
    (folder / "deep" / "empty.wav").write_bytes(b"")
    wav.write(folder / "deep" / "fast.wav", np.zeros(16000, np.float32), sample_rate_hz=32000)
    options = ["--epochs", "1", "--out", str(tmp_path / "m.tflite"), "--views", "1", "--temperature", "2"]
    options += ["--replay", "0"]
    assert command.main([str(run), "--unlabelled", str(folder), *options]) == 1
    text = capsys.readouterr().err
    assert f"error: {folder / 'broken.wav'}: " in text and f"error: {folder / 'deep' / 'empty.wav'}: " in text
    assert "error: 2 of 63 clips could not be used" in text and "1 of 61 clips were resampled to 16000 Hz" in text
    values = json.loads((tmp_path / "m.json").read_text())
    assert (values["clips"], values["failed_clips"], values["held_back_clips"]) == (61, 2, 13)


def test_clips_are_brought_to_length_as_predict_does(run, tmp_path):
    random = np.random.default_rng(0)
    for name, samples in (("a_short", 5000), ("b_long", 20001)):
        wav.write(tmp_path / f"{name}.wav", random.uniform(-0.5, 0.5, samples).astype(np.float32), sample_rate_hz=16000)
    found, failed = log_mel_of(str(tmp_path), features=run.config.task.features, clip_samples=8000)
    session = bnn_exit.load(run.model, backend="reference")
    expected = [session.log_mel(wav.read(path)) for path in sorted(tmp_path.iterdir())]
    np.testing.assert_array_equal(found, expected)
    assert failed == 0


def test_a_file_gets_thresholds_alone(run, field, tmp_path, capsys):
    model = shutil.copy(run.model, tmp_path / "model.tflite")
    before = model.read_bytes()
    assert command.main([str(model), "--unlabelled", str(field), "--workers", "1"]) == 0
    text = capsys.readouterr()
    assert text.err.startswith(f"{model} is a model file, whose exits cannot be trained: only thresholds are chosen")
    assert model.read_bytes() == before
    session = bnn_exit.load(tmp_path / "model_adapted.tflite")
    found = np.stack([session.exit_probabilities(wav.read(path)) for path in sorted(field.iterdir())])
    logits = ExitLogits.from_probabilities(found)
    for name, point in session.operating_points.items():
        exits = rule.exit_indices(policies.fit("margin").scores(logits), point.thresholds)
        same = rule.predicted_labels(found, exits) == found[:, -1].argmax(axis=-1)
        assert point.accuracy == pytest.approx(same.mean()) and point.sample_count == 60, name
        assert 1 - same.mean() <= point.max_accuracy_drop
    values = json.loads((tmp_path / "model_adapted.json").read_text())
    assert values["clips"] == 60 and set(values["before"]["operating_points"]) == set(session.operating_points)


def test_an_interruption_leaves_nothing(run, field, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(head_inputs.HeadInputs, "of", interrupt)
    assert command.main([str(run), "--unlabelled", str(field), "--out", str(tmp_path / "m.tflite")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "error: interrupted" and not list(tmp_path.iterdir())


def folder_of(path, count):
    path.mkdir()
    for index in range(count):
        wav.write(path / f"{index}.wav", np.zeros(8000, np.float32), sample_rate_hz=16000)
    return path


@pytest.mark.parametrize(
    ("count", "status", "message"),
    [
        (0, 1, "no .wav, .flac, .ogg file in this folder or those in it"),
        (1, 1, "--unlabelled has 1 clip that can be used, but one to learn from and one to choose thresholds with are"),
        (12, 1, "the network gives all clips that choose thresholds (3) the same label, but at least two labels are"),
    ],
)
def test_too_few_clips_are_one_line(run, tmp_path, capsys, count, status, message):
    clips = folder_of(tmp_path / "clips", count)
    assert command.main([str(run), "--unlabelled", str(clips), "--out", str(tmp_path / "m.tflite")]) == status
    found = capsys.readouterr()
    assert found.out == "" and message in found.err.splitlines()[-1] and not (tmp_path / "m.tflite").exists()


def test_training_clips_that_are_gone_are_one_line_which_names_the_way_without(run, field, tmp_path, capsys):
    options = ["--unlabelled", str(field), "--epochs", "1", "--views", "1", "--out", str(tmp_path / "m.tflite")]
    assert command.main([str(run), *options, "--data-dir", str(tmp_path / "gone")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path / "gone") in error
    assert error.endswith(": --replay 0 learns from unlabelled clips alone\n")
    assert command.main([str(run), *options, "--replay", "0"]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["replayed_clips"] == 0


@pytest.mark.filterwarnings("default:no unlabelled clip has a word")
def test_without_a_word_that_stands_out_the_command_says_so(run, without_words, tmp_path, capsys):
    options = ["--unlabelled", str(without_words), "--epochs", "1", "--views", "1", "--out", str(tmp_path / "m.tflite")]
    with pytest.warns(UserWarning, match="no unlabelled clip has a word with background beside it, so the clips of"):
        assert command.main([str(run), *options]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--unlabelled", "{field}", "--replay", "-1"], "argument --replay: '-1' is not a whole number"),
        (
            ["--unlabelled", "{field}", "--replay", "0", "--data-dir", "d"],
            "--data-dir is for the training clips, but",
        ),
        (
            ["--unlabelled", "{field}", "--temperature", "inf"],
            "temperature is inf, but must be a finite number",
        ),
        (["--unlabelled", "{field}", "--out", ""], "--out is '', but must name a file"),
        (["--unlabelled", "{field}", "--out", "{field}"], "but that is a folder: give a file such as"),
        (
            ["--unlabelled", "{field}", "--out", "{run}/config.tflite"],
            "would overwrite config.json of the run, and",
        ),
        (["--unlabelled", "{field}", "--out", "{run}/best.npz"], "would overwrite best.npz of the run, and that stays"),
        (["--unlabelled", "{field}", "--out", "{run}/../run/model.tflite"], "would overwrite model.tflite of the run"),
        (["--unlabelled", "{field}", "--out", "{run}/steps/a.tflite"], "would overwrite a.tflite of the run"),
        (
            ["--unlabelled", "{field}", "--replay", "1000000"],
            "replays is 1000000, but must be from 0 to 1000",
        ),
        (
            ["--unlabelled", "{field}", "--hidden", "5"],
            "hidden is 5, but must be at least 6, two for each of the 3 classes",
        ),
        (["--unlabelled", "{field}", "--hidden", "-1"], "argument --hidden: '-1' is not a whole number"),
        (["--unlabelled", "{field}", "--views", "1001"], "views is 1001, but must be from 1 to 1000"),
        (["--unlabelled", "nowhere"], "--unlabelled is 'nowhere', but there is no such folder: give one with audio"),
        ([], "the following arguments are required: --unlabelled"),
        (["--unlabelled", "{field}", "--workers", "2"], "--workers is 2, but goes with a model file alone"),
        (["--unlabelled", "{field}", "--out", "a.json"], "--out is 'a.json', but must not end in .json"),
        (["--unlabelled", "{field}", "--epochs", "0"], "'0' is not a whole number of at least 1"),
        (["--unlabelled", "{field}", "--temperature", "0"], "temperature is 0.0, but must be a finite number above 0"),
        (["--unlabelled", "{field}", "--learning-rate", "-1"], "learning_rate is -1.0, but must be above 0"),
    ],
)
def test_mistakes_with_a_run_get_one_line(run, field, capsys, options, message):
    assert command.main([str(run), *(each.format(field=field, run=run.path) for each in options)]) == 2
    found = capsys.readouterr()
    assert found.out == "" and message in found.err and found.err.count("\n") == 1


def test_mistakes_with_a_file_get_one_line(run, field, tmp_path, capsys):
    one, scaled = tmp_path / "one.tflite", tmp_path / "ensemble.tflite"
    assert export.main([str(run), "--truncate", "1", "--out", str(one)]) == 0
    assert export.main([str(run), "--policy", "ensemble", "--out", str(scaled)]) == 0
    outside = shutil.copy(run.model, tmp_path / "own.tflite")
    (tmp_path / "deep").mkdir()
    capsys.readouterr()
    for model, options, message in (
        (run.model, ["--epochs", "3"], "--epochs is for the training of heads, but "),
        (run.model, ["--replay", "3"], "--replay is for the training of heads, but "),
        (run.model, ["--hidden", "64"], "--hidden is for the training of heads, but "),
        (outside, ["--out", str(tmp_path / "deep" / ".." / "own.tflite")], "the file that is adapted, which stays as"),
        (
            run.model,
            ["--out", str(run.path / "config.tflite")],
            "would overwrite config.json of the run, and that stays",
        ),
        (one, [], "has one exit, where every clip leaves: there is nothing to adapt"),
        (scaled, [], "has the policy ensemble, which changes the probabilities of the exits"),
        ("arabic-speech-commands-small", [], "comes with the package, whose folder stays as it is: give --out FILE"),
    ):
        assert command.main([str(model), "--unlabelled", str(field), *options]) == 2
        found = capsys.readouterr()
        assert message in found.err and found.err.count("\n") == 1


def test_a_folder_that_is_no_run(field, tmp_path, capsys):
    assert command.main([str(tmp_path), "--unlabelled", str(field)]) == 2
    assert "is no run: it has no config.json" in capsys.readouterr().err


def test_exits_that_became_worse_are_named(run, field, tmp_path, capsys, monkeypatch):
    def spoil(model, *given, **more):
        for weight in model.heads[1].trainable_weights:  # every clip gets the first label
            weight.assign(0 * weight)
        return [{"validation_loss": 2.0}, {"validation_loss": 1.0}]

    monkeypatch.setattr(adapt_module, "adapt", spoil)
    options = ["--unlabelled", str(field), "--replay", "0", "--out", str(tmp_path / "m.tflite")]
    assert command.main([str(run), *options]) == 0
    values = json.loads((tmp_path / "m.json").read_text())
    old, new = values["before"]["agreement"], values["after"]["agreement"]
    assert new[1] < old[1] and (new[0], new[2]) == (old[0], old[2])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: on the 12 clips")]
    assert "adapted exits are worse than before (exit 2" in line and "exit 1" not in line
    assert line.endswith("): give more clips, or keep the file of the run")


def test_exits_that_did_not_become_worse_are_not(run, field, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(adapt_module, "adapt", lambda *given, **more: [{"validation_loss": 1.0}])
    options = ["--unlabelled", str(field), "--replay", "0", "--out", str(tmp_path / "m.tflite")]
    assert command.main([str(run), *options]) == 0
    assert "worse" not in capsys.readouterr().err
