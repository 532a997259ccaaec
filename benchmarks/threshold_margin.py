"""Do thresholds keep their promise on speakers that they have not met, and what does a margin change?

    python benchmarks/threshold_margin.py RUN [--data-dir DIR]

Splits the validation speakers of a run into halves in every way, chooses thresholds on one half and measures the
accuracy lost and the cost on the other, for several margins in standard errors. The test split is not touched. Writes
results/threshold_margin.json.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
from pathlib import Path

import numpy as np
from command_line import called

import audio_tasks
from bnn_exit import machine
from bnn_exit.calibrate.from_model import answers_of
from bnn_exit.calibrate.operating_points import DROPS, describe, operating_points
from bnn_exit.files import write_json
from bnn_exit.models.multi_exit import build
from bnn_exit.training import checkpoint
from bnn_exit.training.loop import BEST
from bnn_exit.training.runs import RunConfig

RESULT = Path(__file__).parent / "results" / "threshold_margin.json"
MARGINS = (0.0, 0.5, 1.0, 1.645, 2.0, 3.0)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--data-dir")
    options = arguments.parse_args()
    config = RunConfig.load(options.run)
    task_options = {**config.task.options, **({"data_dir": options.data_dir} if options.data_dir else {})}
    task = audio_tasks.load(config.task.name, features=config.task.features, **task_options)
    model = build(**config.model.to_dict(), num_classes=task.num_classes, input_shape=task.input_shape)
    checkpoint.load(options.run / BEST, variables=model.keras_model.weights)
    answers = answers_of(model, task, split="validation")
    rows = []
    for margin in MARGINS:
        found = list(halves(answers, task, model.costs(), margin))
        for name in found[0]:
            losses = [half[name]["lost"] for half in found]
            row = {
                "margin": margin,
                "operating_point": name,
                "allowed": DROPS[name] or 0.0,
                "mean_lost": float(np.mean(losses)),
                "p90_lost": float(np.quantile(losses, 0.9)),
                "mean_relative_binary_macs": float(np.mean([half[name]["cost"] for half in found])),
            }
            rows.append(row)
            print(" ".join(f"{value:.4f}" if isinstance(value, float) else f"{value:9s}" for value in row.values()))
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": called(__file__, None),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine.describe(),
            "versions": machine.versions(),
            "task": task.name,
            "split": "validation, speakers halved in every way",
            "sample_count": len(task.validation),
            "halvings": len(found),
            "rows": rows,
        },
    )
    return 0


def halves(answers, task, costs, margin):
    speakers = np.array(task.validation.speakers)
    names = np.unique(speakers)
    for chosen in itertools.combinations(names, len(names) // 2):
        half = np.isin(speakers, chosen)
        points = operating_points(answers.part(half), costs, standard_errors=margin)
        other = answers.part(~half)
        figures = {}
        for name, point in points.items():
            met = describe(name, point.thresholds, other, costs, max_accuracy_drop=point.max_accuracy_drop)
            cost = met.mean_cost["binary_macs"] / costs[-1].binary_macs
            figures[name] = {"lost": float(other.correct[:, -1].mean()) - met.accuracy, "cost": cost}
        yield figures


if __name__ == "__main__":
    raise SystemExit(main())
