"""`export --truncate`: static files of a run, with and without another training of the head."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
import tone_run
from tiny import tiny_model

import bnn_exit
from bnn_exit.commands import calibrate
from bnn_exit.commands import export as command
from bnn_exit.model_file import reader
from bnn_exit.runs.folder import BEST, RunFolder
from bnn_exit.training import frozen


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truncate")
    with pytest.MonkeyPatch.context() as patch:
        yield tone_run.make_run(folder / "run", data=folder / "data", patch=patch)


def logits_of(run):
    return run.exit_logits("validation")


def rows(text):
    lines = text[text.index("file     ") :].splitlines()[1:] if "file     " in text else []
    return {line.split("  ")[0].strip(): line.split() for line in lines if "validation" in line}


def test_the_accuracy_is_that_of_the_stored_logits_and_the_table_has_every_file(run, capsys):
    for number in (1, 2):
        assert command.main([str(run), "--truncate", str(number)]) == 0
    found = rows(capsys.readouterr().out)
    assert list(found)[:2] == ["model.tflite, full", "model.tflite, balanced"]
    for number in (1, 2):
        file = reader.read(run.model_called(f"truncated_{number}"))
        (cost,), point = file.metadata.exits, file.metadata.operating_points["full"]
        assert point.accuracy == logits_of(run).correct[:, number - 1].mean() and point.split == "validation"
        size, ops, _, time_us, accuracy, clips, split = found[f"model_truncated_{number}.tflite"][1:]
        assert int(size.replace(",", "")) == len(file.data)
        assert float(time_us.replace(",", "")) > 0
        assert float(ops.replace(",", "")) == pytest.approx(cost.ops, abs=0.5)
        assert accuracy == f"{100 * point.accuracy:.2f}%" and (clips, split) == (str(len(logits_of(run))), "validation")
        assert len(file.data) < run.model.stat().st_size


def test_another_file_that_is_damaged_has_no_row_and_is_no_failure(run, tmp_path, capsys):
    other, out = run.model_called("truncated_1"), tmp_path / "mine.tflite"
    other.write_bytes(b"TFL3 or not")
    try:
        assert command.main([str(run), "--truncate", "2", "--out", str(out)]) == 0
    finally:
        other.unlink()
    found = capsys.readouterr()
    assert list(rows(found.out))[-1] == "mine.tflite" and other.name not in rows(found.out)
    (line,) = [line for line in found.err.splitlines() if line.startswith("note: ")]
    assert line.startswith(f"note: left out of the table: {other}")


def test_where_the_data_is_does_not_matter_with_stored_logits(run, tmp_path, capsys):
    options = ["--data-dir", str(tmp_path), "--cache-dir", str(tmp_path), "--out", str(tmp_path / "m.tflite")]
    assert command.main([str(run), "--truncate", "1", *options]) == 0
    assert capsys.readouterr().err == (
        f"note: --data-dir and --cache-dir: no data is read, because {run} has the logits of its validation split "
        "stored\n"
    )


def test_the_last_exit_gives_the_plain_network(run, capsys):
    assert command.main([str(run), "--truncate", "3"]) == 0
    assert "note: exit 3 is the last one: the file is the plain network" in capsys.readouterr().err
    session = bnn_exit.load(run.model_called("truncated_3"))
    whole = bnn_exit.load(run.model)
    clip = np.random.default_rng(0).normal(0, 0.1, 8000)
    expected = whole.predict(clip, operating_point="full").probabilities
    np.testing.assert_allclose(session.predict(clip).probabilities, expected, atol=1e-4)


def test_other_inputs_and_places(run, tmp_path, capsys):
    assert command.main([str(run), "--truncate", "1", "--input", "waveform"]) == 0
    assert reader.read(run.path / "model_truncated_1_waveform.tflite").metadata.input == "waveform"
    assert command.main([str(run), "--truncate", "1", "--out", str(tmp_path / "mine.tflite"), "--list"]) == 0
    assert "mine.tflite" in rows(capsys.readouterr().out)


def test_finetuning_trains_the_head_alone_and_leaves_the_run(run, tmp_path, capsys, monkeypatch):
    before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file() and path.suffix != ".tflite"}
    seen = {}
    fit_heads = frozen.fit_heads

    def spy(model, task, **options):
        weights = [weight.numpy() for weight in model.keras_model.weights]
        names = [weight.name for weight in model.keras_model.weights]
        history = fit_heads(model, task, **options)
        seen["changed"] = {
            name
            for name, old, new in zip(names, weights, model.keras_model.weights, strict=True)
            if not np.array_equal(old, new.numpy())
        }
        seen["history"], seen["model"] = history, model
        return history

    monkeypatch.setattr(frozen, "fit_heads", spy)
    out = tmp_path / "fine.tflite"
    data = run.path.parent / "data"
    moved = data.rename(data.with_name("moved"))
    try:
        assert command.main([str(run), "--truncate", "1", "--finetune", "3", "--out", str(out)]) == 1
        assert "moved" not in capsys.readouterr().out and not out.exists()
        options = ["--finetune", "3", "--data-dir", str(moved), "--cache-dir", str(tmp_path / "cache")]
        assert command.main([str(run), "--truncate", "1", *options, "--out", str(out)]) == 0
    finally:
        moved.rename(data)
    text = capsys.readouterr()
    assert len(re.findall(r"^epoch ", text.err, re.MULTILINE)) == 3
    accuracies = [record["validation_accuracy"][0] for record in seen["history"]]
    assert accuracies[0] == pytest.approx(logits_of(run).correct[:, 0].mean(), abs=1e-5)
    assert reader.read(out).metadata.operating_points["full"].accuracy == pytest.approx(max(accuracies), abs=1e-5)
    of_head = {weight.name for weight in seen["model"].heads[0].weights}
    assert seen["changed"] <= of_head
    assert bool(seen["changed"]) == (max(accuracies[1:]) > accuracies[0])
    assert {path: path.read_bytes() for path in before} == before and (run.path / BEST) in before


def test_an_interrupted_finetuning_leaves_no_half_file(run, tmp_path, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(frozen, "fit", interrupt)
    assert command.main([str(run), "--truncate", "1", "--finetune", "2", "--out", str(tmp_path / "m.tflite")]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "error: interrupted" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--truncate", "4"], r"error: --truncate is 4, but the network of .* has the exits 1 to 3"),
        (["--truncate", "0"], "error: argument --truncate: '0' is not a whole number of at least 1"),
        (["--truncate", "1", "--finetune", "0"], "error: argument --finetune: '0' is not a whole number of at least 1"),
        (["--finetune", "3"], "error: --finetune is 3, but goes with --truncate N alone"),
        (["--cache-dir", "x"], "error: --cache-dir is 'x', but goes with --truncate N alone"),
        (["--truncate", "1", "--policy", "entropy"], "error: --policy is 'entropy', but a file that is truncated has"),
        (
            ["--truncate", "1", "--out", "{run}/model.tflite"],
            "error: --out is .*, which would overwrite model.tfl",
        ),
        (
            ["--truncate", "1", "--out", "{run}/../run/config.json"],
            "error: --out is .*, which would overwrite config",
        ),
        (
            ["--out", "{run}/best.npz"],
            "error: --out is .*, which would overwrite best.npz of the run, and that",
        ),
        (["--out", ""], "error: --out is '', but must name a file"),
        (["--out", "{run}"], "error: --out is .*, but that is a folder: give a file such as"),
    ],
)
def test_mistakes_get_one_line(run, capsys, options, message):
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert command.main([str(run), *(each.format(run=run.path) for each in options)]) == 2
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1 and re.match(message, found.err)
    assert {path: path.read_bytes() for path in before} == before


def test_a_head_that_reads_earlier_logits_cannot_stand_alone(run, capsys, monkeypatch):
    model = tiny_model(num_classes=3, input_shape=run.config.task.input_shape, boost=0.5)
    monkeypatch.setattr(RunFolder, "network", lambda _: model)
    assert command.main([str(run), "--truncate", "3"]) == 2
    assert capsys.readouterr().err == (
        "error: --truncate is 3, but that head reads the logits of the exit before: only exit 1 of such a network can "
        "stand alone\n"
    )


def test_a_network_that_is_not_binary_becomes_no_file(run, tmp_path, capsys):
    other = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    other.save_config(dataclasses.replace(run.config, model=dataclasses.replace(run.config.model, precision="float")))
    assert command.main([str(other), "--truncate", "1"]) == 2
    assert "precision is 'float', but only a binary one becomes a file" in capsys.readouterr().err


def test_calibrate_has_nothing_to_choose(run, tmp_path, capsys):
    out = tmp_path / "m.tflite"
    assert command.main([str(run), "--truncate", "1", "--out", str(out)]) == 0
    capsys.readouterr()
    assert calibrate.main([str(out)]) == 2
    assert capsys.readouterr().err == (
        f"error: {out} has one exit, where every clip leaves: there is no threshold to choose\n"
    )
    assert calibrate.main([str(run.model)]) == 2
    assert "is a model file, but thresholds are chosen for a run: give its folder" in capsys.readouterr().err
