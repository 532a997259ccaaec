"""After training: calibrate, export, audit and compare, all in the run folder."""

from __future__ import annotations

from collections.abc import Sequence

from bnn_exit import policies
from bnn_exit.calibration.operating_points import operating_points
from bnn_exit.commands.policy_options import with_background
from bnn_exit.conversion.to_lce import make
from bnn_exit.cost import Cost
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.policies import Sizes
from bnn_exit.runs.folder import RunFolder
from bnn_exit.task import Task
from bnn_exit.training.calibrate import exit_logits_of


def deploy(
    model: MultiExitModel,
    task: Task,
    run: RunFolder,
    *,
    input: str | None = None,
    policy: str | None = None,
    background: Sequence[str] = (),
) -> str:
    """Calibrate and export `model` into a run, with the exit policy of this name; a readable summary.

    Writes exit_logits/validation.npz, costs.json, operating_points.json, model.tflite, audit.json and parity.json.
    model.tflite appears last, once every check has passed. A network of another precision than binary is calibrated
    only.
    """
    exit_logits = scored(model, task, run, policy=policy, background=background)
    costs, fitted = model.exit_costs(), policies.fit(policy or policies.DEFAULT, exit_logits)
    spent = costs.with_policy(fitted, Sizes.of(exit_logits))
    points = operating_points(exit_logits, spent, policy=fitted)
    run.save_operating_points(points)
    tables = [_cost_table(model), "", _points_table(points, spent), ""]
    if model.precision != "binary":
        return "\n".join([*tables, f"precision {model.precision}: weights and thresholds, but no model.tflite"])
    made = make(model, run.model, task=task, operating_points=points, input=input, policy=fitted)
    run.save_export(made)
    notes = [f"warning: {note}" for note in made.parity.notes]
    return "\n".join([made.audit.table(), "", *tables, *map(_parity_line, made.parity.reports), *notes])


def scored(
    model: MultiExitModel, task: Task, run: RunFolder, *, policy: str | None = None, background: Sequence[str] = ()
) -> ExitLogits:
    """What calibration reads, written into a run: exit_logits/validation.npz, which are returned, and costs.json."""
    name = policy or policies.DEFAULT
    exit_logits = exit_logits_of(model, task, split="validation", features=policies.POLICIES[name].needs_features)
    run.save_exit_logits(exit_logits)
    run.save_costs(model.exit_costs())
    return with_background(exit_logits, task.labels, policy=name, chosen=background)


def _cost_table(model: MultiExitModel) -> str:
    titles = f"{'binary MACs':>12s} {'float MACs':>11s} {'ops':>10s} {'bytes':>9s}"
    lines = [f"{'leaving at':10s} {titles} {'of its head: ops':>18s} {'bytes':>9s}"]
    for index, (cost, head) in enumerate(zip(model.costs(), model.head_costs(), strict=True)):
        figures = f"{cost.binary_macs:12,d} {cost.float_macs:11,d} {cost.ops:10,.0f} {cost.bytes:9,d}"
        lines.append(f"{f'exit {index + 1}':10s} {figures} {head.ops:18,.0f} {head.bytes:9,d}")
    return "\n".join(lines)


def _points_table(points: dict[str, OperatingPoint], costs: tuple[Cost, ...]) -> str:
    first = next(iter(points.values()))
    lines = [
        f"operating points, {first.sample_count} {first.split} clips",
        f"{'name':10s} {'accuracy':>8s} {'binary MACs':>12s} {'ops':>6s}  exit shares  thresholds",
    ]
    for name, point in points.items():
        shares = " ".join(f"{100 * share:3.0f}%" for share in point.exit_shares)
        binary = point.mean_cost["binary_macs"] / max(1, costs[-1].binary_macs)
        ops = point.mean_cost["ops"] / costs[-1].ops
        thresholds = " ".join(f"{threshold:.4f}" for threshold in point.thresholds)
        figures = f"{100 * point.accuracy:7.2f}% {100 * binary:11.1f}% {100 * ops:5.1f}%"
        lines.append(f"{name:10s} {figures}  {shares}  {thresholds}")
    return "\n".join(lines)


def _parity_line(report: dict) -> str:
    agreement = " ".join(f"{100 * figures['top1_agreement']:.1f}%" for figures in report["exits"])
    worst = max(figures["median_difference"] for figures in report["exits"])
    clips = f"{report['backend']} against Keras, {report['clips']} clips"
    return f"{clips}: same label {agreement}, median difference {worst:.1g}"
