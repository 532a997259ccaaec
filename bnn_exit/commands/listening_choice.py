"""What becomes of a choice for streams: a sentence, a listening point, an operating point, and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bnn_exit import pretrained
from bnn_exit.calibration.listening import CONFIDENCE, Limits, ListeningChoice
from bnn_exit.calibration.rates import METHOD
from bnn_exit.commands.measured_model import is_shipped, model_of
from bnn_exit.display import shown
from bnn_exit.errors import ArgumentError
from bnn_exit.files import write_bytes
from bnn_exit.model_file.listening_points import SCORES, ListeningPoint
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.model_file.rewrite import with_points
from bnn_exit.pairs import zip_strict
from bnn_exit.runs.folder import POINTS, RunFolder
from bnn_exit.runtime.session import Session
from bnn_exit.streams.replay import with_threshold
from bnn_exit.text import counted


def sentence(choice: ListeningChoice, point: ListeningPoint, limits: Limits) -> str:
    """The choice in words."""
    test, confidence = choice.test, limits.confidence
    bound = f"at most {test.bound_per_hour:.2f} with confidence {CONFIDENCE if confidence is None else confidence:g}"
    meaning = "for new audio of the same kind" if choice.guaranteed else "not tested: --confidence makes it a guarantee"
    shares = ", ".join(f"exit {index + 1} {100 * share:.1f}" for index, share in enumerate(choice.exit_shares))
    lines = [
        f"listening point {shown(point.name)}: threshold {choice.threshold:.6g} of the {SCORES[point.score]}, "
        f"span {point.span_ms:g} ms, hop {point.hop_ms:g} ms; exits "
        f"{', '.join(f'{value:.4g}' for value in choice.exit_thresholds)}",
        f"{counted(test.events, 'false accept')} in {test.hours:.2f} hours, {test.events / test.hours:.2f} an hour, "
        f"{bound} "
        f"({counted(choice.groups, choice.kind.removesuffix('s'))}, design effect {test.design_effect:.2f}); {meaning}",
        f"the windows of the negatives leave at (%): {shares}; mean operations {choice.relative_ops:.3f} times "
        "exit 1's",
    ]
    if choice.recall is not None and choice.full_recall is not None:
        delay = "" if choice.delay_s is None else f"; 95 % within {choice.delay_s:.2f} s of the end of the word"
        lines.append(
            f"{100 * choice.recall:.1f} % of {counted(choice.words, 'word')} found, {100 * choice.full_recall:.1f} % "
            f"with the last exit alone{delay}"
        )
    return "\n".join(lines)


def points_of(
    session: Session, point: ListeningPoint, choice: ListeningChoice, limits: Limits, windows: int
) -> tuple[ListeningPoint, OperatingPoint | None]:
    """The listening point with its figures, and the operating point that it uses, called stream-NAME.

    Without words no exits were chosen: the listening point keeps the operating point that it was given.

    Args:
        session: the model.
        point: the settings that were given, its thresholds left open.
        choice: the thresholds, and what they reached.
        limits: that they keep.
        windows: of the negatives.
    """
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
    found = dataclasses.replace(with_threshold(point, choice.threshold), figures=figures)
    if choice.recall is None:
        return found, None
    operating = _operating_point(session, f"stream-{point.name}", choice, limits, windows)
    return dataclasses.replace(found, operating_point=operating.name), operating


def _operating_point(
    session: Session, name: str, choice: ListeningChoice, limits: Limits, windows: int
) -> OperatingPoint:
    costs = session.metadata.exits
    mean = {
        unit: float(sum(share * getattr(cost, unit) for share, cost in zip_strict(choice.exit_shares, costs)))
        for unit in ("binary_macs", "float_macs", "ops")
    }
    return OperatingPoint(
        name=name,
        thresholds=choice.exit_thresholds,
        max_accuracy_drop=limits.recall_loss,
        accuracy=0.0 if choice.recall is None else choice.recall,
        exit_shares=choice.exit_shares,
        mean_cost=mean,
        split="stream",
        sample_count=windows,
    )


def place_of(run: str) -> Path:
    """The model file that takes the points: that of a run, itself, or a copy here of a model of the package.

    Raises:
        ArgumentError: such a copy is here already.
    """
    if not is_shipped(run):
        return model_of(run)
    copy = Path(f"{run}.tflite")
    if pretrained.by_name(str(copy)) == run:
        raise ArgumentError(f"{copy} is a model of the package, which stays as it is: go to another folder")
    if copy.exists():
        raise ArgumentError(f"{copy} is here already, a copy of {run}: calibrate it, or move it away")
    return copy


def store(source: Path, target: Path, point: ListeningPoint, operating: OperatingPoint | None) -> list[Path]:
    """Write the points into a model file, and an operating point into its run too; the files written.

    Args:
        source: the model file as it is.
        target: as `place_of`.
        point, operating: as `points_of`.
    """
    operating_points = {} if operating is None else {operating.name: operating}
    write_bytes(target, with_points(source, operating_points, listening_points={point.name: point}))
    folder = RunFolder(target.parent)
    if operating is None or not (folder.path / POINTS).is_file() or target != folder.model:
        return [target]
    folder.save_operating_points({**folder.operating_points(), operating.name: operating})
    return [target, folder.path / POINTS]
