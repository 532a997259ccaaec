"""Does difficulty mean something: does it rise with added noise, rank errors, and agree between two networks?

    python benchmarks/difficulty.py RUN RUN [RUN ...] [--data-dir DIR] [--every 3]

For each run: several definitions of difficulty on the validation split, by the area under the ROC curve for errors of
the last exit and by Spearman's rank correlation with the signal-to-noise ratio; the definition of
`bnn_exit.difficulty` also on the test split, with the rank correlation between every two of the runs and how well
labels changed on purpose are found. Writes results/difficulty.json and exits with 1 if a bar is missed.

Noise is white or the data's own background noise (of the split's part of each recording), the same for a clip at every
ratio; a ratio is that of mean powers over the whole clip. The ratios are those of Aurora-2 (Pearce and Hirsch 2000):
-5 to 20 dB. "Within clips" is the mean over clips of the correlation of a clip's difficulty with its ratios: whether
difficulty rises as noise is added. "Pooled" puts all clips together, so it is lower by what clips differ themselves.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from result_file import called
from scipy.stats import rankdata, spearmanr

import audio_tasks
import bnn_exit
from audio_tasks.silence import noise_region
from audio_tasks.split import SPLITS
from bnn_exit import difficulty, machine
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import write_json
from bnn_exit.policies.uncertainty import Entropy, Margin, MaxProbability
from bnn_exit.runs.folder import RunFolder

RESULT = Path(__file__).parent / "results" / "difficulty.json"
RATIOS_DB = (-5, 0, 5, 10, 15, 20)
NOISES = ("white", "background")
CHANGED_LABELS = 0.02
SEED = 0
CHOSEN = "entropy of the mean prediction, exit k weighs 1/k"
WHY = (
    "chosen on words-small and words-large, where it met both bars on validation (mean over noises) and every "
    "definition that ranks errors better rose less with noise; and it is exactly the sum of the exits' uncertainty and "
    "their disagreement"
)
BARS = {"auroc of errors": (">=", 0.85), "spearman within clips, mean over noises": ("<=", -0.8)}


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/difficulty.py", description=text[0], epilog=text[2])
    arguments.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of trained networks")
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved")
    arguments.add_argument(
        "--every", type=positive_int, default=3, metavar="N", help="noise is added to every Nth clip (3)"
    )
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    task = audio_tasks.load_again(RunFolder(options.runs[0]).config.task, data_dir=options.data_dir)
    sessions = {run.name: bnn_exit.load(run / "model.tflite") for run in options.runs}
    networks, on_test = {}, {}
    for name, session in sessions.items():
        networks[name], on_test[name] = measure(session, task, every=options.every)
        show(name, networks[name])
    pairs = [
        {
            "networks": list(pair),
            "two_seeds_of_one_training": is_reseeded(*(about(run) for run in options.runs if run.name in pair)),
            "spearman": float(spearmanr(*(on_test[name] for name in pair)).statistic),
        }
        for pair in itertools.combinations(on_test, 2)
    ]
    for pair in pairs:
        print(f"{' and '.join(pair['networks'])}: rank correlation of difficulty on test {pair['spearman']:.3f}")
    bars = [bar for name in networks for bar in held(name, networks[name]["test"])]
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": command,
            "runs": {run.name: about(run) for run in options.runs},
            **machine.provenance(),
            "task": task.name,
            "attribution": task.attribution,
            "backend": next(iter(sessions.values())).backend,
            "seed": SEED,
            "split": "definitions are compared on validation; test figures are of the chosen one alone",
            "sample_count": {split: len(task.split(split)) for split in SPLITS[1:]},
            "sample_count_with_noise": {
                split: len(range(0, len(task.split(split)), options.every)) for split in SPLITS[1:]
            },
            "ratios_db": RATIOS_DB,
            "noises": NOISES,
            "chosen": CHOSEN,
            "chosen_because": WHY,
            "networks": networks,
            "pairs_of_networks": pairs,
            "bars": bars,
        },
    )
    return int(not all(bar["met"] for bar in bars))


def measure(session, task, *, every):
    """The figures of a network, and the chosen difficulty of every test clip."""
    clean = {split: exit_logits_of(session, task, split) for split in SPLITS[1:]}
    noisy = {split: with_noise(session, task, split, every=every) for split in SPLITS[1:]}
    rows = judge(clean["validation"], noisy["validation"])
    figures = judge(clean["test"], noisy["test"])[CHOSEN]
    test = {**figures, "changed_labels": changed_labels(clean["test"], session)}
    found = DEFINITIONS[CHOSEN](probabilities(clean["test"]))
    return {"exits": session.exits, "validation": rows, "test": test}, found


def about(run):
    config = RunFolder(run).config
    teachers = (config.distillation or {}).get("teachers")
    return {"model": config.model.to_dict(), "training": config.training.to_dict(), "from_a_teacher": bool(teachers)}


def is_reseeded(one, other):
    same = [{**each, "training": {**each["training"], "seed": 0}} for each in (one, other)]
    return same[0] == same[1] and one["training"]["seed"] != other["training"]["seed"]


def every_exit(session, inputs):
    return [session.infer_exit(inputs, index)[0] for index in range(session.exits)]


def exit_logits_of(session, task, split):
    probabilities = np.array([every_exit(session, np.asarray(log_mel)) for log_mel in task.log_mel(split)])
    return ExitLogits(np.log(np.maximum(probabilities, 1e-37)), labels=task.split(split).labels, split=split)


def with_noise(session, task, split, *, every):
    """Noise -> probabilities [clips, ratios, exits, classes]."""
    generator = np.random.default_rng(SEED)
    regions = [noise_region(recording, split) for recording in task.noise]
    found = {name: [] for name in NOISES}
    for index in range(0, len(task.split(split)), every):
        clip = task.split(split).waveform(index)
        region = regions[generator.integers(len(regions))]
        start = generator.integers(len(region) - len(clip) + 1)
        noises = {"white": generator.standard_normal(len(clip)), "background": region[start : start + len(clip)]}
        for name in NOISES:
            disturbed = [session.inputs(mixed(clip, noises[name], ratio)) for ratio in RATIOS_DB]
            found[name].append([every_exit(session, inputs) for inputs in disturbed])
    return {name: np.array(values) for name, values in found.items()}


def mixed(clip, noise, ratio_db):
    gain = np.sqrt(np.mean(clip**2) / np.mean(noise**2) / 10 ** (ratio_db / 10))
    sum_ = clip + gain * noise
    # Brought back below full scale as a whole, where it goes beyond: clipping would be another disturbance.
    return (sum_ / max(1, np.abs(sum_).max())).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------- definitions


def mean_prediction_entropy(probabilities, weights):
    return Entropy.of(np.einsum("nkc,k->nc", probabilities, weights))


def doubt(probabilities):
    """[clips, exits]: probability that an exit gives to other classes than the last exit's."""
    others = np.array(probabilities)
    last = probabilities[:, -1:].argmax(axis=-1)[..., None].repeat(probabilities.shape[1], axis=1)
    np.put_along_axis(others, last, 0, axis=-1)
    return others.sum(axis=-1)


def harmonic(probabilities):
    return difficulty.exit_weights(probabilities.shape[1])


def equal(probabilities):
    return np.full(probabilities.shape[1], 1 / probabilities.shape[1])


def deeper(probabilities):
    return harmonic(probabilities)[::-1]


def depth(probabilities):
    nothing = np.zeros(probabilities.shape[:2])
    table = difficulty.from_probabilities(probabilities, nothing, thresholds=[0] * (probabilities.shape[1] - 1))
    return table.prediction_depth.astype(float)


DEFINITIONS = {
    "entropy of the last exit": lambda p: Entropy.of(p[:, -1]),
    "entropy of the first exit": lambda p: Entropy.of(p[:, 0]),
    "1 - maximum of the last exit": lambda p: MaxProbability.of(p[:, -1]),
    "1 - margin of the last exit": lambda p: Margin.of(p[:, -1]),
    "mean entropy over exits": lambda p: Entropy.of(p) @ equal(p),
    "mean entropy, exit k weighs 1/k": lambda p: Entropy.of(p) @ harmonic(p),
    "mean entropy, deeper exits weigh more": lambda p: Entropy.of(p) @ deeper(p),
    "mean 1 - margin over exits": lambda p: Margin.of(p) @ equal(p),
    "mean doubt of the last exit's class": lambda p: doubt(p) @ equal(p),
    "mean doubt, exit k weighs 1/k": lambda p: doubt(p) @ harmonic(p),
    "share of exits until all so far are sure": lambda p: (1 - np.cumprod(1 - Entropy.of(p), axis=1)).mean(axis=1),
    "prediction depth": depth,
    "entropy of the mean prediction, equal weights": lambda p: mean_prediction_entropy(p, equal(p)),
    CHOSEN: lambda p: mean_prediction_entropy(p, harmonic(p)),
}


# ------------------------------------------------------------------------------------------------------------- figures


def probabilities(exit_logits):
    return np.exp(exit_logits.logits.astype(np.float64))


def judge(clean, noisy):
    undisturbed, wrong = probabilities(clean), ~clean.correct[:, -1]
    rows = {}
    for name, definition in DEFINITIONS.items():
        figures = {"auroc_of_errors": auroc(definition(undisturbed), wrong), "errors": int(wrong.sum())}
        within, pooled, rises = {}, {}, {}
        for noise, values in noisy.items():
            clips, ratios, exits, classes = values.shape
            found = definition(values.reshape(-1, exits, classes).astype(np.float64)).reshape(clips, ratios)
            pooled[noise] = float(spearmanr(found.ravel(), np.tile(RATIOS_DB, clips)).statistic)
            within[noise] = within_clips(found)
            rises[noise] = found.mean(axis=0).tolist()
        figures |= {
            "spearman_within_clips": within,
            "spearman_within_clips_mean": float(np.mean(list(within.values()))),
            "spearman_pooled": pooled,
            "mean_difficulty_at_ratios": rises,
        }
        rows[name] = figures
    return rows


def within_clips(found):
    """Mean over clips of the rank correlation with the ratios; 0 for a clip whose difficulty never changes."""
    return float(np.mean([spearmanr(row, RATIOS_DB).statistic if np.ptp(row) else 0.0 for row in found]))


def auroc(values, wrong):
    ranks, errors = rankdata(values), int(wrong.sum())
    return float((ranks[wrong].sum() - errors * (errors + 1) / 2) / (errors * (len(wrong) - errors)))


def changed_labels(exit_logits, session):
    """How many labels that were changed at random are found, and how many of those found were changed."""
    generator = np.random.default_rng(SEED)
    chosen = generator.choice(len(exit_logits), round(CHANGED_LABELS * len(exit_logits)), replace=False)
    labels = exit_logits.truth.copy()
    labels[chosen] = (labels[chosen] + generator.integers(1, exit_logits.classes, len(chosen))) % exit_logits.classes
    summary = difficulty.Summary(session.labels, exits=session.exits, labelled=True)
    changed = ExitLogits(exit_logits.logits, labels=labels, names=tuple(map(str, range(len(exit_logits)))))
    thresholds = np.zeros(session.exits - 1)
    summary.add(difficulty.from_exit_logits(changed, thresholds=thresholds, class_names=session.labels))
    found = {int(suspect.name) for suspect in summary.suspects()}
    hits = len(found & set(chosen.tolist()))
    return {
        "changed": len(chosen),
        "found": len(found),
        "recall": hits / len(chosen),
        "precision": hits / max(1, len(found)),
    }


def held(name, figures):
    values = {
        "auroc of errors": figures["auroc_of_errors"],
        "spearman within clips, mean over noises": figures["spearman_within_clips_mean"],
    }
    for what, (sign, limit) in BARS.items():
        met = values[what] >= limit if sign == ">=" else values[what] <= limit
        print(f"{'met ' if met else 'FAIL'} {name}: {what} {values[what]:.3f} {sign} {limit}")
        yield {"network": name, "what": what, "figure": values[what], "bar": f"{sign} {limit}", "met": bool(met)}


def show(name, figures):
    print(f"\n{name}\n{'definition':52} auroc  within: {' '.join(f'{n:>10}' for n in NOISES)}   mean  pooled")
    for split, rows in (("validation", figures["validation"]), ("test", {CHOSEN: figures["test"]})):
        print(split)
        for definition, row in rows.items():
            within = " ".join(f"{row['spearman_within_clips'][noise]:10.3f}" for noise in NOISES)
            pooled = " ".join(f"{row['spearman_pooled'][noise]:.3f}" for noise in NOISES)
            mean = row["spearman_within_clips_mean"]
            print(f"{definition:52} {row['auroc_of_errors']:.3f}          {within} {mean:.3f}  {pooled}")
    print(f"changed labels: {figures['test']['changed_labels']}")


if __name__ == "__main__":
    raise SystemExit(main())
