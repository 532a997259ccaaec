"""A measured pass that nothing was measured for: clips made with NumPy, for the tests of the report."""

from __future__ import annotations

import numpy as np

from bnn_exit import policies
from bnn_exit.cost import Cost, LeavingCosts
from bnn_exit.evaluation.passes import Measurement, Passes
from bnn_exit.evaluation.report import Report, exit_figures, point_figures
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import rule
from bnn_exit.report.source import Source
from bnn_exit.settings.features import FeatureConfig

POINTS = {"full": 0.0, "balanced": 0.4, "fast": 0.7}


def made_source(
    *,
    clips: int = 120,
    classes: int = 5,
    exits: int = 3,
    seconds: float = 0.1,
    labels: tuple[str, ...] | None = None,
    name: str = "clip",
    seed: int = 0,
    has_front_end: bool = True,
    skips: bool = False,
) -> Source:
    """Clips whose exits grow more certain and more right with depth; with a skip gate of chance scores, or without."""
    rng = np.random.default_rng(seed)
    names = labels or tuple(f"word {index}" for index in range(classes))
    truth = rng.integers(0, len(names), clips)
    logits = rng.normal(0, 1.2, (clips, exits, len(names)))
    logits += np.linspace(1.5, 4, exits)[:, None] * np.eye(len(names))[truth][:, None]
    exit_logits = ExitLogits(logits)
    policy = policies.fit("entropy")
    probabilities = policy.probabilities(exit_logits).astype(np.float32)
    scores = policy.scores(exit_logits).astype(np.float32)
    if skips:
        scores[:, -1] = rng.uniform(0, 1, clips)
    gate = [np.float32(0.3)] * skips

    def passes(limits: np.ndarray) -> Passes:
        left = rule.exit_indices(scores, limits)
        rows = np.arange(clips)
        seconds = 1e-4 * (1 + left) * rng.uniform(0.9, 1.1, clips)
        front_end = 5e-5 * rng.uniform(0.9, 1.1, clips) if has_front_end else None
        outputs = (probabilities[rows, left], left, scores[rows, left])
        return Passes(limits.astype(np.float32), *outputs, seconds, front_end)

    measurement = Measurement(
        forced=[passes(rule.forcing_thresholds(k, exits=exits, skips=skips)) for k in range(exits)],
        points={name: passes(np.array([value] * (exits - 1) + gate, np.float32)) for name, value in POINTS.items()},
    )
    costs = LeavingCosts(
        [Cost(6400 * (k + 1) ** 2, 30 * (k + 1)) for k in range(exits)],
        skipped=Cost(6400 * exits**2, 30 * exits - 35) if skips else None,
    )
    features = FeatureConfig()
    return Source(
        report=Report(
            task="made up",
            labels=list(names),
            split="test",
            sample_count=clips,
            split_count=clips,
            skipped_files={},
            backend="none",
            threads=1,
            time_of="nothing",
            front_end_us=None,
            exits=exit_figures(measurement, truth, costs=costs),
            operating_points=point_figures(measurement, truth, names=names, costs=costs),
            provenance={
                "machine": {"cpu": "no processor", "platform": "nowhere"},
                "versions": {"numpy": np.__version__},
                "date": "2026-01-01T00:00:00+00:00",
            },
        ),
        probabilities=probabilities,
        scores=scores,
        labels=truth,
        costs=costs,
        names=[f"{name} {index}" for index in range(clips)],
        waveform=lambda clip: (
            np.random.default_rng(clip).uniform(-0.5, 0.5, round(seconds * features.sample_rate_hz)).astype(np.float32)
        ),
        features=features,
        about={"Thresholds": "made up"},
    )
