"""`train --blocks`: given blocks, and blocks that short trainings choose."""

import json
from types import SimpleNamespace

import pytest

from bnn_exit.commands import train
from bnn_exit.runs.folder import RunFolder
from bnn_exit.training import probe
from bnn_exit.training.block_allocation import Probe

pytest.importorskip("espeakng_loader")

TASK = ["--task", "synthetic", "--option", "words=yes,no", "--option", "speakers=8", "--option", "clips_per_word=2"]
NETWORK = ["--size", "small", "--batch-size", "8", "--epochs", "1"]
SEARCH = ["--blocks", "auto", "--probes", "3"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNN_EXIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def probed(monkeypatch):
    """Allocations that were compared, the best one that of most blocks in its first stage; interrupted `after` some."""

    class Probed(list):
        after = 99

    found = Probed()

    def quick(blocks, **settings):
        if len(found) == found.after:
            raise KeyboardInterrupt
        found.append(blocks)
        assert settings["allocation"].probes == 3
        return Probe(blocks, 1e6, (blocks[0] / 10, 0.5))

    monkeypatch.setattr(probe, "probe", quick)

    def network_with(blocks, *_):
        """Every block costs alike: the cost of a real one takes a network, which takes a second to make."""
        return SimpleNamespace(costs=lambda: [SimpleNamespace(ops=sum(blocks))])

    monkeypatch.setattr(probe, "network_with", network_with)
    return found


@pytest.fixture
def not_exported(monkeypatch):
    """Exporting takes most of the time of a training of one epoch."""
    monkeypatch.setattr("bnn_exit.commands.deploy.deploy", lambda *_, **__: "deployed")


def settings(folder):
    return json.loads((folder / "config.json").read_text())


def test_given_blocks_are_trained_and_exported(tmp_path):
    assert train.main([*TASK, *NETWORK, "--blocks", "1", "2", "--out", str(tmp_path / "run")]) == 0
    assert settings(tmp_path / "run")["model"]["blocks"] == [1, 2]
    assert "allocation" not in settings(tmp_path / "run") and not (tmp_path / "run" / "blocks.json").exists()
    assert json.loads((tmp_path / "run" / "audit.json").read_text())["binary_layers"] == 3
    assert RunFolder(tmp_path / "run").network().config.blocks == (1, 2)


def test_blocks_are_found_by_short_trainings(tmp_path, capsys):
    command = [*TASK, *NETWORK, "--blocks", "auto", "--probes", "2", "--probe-epochs", "1", "--probe-clips", "8"]
    assert train.main([*command, "--out", str(tmp_path / "run")]) == 0
    stored = json.loads((tmp_path / "run" / "blocks.json").read_text())
    assert stored["candidates"][0] == [2, 6] and len(stored["probes"]) == 2
    own, other = stored["probes"]
    assert own["ops"] >= other["ops"] and len(own["accuracy"]) == 2
    best = max(stored["probes"], key=lambda each: sum(each["accuracy"]))
    assert settings(tmp_path / "run")["model"]["blocks"] == best["blocks"]
    assert settings(tmp_path / "run")["allocation"] == {"probes": 2, "epochs": 1, "clips": 8}
    assert json.loads((tmp_path / "run" / "audit.json").read_text())["binary_layers"] == sum(best["blocks"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "million ops" in line]
    assert len(lines) == 3 and f"1 of 2: blocks 2 6, {own['ops'] / 1e6:.2f} million ops" in lines[0]


def test_an_interrupted_search_goes_on_where_it_was(tmp_path, probed, not_exported, capsys):
    folder = tmp_path / "run"
    probed.after = 1
    assert train.main([*TASK, *NETWORK, *SEARCH, "--out", str(folder)]) == 130
    assert f"--resume {folder} resumes it" in capsys.readouterr().err
    assert settings(folder)["model"]["blocks"] == [] and len(probed) == 1
    probed.after = 3
    assert train.main(["--resume", str(folder)]) == 0
    assert len(probed) == len(set(probed)) == 3 and probed[0] == (2, 6)
    assert settings(folder)["model"]["blocks"] == list(max(probed))
    # A finished run neither searches nor trains again.
    assert train.main(["--resume", str(folder)]) == 0
    assert len(probed) == 3


def test_damaged_probes_are_named(tmp_path, probed, capsys):
    probed.after = 1
    assert train.main([*TASK, *NETWORK, *SEARCH, "--out", str(tmp_path / "run")]) == 130
    (tmp_path / "run" / "blocks.json").write_text('{"candidates": [[2, 6]], "probes": 1}')
    assert train.main(["--resume", str(tmp_path / "run")]) == 1
    assert "blocks.json cannot be read (TypeError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--blocks", "2"],
            "--blocks is '2', but must be auto or 2 whole numbers from 1 to 100, one for each stage of",
        ),
        (["--blocks", "2", "0"], "--blocks is '2 0', but must be auto or 2 whole numbers from 1 to 100, one for each"),
        (["--blocks", "2", "-1"], "--blocks is '2 -1', but must be"),
        (["--blocks", "two", "3"], "stage of quicknet small, whose own are 2 6"),
        (["--blocks", "auto", "3"], "--blocks is 'auto 3', but must be auto or 2"),
        (["--blocks", "2", "3", "4", "--precision", "float"], "--blocks is '2 3 4', but must be auto or 2"),
        (["--blocks", "2", "3", "--backbone", "glance"], "3 whole numbers from 1 to 100, one for each stage of glance"),
        (["--probes", "3"], "--probes needs --blocks auto: give both, or leave it out"),
        (["--probe-epochs", "3", "--blocks", "2", "3"], "--probe-epochs needs --blocks auto"),
        (["--blocks", "auto", "--probes", "0"], "argument --probes: '0' is not a whole number of at least 1"),
        (["--blocks", "auto", "--distribute", "mirrored"], "--distribute is 'mirrored', but --blocks auto trains its"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_made(tmp_path, arguments, message, capsys):
    assert train.main([*TASK, *NETWORK, *arguments, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_blocks_of_a_recipe_hold_for_its_own_size(tmp_path, capsys):
    recipe = tmp_path / "mine.json"
    recipe.write_text(json.dumps({"like": "fast", "default": {"model": {"size": "small", "blocks": [1, 2, 3]}}}))
    assert train.main([*TASK, "--recipe", str(recipe), "--out", str(tmp_path / "run")]) == 2
    assert "blocks is 1 2 3, but size 'small' has 2 stages" in capsys.readouterr().err
    # With another size they are left out.
    arguments = [*TASK, "--recipe", str(recipe), "--size", "base", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert train.main(arguments) == 0
    assert settings(tmp_path / "run")["model"]["blocks"] == []
