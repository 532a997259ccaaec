"""Which policy leaves earliest for the same accuracy?

    python benchmarks/policies.py RUN... [--data-dir DIR]

For every policy of `bnn_exit.policies` whose exits answer with any class, and every run: thresholds from the
validation split, with accuracy lost there at most 0, 0.25, 0.5, 1 and 2 percentage points, and what they cost and lose
on the test split; the cheapest thresholds that lose 1, 2 and 3 points on validation are T-RecX's protocol (Ghanathe and
Wilton 2023, table 1). The work of the policy itself is counted. Policies that learn are fitted on the training split,
temperatures on the validation split. Logits are those of the Keras network. Writes results/policies.json; the exit
status is 1 if the default costs over 2 % more than the cheapest policy, on the mean over limits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from result_file import called

import audio_tasks
from bnn_exit import machine, policies
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.operating_points import describe, search_thresholds
from bnn_exit.command_line import Parser, run_command
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import write_json
from bnn_exit.policies import POLICIES, Policy, Sizes
from bnn_exit.runs.folder import RunFolder
from bnn_exit.training.calibrate import exit_logits_of

RESULT = Path(__file__).parent / "results" / "policies.json"
LIMITS = (0.0, 0.0025, 0.005, 0.01, 0.02, 0.03)
CLOSE = 1.02
# One whose early exits reject needs a class that is background, and is for streams.
COMPARED = tuple(name for name, kind in POLICIES.items() if kind.answers_always)


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/policies.py", description=text[0], epilog=text[2])
    arguments.add_argument("runs", metavar="RUN", nargs="+", help="folders of trained networks")
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    networks = [measure(Path(run), data_dir=options.data_dir) for run in options.runs]
    verdict = judge(networks)
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": command,
            **machine.provenance(),
            "thresholds_from": "validation",
            "split": "test",
            "networks": networks,
            **verdict,
        },
    )
    for network in networks:
        print(markdown(network))
    print(f"default {verdict['default']}: mean cost {verdict['ratio_to_cheapest']:.3f} of {verdict['cheapest']}'s")
    for bar in verdict["bars"]:
        print(f"{'met ' if bar['met'] else 'FAIL'} {bar['what']}: {bar['figure']:.3f} {bar['bar']}")
    print(f"wrote {RESULT}", file=sys.stderr)
    return int(not all(bar["met"] for bar in verdict["bars"]))


def measure(run: Path, *, data_dir: str | None) -> dict[str, Any]:
    """Every policy on one network."""
    folder = RunFolder(run)
    task = audio_tasks.load_again(folder.config.task, data_dir=data_dir)
    model = folder.network()
    exit_logits = {
        split: exit_logits_of(model, task, split=split, features=True) for split in ("train", "validation", "test")
    }
    costs = model.exit_costs()
    return {
        "run": run.name,
        "sample_counts": {split: len(each) for split, each in exit_logits.items()},
        "exits": [
            {"accuracy": float(share), "relative_ops": cost.ops / costs.exits[-1].ops}
            for share, cost in zip(exit_logits["test"].correct.mean(axis=0), costs.exits, strict=True)
        ],
        "policies": {name: points(fitted(name, exit_logits), exit_logits, costs) for name in COMPARED},
    }


def fitted(name: str, exit_logits: dict[str, ExitLogits]) -> Policy:
    """A temperature that was fitted on the clips a network learned would make it too sure of itself."""
    return policies.fit(name, exit_logits["validation" if name.startswith("scaled_") else "train"])


def points(policy: Policy, exit_logits: dict[str, ExitLogits], costs: ExitCosts) -> list[dict[str, Any]]:
    """What the thresholds for each limit do on the test split."""
    test = exit_logits["test"]
    full = float(test.correct[:, -1].mean())
    own_costs = costs.with_policy(policy, Sizes.of(test))
    found = []
    for limit in LIMITS:
        thresholds = search_thresholds(
            exit_logits["validation"], own_costs, max_accuracy_drop=limit, standard_errors=0.0, policy=policy
        )
        point = describe("point", thresholds, test, own_costs, policy=policy, max_accuracy_drop=limit)
        found.append(
            {
                "limit": limit,
                "thresholds": list(thresholds),
                "drop": full - point.accuracy,
                "relative_ops": point.mean_cost["ops"] / costs.exits[-1].ops,
                "exit_shares": list(point.exit_shares),
            }
        )
    return found


def judge(networks: list[dict[str, Any]]) -> dict[str, Any]:
    """The default beside the cheapest policy, by mean cost over networks and limits."""
    means = {
        name: statistics.mean(p["relative_ops"] for network in networks for p in network["policies"][name][:5])
        for name in COMPARED
    }
    cheapest = min(means, key=lambda name: means[name])
    ratio = means[policies.DEFAULT] / means[cheapest]
    return {
        "default": policies.DEFAULT,
        "cheapest": cheapest,
        "mean_relative_ops": means,
        "ratio_to_cheapest": ratio,
        "bars": [
            {
                "what": "mean cost of the default beside the cheapest policy",
                "figure": ratio,
                "bar": f"<= {CLOSE}",
                "met": ratio <= CLOSE,
            }
        ],
    }


def markdown(network: dict[str, Any]) -> str:
    """A table: mean cost on test in % of the full network, and in brackets the accuracy lost there."""
    head = ["policy", *(f"{100 * limit:g} pp" for limit in LIMITS)]
    lines = [f"\n{network['run']}, {network['sample_counts']['test']} test clips: ops in % (pp lost on test)", ""]
    lines += ["| " + " | ".join(head) + " |", "|---" + "|---:" * len(LIMITS) + "|"]
    for name, found in network["policies"].items():
        cells = [f"{100 * p['relative_ops']:.1f} ({100 * p['drop']:.2f})" for p in found]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
