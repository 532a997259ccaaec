"""Which training scheme or gate of the early-exit literature suits binary networks?

    python benchmarks/schemes.py train ROW... --seeds 0 1 2 --data-dir DIR    (hours; resumes)
    python benchmarks/schemes.py measure ROW... --seeds 0 1 2 --data-dir DIR    (a minute each)
    python benchmarks/schemes.py table                                         (the table, and results/schemes.json)

ROW is a row of `scheme_rows.py`, or all. Every row has the same backbone, words and epochs: the base QuickNet on Arabic
Speech Commands, the epochs of the fast recipe. DIR is the folder of the words. `train` runs `bnn_exit.train` into
runs/schemes/ROW-seedN; `measure` writes results/schemes/ROW-seedN.json. Thresholds are chosen on the validation split
and applied to the test split, without a margin except for `balanced`; T-RecX's costs sweep one threshold of the largest
probability over the test split itself, as the paper does, and are marked so. Logits are those of the Keras network. The
work of heads and policies is counted. Minutes are of one processor core. `table` says of every claim of a paper whether
it holds here: the mean over seeds differs in the claimed direction by more than the seeds spread.
"""

from __future__ import annotations

import argparse
import math
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_measure import training
from result_file import called
from scheme_rows import ROWS, Claim, Row

from bnn_exit import machine
from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands import train as train_command
from bnn_exit.errors import ArgumentError, BnnExitError, one_of
from bnn_exit.files import read_json, write_json

RESULTS = Path(__file__).parent / "results"
RUNS = Path("runs/schemes")
LIMITS = (0.005, 0.01, 0.02)
TRECX_LOSSES = (0.01, 0.02, 0.03)
EQUAL_LOSS = 0.01
"""How much less accurate than the last exit of the row joint networks are where their "equal" ops are compared."""
MODEL = "model.tflite"


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/schemes.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    for verb, about in (("train", "train rows"), ("measure", "measure rows that are trained")):
        command = commands.add_parser(verb, prog=f"python benchmarks/schemes.py {verb}", description=about, epilog="")
        command.add_argument("rows", nargs="+", metavar="ROW", help=f"{', '.join(ROWS)} or all")
        command.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="(0 1 2)")
        command.add_argument("--data-dir", metavar="DIR", help="folder of the words")
        command.add_argument("--runs", type=Path, default=RUNS, help=f"where the run folders are ({RUNS})")
    commands.add_parser("table", prog="python benchmarks/schemes.py table", description="print the table", epilog="")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    if options.verb == "table":
        return table(command)
    names = list(ROWS) if options.rows == ["all"] else [one_of("row", name, [*ROWS, "all"]) for name in options.rows]
    rows = [ROWS[name] for name in names]
    for row in rows:  # a mistake in the last must not show after the first has trained for an hour
        train_command.parser().parse_args(row.words(0))
    # All rows with one seed come before the next seed.
    for seed in options.seeds:
        for row in rows:
            if options.verb == "train" and row.like is None:
                train(row, seed, options.runs, data_dir=options.data_dir)
            if options.verb == "measure":
                result = measure(row, seed, options.runs, data_dir=options.data_dir, command=command)
                path = RESULTS / "schemes" / f"{row.name}-seed{seed}.json"
                write_json(path, result)
                print(f"{row.name} seed {seed}: {summary_line(result)}; wrote {path}", flush=True)
    return 0


def train(row: Row, seed: int, runs: Path, *, data_dir: str | None) -> None:
    """Train a row with a seed, unless that has been done."""
    folder = runs / f"{row.name}-seed{seed}"
    if (folder / MODEL).is_file():
        print(f"{row.name} seed {seed}: trained already, in {folder}")
        return
    place = [] if data_dir is None else ["--data-dir", data_dir]
    if (folder / "config.json").is_file():
        command = ["-m", "bnn_exit.train", "--resume", str(folder), *place]
    else:
        command = ["-m", "bnn_exit.train", *row.words(seed), *place, "--out", str(folder)]
    print(f"{row.name} seed {seed}: {shlex.join(['python', *command])}", flush=True)
    status = subprocess.run([sys.executable, *command]).returncode
    if status == 130:
        raise KeyboardInterrupt
    if status:
        raise BnnExitError(f"the training of {row.name} failed with status {status}: the same command resumes it")


def measure(row: Row, seed: int, runs: Path, *, data_dir: str | None, command: str) -> dict[str, Any]:
    """The figures of a row with a seed, on the test split."""
    import audio_tasks
    from bnn_exit import policies
    from bnn_exit.policies import Sizes
    from bnn_exit.runs.folder import RunFolder
    from bnn_exit.training.calibrate import exit_logits_of

    folder = runs / f"{row.like or row.name}-seed{seed}"
    if not (folder / MODEL).is_file():
        raise ArgumentError(f"{folder} holds no finished run: python benchmarks/schemes.py train first")
    run = RunFolder(folder)
    task = audio_tasks.load_again(run.config.task, data_dir=data_dir)
    model = run.network()
    exit_costs = model.exit_costs()
    validation, test = (
        exit_logits_of(model, task, split=split, features=row.policy is not None) for split in ("validation", "test")
    )
    steps = [*sorted((folder / "steps").glob("*/history.json")), folder / "history.json"]
    history = [record for path in steps for record in read_json(path)]
    found: dict[str, Any]
    if row.truncate:
        last = row.truncate - 1
        cost = exit_costs.select_exits([last]).exits[0]
        accuracy = float(test.correct[:, last].mean())
        found = {
            "exits": [{"accuracy": accuracy, "ops": cost.ops}],
            "balanced": {"accuracy": accuracy, "ops": cost.ops},
        }
    else:
        policy = policies.from_dict(run.policy()) if row.policy is None else policies.fit(row.policy, validation)
        costs = exit_costs.with_policy(policy, Sizes.of(test))
        found = figures(validation, test, costs, policy)
        found["policy"] = policy.name
    return {
        "row": row.name,
        "seed": seed,
        "command": command,
        **machine.provenance(),
        "task": task.name,
        "labels": task.num_classes,
        "licence": task.licence,
        "attribution": task.attribution,
        "split": "test",
        "thresholds_from": "validation",
        "sample_counts": {name: len(split) for name, split in task.splits.items()},
        **found,
        "processor_minutes": round(sum(record["processor_seconds"] for record in history) / 60, 1),
        "peak_memory_mb": round(max(record.get("peak_memory_bytes") or 0 for record in history) / 2**20),
        "training": training(folder, read_json(folder / "config.json")),
    }


def figures(validation: Any, test: Any, costs: Any, policy: Any) -> dict[str, Any]:
    """Accuracy of every exit, thresholds from validation, T-RecX's costs, and overthinking.

    Args:
        validation, test: `ExitLogits`.
        costs: of leaving at each exit, with the policy's work.
        policy: fitted.
    """
    from bnn_exit.calibration.operating_points import STANDARD_ERRORS, describe, search_thresholds

    def point(limit: float, standard_errors: float) -> dict[str, Any]:
        thresholds = search_thresholds(
            validation, costs, max_accuracy_drop=limit, standard_errors=standard_errors, policy=policy
        )
        found = describe("point", thresholds, test, costs, policy=policy, max_accuracy_drop=limit)
        return {
            "limit": limit,
            "thresholds": list(thresholds),
            "accuracy": found.accuracy,
            "ops": found.mean_cost["ops"],
            "exit_shares": list(found.exit_shares),
        }

    right = test.correct
    return {
        "exits": [
            {"accuracy": float(share), "ops": cost.ops} for share, cost in zip(right.mean(axis=0), costs, strict=True)
        ],
        "balanced": point(0.005, STANDARD_ERRORS),
        "limits": [point(limit, 0.0) for limit in LIMITS],
        "swept_on_test": swept(test, [cost.ops for cost in costs]),
        "overthinking": float((right[:, :-1].any(axis=1) & ~right[:, -1]).mean()),
    }


def swept(test: Any, ops: list[int]) -> list[list[float]]:
    """[ops, accuracy] of the average clip for one threshold of the largest probability, 0 to 1 by 0.01 (T-RecX)."""
    logits = test.logits - test.logits.max(axis=-1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    surest = probabilities.max(axis=-1)
    found = []
    for step in range(101):
        leaves = surest >= step / 100
        leaves[:, -1] = True
        exits = leaves.argmax(axis=1)
        clips = np.arange(len(exits))
        found.append([float(np.mean(np.take(ops, exits))), float(test.correct[clips, exits].mean())])
    return found


def cheapest(curve: list[list[float]], accuracy: float) -> float | None:
    """The least ops at no less than this accuracy; None if no threshold reaches it."""
    return min((ops for ops, reached in curve if reached >= accuracy - 1e-12), default=None)


def table(command: str) -> int:
    """Print the table and write the summary."""
    results: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((RESULTS / "schemes").glob("*.json")):
        result = read_json(path)
        results.setdefault(result["row"], []).append(result)
    rows = [summary(ROWS[name], results[name], results) for name in ROWS if name in results]
    found = (verdict(row, claim, results) for row in ROWS.values() for claim in row.claims)
    claims = [claim | {"comparison": comparison(claim)} for claim in found]
    write_json(
        RESULTS / "schemes.json",
        {"question": __doc__.splitlines()[0], "command": command, "rows": rows, "claims": claims},
    )
    print(markdown(rows, claims))
    print(f"\nwrote {RESULTS / 'schemes.json'}", file=sys.stderr)
    return 0


def summary(row: Row, found: list[dict[str, Any]], results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A row's figures over seeds: mean and spread (largest less smallest)."""
    exits = len(found[0]["exits"])
    base = last_exit(results.get("joint", found))
    kept: dict[str, Any] = {
        "row": row.name,
        "title": row.title,
        "seeds": [result["seed"] for result in found],
        "exit_accuracy": [over_seeds([result["exits"][k]["accuracy"] for result in found]) for k in range(exits)],
        "exit_ops": [found[0]["exits"][k]["ops"] for k in range(exits)],
        "balanced_accuracy": over_seeds([result["balanced"]["accuracy"] for result in found]),
        "balanced_ops": over_seeds([result["balanced"]["ops"] for result in found]),
        "processor_minutes": over_seeds([result["processor_minutes"] for result in found]),
        "peak_memory_mb": over_seeds([result["peak_memory_mb"] for result in found]),
    }
    if "limits" in found[0]:
        for index, limit in enumerate(LIMITS):
            points = [result["limits"][index] for result in found]
            kept[f"ops_at_{limit}"] = over_seeds([point["ops"] for point in points])
            kept[f"lost_at_{limit}"] = over_seeds(
                [
                    result["exits"][-1]["accuracy"] - point["accuracy"]
                    for result, point in zip(found, points, strict=True)
                ]
            )
        for loss in TRECX_LOSSES:
            reached = [cheapest(result["swept_on_test"], base - loss) for result in found]
            kept[f"trecx_ops_at_{loss}"] = over_seeds([ops for ops in reached if ops is not None])
        kept["overthinking"] = over_seeds([result["overthinking"] for result in found])
    return kept


def last_exit(found: list[dict[str, Any]]) -> float:
    """Mean accuracy over seeds."""
    return statistics.mean(result["exits"][-1]["accuracy"] for result in found)


def over_seeds(values: list[float]) -> dict[str, float] | None:
    """Mean and spread."""
    return {"mean": statistics.mean(values), "spread": max(values) - min(values)} if values else None


def figure_of(claim: Claim, result: dict[str, Any], *, level: float) -> float:
    """The figure that a claim compares; `level` is the accuracy of "equal" ops, and inf if it is never reached."""
    if claim.figure == "equal":
        return cheapest(result["swept_on_test"], level) or math.inf
    accuracy = [each["accuracy"] for each in result["exits"]]
    values = {"first": accuracy[0], "mean": statistics.mean(accuracy), "last": accuracy[-1]}
    return float(values[claim.figure] if claim.figure in values else result["balanced"]["ops"])


def verdict(row: Row, claim: Claim, results: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Whether a claim holds here: the means differ as claimed by more than the larger spread over seeds."""
    found: dict[str, Any] = {"row": row.name, "claim": claim.text, "figure": claim.figure, "against": claim.against}
    measured = [results.get(name, []) for name in (row.name, claim.against)]
    if min(map(len, measured)) < 2 or "joint" not in results:
        return found | {"verdict": "not measured with two seeds yet"}
    level = last_exit(results["joint"]) - EQUAL_LOSS
    here, there = ([figure_of(claim, result, level=level) for result in each] for each in measured)
    if math.inf in (*here, *there):
        return found | {"verdict": f"not comparable: not every network reaches {100 * level:.2f} %"}
    difference = statistics.mean(here) - statistics.mean(there)
    spread = max(max(here) - min(here), max(there) - min(there))
    if claim.better == 0:
        held = "holds" if difference >= -spread else "does not hold"
    elif abs(difference) <= spread:
        held = "within the spread of the seeds"
    else:
        held = "holds" if difference * claim.better > 0 else "does not hold: the opposite"
    return found | {"here": statistics.mean(here), "there": statistics.mean(there), "spread": spread, "verdict": held}


def summary_line(result: dict[str, Any]) -> str:
    accuracy = " / ".join(f"{100 * each['accuracy']:.2f}" for each in result["exits"])
    balanced = result["balanced"]
    return f"exits {accuracy} %, balanced {100 * balanced['accuracy']:.2f} % at {balanced['ops'] / 1e6:.3f} M ops"


def markdown(rows: list[dict[str, Any]], claims: list[dict[str, Any]]) -> str:
    """Both tables."""
    lines = [
        "| scheme | seeds | exits, % | `balanced`, % | at M ops | M ops at 0.5 / 1 / 2 points | T-RecX, on test: M ops "
        "at -1 / -2 / -3 | overthinking, % | core minutes | MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        limits = " / ".join(mega(row.get(f"ops_at_{limit}")) for limit in LIMITS)
        trecx = " / ".join(mega(row.get(f"trecx_ops_at_{loss}")) for loss in TRECX_LOSSES)
        exits = " / ".join(percent(each) for each in row["exit_accuracy"])
        lines.append(
            f"| {row['title']} | {len(row['seeds'])} | {exits} | {percent(row['balanced_accuracy'])} | "
            f"{mega(row['balanced_ops'])} | {limits} | {trecx} | {percent(row.get('overthinking'))} | "
            f"{row['processor_minutes']['mean']:.0f} | {row['peak_memory_mb']['mean']:.0f} |"
        )
    lines += ["", "| scheme | what its paper says | here |", "|---|---|---|"]
    lines += [f"| {claim['row']} | {claim['claim']} | {claim['comparison']} |" for claim in claims]
    return "\n".join(lines)


def comparison(claim: dict[str, Any]) -> str:
    """The verdict on a claim, with both figures."""
    if "here" not in claim:
        return str(claim["verdict"])
    is_ops = claim["figure"] in ("balanced", "equal")
    scale, unit, digits = (1e-6, "M ops", 3) if is_ops else (100, "%", 2)
    here, there = (f"{scale * claim[each]:.{digits}f}" for each in ("here", "there"))
    return f"{claim['verdict']} ({here} {unit}; {claim['against']}: {there})"


def percent(figure: dict[str, float] | None) -> str:
    return "-" if figure is None else f"{100 * figure['mean']:.2f} ± {50 * figure['spread']:.2f}"


def mega(figure: dict[str, float] | None) -> str:
    return "-" if figure is None else f"{figure['mean'] / 1e6:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
