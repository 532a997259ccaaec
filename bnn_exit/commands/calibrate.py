"""Choose thresholds of a run: `python -m bnn_exit.calibrate RUN`."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bnn_exit import policies, pretrained
from bnn_exit.calibration.constraints import LIMITS, MINIMISE, Constraints, check_device
from bnn_exit.calibration.curves import anytime, budgeted
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.drift import drift, scipy_stats
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.modes import modes
from bnn_exit.calibration.objective import check_standard_errors
from bnn_exit.calibration.operating_points import STANDARD_ERRORS, operating_points, problem
from bnn_exit.calibration.select import CHOOSE, Selection, select
from bnn_exit.command_line import Parser, add_workers_option, run_command
from bnn_exit.commands import calibration_tables as tables
from bnn_exit.commands.calibrate_stream import add_stream_options, calibrate_stream, check_stream_options
from bnn_exit.commands.field_logits import field_exit_logits
from bnn_exit.commands.policy_options import add_policy_options, background_labels, with_background
from bnn_exit.commands.validation_logits import validation_logits
from bnn_exit.display import json_line, show
from bnn_exit.errors import ArgumentError, DataError, nearest, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file import reader
from bnn_exit.model_file.operating_points import OperatingPoint, check_name
from bnn_exit.policies import Sizes, rule
from bnn_exit.policies.rejection import Rejection
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runs.selection import store_selection
from bnn_exit.runtime.scoring import ClipCounts
from bnn_exit.workers import cores

DEFAULT_OPERATING_POINT = "balanced"

EPILOG = f"""\
examples:
  python -m bnn_exit.calibrate runs/words                        full, accurate, balanced and fast
  python -m bnn_exit.calibrate runs/words --max-accuracy-drop 0.01 --name mine
  python -m bnn_exit.calibrate runs/words --max-mean-cost 0.4    the least loss for 40 % of the ops
  python -m bnn_exit.calibrate runs/words --max-accuracy-drop 0.01 --confidence 0.95 --name safe
  python -m bnn_exit.bench runs/words/model.tflite clips/*.wav --json > board.json          (on the board)
  python -m bnn_exit.calibrate runs/words --device board.json --max-worst-us 900 --max-accuracy-drop 0.01
  python -m bnn_exit.calibrate runs/words --exits choose --max-accuracy-drop 0.005 --name lean
  python -m bnn_exit.calibrate runs/words --policy skip_gate --max-mean-cost 0.5 --regression
  python -m bnn_exit.calibrate runs/words --drift field/                         has the sound changed?
  python -m bnn_exit.calibrate runs/words --stream speech/ --speakers speakers.tsv --max-false-accepts-per-hour 0.5
      --confidence 0.95                                              a listening point, for streams

A clip leaves at an exit if its score is below the threshold: with 0 no clip leaves, larger thresholds let more leave.
This command reads the logits of every exit for the validation clips (RUN/exit_logits/validation.npz) and
RUN/costs.json, so it takes seconds. If these are missing, it runs the network once, which needs TensorFlow and the
data.

Limits hold on the validation clips. If two limits exclude each other, the first one in the command has priority, and
the message gives the nearest feasible value of the other. Without --confidence a margin is added to the accuracy lost:
{STANDARD_ERRORS:g} standard errors, or --standard-errors. With it, max-accuracy-drop is guaranteed on new clips of the
same kind: the thresholds violate it with probability at most 1 - confidence (Learn then Test). This needs many clips:
at least 299 for 0.01 and 0.95, and twice as many if half of them select exits or fit a policy.

--name stores the operating point in RUN/operating_points.json and in RUN/model.tflite, for predict --operating-point
NAME. Another policy or fewer exits need a file of their own, RUN/model_NAME.tflite, which TensorFlow exports.

--stream chooses thresholds of exits and detector together, on recordings without the words: the exits that lose at most
--max-recall-loss of the words, and the detector's threshold with the most hits under the rate of false accepts. With
--confidence the rate holds on new audio of the same kind; false accepts of one speaker or recording may come together.
At 0.5 an hour and 0.95 it takes 6 hours at least. The listening point and its operating point, stream-NAME, are stored
in the model file.

--drift: a clip that cannot be used gives one line on stderr; the others are still used, and the exit status is 1.
"""


class _Limit(argparse.Action):
    """Puts a limit into `limits`, whose order is that of the command line."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        namespace.limits = {**namespace.limits, self.dest: values}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.calibrate",
        description="Choose thresholds under limits on accuracy, cost and time, or with a guarantee.",
        epilog=EPILOG,
    )
    arguments.set_defaults(limits={})
    arguments.add_argument(
        "run",
        type=pretrained.by_name,
        metavar="RUN",
        help="folder of a training run; with --stream also a model file or a name of bnn_exit.models",
    )
    limits = arguments.add_argument_group("limits, the most important first")
    for name, meaning in LIMITS.items():
        limits.add_argument(
            f"--{name.replace('_', '-')}", dest=name, action=_Limit, type=float, metavar="X",
            default=argparse.SUPPRESS, help=meaning,
        )  # fmt: skip
    limits.add_argument(
        "--confidence", type=float, metavar="C", help="guarantee --max-accuracy-drop on new clips, such as 0.95"
    )
    limits.add_argument(
        "--standard-errors",
        type=float,
        metavar="X",
        help="margin of the accuracy lost, because thresholds chosen on some clips lose more on others (default: "
        f"{STANDARD_ERRORS:g}; larger is safer and slower, 0 is no margin)",
    )
    limits.add_argument("--device", metavar="FILE", help="times of a device: the output of bnn_exit.bench --json there")
    constraints = arguments.add_argument_group("choices")
    constraints.add_argument(
        "--minimise", metavar="|".join(MINIMISE), help="default: ops where accuracy is limited, else loss (of accuracy)"
    )
    add_policy_options(constraints, usual="that of RUN/model.tflite")
    constraints.add_argument(
        "--exits", metavar=f"{CHOOSE}|1,3,4", help="keep only these exits (at least two), or choose the best subset"
    )
    constraints.add_argument(
        "--regression",
        action="store_true",
        help="thresholds of a skip gate and of the exits as polynomials of the budget, which is --max-mean-cost or "
        "--max-mean-us alone: for budgets that were not searched; on these clips the search loses no more",
    )
    constraints.add_argument("--name", help="store the operating point under this name")
    more = arguments.add_argument_group("instead of choosing")
    more.add_argument(
        "--curve", action="store_true", help="print the anytime and the budgeted curve of MSDNet, on test if cached"
    )
    more.add_argument(
        "--drift",
        nargs="+",
        metavar="CLIPS",
        help="test whether clips from the field, without labels, differ from calibration: audio files, folders, lists "
        "(.txt), - for stdin, or an .npz file of bnn_exit.exit_logits.ExitLogits",
    )
    more.add_argument(
        "--operating-point",
        metavar="NAME",
        help=f"whose thresholds --drift takes (default: {DEFAULT_OPERATING_POINT})",
    )
    add_workers_option(more, of=" of --drift")
    add_stream_options(arguments)
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    arguments.add_argument("--negatives", metavar="DIR", help="where the negatives are, if they have moved since then")
    arguments.add_argument("--json", action="store_true", help="print the figures as JSON")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    check_stream_options(options)
    if options.stream is not None:
        return calibrate_stream(options)
    _refuse_file(options.run)
    run, exits = RunFolder(options.run), _exits(options.exits)
    own = run.policy()
    if options.policy is None:
        options.policy = own["name"]
    background = background_labels(options.background, policy=options.policy)
    kind = policies.POLICIES[one_of("--policy", options.policy, policies.POLICIES)]
    chooses = bool(options.limits or options.minimise)
    _check(options, run)
    device = None if options.device is None else DeviceProfile.load(options.device)
    margin = STANDARD_ERRORS if options.standard_errors is None else options.standard_errors
    check_standard_errors(margin)
    constraints = None
    if chooses:
        constraints = Constraints(options.limits, minimise=options.minimise, device=device, standard_errors=margin)
    if (known := run.costs()) is not None:
        kind.check_exits(len(exits) if isinstance(exits, tuple) else len(known.exits))
    counts = ClipCounts()
    exit_logits, costs = validation_logits(
        run, features=kind.needs_features, data_dir=options.data_dir, negatives=options.negatives
    )
    if kind is Rejection:
        labels = run.config.task.labels
        if not background and own["name"] == Rejection.name:
            background = tuple(labels[number] for number in own["background"])
        exit_logits = with_background(exit_logits, labels, policy=options.policy, chosen=background)
    if options.curve:
        values, text = _curve(run, exit_logits, costs, options.policy)
    elif options.drift is not None:
        values, text = _drift(run, exit_logits, options, counts)
    elif constraints is None:
        values, text = _usual(exit_logits, costs, options.policy, device, standard_errors=margin)
    else:
        selection = select(
            exit_logits,
            costs,
            constraints,
            name=options.name or "custom",
            policy_name=options.policy,
            exits=exits,
            confidence=options.confidence,
            regression=options.regression,
        )
        values, text = _chosen(exit_logits, costs, selection, device)
        if options.name is not None:
            written = store_selection(run, selection, exit_logits)
            text += f"\nwrote {' and '.join(map(str, written))}"
    show(json_line(values) if options.json else text)
    return 1 if counts.failed else 0


def _check(options: argparse.Namespace, run: RunFolder) -> None:
    """ArgumentError for options that exclude each other and for names that cannot be stored."""
    chosen = [f"--{name.replace('_', '-')}" for name in options.limits] or ["--minimise"] * bool(options.minimise)
    modes = ["--curve"] * options.curve + ["--drift"] * (options.drift is not None) + chosen[:1]
    if len(modes) > 1:
        raise ArgumentError(f"{' and '.join(modes)} are given together, but only one of them is possible: choose one")
    if options.device is not None and modes and not chosen:
        raise ArgumentError(f"--device is given with {modes[0]}, but goes with operating points and limits alone")
    if options.standard_errors is not None:
        if options.confidence is not None:
            raise ArgumentError("--standard-errors and --confidence exclude each other: a guarantee needs no margin")
        if modes and "max_accuracy_drop" not in options.limits:
            raise ArgumentError(
                f"--standard-errors is given with {modes[0]}, but goes with operating points and --max-accuracy-drop "
                "alone"
            )
    if options.regression and options.policy not in rule.SKIP_GATES:
        raise ArgumentError(
            f"--regression is given with the policy {options.policy}, but goes with one that has a skip gate: choose "
            f"--policy {' or '.join(rule.SKIP_GATES)}"
        )
    if options.regression and not chosen:
        raise ArgumentError("--regression is given without a budget: add --max-mean-cost or --max-mean-us")
    for name in ("confidence", "exits", "name"):
        if getattr(options, name) is not None and not chosen:
            raise ArgumentError(f"--{name} is given without a limit, such as --max-accuracy-drop 0.01")
    if options.operating_point is not None and options.drift is None:
        raise ArgumentError(f"--operating-point is {options.operating_point!r}, but goes with --drift alone")
    if options.workers is not None and options.drift is None:
        raise ArgumentError(f"--workers is {options.workers}, but goes with --drift alone")
    if options.drift is not None and options.policy != (own := run.policy()["name"]):
        raise ArgumentError(f"--policy is {options.policy!r}, but the thresholds of {options.run} are for {own!r}")
    if options.name is not None:
        check_name("--name", options.name)


def _refuse_file(path: str) -> None:
    """ArgumentError for a model file in place of a run: only its exits for streams are chosen without the run."""
    if not os.path.isfile(path):
        return
    if len(reader.read(path).metadata.exits) == 1:
        raise ArgumentError(f"{path} has one exit, where every clip leaves: there is no threshold to choose")
    raise ArgumentError(f"{path} is a model file, but thresholds are chosen for a run: give its folder, or --stream")


def _exits(text: str | None) -> str | tuple[int, ...] | None:
    if text is None or text == CHOOSE:
        return text
    try:
        return tuple(int(part) - 1 for part in text.split(","))
    except ValueError:
        raise ArgumentError(
            f"--exits is {text!r}, but must be {CHOOSE!r} or numbers of exits such as 1,3,4{nearest(text, [CHOOSE])}"
        ) from None


def _usual(
    exit_logits: ExitLogits, costs: ExitCosts, policy_name: str, device: DeviceProfile | None, *, standard_errors: float
) -> tuple[dict[str, Any], str]:
    check_device(device, exits=exit_logits.exits)
    policy = policies.fit(policy_name, exit_logits)
    own_costs = costs.with_policy(policy, Sizes.of(exit_logits))
    points = operating_points(exit_logits, own_costs, standard_errors=standard_errors, policy=policy)
    full = float(exit_logits.correct[:, -1].mean())
    text = tables.points(points, full=costs.exits[-1], full_accuracy=full, policy=policy_name, device=device)
    return {name: point.to_dict() for name, point in points.items()}, text


def _chosen(
    exit_logits: ExitLogits, costs: ExitCosts, selection: Selection, device: DeviceProfile | None
) -> tuple[dict[str, Any], str]:
    full = costs.exits[-1]
    lines = [tables.subsets(selection, full=full), ""] if selection.subsets else []
    if len(selection.exits) < exit_logits.exits:
        lines.append(f"exits {', '.join(str(index + 1) for index in selection.exits)} of {exit_logits.exits}")
        device = None if device is None else device.select_exits(selection.exits)
    lines.append(
        tables.points(
            {selection.point.name: selection.point},
            full=full,
            full_accuracy=float(exit_logits.correct[:, -1].mean()),
            policy=selection.policy.name,
            device=device,
        )
    )
    if selection.guarantee is not None:
        lines += ["", selection.guarantee.sentence()]
    if selection.regressed is not None:
        lines += ["", selection.regressed.sentence()]
    values = {
        "policy": selection.policy.to_dict(),
        "exits": [index + 1 for index in selection.exits],
        "operating_point": selection.point.to_dict(),
        "accuracy_drop": selection.accuracy_drop,
        "share_of_full_ops": selection.point.mean_cost["ops"] / full.ops,
        "guarantee": None if selection.guarantee is None else dataclasses.asdict(selection.guarantee),
    }
    if selection.regressed is not None:
        values["regression"] = dataclasses.asdict(selection.regressed.regression)
    return values, "\n".join(lines)


def _curve(run: RunFolder, exit_logits: ExitLogits, costs: ExitCosts, policy_name: str) -> tuple[dict[str, Any], str]:
    shown = run.exit_logits("test") or exit_logits
    policy = policies.fit(policy_name, exit_logits)
    spent = costs.with_policy(policy, Sizes.of(exit_logits))
    problem(exit_logits, spent, policy=policy)
    first, second = anytime(shown, spent, policy=policy), budgeted(exit_logits, shown, spent, policy=policy)
    text = tables.curves(
        first, second, full=costs.exits[-1], held_out=exit_logits.split, split=shown.split, clips=len(shown)
    )
    of_file = modes(exit_logits, shown, spent, policy=policy)
    text += f"\n\n{tables.modes(of_file, full=costs.exits[-1], held_out=exit_logits.split, split=shown.split)}"
    values: dict[str, Sequence[Any]] = {
        "anytime": [dataclasses.asdict(point) for point in first],
        "budgeted": [dataclasses.asdict(point) for point in second],
        "modes": [dataclasses.asdict(point) for point in of_file.points],
    }
    return {"thresholds_from": exit_logits.split, "figures_from": shown.split, **values}, text


def _drift(
    run: RunFolder, exit_logits: ExitLogits, options: argparse.Namespace, counts: ClipCounts
) -> tuple[dict[str, Any], str]:
    scipy_stats()  # Before clips are scored, which takes long.
    own = run.policy()
    points = _points(run)
    asked = DEFAULT_OPERATING_POINT if options.operating_point is None else options.operating_point
    name = one_of("--operating-point", asked, points)
    policy = policies.from_dict(own) if len(own) > 1 else policies.fit(own["name"], exit_logits)
    field = field_exit_logits(run.model, options.drift, counts=counts, workers=options.workers or cores())
    found = drift(exit_logits, field, points[name].thresholds, policy=policy)
    return {**dataclasses.asdict(found), "found": found.found}, found.sentence()


def _points(run: RunFolder) -> Mapping[str, OperatingPoint]:
    """The operating points of a run, or those of its model file if the run has none."""
    points: Mapping[str, OperatingPoint] = run.operating_points()
    if not points and run.model.is_file():
        points = reader.read(run.model).metadata.operating_points
    if not points:
        raise DataError(
            f"{run} has no operating points whose thresholds --drift could take: give a limit and --name to make one"
        )
    return points
