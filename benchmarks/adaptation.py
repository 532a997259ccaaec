"""Do early exits that are refitted without labels win back what a noise of the place has cost?

    python benchmarks/adaptation.py RUN --data-dir DIR --noise-dir DIR        (writes results/adaptation.json)

RUN was trained on the words in --data-dir (Arabic Speech Commands), without the sounds in --noise-dir (ESC-10). Noise
makes exits unsure: clips go deeper. `bnn_exit.adapt` refits the early exits on unlabelled noisy clips of the validation
split; its other clips, noisy too and without their labels, choose thresholds, and test clips give the figures. Their
noise is of the same kinds, from other recordings. Three rows are compared by mean ops at equal agreement, the share of
clips that get the label of the full network on the same sound: the exits as trained on clean clips and on noisy ones,
and the adapted exits on noisy clips. The bar: at a point of agreement lost, half of the ops that noise has cost are won
back.

The ratio of clip to noise is uniform in dB, of mean power over the clip and over the cut of the noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from result_file import called, report

import audio_tasks
from bnn_exit import machine, policies
from bnn_exit.audio import logmel
from bnn_exit.calibration.agreement import answered
from bnn_exit.calibration.operating_points import describe, search_thresholds
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import write_json
from bnn_exit.policies import Policy, Sizes
from bnn_exit.runs.folder import RunFolder

RESULT = Path(__file__).parent / "results" / "adaptation.json"
LEVELS = (0.995, 0.99, 0.98, 0.95)
"""Agreements at which ops are compared."""
BAR_LEVEL, BAR = 0.99, 0.5
LOST = (0.0, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
"""Agreement that thresholds may lose on the clips that choose them; the figures between are interpolated."""
NOISE_FOLD = 5
"""Of ESC-10: its recordings are behind test clips, those of the other folds behind all others."""


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/adaptation.py", description=text[0], epilog=text[2])
    arguments.add_argument("run", metavar="RUN", help="a finished run of speech_commands")
    arguments.add_argument("--data-dir", metavar="DIR", required=True, help="folder of the words")
    arguments.add_argument("--noise-dir", metavar="DIR", required=True, help="folder of ESC-10")
    arguments.add_argument("--cache-dir", metavar="DIR", help="where decoded clips and features are kept")
    arguments.add_argument("--kinds", metavar="A,B", help="sounds of ESC-10, such as rain (default: all ten)")
    arguments.add_argument("--clips", type=positive_int, default=500, help="unlabelled clips to learn from (500)")
    arguments.add_argument("--limit", type=positive_int, metavar="N", help="so many test and threshold clips at most")
    arguments.add_argument("--snr-db", type=float, nargs=2, default=(0.0, 10.0), metavar="DB", help="(0 10)")
    arguments.add_argument("--epochs", type=positive_int, default=30, help="of bnn_exit.adapt (30)")
    arguments.add_argument("--seed", type=int, default=0, help="of clips, noise and training (0)")
    arguments.add_argument("--result", type=Path, default=RESULT, metavar="FILE", help="the JSON to write")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    run = RunFolder(options.run)
    places = {"cache_dir": options.cache_dir}
    task = audio_tasks.load_again(run.config.task, data_dir=options.data_dir, **places)
    noises = audio_tasks.load("esc10", data_dir=options.noise_dir, fold=NOISE_FOLD, features=task.features, **places)
    result = {"question": __doc__.splitlines()[0], "command": command, **machine.provenance()}
    result |= measure(run, task, noises, options)
    write_json(options.result, result)
    print(table(result))
    won = result["won_back"][f"{BAR_LEVEL:g}"]
    what = f"share of the lost ops won back at {100 * BAR_LEVEL:g} % agreement"
    return report([{"what": what, "figure": won, "bar": BAR, "met": won is not None and won >= BAR}])


def measure(run: RunFolder, task: Any, noises: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The three rows, and how much the third wins back."""
    import bnn_exit
    from bnn_exit._keras import make_repeatable

    make_repeatable()
    random = np.random.default_rng(options.seed)
    order = random.permutation(len(task.validation))
    if len(order) <= options.clips:
        raise ArgumentError(f"--clips is {options.clips}, but must leave some of {len(order)} validation clips")
    learning, choosing = order[: options.clips], order[options.clips :][: options.limit]
    testing = random.permutation(len(task.test))[: options.limit]
    kinds = noises.labels if options.kinds is None else options.kinds.split(",")
    behind = recordings(noises, ("train", "validation"), kinds)
    behind_test = recordings(noises, ("test",), kinds)

    def noisy(split: Any, chosen: np.ndarray, sounds: list[np.ndarray]) -> np.ndarray:
        mixed = (with_noise(split.waveform(index), sounds, random, options.snr_db) for index in chosen)
        return np.stack([logmel.log_mel(each, task.features) for each in mixed])

    sets = {"learning": noisy(task.validation, learning, behind)}
    sets["choosing"] = noisy(task.validation, choosing, behind)
    sets["test"] = noisy(task.test, testing, behind_test)
    clean = {"choosing": task.log_mel("validation")[choosing], "test": task.log_mel("test")[testing]}
    labels = np.asarray(task.test.labels, np.int64)[testing]
    model, policy = run.network(), policies.fit(policies.DEFAULT)
    costs = model.exit_costs().with_policy(policy, Sizes(model.num_classes))
    rows = {"clean": row(model, clean, labels, costs, policy), "noisy": row(model, sets, labels, costs, policy)}
    bnn_exit.adapt(
        model, sets["learning"], epochs=options.epochs, seed=options.seed, features=task.features, progress=False
    )
    rows["adapted"] = row(model, sets, labels, costs, policy)
    return {
        "task": task.name,
        "licence": task.licence,
        "attribution": task.attribution,
        "noise": f"ESC-10: {', '.join(kinds)}; fold {NOISE_FOLD} behind test clips, the others behind all others",
        "noise_licence": noises.licence,
        "noise_attribution": noises.attribution,
        "snr_db": list(options.snr_db),
        "split": "test",
        "sample_count": len(testing),
        "learning_clips": len(learning),
        "threshold_clips": len(choosing),
        "measured_with": "Keras",
        "model": run.config.model.to_dict(),
        "seed": options.seed,
        "epochs": options.epochs,
        "full_ops": costs[-1].ops,
        "rows": rows,
        "won_back": {
            f"{level:g}": won_back(*(rows[name]["ops_at_agreement"][f"{level:g}"] for name in rows)) for level in LEVELS
        },
    }


def recordings(noises: Any, splits: tuple[str, ...], kinds: Any) -> list[np.ndarray]:
    """The sounds of these kinds, float32 [samples]; ArgumentError for an unknown kind."""
    unknown = sorted(set(kinds) - set(noises.labels))
    if unknown:
        raise ArgumentError(f"--kinds has {unknown[0]!r}, but ESC-10 has {', '.join(noises.labels)}")
    parts = [noises.split(name) for name in splits]
    found = [
        part.waveform(index)
        for part in parts
        for index in range(len(part))
        if noises.labels[part.labels[index]] in kinds
    ]
    return [sound for sound in found if np.any(sound)]


def with_noise(
    waveform: np.ndarray, sounds: list[np.ndarray], random: np.random.Generator, snr_db: tuple[float, float]
) -> np.ndarray:
    """The clip with a cut of one of the sounds behind it; a clip of digital silence stays as it is."""
    sound = sounds[random.integers(len(sounds))]
    start = random.integers(max(1, len(sound) - len(waveform) + 1))
    cut = np.resize(sound[start:], len(waveform)).astype(np.float64)
    ratio = 10 ** (-random.uniform(*snr_db) / 10)
    power, of_cut = np.mean(np.square(waveform, dtype=np.float64)), np.mean(np.square(cut))
    if not of_cut:  # a pause in the recording
        return waveform
    return np.clip(waveform + cut * np.sqrt(ratio * power / of_cut), -1, 1).astype(np.float32)


def row(
    model: Any, sets: dict[str, np.ndarray], labels: np.ndarray, costs: tuple[Cost, ...], policy: Policy
) -> dict[str, Any]:
    """Agreement and accuracy of each exit on test clips, and ops at equal agreement."""
    choosing, test = (answered(ExitLogits(model.logits(np.asarray(sets[name])))) for name in ("choosing", "test"))
    curve = [point(choosing, test, costs, policy, lost=lost) for lost in LOST]
    return {
        "agreement": test.correct.mean(axis=0).tolist(),
        "accuracy": (test.logits.argmax(axis=-1) == labels[:, None]).mean(axis=0).tolist(),
        "curve": [{"agreement": agreement, "ops": ops} for agreement, ops in curve],
        "ops_at_agreement": {f"{level:g}": ops_at(level, curve, full=costs[-1].ops) for level in LEVELS},
    }


def point(
    choosing: ExitLogits, test: ExitLogits, costs: tuple[Cost, ...], policy: Policy, *, lost: float
) -> tuple[float, float]:
    """Agreement and mean ops on `test` with thresholds that lose so much agreement on `choosing`."""
    thresholds = search_thresholds(choosing, costs, max_accuracy_drop=lost, standard_errors=0, policy=policy)
    found = describe("", thresholds, test, costs, policy=policy, max_accuracy_drop=lost)
    return found.accuracy, found.mean_cost["ops"]


def ops_at(level: float, curve: list[tuple[float, float]], *, full: float) -> float | None:
    """The least ops of an agreement of `level` or more: between two points of the curve, or the full network, it is
    interpolated. None if even the last point agrees better: the curve does not reach so far down."""
    points = sorted([(1.0, full), *curve], key=lambda each: (-each[0], each[1]))
    best = full
    for (above, dear), (below, cheap) in zip(points, points[1:]):
        best = min(best, dear)
        if below < level:
            return min(best, cheap + (dear - cheap) * (level - below) / (above - below))
    return None


def won_back(clean: float | None, noisy: float | None, adapted: float | None) -> float | None:
    """The share of the ops lost to noise that the adapted exits save; None where noise costs nothing."""
    if clean is None or noisy is None or adapted is None or noisy <= clean:
        return None
    return (noisy - adapted) / (noisy - clean)


def table(result: dict[str, Any]) -> str:
    """Ops in percent of the whole network, a column for each agreement."""
    lines = ["| ops at an agreement of | " + " | ".join(f"{100 * level:g} %" for level in LEVELS) + " |"]
    lines.append("|---|" + "---:|" * len(LEVELS))
    for name, each in result["rows"].items():
        cells = (each["ops_at_agreement"][f"{level:g}"] for level in LEVELS)
        shares = ("-" if ops is None else f"{100 * ops / result['full_ops']:.1f} %" for ops in cells)
        lines.append(f"| {name} | {' | '.join(shares)} |")
    won = ("-" if share is None else f"{share:.2f}" for share in result["won_back"].values())
    return "\n".join([*lines, f"| won back | {' | '.join(won)} |"])


if __name__ == "__main__":
    raise SystemExit(main())
