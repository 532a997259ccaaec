"""Compare the outputs of the file with those of the trained network, for every clip, exit and backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bnn_exit import policies
from bnn_exit.audio import logmel
from bnn_exit.errors import ExportError, ModelFileError
from bnn_exit.model_file.reader import ModelFile
from bnn_exit.models.foreign_layers import lce_errs
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.policies import Policy, rule
from bnn_exit.runtime.backends import BACKENDS, installed
from bnn_exit.runtime.reference import interpreter as reference
from bnn_exit.settings.values import Features, ValuesConfig
from bnn_exit.text import counted
from bnn_exit.training.calibrate import network_exit_logits

MIN_AGREEMENT = 0.97
TYPICAL_DIFFERENCE = 1e-3
CLIPS = {"native": 200, "lce": 200, "reference": 10}
"""How many clips each backend is compared on; the reference is slow and exact."""
MADE_CLIPS = 64
"""How many are made where a task has none at hand."""
BOARD = ("native", "reference")
"""The backends that a board has: LCE's package is for x86-64 and macOS."""


@dataclass(frozen=True)
class Parity:
    """What the comparison found.

    Attributes:
        reports: of each backend that runs the file, as `compare` gives it.
        notes: one line for each backend of a board that does not run it.
    """

    reports: list[dict[str, Any]]
    notes: list[str]


def check(model: MultiExitModel, file: ModelFile, task: Any, *, policy: Policy) -> Parity:
    """Compare Keras with every installed backend, except LCE where it is known to err (`models.foreign_layers`).

    Args:
        model: the trained network.
        file: made from it.
        task: its validation clips are compared; where it has none (the task in a run folder), made ones are.
        policy: of the file.

    Raises:
        ExportError: a backend disagrees with the network, or none runs the file.
    """
    inputs, log_mel = _clips(task, input=file.metadata.input)
    reports, refusals = [], {}
    for backend in installed():
        if backend == "lce" and lce_errs(model.keras_model):
            continue  # its outputs are known to be wrong, which tells nothing about the file
        chosen = np.linspace(0, len(log_mel) - 1, min(CLIPS[backend], len(log_mel))).astype(int)
        try:
            report = compare(model, file, inputs[chosen], log_mel[chosen], backend=backend, policy=policy)
        except ModelFileError as error:
            refusals[backend] = str(error).removeprefix(f"{file.path}: ")
        else:
            require(report)
            reports.append(report)
    if not reports:
        raise ExportError(f"no backend runs the file: {next(iter(refusals.values()))}")
    return Parity(reports, _notes(file, refusals))


def compare(
    model: MultiExitModel,
    file: ModelFile,
    inputs: np.ndarray,
    log_mel: np.ndarray,
    *,
    backend: str,
    policy: Policy | None = None,
) -> dict[str, Any]:
    """Compare Keras with a backend on some clips.

    A pre-activation within rounding of zero may take the other sign, and the clip's probabilities then differ by more
    than rounding. So the bound is on the median difference and on the share of clips with the same top label, and the
    clips with a larger difference are counted.

    Args:
        model: the trained network.
        file: the file made from it.
        inputs: what the file takes, clip by clip: `[clips, frames, mels]` or `[clips, samples]`.
        log_mel: the same clips for Keras, `[clips, frames, mels]`, or windows of values.
        backend: a name in BACKENDS.
        policy: of the file, fitted; None means the default.

    Returns:
        `backend`, `clips`, `repeatable` (a second run of the first clip gave the same bits) and a list `exits` with
        `median_difference`, `max_difference` (of probabilities), `median_score_difference`, `top1_agreement`,
        `flipped` (clips that differ by more than 1e-3) and `contradicted` (those of them with another label).

    Raises:
        ModelFileError: the backend does not run the file.
    """
    runner = BACKENDS[backend](file, threads=1)
    policy = policy or policies.fit(policies.DEFAULT)
    exit_logits = network_exit_logits(model, log_mel, features=policy.needs_features)
    expected, expected_scores = policy.probabilities(exit_logits), policy.scores(exit_logits)
    exits = []
    repeatable = True
    for index in range(model.num_exits):
        # Not `infer_exit`, which refuses NaN: a wrong result is a difference here, and the backend does run the file.
        thresholds = rule.forcing_thresholds(index, exits=model.num_exits, skips=policy.skips())
        results = [runner.infer(clip, thresholds) for clip in [*inputs, inputs[0]]]
        *others, again = (probabilities for probabilities, _, _ in results)
        found = np.stack(others)
        scores = np.array([score for _, _, score in results[:-1]])
        repeatable &= bool(np.array_equal(again, found[0], equal_nan=True))
        difference = np.abs(found - expected[:, index]).max(axis=-1)
        same = found.argmax(-1) == expected[:, index].argmax(-1)
        # NaN is on no side of the bound, so it counts as beyond it.
        flipped = ~(difference <= TYPICAL_DIFFERENCE)
        exits.append(
            {
                "median_difference": float(np.median(difference)),
                "max_difference": float(difference.max()),
                "median_score_difference": float(np.median(np.abs(scores - expected_scores[:, index]))),
                "top1_agreement": float(np.mean(same)),
                "flipped": int(np.sum(flipped)),
                "contradicted": int(np.sum(flipped & ~same)),
            }
        )
    return {"backend": backend, "clips": len(inputs), "repeatable": repeatable, "exits": exits}


def require(report: dict[str, Any]) -> None:
    """Raise ExportError if a comparison is outside the bounds: the file is then not the network that was trained."""
    backend, clips = report["backend"], report["clips"]
    if not report["repeatable"]:
        raise ExportError(f"the {backend} backend gives other outputs for the same clip the second time")
    # One clip at a decision boundary is no evidence, however few clips there are.
    most = max(1, int((1 - MIN_AGREEMENT) * clips))
    for index, figures in enumerate(report["exits"]):
        apart = max(figures["median_difference"], figures["median_score_difference"])
        if not apart <= TYPICAL_DIFFERENCE or figures["contradicted"] > most:
            raise ExportError(
                f"exit {index + 1} of the file differs on the {backend} backend from the trained network: median "
                f"difference {figures['median_difference']:.2g} of probabilities and "
                f"{figures['median_score_difference']:.2g} of scores (at most {TYPICAL_DIFFERENCE}), same label for "
                f"{100 * figures['top1_agreement']:.1f} % of {counted(clips, 'clip')} (at least "
                f"{100 * MIN_AGREEMENT:.0f} %)"
            )


def _notes(file: ModelFile, refusals: dict[str, str]) -> list[str]:
    """A line about what a board cannot do with the file."""
    refused = [backend for backend in BOARD if backend in refusals]
    if not refused:
        return []
    if set(refused) == set(BOARD) & set(installed()):
        lacking = reference.lacking(file.model)
        reason = f"they lack {', '.join(lacking)}" if lacking else refusals[refused[0]]
        return [
            f"no backend of a board (native, reference) runs this file, only Larq Compute Engine does: {reason}; for a "
            "board build the network of other layers"
        ]
    other = next(backend for backend in BOARD if backend not in refusals)
    return [f"the {refused[0]} backend does not run this file, only the {other} one does: {refusals[refused[0]]}"]


def _clips(task: Any, *, input: str) -> tuple[np.ndarray, np.ndarray]:
    """What the file takes and the log-mel of the same clips."""
    split = getattr(task, "validation", None)
    if split is None:
        waveforms = _made(task.clip_samples)
        log_mel = _features_of(waveforms, task.features)
    else:
        chosen = np.linspace(0, len(split) - 1, min(max(CLIPS.values()), len(split))).astype(int)
        log_mel = np.asarray(task.log_mel("validation")[chosen])
        waveforms = split.waveforms(chosen) if input == "waveform" else log_mel
    return (waveforms if input == "waveform" else log_mel), log_mel


def _made(samples: int) -> np.ndarray:
    """Waveforms `[clips, samples]`, the same at every call: noise of many levels, colours and envelopes."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(MADE_CLIPS):
        spectrum = np.fft.rfft(random.normal(size=samples))
        coloured = np.fft.irfft(spectrum * np.arange(1, len(spectrum) + 1) ** -random.uniform(0, 1.5), n=samples)
        envelope = np.interp(np.linspace(0, 7, samples), np.arange(8), random.uniform(0, 1, 8))
        waveform = coloured * envelope
        made.append(waveform / np.abs(waveform).max() * 10 ** random.uniform(-2, 0))
    return np.array(made, np.float32)


def _features_of(waveforms: np.ndarray, features: Features) -> np.ndarray:
    if isinstance(features, ValuesConfig):
        columns = [np.roll(waveforms, shift, axis=0) for shift in range(len(features.channels))]
        return np.stack(columns, axis=-1)
    return np.stack([logmel.log_mel(waveform, features) for waveform in waveforms])
