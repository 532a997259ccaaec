"""What difficulty is held to, and the figures that say whether it means something."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

import audio_tasks
import bnn_exit
from bnn_exit.files import read_json
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.training import TrainConfig

pytest.importorskip("scipy")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import difficulty


def figures(auroc: float, spearman: float) -> dict:
    """Of one definition on one split."""
    within = dict.fromkeys(difficulty.NOISES, spearman)
    found = {"auroc_of_errors": auroc, "spearman_within_clips": within, "spearman_within_clips_mean": spearman}
    return {**found, "spearman_pooled": within}


def test_help_tells_the_question(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        difficulty.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Does difficulty mean something" in text and "--every N" in text


@pytest.mark.parametrize(
    ("auroc", "spearman", "met"), [(0.85, -0.8, [True, True]), (0.84, -0.9, [False, True]), (0.9, -0.79, [True, False])]
)
def test_each_network_is_held_to_both_bars(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    auroc: float,
    spearman: float,
    met: list[bool],
) -> None:
    clips = types.SimpleNamespace(name="toy", attribution="a test", split=lambda name: range(6))
    told = {
        "one": (figures(0.9, -0.9), np.array([0.1, 0.2, 0.3])),
        "two": (figures(auroc, spearman), np.array([0.3, 0.2, 0.1])),
    }

    def measure(session: types.SimpleNamespace, task: types.SimpleNamespace, *, every: int) -> tuple[dict, np.ndarray]:
        found, of_clips = told[session.name]
        test = {**found, "changed_labels": {"recall": 1.0}}
        return {"exits": 2, "validation": {difficulty.CHOSEN: found}, "test": test}, of_clips

    monkeypatch.setattr(difficulty, "RESULT", tmp_path / "difficulty.json")
    monkeypatch.setattr(audio_tasks, "load_again", lambda task, data_dir: clips)
    monkeypatch.setattr(bnn_exit, "load", lambda path: types.SimpleNamespace(name=path.parent.name, backend="native"))
    monkeypatch.setattr(difficulty, "measure", measure)
    for seed, name in enumerate(told):
        task = RunTask("speech_commands", {}, ("a", "b"), 16000, FeatureConfig(), "", "")
        RunConfig(task, ModelConfig(), AugmentConfig(), TrainConfig(seed=seed)).save(tmp_path / name)
    arguments = [str(tmp_path / name) for name in told]
    assert difficulty.main([*arguments, "--data-dir", "/there"]) == (0 if all(met) else 1)
    found = read_json(tmp_path / "difficulty.json")
    assert found["command"] == "python benchmarks/difficulty.py one two --data-dir DIR"
    assert [bar["met"] for bar in found["bars"]] == [True, True, *met]
    second = found["bars"][2:]
    assert [(bar["network"], bar["figure"], bar["bar"]) for bar in second] == [
        ("two", auroc, ">= 0.85"),
        ("two", spearman, "<= -0.8"),
    ]
    lines = capsys.readouterr().out.splitlines()
    state = "met " if met[0] else "FAIL"
    assert f"{state} two: auroc of errors {auroc:.3f} >= 0.85" in lines
    (pair,) = found["pairs_of_networks"]
    assert pair == {"networks": ["one", "two"], "two_seeds_of_one_training": True, "spearman": pytest.approx(-1)}
    assert found["sample_count_with_noise"] == {"validation": 2, "test": 2}


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    values, wrong = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    assert difficulty.auroc(values, wrong) == 3.5 / 4  # of pairs of a wrong and a right clip; equal ones count half


def test_within_clips_is_the_mean_over_clips_and_0_where_nothing_changes() -> None:
    falls, steady = np.linspace(1, 0, len(difficulty.RATIOS_DB)), np.ones(len(difficulty.RATIOS_DB))
    assert difficulty.within_clips(np.stack([falls, falls, steady, -falls])) == pytest.approx(-0.25)


@pytest.mark.parametrize("ratio", difficulty.RATIOS_DB)
def test_noise_is_added_at_a_ratio_and_nothing_is_clipped(ratio: int) -> None:
    generator = np.random.default_rng(0)
    clip, noise = generator.uniform(-0.9, 0.9, 2000), generator.normal(0, 3, 2000)
    mixed = difficulty.mixed(clip, noise, ratio).astype(np.float64)
    assert np.abs(mixed).max() <= 1
    (of_clip, of_noise), *_ = np.linalg.lstsq(np.stack([clip, noise], axis=1), mixed, rcond=None)
    powers = np.mean((of_clip * clip) ** 2), np.mean((of_noise * noise) ** 2)
    assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(ratio, abs=1e-3)


def test_only_the_seed_makes_two_trainings_one() -> None:
    one, other = ({"model": {"size": "small"}, "training": {"seed": seed, "epochs": 3}} for seed in (0, 1))
    assert difficulty.is_reseeded(one, other) and not difficulty.is_reseeded(one, one)
    assert not difficulty.is_reseeded(one, {**other, "model": {"size": "large"}})
