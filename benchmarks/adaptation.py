"""Do early exits that are refitted without labels win back what the noise of an environment has cost?

    python benchmarks/adaptation.py measure RUN ENVIRONMENT... --data-dir DIR --noise-dir DIR    (minutes each; resumes)
    python benchmarks/adaptation.py table                    (the table, and results/adaptation.json)

RUN was trained on the words in --data-dir (Arabic Speech Commands), without the sounds in --noise-dir (ESC-10).
ENVIRONMENT is one of ENVIRONMENTS, or all: the words with one kind of noise at a signal-to-noise ratio of 10 to 20 dB,
with all ten kinds, or with all of them at 0 to 10 dB. Noise makes exits unsure: clips go deeper. `bnn_exit.adapt`
refits the early exits on unlabelled noisy clips, as a device records them from its own users: all clips are of the test
split, whose speakers are not in training. Some are learned from, and so are the clips of training and validation with
the background that these have beside their words (--replays); no label is used. Half of the rest choose thresholds,
without their labels, and the other half gives the figures, with other recordings of the same kinds of noise. Rows are
compared by mean ops at equal agreement, the share of clips that get the label of the full network on the same sound:
the exits as trained on clean clips and on noisy ones, and the adapted exits on noisy clips, once without those clips.
The bar: at a point of agreement lost, half of the ops that the noise of the ten kinds has cost, summed over them, are
won back.

The ratio of clip to noise is uniform in dB, of mean power over the clip and over the cut of the noise. --split
validation takes other speakers and other noise, for trying settings of the training.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from result_file import called, report

import audio_tasks
from bnn_exit import machine, policies
from bnn_exit.audio import logmel
from bnn_exit.calibration.agreement import answered
from bnn_exit.calibration.operating_points import describe, search_thresholds
from bnn_exit.command_line import Parser, count, positive_int, run_command
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import read_json, write_json
from bnn_exit.policies import Policy, Sizes
from bnn_exit.runs.folder import RunFolder

RESULTS = Path(__file__).parent / "results"
LEVELS = (0.995, 0.99, 0.98)
"""Agreements at which ops are compared."""
BAR_LEVEL, BAR = 0.99, 0.5
LOST = (0.0, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
"""Agreement that thresholds may lose on the clips that choose them; the figures between are interpolated."""
NOISE_FOLD = 5
"""Of ESC-10: its recordings are behind the clips that give figures, those of the other folds behind all others."""

KINDS = (
    "rain",
    "sea_waves",
    "crackling_fire",
    "helicopter",
    "chainsaw",
    "clock_tick",
    "crying_baby",
    "dog",
    "rooster",
    "sneezing",
)


class Environment(NamedTuple):
    """Its kinds of noise, and the lowest and highest signal-to-noise ratio in dB."""

    kinds: tuple[str, ...]
    snr_db: tuple[float, float] = (10.0, 20.0)


ENVIRONMENTS = {
    **{kind: Environment((kind,)) for kind in KINDS},
    "all_kinds": Environment(KINDS),
    "all_kinds_loud": Environment(KINDS, (0.0, 10.0)),
}


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/adaptation.py", description=text[0], epilog=text[2])
    commands = arguments.add_subparsers(dest="verb", required=True)
    measuring = commands.add_parser("measure", prog=f"{arguments.prog} measure", description="measure", epilog="")
    measuring.add_argument("run", metavar="RUN", help="a finished run of speech_commands")
    measuring.add_argument("environments", nargs="+", metavar="ENVIRONMENT", help=f"{', '.join(ENVIRONMENTS)} or all")
    measuring.add_argument("--data-dir", metavar="DIR", required=True, help="folder of the words")
    measuring.add_argument("--noise-dir", metavar="DIR", required=True, help="folder of ESC-10")
    measuring.add_argument("--cache-dir", metavar="DIR", help="where decoded clips and features are kept")
    measuring.add_argument("--split", choices=("test", "validation"), default="test", help="(test)")
    measuring.add_argument("--clips", type=positive_int, default=500, help="unlabelled clips to learn from (500)")
    measuring.add_argument(
        "--limit", type=positive_int, metavar="N", help="so many clips at most for thresholds and figures"
    )
    measuring.add_argument("--views", type=positive_int, default=40, help="of bnn_exit.adapt (40)")
    measuring.add_argument("--replays", type=positive_int, default=6, help="of bnn_exit.adapt (6)")
    measuring.add_argument("--hidden", type=count, help="of bnn_exit.adapt (its default)")
    measuring.add_argument("--epochs", type=positive_int, default=8, help="of bnn_exit.adapt (8)")
    measuring.add_argument("--seed", type=int, default=0, help="of clips, noise and training (0)")
    measuring.add_argument(
        "--results", type=Path, metavar="DIR", help="where ENVIRONMENT.json is written (test split: results/adaptation)"
    )
    commands.add_parser("table", prog=f"{arguments.prog} table", description="print the table", epilog="")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    if options.verb == "table":
        return summarise(command)
    every = list(ENVIRONMENTS) if options.environments == ["all"] else options.environments
    names = [one_of("environment", name, [*ENVIRONMENTS, "all"]) for name in every]
    if options.split != "test" and options.results is None:
        raise ArgumentError(
            f"--split is {options.split!r}, but the results that are kept are of test: give --results DIR"
        )
    folder = options.results or RESULTS / "adaptation"
    run = RunFolder(options.run)
    cache = {"cache_dir": options.cache_dir}
    task = audio_tasks.load_again(run.config.task, data_dir=options.data_dir, **cache)
    noises = audio_tasks.load("esc10", data_dir=options.noise_dir, fold=NOISE_FOLD, features=task.features, **cache)
    for name in names:
        path = folder / f"{name}.json"
        if path.is_file():
            print(f"{name}: measured already, in {path}")
            continue
        result = {
            "environment": name,
            "command": command,
            **machine.provenance(),
            **measure(run, name, task, noises, options),
        }
        write_json(path, result)
        print(f"{name}: {', '.join(f'{each} at {level}' for level, each in shares(result).items())}; wrote {path}")
    return 0


def measure(run: RunFolder, name: str, task: Any, noises: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The three rows of an environment, and how much the third wins back."""
    import bnn_exit
    from bnn_exit._keras import make_repeatable

    make_repeatable()
    environment = ENVIRONMENTS[name]
    random = np.random.default_rng([options.seed, list(ENVIRONMENTS).index(name)])
    clips = task.split(options.split)
    order = random.permutation(len(clips))
    if len(order) <= options.clips + 1:
        raise ArgumentError(f"--clips is {options.clips}, but must leave two of {len(order)} clips of the split")
    learning = order[: options.clips]
    choosing, testing = (part[: options.limit] for part in np.array_split(order[options.clips :], 2))
    if options.split == "test":
        folds: dict[str, tuple[str, ...]] = {"others": ("train", "validation"), "test": ("test",)}
    else:
        folds = {"others": ("train",), "test": ("validation",)}
    behind = {who: recordings(noises, splits, environment.kinds) for who, splits in folds.items()}

    def noisy(chosen: np.ndarray, who: str) -> np.ndarray:
        mixed = (with_noise(clips.waveform(index), behind[who], random, environment.snr_db) for index in chosen)
        return np.stack([logmel.log_mel(each, task.features) for each in mixed])

    unlabelled = noisy(learning, "others")
    sets = {"choosing": noisy(choosing, "others"), "test": noisy(testing, "test")}
    log_mel = task.log_mel(options.split)
    clean = {"choosing": log_mel[choosing], "test": log_mel[testing]}
    labels = np.asarray(clips.labels, np.int64)[testing]
    model, policy = run.network(), policies.fit(policies.DEFAULT)
    costs = model.exit_costs().with_policy(policy, Sizes(model.num_classes))
    full_ops = costs[-1].ops
    rows = {"clean": row(model, clean, labels, costs, policy), "noisy": row(model, sets, labels, costs, policy)}
    training = {"views": options.views, "epochs": options.epochs, "seed": options.seed}
    others = ("train", "validation") if options.split == "test" else ("train",)
    replay = np.concatenate([task.log_mel(each) for each in others])
    weights = model.keras_model.get_weights()
    for name, more in (("alone", {}), ("adapted", {"replay": replay, "replays": options.replays})):
        model.keras_model.set_weights(weights)
        wide = model if options.hidden == 0 else model.with_hidden_layers(options.hidden)
        bnn_exit.adapt(wide, unlabelled, features=task.features, progress=False, **training, **more)
        costs = wide.exit_costs().with_policy(policy, Sizes(model.num_classes))
        rows[name] = row(wide, sets, labels, costs, policy)
    return {
        "task": task.name,
        "licence": task.licence,
        "attribution": task.attribution,
        "noise": f"ESC-10: {', '.join(environment.kinds)}; behind figures recordings of another fold",
        "noise_licence": noises.licence,
        "noise_attribution": noises.attribution,
        "snr_db": list(environment.snr_db),
        "split": options.split,
        "sample_count": len(testing),
        "learning_clips": len(learning),
        "threshold_clips": len(choosing),
        "measured_with": "Keras",
        "model": run.config.model.to_dict(),
        **training,
        "replays": options.replays,
        "replayed_clips": len(replay),
        "hidden": options.hidden,
        "full_ops": full_ops,
        "rows": rows,
        "won_back": won_over([{"rows": rows}], "adapted"),
        "won_back_alone": won_over([{"rows": rows}], "alone"),
    }


def ops_of(row: dict[str, Any], level: float) -> float | None:
    found: float | None = row["ops_at_agreement"][f"{level:g}"]
    return found


def summarise(command: str) -> int:
    """Print the table, write the summary, and say whether the bar is met."""
    found = {name: path for name in ENVIRONMENTS if (path := RESULTS / "adaptation" / f"{name}.json").is_file()}
    results = {name: read_json(path) for name, path in found.items()}
    kinds = [results[name] for name in KINDS if name in results]
    summary = {
        "question": __doc__.splitlines()[0],
        "command": command,
        "learning_clips": sorted({result["learning_clips"] for result in results.values()}),
        "environments": {
            name: {
                "snr_db": result["snr_db"],
                "agreement": {row: result["rows"][row]["agreement"] for row in result["rows"]},
                "accuracy": {row: result["rows"][row]["accuracy"] for row in result["rows"]},
                "ops": {
                    row: {
                        f"{level:g}": share(ops_of(result["rows"][row], level), result["full_ops"]) for level in LEVELS
                    }
                    for row in result["rows"]
                },
                "won_back": result["won_back"],
                "won_back_alone": result["won_back_alone"],
            }
            for name, result in results.items()
        },
        "kinds": [result["environment"] for result in kinds],
        "won_back": won_over(kinds, "adapted"),
        "won_back_alone": won_over(kinds, "alone"),
    }
    write_json(RESULTS / "adaptation.json", summary)
    print(table(summary))
    figure = summary["won_back"][f"{BAR_LEVEL:g}"]
    what = f"share of the lost ops won back at {100 * BAR_LEVEL:g} % agreement, over {len(kinds)} kinds of noise"
    return report([{"what": what, "figure": figure, "bar": BAR, "met": figure is not None and figure >= BAR}])


def won_over(results: list[dict[str, Any]], name: str) -> dict[str, float | None]:
    """Agreement -> what a row wins back of all that the noise of some environments has cost together."""
    found: dict[str, float | None] = {}
    for level in LEVELS:
        ops = [[ops_of(result["rows"][row], level) for row in ("clean", "noisy", name)] for result in results]
        known = bool(ops) and all(each is not None for row in ops for each in row)
        found[f"{level:g}"] = won_back(*np.sum(ops, axis=0).tolist()) if known else None
    return found


def share(ops: float | None, full: float) -> float | None:
    return None if ops is None else ops / full


def shares(result: dict[str, Any]) -> dict[str, str]:
    """Agreement -> what is won back, as text."""
    return {level: "-" if each is None else f"{each:.2f}" for level, each in result["won_back"].items()}


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


def table(summary: dict[str, Any]) -> str:
    """Ops in percent of the whole network at the agreement of the bar, and what is won back at each agreement."""
    level = f"{BAR_LEVEL:g}"
    lines = [f"| environment | SNR, dB | ops at {100 * BAR_LEVEL:g} %: clean | noisy | without replay | adapted | "
             f"won back at {' / '.join(f'{100 * each:g}' for each in LEVELS)} % |"]  # fmt: skip
    lines.append("|---|---|---:|---:|---:|---:|---|")
    for name, each in summary["environments"].items():
        low, high = each["snr_db"]
        ops = (each["ops"][row][level] for row in ("clean", "noisy", "alone", "adapted"))
        cells = ["-" if part is None else f"{100 * part:.1f}" for part in ops]
        lines.append(f"| {name} | {low:g}-{high:g} | {' | '.join(cells)} | {' / '.join(shares(each).values())} |")
    return "\n".join(
        [*lines, f"| all {len(summary['kinds'])} kinds | | | | | | {' / '.join(shares(summary).values())} |"]
    )


if __name__ == "__main__":
    raise SystemExit(main())
