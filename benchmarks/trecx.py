"""Is T-RecX rebuilt right: does one early exit save on its own network what its paper says?

    python benchmarks/trecx.py train plain|view|no_view ... --seeds 0 --data-dir DIR    (minutes each; resumes)
    python benchmarks/trecx.py measure --seeds 0 --data-dir DIR

T-RecX (Ghanathe and Wilton, CF 2023) puts one exit after the second of the four separable blocks of a DS-CNN. Its table
1: one point below the network without exits, a clip costs 62.3 % of its operations. Here the same network, in float,
learns 40 Arabic words from our log-mel (10 bands, 20 ms), 60 epochs: `plain` has no exit, `view` the exit and the early
view of the paper, with its loss (0.3 for the exit) and copying for 80 % of the epochs, by the head and the scheme
`early_view` of this package, `no_view` the exit alone with the same loss. As in the paper one threshold of the largest
probability, 0 to 1 by 0.01, is swept over the test split, and the exit's head is always paid; thresholds from the
validation split are given too. DIR is the folder of the words. Writes results/trecx.json; the exit status is 1 if the
share is above 62.3 % at one point below `plain`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import ds_cnn
import numpy as np
import schemes as table
from result_file import called, report

import audio_tasks
from bnn_exit import machine, policies
from bnn_exit.calibration.operating_points import describe, search_thresholds
from bnn_exit.command_line import Parser, run_command
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import read_json, write_json

RESULT = Path(__file__).parent / "results" / "trecx.json"
RUNS = Path("runs/trecx")
VARIANTS = {"plain": "no exit", "view": "exit with the early view", "no_view": "exit without it"}
PUBLISHED_SHARE = 0.623
INPUT = ds_cnn.INPUTS["mel10"]
EPOCHS, LEARNING_RATE, EXIT_WEIGHT = 60, 0.003, 0.3
EXIT_AFTER = 2
"""Separable blocks before the exit."""


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/trecx.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    for verb, about in (("train", "train networks"), ("measure", "measure all of them")):
        command = commands.add_parser(verb, prog=f"python benchmarks/trecx.py {verb}", description=about, epilog="")
        if verb == "train":
            command.add_argument("variants", nargs="+", metavar="VARIANT", help=", ".join(VARIANTS))
        command.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N", help="(0)")
        command.add_argument("--data-dir", required=True, metavar="DIR", help="folder of the words")
        command.add_argument("--runs", type=Path, default=RUNS, help=f"where the folders are ({RUNS})")
        command.add_argument("--epochs", type=int, default=EPOCHS, help=f"of a training ({EPOCHS})")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    if options.verb == "measure":
        return measure(options, command)
    for variant in options.variants:
        one_of("variant", variant, VARIANTS)
    task = audio_tasks.load("speech_commands", data_dir=options.data_dir, features=INPUT.features)
    for seed in options.seeds:
        for variant in options.variants:
            train(variant, seed, task, options.runs / f"{variant}-seed{seed}", epochs=options.epochs)
    return 0


def train(variant: str, seed: int, task: Any, folder: Path, *, epochs: int) -> None:
    """Train one network, or finish it; a finished one is left as it is."""
    from bnn_exit._keras import set_seed
    from bnn_exit.training import TrainConfig, fit, schemes
    from bnn_exit.training.exit_loss import LabelLoss
    from bnn_exit.training.schemes import SchemeConfig, SchemeObjective

    if (folder / "history.json").is_file():
        print(f"{folder}: trained already")
        return
    set_seed(seed)
    model = network(variant, task)
    config = TrainConfig(epochs=epochs, learning_rate=LEARNING_RATE, seed=seed)
    objective = None
    if variant != "plain":
        chosen = SchemeConfig("early_view", {"early_weight": EXIT_WEIGHT})
        if variant == "no_view":
            chosen = SchemeConfig("joint", {"weights": [EXIT_WEIGHT, 1.0]})
        scheme = schemes.make(chosen)
        (phase,) = scheme.phases(2)
        exit_loss = LabelLoss(label_smoothing=config.label_smoothing)
        objective = SchemeObjective(model, scheme=scheme, phase=phase, exit_loss=exit_loss, weights=[1.0, 1.0])
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{folder}: {VARIANTS[variant]}, {epochs} epochs", file=sys.stderr)
    history = fit(model, task, config=config, augment=INPUT.augment(), objective=objective, folder=folder, resume=True)
    write_json(folder / "history.json", history)


def network(variant: str, task: Any) -> Any:
    """The DS-CNN, cut after the blocks before the exit if it has one."""
    from bnn_exit._keras import keras
    from bnn_exit.models.exit_heads import exit_heads
    from bnn_exit.models.multi_exit import MultiExitModel
    from bnn_exit.models.standardise import Standardise

    layers = keras.layers
    if variant == "plain":
        return ds_cnn.DsCnn("S", INPUT, input_shape=task.input_shape, num_classes=task.num_classes)
    plain = ds_cnn.network("S", input_shape=task.input_shape, num_classes=task.num_classes)
    blocks = [layer for layer in plain.layers if isinstance(layer, layers.DepthwiseConv2D)]
    cut = blocks[EXIT_AFTER].input  # what the third block reads
    end = next(layer for layer in plain.layers if isinstance(layer, layers.GlobalAveragePooling2D)).input
    source = keras.Input(task.input_shape)
    first = keras.Model(source, keras.Model(plain.input, cut)(Standardise(name="standardise")(source)), name="stage_1")
    stages = [first, keras.Model(cut, end, name="stage_2")]
    if variant == "view":
        heads = exit_heads("early_view", stages, task.num_classes)
    else:
        heads = [exit_heads(head, stages, task.num_classes)[k] for k, head in enumerate(("strided", "pooled"))]
    return MultiExitModel(stages, heads, foreign=True)


def measure(options: argparse.Namespace, command: str) -> int:
    """Measure every variant with every seed."""
    task = audio_tasks.load("speech_commands", data_dir=options.data_dir, features=INPUT.features)
    found: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
    for seed in options.seeds:
        for variant, results in found.items():
            results.append({"seed": seed, **figures(variant, options.runs / f"{variant}-seed{seed}", task)})
    base = statistics.mean(each["exits"][-1]["accuracy"] for each in found["plain"])
    whole = found["plain"][0]["exits"][-1]["ops"]
    for variant in ("view", "no_view"):
        for each in found[variant]:
            each["share_at"] = {}
            for loss in (0.0, *table.TRECX_LOSSES):
                ops = table.cheapest(each["swept_on_test"], base - loss)
                each["share_at"][str(loss)] = None if ops is None else ops / whole
    shares = [each["share_at"]["0.01"] for each in found["view"]]
    figure = None if None in shares else statistics.mean(shares)
    finals = {v: statistics.mean(each["exits"][-1]["accuracy"] for each in found[v]) for v in ("view", "no_view")}
    overthinking = {v: statistics.mean(each["overthinking"] for each in found[v]) for v in ("view", "no_view")}
    bars = [
        {
            "what": "ops at one point below the network without exits, of its ops",
            "figure": "never reached" if figure is None else figure,
            "bar": f"<= {PUBLISHED_SHARE}",
            "met": figure is not None and figure <= PUBLISHED_SHARE,
        }
    ]
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": command,
            **machine.provenance(),
            "task": task.name,
            "licence": task.licence,
            "attribution": task.attribution,
            "split": "test",
            "threshold": "swept over the test split, as published; from_validation: chosen on the validation split",
            "sample_counts": {name: len(split) for name, split in task.splits.items()},
            "epochs": options.epochs,
            "networks": found,
            "final_accuracy": finals,
            "overthinking": overthinking,
            "bars": bars,
        },
    )
    for variant, results in found.items():
        for each in results:
            exits = " / ".join(f"{100 * part['accuracy']:.2f}" for part in each["exits"])
            print(f"{variant} seed {each['seed']}: {exits} %, shares {each.get('share_at')}")
    print(f"last exit: with the early view {100 * finals['view']:.2f} %, without {100 * finals['no_view']:.2f} %")
    print(f"right early, wrong at the end: {100 * overthinking['view']:.2f} and {100 * overthinking['no_view']:.2f} %")
    print(f"wrote {RESULT}", file=sys.stderr)
    return report(bars)


def figures(variant: str, folder: Path, task: Any) -> dict[str, Any]:
    """What one network reaches on the test split."""
    from bnn_exit.models import profile
    from bnn_exit.training import checkpoint

    if not (folder / "history.json").is_file():
        raise ArgumentError(f"{folder} holds no finished training: python benchmarks/trecx.py train {variant} first")
    model = network(variant, task)
    checkpoint.load(folder / "best.npz", variables=model.keras_model.weights)
    logits = {
        name: ExitLogits(model.logits(np.asarray(task.log_mel(name))), task.splits[name].labels, split=name)
        for name in ("validation", "test")
    }
    test = logits["test"]
    costs = [profile.cost(model.network)] if variant == "plain" else list(model.costs())
    found: dict[str, Any] = {
        "exits": [
            {"accuracy": float(share), "ops": cost.ops}
            for share, cost in zip(test.correct.mean(axis=0), costs, strict=True)
        ],
        "parameters": model.keras_model.count_params(),
        "epochs": len(read_json(folder / "history.json")),
    }
    if variant == "plain":
        return found
    policy = policies.fit("max_probability")
    found["from_validation"] = []
    for loss in table.TRECX_LOSSES:
        thresholds = search_thresholds(
            logits["validation"], costs, max_accuracy_drop=loss, standard_errors=0.0, policy=policy
        )
        point = describe("point", thresholds, test, costs, policy=policy, max_accuracy_drop=loss)
        found["from_validation"].append({"limit": loss, "accuracy": point.accuracy, "ops": point.mean_cost["ops"]})
    right = test.correct
    return found | {
        "swept_on_test": table.swept(test, [cost.ops for cost in costs]),
        "overthinking": float((right[:, 0] & ~right[:, -1]).mean()),
    }


if __name__ == "__main__":
    raise SystemExit(main())
