"""Do operating points keep within their accuracy drop on unseen speakers, and how large a margin does that take?

    python benchmarks/threshold_margin.py RUN... [--data-dir DIR]

Splits the validation speakers of every run into halves in every way, chooses the operating points on one half and
measures the accuracy lost and the cost on the other, for several margins in standard errors. A point is within its
limit where it loses no more there than it may. The margin of the package is to be the smallest of these with which 9
of 10 points are, over all runs and halvings; the exit status is 1 if it is another. The test split is not touched.
Reads the exit logits and costs of a run, and of the data only who speaks. Writes results/threshold_margin.json.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from result_file import called

import audio_tasks
from bnn_exit import machine, policies
from bnn_exit.calibration.operating_points import STANDARD_ERRORS, describe, operating_points
from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands.validation_logits import validation_logits
from bnn_exit.cost import Cost
from bnn_exit.errors import DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import write_json
from bnn_exit.model_file.operating_points import FULL
from bnn_exit.policies import Sizes
from bnn_exit.runs.folder import RunFolder

RESULT = Path(__file__).parent / "results" / "threshold_margin.json"
MARGINS = (0.0, 1.0, 1.645, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)
"""1.645 would keep 95 % if the clips of a speaker were independent, and if thresholds were not chosen on them."""
WITHIN = 0.9
"""Share of the points that a margin must keep within their limit."""


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/threshold_margin.py", description=text[0], epilog=text[2])
    arguments.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of trained networks")
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    networks = [measure(run, data_dir=options.data_dir) for run in options.runs]
    margins = pooled(networks)
    found = smallest(margins)
    print(markdown(margins))
    met = found == STANDARD_ERRORS
    print(f"{'met ' if met else 'FAIL'} smallest that keeps {WITHIN:.0%}: {found}, of the package: {STANDARD_ERRORS}")
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": command,
            **machine.provenance(),
            "split": "validation, speakers halved in every way",
            "margins": margins,
            "share_to_keep": WITHIN,
            "smallest_margin": found,
            "margin_of_the_package": STANDARD_ERRORS,
            "networks": networks,
        },
    )
    print(f"wrote {RESULT}", file=sys.stderr)
    return int(not met)


def measure(run: Path, *, data_dir: str | None) -> dict[str, Any]:
    """Every margin on one network."""
    folder = RunFolder(run)
    exit_logits, costs = validation_logits(folder, data_dir=data_dir)
    task = audio_tasks.load_again(folder.config.task, data_dir=data_dir)
    speakers = np.array(task.validation.speakers)
    if len(speakers) != len(exit_logits):
        raise DataError(f"{run} has answers to {len(exit_logits)} validation clips, but speakers of {len(speakers)}")
    own_costs = costs.with_policy(policies.fit(policies.DEFAULT), Sizes.of(exit_logits))
    rows = []
    for margin in MARGINS:
        rows += summary(margin, list(halves(exit_logits, speakers, own_costs, margin)))
        print(f"{run.name}: margin {margin}", file=sys.stderr)
    return {
        "run": run.name,
        "task": task.name,
        "sample_count": len(exit_logits),
        "speakers": len(np.unique(speakers)),
        "rows": rows,
    }


def halves(
    exit_logits: ExitLogits, speakers: np.ndarray, costs: Sequence[Cost], margin: float
) -> Iterator[dict[str, dict[str, float]]]:
    """For every halving: operating point -> what it loses and costs, as shares, on the half that did not choose it."""
    names = np.unique(speakers)
    for chosen in itertools.combinations(names, len(names) // 2):
        half = np.isin(speakers, chosen)
        other, figures = exit_logits.select_clips(~half), {}
        for name, point in operating_points(exit_logits.select_clips(half), costs, standard_errors=margin).items():
            if name == FULL:
                continue
            met = describe(name, point.thresholds, other, costs, max_accuracy_drop=point.max_accuracy_drop)
            figures[name] = {
                "allowed": point.max_accuracy_drop,
                "lost": float(other.correct[:, -1].mean()) - met.accuracy,
                "ops": met.mean_cost["ops"] / costs[-1].ops,
            }
        yield figures


def summary(margin: float, found: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """A row for each operating point over the halvings."""
    rows = []
    for name in found[0]:
        allowed, lost, ops = (np.array([half[name][each] for half in found]) for each in ("allowed", "lost", "ops"))
        rows.append(
            {
                "margin": margin,
                "operating_point": name,
                "allowed": float(allowed[0]),
                "halvings": len(found),
                "within": int((lost <= allowed + 1e-9).sum()),
                "mean_lost": float(lost.mean()),
                "p90_lost": float(np.quantile(lost, 0.9)),
                "mean_relative_ops": float(ops.mean()),
            }
        )
    return rows


def pooled(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each margin: the points within their limit over all networks and halvings, and what they cost."""
    rows = [row for network in networks for row in network["rows"]]
    found = []
    for margin in sorted({row["margin"] for row in rows}):
        own = [row for row in rows if row["margin"] == margin]
        within, points = sum(row["within"] for row in own), sum(row["halvings"] for row in own)
        ops = {
            name: float(np.mean([row["mean_relative_ops"] for row in own if row["operating_point"] == name]))
            for name in dict.fromkeys(row["operating_point"] for row in own)
        }
        found.append(
            {"margin": margin, "within": within, "points": points, "share": within / points, "mean_relative_ops": ops}
        )
    return found


def smallest(margins: list[dict[str, Any]]) -> float | None:
    """The smallest margin from which on enough points are within their limit; None if there is none."""
    enough = itertools.takewhile(lambda row: row["share"] >= WITHIN, reversed(margins))
    return min((row["margin"] for row in enough), default=None)


def markdown(margins: list[dict[str, Any]]) -> str:
    names = list(margins[0]["mean_relative_ops"])
    lines = [
        f"| margin, standard errors | within the limit % | {' | '.join(f'ops of `{name}`, %' for name in names)} |",
        "|" + "---|" * (2 + len(names)),
    ]
    for row in margins:
        costs = " | ".join(f"{100 * row['mean_relative_ops'][name]:.1f}" for name in names)
        lines.append(f"| {row['margin']:g} | {100 * row['share']:.1f} | {costs} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
