"""`bnn_exit.search`: trials under a budget, the files of a study, interruptions and mistakes."""

import dataclasses
import json
from html.parser import HTMLParser

import pytest

import audio_tasks
from bnn_exit import pretrained
from bnn_exit.calibration import operator_work
from bnn_exit.calibration.operator_rates import USUAL_NS
from bnn_exit.model_file import reader
from bnn_exit.settings import recipes
from bnn_exit.settings.features import FeatureConfig

pytest.importorskip("optuna", reason="the extra search is not installed")
pytest.importorskip("larq", reason="a search trains networks")

from bnn_exit.commands import search, search_worker
from bnn_exit.runs.folder import RunFolder

SMALL = [
    *("--choose", "backbone=quicknet", "--choose", "stages=2", "--choose", "blocks=1,2", "--choose", "channels=64"),
    *("--choose", "hop_ms=10", "--choose", "head=pooled", "--choose", "scheme=joint"),
]


@pytest.fixture(autouse=True)
def tones(monkeypatch, tone_task):
    """The task of tones, with whatever features are asked for."""

    def load(name, *, features, **_):
        return dataclasses.replace(tone_task, name=name, features=features)

    monkeypatch.setattr(audio_tasks, "load", load)


@pytest.fixture
def device(tmp_path):
    """What bench prints on a board of exactly the usual rates."""
    file = reader.read(pretrained.resolve("esc10-small"))
    works = operator_work.of_file(file.model, exits=len(file.metadata.exits))
    times = {f"exit {k + 1}": {"mean": sum(w[n] * USUAL_NS[n] for n in w) / 1000} for k, w in enumerate(works)}
    report = {
        **{"model": "m.tflite", "machine": {"cpu": "board"}, "threads": 1, "clip_samples": 16000, "work": works},
        **{"times": {"native": {**times, "front end": {"mean": 40.0}}}, "features": FeatureConfig().to_dict()},
    }
    path = tmp_path / "board.json"
    path.write_text(json.dumps(report))
    return ["--device", str(path)]


@pytest.fixture
def untrained(monkeypatch):
    """Trials that reach an accuracy by their blocks, without a training; interrupted at the one of a number."""
    made = []
    made_until = {"interrupt": None}

    def train_trial(candidate, recipe, task, *, epochs, seed, folder, stop):
        if len(made) == made_until["interrupt"]:
            made_until["interrupt"] = None
            raise KeyboardInterrupt
        made.append(candidate)
        folder.mkdir(parents=True)
        for epoch in range(1, epochs):
            if stop([{"validation_accuracy": [accuracy_of(candidate)]}] * epoch):
                break
        return candidate

    def outcome(network, task, folder, *, rates, budget):
        return {
            "accuracy": accuracy_of(network),
            "mean_us": 10.0 * sum(network.model.blocks),
            "exit_shares": [0.5, 0.5],
        }

    monkeypatch.setattr(search_worker, "train_trial", train_trial)
    monkeypatch.setattr(search_worker, "outcome", outcome)
    return made_until


def accuracy_of(candidate):
    return 0.5 + sum(candidate.model.blocks) / 100 + candidate.features.num_mels / 1000


def study_of(folder):
    return json.loads((folder / "study.json").read_text())


def error_of(capsys, words):
    status = search.main(words)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: "), error
    return status, error


class Page(HTMLParser):
    """What a page fetches, and what it shows at its points."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.circles, self.scripts = [], 0, 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.circles += tag == "circle"
        self.fetched += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]


def test_a_search_trains_what_is_within_the_budget(tmp_path, device, capsys):
    out = tmp_path / "study"
    words = ["--max-kb", "60", "--max-mean-us", "300", "--trials", "2", "--epochs", "1", "--out", str(out)]
    assert search.main([*SMALL, *device, *words, "--task", "folder"]) == 0
    text = capsys.readouterr().out
    study = study_of(out)
    done = [trial for trial in study["trials"] if trial["state"] == "done"]
    assert len(done) == 2
    for trial in done:
        assert trial["predicted"]["kb"] <= 60 and trial["mean_us"] <= 300
        run = RunFolder(out / "trials" / f"{trial['number']:04d}")
        assert run.config.model.to_dict() == trial["settings"]["model"]
        assert (
            len(run.exit_logits("validation")) == 40 and run.operating_points()["search"].accuracy == trial["accuracy"]
        )
        assert not (run.path / "last.npz").exists()
    for trial in study["trials"]:
        if trial["state"] == "over budget":
            assert trial["predicted"]["kb"] > 60 or trial["predicted"]["mean_us"] > 300
    best = next(trial for trial in done if trial["number"] == study["best"])
    assert best["accuracy"] == max(trial["accuracy"] for trial in done)
    assert f"best: trial {study['best']}" in text and "--recipe" in text
    # The recipe is the best trial with the rest of the recipe of the study, the length of the training included.
    recipe = recipes.load(str(out / "recipe.json"), task="folder", tasks=audio_tasks.TASKS)
    assert recipe.model.to_dict() == best["settings"]["model"]
    usual = recipes.load("standard", task="folder", tasks=audio_tasks.TASKS)
    assert recipe.training == usual.training and recipe.features.num_mels == best["settings"]["features"]["num_mels"]
    page = Page((out / "pareto.html").read_text())
    assert (page.fetched, page.scripts, page.circles) == ([], 0, 2)


def settings_of(folder):
    return [trial["settings"] for trial in study_of(folder)["trials"] if trial["state"] in ("done", "ended early")]


def test_an_interrupted_study_goes_on_as_if_it_was_not(tmp_path, device, untrained, capsys):
    words = [*SMALL, *device, "--max-kb", "200", "--epochs", "1", "--trials", "4"]
    assert search.main([*words, "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "interrupted"
    untrained["interrupt"] = 4 + 1
    assert search.main([*words, "--out", str(out)]) == 130
    assert f"interrupted: python -m bnn_exit.search --resume {out} resumes it" in capsys.readouterr().err
    assert [trial["state"] for trial in study_of(out)["trials"]].count("running") == 1
    assert search.main(["--resume", str(out), "--trials", "4"]) == 0
    assert "was interrupted: it is made again" in capsys.readouterr().err
    assert settings_of(out) == settings_of(tmp_path / "whole")
    assert [trial["state"] for trial in study_of(out)["trials"]].count("made again") == 1
    # Nothing is left to do, and nothing is done.
    assert search.main(["--resume", str(out), "--trials", "4"]) == 0
    assert len(settings_of(out)) == 4


def test_weak_trials_end_early(tmp_path, device, untrained, monkeypatch):
    monkeypatch.setattr(search_worker, "is_weak", lambda accuracy, *_, epoch: epoch == 2)
    out = tmp_path / "study"
    words = [*SMALL, *device, "--max-kb", "200", "--epochs", "8", "--trials", "1", "--out", str(out)]
    assert search.main(words) == 1  # none is left
    (stopped,) = [trial for trial in study_of(out)["trials"] if trial["state"] == "stopped"]
    assert list(stopped["epochs"]) == ["2"] and "after epoch 2 of 8" in stopped["reason"]


def test_a_space_that_is_used_up_ends_the_study(tmp_path, device, untrained, monkeypatch, capsys):
    monkeypatch.setattr(search_worker, "MOST_MISSES", 3)
    words = [*SMALL, *device, "--max-kb", "200", "--epochs", "1", "--out", str(tmp_path / "study")]
    one = [
        "--choose",
        "blocks=1",
        "--choose",
        "halving=false",
        "--choose",
        "stem_channels=8",
        "--choose",
        "num_mels=32",
    ]
    assert search.main([*words, *one]) == 0
    captured = capsys.readouterr()
    assert "3 candidates in a row were over --max-kb 200 or known already: the search ends" in captured.err
    assert "best: trial 0" in captured.out


def test_a_budget_that_nothing_meets(tmp_path, device, capsys):
    out = tmp_path / "study"
    status, error = error_of(capsys, [*SMALL, *device, "--max-kb", "2", "--max-mean-us", "900", "--out", str(out)])
    assert status == 2
    assert "no network is within --max-mean-us 900 and --max-kb 2: the nearest is quicknet, blocks 1-1" in error
    assert not out.exists()


def test_an_accuracy_that_nothing_reaches(tmp_path, device, untrained, capsys):
    words = [*SMALL, *device, "--max-kb", "200", "--epochs", "1", "--trials", "2", "--out", str(tmp_path / "study")]
    status, error = error_of(capsys, [*words, "--min-accuracy", "0.99"])
    assert status == 1
    assert "no trial is within --max-kb 200 and --min-accuracy 0.99: the nearest is trial" in error
    assert (tmp_path / "study" / "study.json").exists() and not (tmp_path / "study" / "recipe.json").exists()


def test_machines_that_share_a_storage_share_the_trials(tmp_path, device, untrained, capsys):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    words = [*SMALL, *device, "--max-kb", "200", "--epochs", "1", "--storage", url, "--name", "words"]
    assert search.main([*words, "--trials", "2", "--out", str(tmp_path / "a")]) == 0
    assert search.main([*words, "--trials", "3", "--out", str(tmp_path / "b")]) == 0
    assert len(settings_of(tmp_path / "b")) == 3
    assert len(list((tmp_path / "b" / "trials").iterdir())) == 1  # the others are on the first machine
    status, error = error_of(capsys, [*words, "--seed", "1", "--out", str(tmp_path / "c")])
    assert status == 2
    assert "seed is 1, but the study 'words' was made with 0: give the same, or another --out and --name" in error
    assert not (tmp_path / "c").exists()


def test_mistakes_are_one_line(tmp_path, device, untrained, capsys):
    study = tmp_path / "study"
    base = [*SMALL, *device, "--max-kb", "200", "--epochs", "1", "--trials", "1"]
    assert search.main([*base, "--out", str(study)]) == 0
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "study.json").write_text('{"format": 1}')
    cases = [
        ([], "the search has no budget: give --max-mean-us, --max-kb or both"),
        ([*base, "--out", str(study)], "exists already: choose another folder, or resume it with --resume"),
        (["--resume", str(study), "--max-kb", "9"], "--max-kb cannot change in a study that is resumed: leave it out"),
        (["--resume", str(tmp_path)], "is no study: it has no study.json"),
        (["--resume", str(damaged)], "study.json cannot be read (KeyError('settings')): begin the search again"),
        (["--max-kb", "9", "--hours", "0"], "--hours is 0, but must be above 0"),
        (["--max-kb", "9", "--task", "timeseries"], "--task is 'timeseries', but a search is for tasks of sound"),
        (["--max-kb", "9", "--early-share", "2"], "--early-share is 2, but must be from 0 to 1"),
        (["--max-kb", "9", "--seed", "-1"], "seed is -1, but must be from 0 to 2147483647"),
        (["--max-kb", "9", "--device", str(study / "study.json")], "does not hold times of a device"),
        (["--max-kb", "9", "--storage", "sqlite:///x"], "--storage is given without --device"),
        (["--max-kb", "9", "--task", "speach_commands"], "--task is 'speach_commands'"),
        (
            [*base, "--storage", "nodb://me:secret@host/x", "--out", str(tmp_path / "x")],
            "'nodb://me:***@host/x' cannot",
        ),
    ]
    for words, message in cases:
        status, error = error_of(capsys, words)
        assert message in error and status in (1, 2)
        assert "secret" not in error


def test_the_package_is_missing(tmp_path, device, untrained, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    _, error = error_of(capsys, [*SMALL, *device, "--max-kb", "200", "--out", str(tmp_path / "study")])
    assert "the search needs the package optuna: pip install '.[search]' in the project's folder" in error
