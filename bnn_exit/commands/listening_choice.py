"""What becomes of a choice for streams: a sentence, a listening point, an operating point, and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bnn_exit.calibration.listening import CONFIDENCE, Limits, ListeningChoice
from bnn_exit.calibration.rates import METHOD
from bnn_exit.commands.measured_model import model_of
from bnn_exit.display import shown
from bnn_exit.files import write_bytes
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.model_file.rewrite import with_points
from bnn_exit.pairs import zip_strict
from bnn_exit.runs.folder import POINTS, RunFolder
from bnn_exit.runtime.session import Session
from bnn_exit.streams.replay import with_threshold


def sentence(choice: ListeningChoice, point: ListeningPoint, limits: Limits) -> str:
    """The choice in words."""
    test, confidence = choice.test, limits.confidence
    bound = f"at most {test.bound_per_hour:.2f} with confidence {CONFIDENCE if confidence is None else confidence:g}"
    meaning = "for new audio of the same kind" if choice.guaranteed else "not tested: --confidence makes it a guarantee"
    shares = ", ".join(f"exit {index + 1} {100 * share:.1f}" for index, share in enumerate(choice.exit_shares))
    lines = [
        f"listening point {shown(point.name)}: threshold {choice.threshold:.4g}, span {point.span_ms:g} ms, hop "
        f"{point.hop_ms:g} ms; exits {', '.join(f'{value:.4g}' for value in choice.exit_thresholds)}",
        f"{test.events} false accepts in {test.hours:.2f} hours, {test.events / test.hours:.2f} an hour, {bound} "
        f"({choice.groups} {choice.kind}, design effect {test.design_effect:.2f}); {meaning}",
        f"the windows of the negatives leave at (%): {shares}; mean operations {choice.relative_ops:.3f} times "
        "exit 1's",
    ]
    if choice.recall is not None and choice.full_recall is not None:
        delay = "" if choice.delay_s is None else f"; 95 % within {choice.delay_s:.2f} s of the end of the word"
        lines.append(
            f"{100 * choice.recall:.1f} % of {choice.words} words found, {100 * choice.full_recall:.1f} % with the "
            f"last exit alone{delay}"
        )
    return "\n".join(lines)


def points_of(
    session: Session, point: ListeningPoint, choice: ListeningChoice, limits: Limits, windows: int
) -> tuple[ListeningPoint, OperatingPoint]:
    """The listening point with its figures, and the operating point that it uses, called stream-NAME.

    Args:
        session: the model.
        point: the settings that were given, its thresholds left open.
        choice: the thresholds, and what they reached.
        limits: that they keep.
        windows: of the negatives.
    """
    costs = session.metadata.exits
    mean = {
        name: float(sum(share * getattr(cost, name) for share, cost in zip_strict(choice.exit_shares, costs)))
        for name in ("binary_macs", "float_macs", "ops")
    }
    operating = OperatingPoint(
        name=f"stream-{point.name}",
        thresholds=choice.exit_thresholds,
        max_accuracy_drop=limits.recall_loss,
        accuracy=0.0 if choice.recall is None else choice.recall,
        exit_shares=choice.exit_shares,
        mean_cost=mean,
        split="stream",
        sample_count=windows,
    )
    test = choice.test
    figures: dict[str, Any] = {
        "hours": round(test.hours, 4),
        "false_accepts": test.events,
        "false_accepts_per_hour": test.events / test.hours,
        "bound_per_hour": test.bound_per_hour,
        "confidence": CONFIDENCE if limits.confidence is None else limits.confidence,
        "method": METHOD if choice.guaranteed else f"chosen by the counted rate; bound: {METHOD}",
        "groups": choice.groups,
        "design_effect": test.design_effect,
        "exit_1_share": choice.exit_shares[0],
        "relative_ops": choice.relative_ops,
    }
    for name, value in (
        ("recall", choice.recall),
        ("recall_last_exit", choice.full_recall),
        ("delay_s", choice.delay_s),
    ):
        if value is not None:
            figures[name] = value
    if choice.words:
        figures["words"] = choice.words
    found = dataclasses.replace(
        with_threshold(point, choice.threshold), operating_point=operating.name, figures=figures
    )
    return found, operating


def store(run: str, point: ListeningPoint, operating: OperatingPoint) -> list[Path]:
    """Write both points into the model file of a run, and the operating point into the run; the files written."""
    model = model_of(run)
    write_bytes(model, with_points(model, {operating.name: operating}, listening_points={point.name: point}))
    folder = RunFolder(model.parent)
    if not (folder.path / POINTS).is_file() or model != folder.model:
        return [model]
    folder.save_operating_points({**folder.operating_points(), operating.name: operating})
    return [model, folder.path / POINTS]
