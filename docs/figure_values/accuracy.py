"""Accuracy of trained networks: benchmarks/results/accuracy*.json and levels.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from figure_values.common import Figure, link, percent, result, sentence, table, value

HEAD = ("accuracy of each exit %", "`balanced` %", "its ops, M", "its ops, % of all", "its network time, %", "file KB")
WITH_FRONT_END = "with the front end, %"

NETWORKS = {
    "words-large": "`large`, teacher, 30 epochs",
    "words-large-seed1": "the same, second seed",
    "words-large-seed2": "the same, third seed",
    "words-glance-seed0": "standard recipe: `glance`, `base`, from labels, 60 epochs",
    "words-glance-seed1": "the same, second seed",
    "words-glance-seed2": "the same, third seed",
    "words-glance-boosted": "standard recipe, scheme `boosted`",
    "words-standard-seed0": "standard recipe, but QuickNet",
    "words-standard-seed1": "the same, second seed",
    "words-standard-seed2": "the same, third seed",
    "words-large-labels": "standard recipe, but QuickNet `large`",
    "words-best": "recipe `best`: `large`, the same teacher, 120 epochs",
    "words-small": "`small`, from labels, 40 epochs",
    "words-compact": "recipe `compact`: 20 ms hops, 40 bands, `deep`, teacher, 60 epochs",
    "words-compact-seed1": "the same, second seed",
    "words-compact-seed2": "the same, third seed",
    "words-tiny": "recipe `compact`, but `tiny`",
}
COMPACT = ("words-compact", "words-compact-seed1", "words-compact-seed2")
CHOICES = {
    "words-quicknet": "QuickNet, grid heads, from labels",
    "words-birealnet": "Bi-Real Net",
    "words-real-to-binary": "Real-to-Binary Net",
    "words-binary-densenet": "BinaryDenseNet",
    "words-pooled": "QuickNet, pooled heads",
    "words-strided": "QuickNet, strided heads",
    "words-auxiliary": "QuickNet, auxiliary heads",
    "words-soft-labels": "QuickNet, grid heads, soft labels of a teacher",
    "words-features": "the same, and features of the teacher",
    "words-two-step": "the same in two steps, real weights first (24 epochs)",
}
BACKBONES = {
    "quicknet": "QuickNet",
    "birealnet": "Bi-Real Net",
    "real-to-binary": "Real-to-Binary Net",
    "binary-densenet": "BinaryDenseNet",
}


def row(name: str) -> list[str]:
    """The cells of HEAD for a network."""
    values = result(f"accuracy/{name}")
    balanced = values["operating_points"]["balanced"]
    return [
        " / ".join(percent(figures["accuracy"]) for figures in values["exits"]),
        percent(balanced["accuracy"]),
        f"{balanced['mean_cost']['ops'] / 1e6:.2f}",
        percent(balanced["relative_cost"]["ops"], 1),
        percent(balanced["relative_time"]["native"], 1),
        f"{values['file']['bytes'] / 1000:.0f}",
    ]


def networks(folder: Path, described: dict[str, str], what: str) -> str:
    """A row for each network; the share of the whole path's time too, where all of them have it."""
    whole = {
        name: result(f"accuracy/{name}")["operating_points"]["balanced"].get("relative_whole_time")
        for name in described
    }
    rows = [[link(folder, f"accuracy/{name}"), about, *row(name)] for name, about in described.items()]
    head = ["result", what, *HEAD]
    if all(whole.values()):
        head.insert(-1, WITH_FRONT_END)
        for cells, share in zip(rows, whole.values(), strict=True):
            cells.insert(-1, percent(share["native"], 1))
    return table(head, rows)


def backbones() -> str:
    """What each backbone costs at each exit, network alone and with the front end where it was timed."""
    results = {title: result(f"accuracy/words-{name}") for name, title in BACKBONES.items()}
    parts = [("time_us", "network us of each exit, {}"), ("whole_us", "front end + network us, {}")]
    if not all("front_end_us" in found for found in results.values()):
        parts = parts[:1]
    runtimes = {"native": "native", "lce": "LCE"}
    head = ["backbone", "ops of each exit, M", *(["front end us"] if len(parts) > 1 else [])]
    head += [title.format(shown) for shown in runtimes.values() for _, title in parts]
    rows = []
    for title, found in results.items():
        cells = [title, " / ".join(f"{each['ops'] / 1e6:.2f}" for each in found["exits"])]
        cells += [f"{found['front_end_us']:.0f}"] if len(parts) > 1 else []
        for runtime in runtimes:
            cells += [" / ".join(f"{each[part][runtime]:.0f}" for each in found["exits"]) for part, _ in parts]
        rows.append(cells)
    return table(head, rows)


def spread(group: str) -> str:
    """Mean and standard deviation over the trainings of a group, exit by exit."""
    values = result("accuracy")["groups"][group]
    pairs = zip(values["mean"], values["deviation"], strict=True)
    return " / ".join(f"{percent(middle)} ± {percent(each)}" for middle, each in pairs) + " %"


def mean_of(point: str, group: str, names: tuple[str, ...] = ()) -> str:
    """Means of an operating point over the trainings of a group, or these of them: accuracy and ops."""
    rows = result("accuracy")["groups"][group]["rows"]
    found = [(each["operating_points"][point], each["exits"][-1]["ops"]) for each in map(rows.get, names or rows)]
    accuracy = mean(each["accuracy"] for each, _ in found)
    ops = mean(each["relative_cost"]["ops"] * full for each, full in found)
    return f"{percent(accuracy)} % at {ops / 1e6:.3f} M ops"


def large_balanced() -> list[dict[str, Any]]:
    """The operating point `balanced` of each training of `large`."""
    rows = result("accuracy")["groups"]["best"]["rows"].values()
    return [each["operating_points"]["balanced"] for each in rows]


def large_on_validation() -> dict[str, float]:
    """Best mean accuracy of the exits on validation of each large network, the best first."""
    groups = result("accuracy")["groups"]
    names = [name for group in ("best", "longer") for name in groups[group]["rows"]]
    found = {}
    for name in names:
        steps = result(f"accuracy/{name}")["training"]["steps"]
        found[name] = mean(steps[-1]["best_validation_accuracy"])
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def validation_order() -> str:
    """The large networks as validation orders them."""
    (first, best), (second, next_best), *others = large_on_validation().items()
    return (
        f"{first} {percent(best)} %, {second} {percent(next_best)} %, the others {percent(others[-1][1])} to "
        f"{percent(others[0][1])} %"
    )


def last_exit(name: str) -> str:
    """Accuracy of the last exit."""
    return percent(result(f"accuracy/{name}")["exits"][-1]["accuracy"]) + " %"


def esc10() -> str:
    """Mean, deviation and folds of ESC-10."""
    found = result("accuracy")["groups"]["esc10"]
    folds = ", ".join(percent(fold["exits"][-1]["accuracy"]) for fold in found["rows"].values())
    return f"{percent(found['mean'][-1])} ± {percent(found['deviation'][-1])} % ({folds})"


def times(name: str, figure: Callable[[Any], float]) -> str:
    """How many times the figure of the plain network a network has."""
    return f"{figure(result(f'accuracy/{name}')) / figure(result('accuracy/words-quicknet')):.2f}"


def points(name: str, figure: Callable[[Any], float]) -> str:
    """How many percentage points a figure of a network is above that of the plain network."""
    return f"{100 * (figure(result(f'accuracy/{name}')) - figure(result('accuracy/words-quicknet'))):+.2f}"


def balanced_ops(values: Any) -> float:
    """Mean ops of `balanced`."""
    return float(values["operating_points"]["balanced"]["mean_cost"]["ops"])


def balanced_accuracy(values: Any) -> float:
    """Accuracy of `balanced`."""
    return float(values["operating_points"]["balanced"]["accuracy"])


def last_ops(values: Any) -> float:
    """Ops of the last exit."""
    return float(values["exits"][-1]["ops"])


def file_bytes(values: Any) -> float:
    """Size of the file."""
    return float(values["file"]["bytes"])


def exit_points(name: str) -> str:
    """The points of each exit above the plain network."""
    return sentence(
        [points(name, lambda values, index=index: values["exits"][index]["accuracy"]) for index in range(3)]
    )


def esc10_savings() -> str:
    """The least and the most ops that `balanced` saves in a fold."""
    rows = result("accuracy")["groups"]["esc10"]["rows"].values()
    saved = [1 - each["operating_points"]["balanced"]["relative_cost"]["ops"] for each in rows]
    return f"{percent(min(saved), 0)} to {percent(max(saved), 0)}"


def level(gain_db: str) -> str:
    """Accuracy of the shipped model's last exit at a gain."""
    return percent(result("levels")["rows"]["shipped"]["accuracy_by_gain_db"][gain_db][-1])


def levels() -> str:
    """Accuracy of the three ways to train, on quieter and quieter clips, of both seeds."""
    rows = result("levels")["rows"]
    kinds = {"usual": "as recorded", "attenuated": "half of them attenuated", "normalised": "one level (the recipes)"}
    lines = []
    for name, kind in kinds.items():
        seeds = [rows[name]["accuracy_by_gain_db"], rows[f"{name}-seed1"]["accuracy_by_gain_db"]]
        lines += [[kind, *("/".join(percent(seed[gain][-1]) for seed in seeds) for gain in ("0", "-10", "-20", "-30"))]]
        lines[-1].append("/".join(percent(seed["0"][0]) for seed in seeds))
    return table(["training clips", "0 dB", "-10 dB", "-20 dB", "-30 dB", "first exit, 0 dB"], lines)


FIGURES: dict[str, Figure] = {
    "networks": lambda folder: networks(folder, NETWORKS, "network"),
    "choices": lambda folder: networks(folder, CHOICES, "one thing changed"),
    "backbones": value(backbones),
    "spread_large": value(lambda: spread("best")),
    "spread_standard": value(lambda: spread("seeds")),
    "spread_quicknet": value(lambda: spread("quicknet")),
    "balanced_standard": value(lambda: mean_of("balanced", "seeds")),
    "balanced_quicknet": value(lambda: mean_of("balanced", "quicknet")),
    "accurate_standard": value(lambda: mean_of("accurate", "seeds")),
    "accurate_quicknet": value(lambda: mean_of("accurate", "quicknet")),
    "compact_balanced": value(lambda: mean_of("balanced", "compact", COMPACT)),
    "large_balanced_changes": value(lambda: sentence([f"{-100 * each['drop']:+.2f}" for each in large_balanced()])),
    "large_balanced_ops": value(
        lambda: sentence([percent(each["relative_cost"]["ops"], 1) for each in large_balanced()])
    ),
    "large_on_validation": value(validation_order),
    "teacher_accuracy": value(lambda: last_exit("words-teacher")),
    "float_accuracy": value(lambda: last_exit("words-float")),
    "float_gap": value(lambda: percent(result("accuracy")["groups"]["twin"]["gap"])),
    "esc10": value(esc10),
    "esc10_savings": value(esc10_savings),
    "esc10_kb": value(lambda: f"{file_bytes(result('accuracy/esc10-fold1')) / 1000:.0f}"),
    "densenet_ops": value(lambda: times("words-binary-densenet", last_ops)),
    "densenet_bytes": value(lambda: times("words-binary-densenet", file_bytes)),
    "pooled_ops": value(lambda: times("words-pooled", balanced_ops)),
    "pooled_points": value(lambda: points("words-pooled", balanced_accuracy)),
    "auxiliary_ops": value(lambda: times("words-auxiliary", balanced_ops)),
    "auxiliary_points": value(lambda: points("words-auxiliary", balanced_accuracy)),
    "strided_ops": value(lambda: times("words-strided", balanced_ops)),
    "strided_points": value(lambda: points("words-strided", balanced_accuracy)),
    "strided_bytes": value(lambda: times("words-strided", file_bytes)),
    "soft_labels_points": value(lambda: exit_points("words-soft-labels")),
    "two_step_points": value(lambda: exit_points("words-two-step")),
    "level_full": value(lambda: level("0")),
    "level_quiet": value(lambda: level("-30")),
    "levels": value(levels),
}
