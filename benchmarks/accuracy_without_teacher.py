"""How accurate is a network trained with the defaults and no teacher, and what does `balanced` save?

    python benchmarks/accuracy_without_teacher.py words --data-dir DIR     (Arabic Speech Commands, size base)
    python benchmarks/accuracy_without_teacher.py esc10 --data-dir DIR     (ESC-10, fold 1, size small)

Trains with `python -m bnn_exit.train`, measures the exported file with `python -m bnn_exit.evaluate`, writes
results/accuracy_without_teacher_NAME.json and exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TRAIN_OPTIONS = {
    "words": ["--task", "speech_commands", "--size", "base", "--teacher", "none"],
    "esc10": ["--task", "esc10", "--fold", "1", "--size", "small", "--teacher", "none"],
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("name", choices=TRAIN_OPTIONS)
    arguments.add_argument("--data-dir", required=True)
    arguments.add_argument("--out", help="run folder to make (default: runs/benchmark-NAME)")
    arguments.add_argument("--reuse", action="store_true", help="measure the run that is already in --out")
    options = arguments.parse_args()
    folder = Path(options.out or f"runs/benchmark-{options.name}")
    train = ["-m", "bnn_exit.train", *TRAIN_OPTIONS[options.name], "--data-dir", options.data_dir, "--out", str(folder)]
    if not options.reuse:
        subprocess.run([sys.executable, *train], check=True)
    subprocess.run([sys.executable, "-m", "bnn_exit.evaluate", str(folder)], check=True)
    result = collect(options.name, folder)
    path = RESULTS / f"accuracy_without_teacher_{options.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for bar in result["bars"]:
        print(f"{'met   ' if bar['met'] else 'MISSED'} {bar['what']}: {bar['figure']:.4g} (bar: {bar['bar']})")
    print(f"wrote {path}")
    return 0 if all(bar["met"] for bar in result["bars"]) else 1


def collect(name: str, folder: Path) -> dict:
    read = {part: json.loads((folder / f"{part}.json").read_text()) for part in ("environment", "history", "metrics")}
    metrics, history = read["metrics"], read["history"]
    seconds = sum(epoch["seconds"] for epoch in history)
    waiting = sum(epoch["seconds"] * epoch["waiting_share"] for epoch in history) / seconds
    training = {
        "epochs": len(history),
        "seconds_in_epochs": round(seconds, 1),
        "seconds_with_validation": round(sum(epoch["total_seconds"] for epoch in history), 1),
        "processor_seconds_with_validation": round(sum(epoch["processor_seconds"] for epoch in history), 1),
        "share_waiting_for_data": round(waiting, 5),
        "epochs_log": history,
    }
    command = shlex.join(["python", "benchmarks/accuracy_without_teacher.py", name, "--data-dir", "DIR"])
    return {
        "question": __doc__.splitlines()[0],
        "command": command,
        "environment": read["environment"],
        "bars": bars(name, metrics, training),
        "training": training,
        "metrics": metrics,
    }


def bars(name: str, metrics: dict, training: dict) -> list[dict]:
    final = metrics["exits"][-1]["accuracy"]
    balanced = metrics["operating_points"]["balanced"]
    if name == "esc10":
        return [
            bar("test accuracy of the final exit, ESC-10 fold 1 (above the published random forest)", final, ">", 0.727)
        ]
    minutes = training["seconds_with_validation"] / 60
    return [
        bar("test accuracy of the final exit", final, ">=", 0.97),
        bar("balanced: test accuracy below the final exit", final - balanced["accuracy"], "<=", 0.007),
        bar(
            "balanced: mean binary MACs against the full network", balanced["relative_cost"]["binary_macs"], "<=", 0.45
        ),
        bar("minutes of training", minutes, "<=", 25),
        bar("share of an epoch spent waiting for data", training["share_waiting_for_data"], "<=", 0.05),
    ]


def bar(what: str, figure: float, relation: str, limit: float) -> dict:
    met = {">": figure > limit, ">=": figure >= limit, "<=": figure <= limit}[relation]
    return {"what": what, "figure": round(figure, 6), "bar": f"{relation} {limit}", "met": met}


if __name__ == "__main__":
    raise SystemExit(main())
