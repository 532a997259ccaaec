"""Choose thresholds of a run: `python -m bnn_exit.calibrate RUN`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnn_exit import artifact, policies
from bnn_exit.answers import ANSWERS, Answers
from bnn_exit.calibrate import run_answers, stored, tables
from bnn_exit.calibrate.budgeted import anytime, budgeted
from bnn_exit.calibrate.choose import CHOOSE, Outcome, choose
from bnn_exit.calibrate.device import DeviceProfile
from bnn_exit.calibrate.drift import drift, scipy_stats
from bnn_exit.calibrate.exit_costs import ExitCosts
from bnn_exit.calibrate.field import field_answers
from bnn_exit.calibrate.goals import LIMITS, MINIMISE, Wishes, check_device
from bnn_exit.calibrate.operating_points import (
    STANDARD_ERRORS,
    OperatingPoint,
    check_name,
    operating_points,
    problem,
)
from bnn_exit.calibrate.search_goal import check_standard_errors
from bnn_exit.command import Parser
from bnn_exit.difficulty.score_clips import Heard
from bnn_exit.display import json_line, show
from bnn_exit.errors import ArgumentError, DataError, nearest, one_of, run_command
from bnn_exit.policies import Sizes

DEFAULT_OPERATING_POINT = "balanced"

EPILOG = f"""\
examples:
  python -m bnn_exit.calibrate runs/words                        what can be had: full, accurate, balanced, fast
  python -m bnn_exit.calibrate runs/words --max-accuracy-drop 0.01 --name mine
  python -m bnn_exit.calibrate runs/words --max-mean-cost 0.4    the least loss for 40 % of the ops
  python -m bnn_exit.calibrate runs/words --max-accuracy-drop 0.01 --confidence 0.95 --name safe
  python -m bnn_exit.bench runs/words/model.tflite clips/*.wav --json > board.json          (on the board)
  python -m bnn_exit.calibrate runs/words --device board.json --max-worst-us 900 --max-accuracy-drop 0.01
  python -m bnn_exit.calibrate runs/words --exits choose --max-accuracy-drop 0.005 --name lean
  python -m bnn_exit.calibrate runs/words --drift field/                         are clips from there still alike?

A threshold decides when an exit is sure enough to answer: 0 never, the larger the sooner. This command reads what every
exit said about the validation clips (RUN/answers/validation.npz, RUN/costs.json), so it takes seconds; where these are
missing it asks the network once, which takes TensorFlow and the data.

Limits hold on the validation clips. Where two cannot be kept together, the one that stands first in the command counts
more, and the message says how near the other can come. Without --confidence a margin goes on top of the accuracy lost,
{STANDARD_ERRORS:g} standard errors of it or --standard-errors. With it, max-accuracy-drop is a promise for new clips
of the same kind: chosen thresholds break it with probability 1 - confidence at most (Learn then Test). That takes many
clips: 299 at the least for 0.01 and 0.95, and twice as many where half of them choose exits or teach a policy.

--name stores the operating point in RUN/operating_points.json and in RUN/model.tflite, for predict --operating-point
NAME. Another policy or fewer exits take a file of their own, RUN/model_NAME.tflite, which is exported with TensorFlow.

--drift: a clip that cannot be used gives one line on stderr, the others go on, and the exit status is 1.
"""


class _Limit(argparse.Action):
    """Puts a limit into `limits`, whose order is that of the command line."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        namespace.limits = {**namespace.limits, self.dest: values}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.calibrate",
        description="Choose when clips leave: thresholds for limits on accuracy, cost and time, or with a promise.",
        epilog=EPILOG,
    )
    arguments.set_defaults(limits={})
    arguments.add_argument("run", metavar="RUN", help="folder of a training run")
    limits = arguments.add_argument_group("limits, the most important first")
    for name, meaning in LIMITS.items():
        limits.add_argument(
            f"--{name.replace('_', '-')}", dest=name, action=_Limit, type=float, metavar="X",
            default=argparse.SUPPRESS, help=meaning,
        )  # fmt: skip
    limits.add_argument(
        "--confidence", type=float, metavar="C", help="make --max-accuracy-drop a promise for new clips, such as 0.95"
    )
    limits.add_argument(
        "--standard-errors",
        type=float,
        metavar="X",
        help="margin of the accuracy lost, because thresholds chosen on some clips lose more on others (default: "
        f"{STANDARD_ERRORS:g}; larger is safer and slower, 0 takes the loss on the validation clips at its word)",
    )
    limits.add_argument("--device", metavar="FILE", help="times of a device: what bnn_exit.bench --json printed there")
    wishes = arguments.add_argument_group("choices")
    wishes.add_argument(
        "--minimise", metavar="|".join(MINIMISE), help="default: ops where accuracy is limited, else loss (of accuracy)"
    )
    wishes.add_argument(
        "--policy",
        metavar="NAME",
        help=f"{', '.join(policies.POLICIES)} (default: that of RUN/model.tflite); class means need features, which "
        "are asked of the network with TensorFlow, and as floats make a file larger",
    )
    wishes.add_argument(
        "--exits", metavar=f"{CHOOSE}|1,3,4", help="keep these exits alone, or find out which to keep (at least two)"
    )
    wishes.add_argument("--name", help="store the operating point under this name")
    more = arguments.add_argument_group("instead of choosing")
    more.add_argument(
        "--curve", action="store_true", help="print the anytime and the budgeted curve of MSDNet, on test if cached"
    )
    more.add_argument(
        "--drift",
        nargs="+",
        metavar="CLIPS",
        help="do clips from the field, without labels, differ from calibration? audio files, folders, lists (.txt), - "
        "for stdin, or an .npz file of bnn_exit.answers.Answers",
    )
    more.add_argument(
        "--operating-point",
        metavar="NAME",
        help=f"whose thresholds --drift takes (default: {DEFAULT_OPERATING_POINT})",
    )
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    arguments.add_argument("--json", action="store_true", help="print the figures as JSON")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    folder, exits = Path(options.run), _exits(options.exits)
    if options.policy is None:
        options.policy = stored.policy_of(folder)["name"]
    kind = policies.POLICIES[one_of("--policy", options.policy, policies.POLICIES)]
    chooses = bool(options.limits or options.minimise)
    _check(options)
    device = None if options.device is None else DeviceProfile.load(options.device)
    margin = STANDARD_ERRORS if options.standard_errors is None else options.standard_errors
    check_standard_errors(margin)
    wishes = None
    if chooses:
        wishes = Wishes(options.limits, minimise=options.minimise, device=device, standard_errors=margin)
    heard = Heard()
    answers, costs = run_answers.of_run(folder, features=kind.needs_features, data_dir=options.data_dir)
    if options.curve:
        values, text = _curve(folder, answers, costs, options.policy)
    elif options.drift is not None:
        values, text = _drift(folder, answers, options, heard)
    elif wishes is None:
        values, text = _usual(answers, costs, options.policy, device, standard_errors=margin)
    else:
        outcome = choose(
            answers,
            costs,
            wishes,
            name=options.name or "custom",
            policy_name=options.policy,
            exits=exits,
            confidence=options.confidence,
        )
        values, text = _chosen(answers, costs, outcome, device)
        if options.name is not None:
            written = stored.store_outcome(folder, outcome, answers, costs)
            text += f"\nwrote {' and '.join(map(str, written))}"
    show(json_line(values) if options.json else text)
    return 1 if heard.failed else 0


def _check(options: argparse.Namespace) -> None:
    """Options that do not go together, and names that cannot be stored, before anything is searched for."""
    chosen = [f"--{name.replace('_', '-')}" for name in options.limits] or ["--minimise"] * bool(options.minimise)
    modes = ["--curve"] * options.curve + ["--drift"] * (options.drift is not None) + chosen[:1]
    if len(modes) > 1:
        raise ArgumentError(f"{' and '.join(modes)} are given together, but each is a question of its own: ask one")
    if options.device is not None and modes and not chosen:
        raise ArgumentError(f"--device is given with {modes[0]}, but goes with operating points and limits alone")
    if options.standard_errors is not None:
        if options.confidence is not None:
            raise ArgumentError("--standard-errors and --confidence are given together, but a promise needs no margin")
        if modes and "max_accuracy_drop" not in options.limits:
            raise ArgumentError(
                f"--standard-errors is given with {modes[0]}, but goes with operating points and --max-accuracy-drop "
                "alone"
            )
    for name in ("confidence", "exits", "name"):
        if getattr(options, name) is not None and not chosen:
            raise ArgumentError(f"--{name} is given without a limit, such as --max-accuracy-drop 0.01")
    if options.operating_point is not None and options.drift is None:
        raise ArgumentError(f"--operating-point is {options.operating_point!r}, but goes with --drift alone")
    if options.drift is not None and options.policy != (own := stored.policy_of(Path(options.run))["name"]):
        raise ArgumentError(f"--policy is {options.policy!r}, but the thresholds of {options.run} are for {own!r}")
    if options.name is not None:
        check_name("--name", options.name)


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
    answers: Answers, costs: ExitCosts, policy_name: str, device: DeviceProfile | None, *, standard_errors: float
) -> tuple[dict[str, Any], str]:
    check_device(device, exits=answers.exits)
    policy = policies.fit(policy_name, answers)
    own_costs = costs.with_policy(policy, Sizes.of(answers))
    points = operating_points(answers, own_costs, standard_errors=standard_errors, policy=policy)
    full = float(answers.correct[:, -1].mean())
    text = tables.points(points, full=costs.exits[-1], full_accuracy=full, policy=policy_name, device=device)
    return {name: point.to_dict() for name, point in points.items()}, text


def _chosen(
    answers: Answers, costs: ExitCosts, outcome: Outcome, device: DeviceProfile | None
) -> tuple[dict[str, Any], str]:
    full = costs.exits[-1]
    lines = [tables.choices(outcome, full=full), ""] if outcome.choices else []
    if len(outcome.kept) < answers.exits:
        lines.append(f"exits {', '.join(str(index + 1) for index in outcome.kept)} of {answers.exits}")
        device = None if device is None else device.of_exits(outcome.kept)
    lines.append(
        tables.points(
            {outcome.point.name: outcome.point},
            full=full,
            full_accuracy=float(answers.correct[:, -1].mean()),
            policy=outcome.policy.name,
            device=device,
        )
    )
    if outcome.guarantee is not None:
        lines += ["", outcome.guarantee.sentence()]
    values = {
        "policy": outcome.policy.to_dict(),
        "exits": [index + 1 for index in outcome.kept],
        "operating_point": outcome.point.to_dict(),
        "accuracy_drop": outcome.accuracy_drop,
        "share_of_full_ops": outcome.point.mean_cost["ops"] / full.ops,
        "guarantee": None if outcome.guarantee is None else dataclasses.asdict(outcome.guarantee),
    }
    return values, "\n".join(lines)


def _curve(folder: Path, answers: Answers, costs: ExitCosts, policy_name: str) -> tuple[dict[str, Any], str]:
    test_path = folder / ANSWERS / "test.npz"
    shown = Answers.load(test_path) if test_path.is_file() else answers
    policy = policies.fit(policy_name, answers)
    spent = costs.with_policy(policy, Sizes.of(answers))
    problem(answers, spent, policy=policy)
    first, second = anytime(shown, spent, policy=policy), budgeted(answers, shown, spent, policy=policy)
    text = tables.curves(
        first, second, full=costs.exits[-1], held_out=answers.split, split=shown.split, clips=len(shown)
    )
    values: dict[str, Sequence[Any]] = {
        "anytime": [dataclasses.asdict(point) for point in first],
        "budgeted": [dataclasses.asdict(point) for point in second],
    }
    return {"thresholds_from": answers.split, "figures_from": shown.split, **values}, text


def _drift(folder: Path, answers: Answers, options: argparse.Namespace, heard: Heard) -> tuple[dict[str, Any], str]:
    scipy_stats()  # Before clips are heard, which takes long.
    own = stored.policy_of(folder)
    points = _points(folder)
    asked = DEFAULT_OPERATING_POINT if options.operating_point is None else options.operating_point
    name = one_of("--operating-point", asked, points)
    policy = policies.from_dict(own) if len(own) > 1 else policies.fit(own["name"], answers)
    field = field_answers(folder, options.drift, heard=heard)
    found = drift(answers, field, points[name].thresholds, policy=policy)
    return {**dataclasses.asdict(found), "found": found.found}, found.sentence()


def _points(folder: Path) -> Mapping[str, OperatingPoint]:
    """The operating points of a run, or those of its model file if the run has none."""
    model = folder / stored.MODEL
    points: Mapping[str, OperatingPoint] = stored.points_of(folder)
    if not points and model.is_file():
        points = artifact.load(model).metadata.operating_points
    if not points:
        raise DataError(
            f"{folder} has no operating points whose thresholds --drift could take: give a limit and --name to make one"
        )
    return points


if __name__ == "__main__":
    raise SystemExit(main())
