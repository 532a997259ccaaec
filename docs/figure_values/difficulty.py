"""Difficulty and the report: benchmarks/results/{difficulty,difficulty_scale,report_page}.json."""

from __future__ import annotations

from figure_values.common import Figure, result, table, value

SEEDS = ("words-standard-seed0", "words-standard-seed1")


def validity() -> str:
    """Whether difficulty ranks errors, rises with noise and finds changed labels."""
    rows = []
    for network in SEEDS:
        figures = result("difficulty")["networks"][network]["test"]
        changed = figures["changed_labels"]
        right = round(changed["recall"] * changed["changed"])
        each = (figures["spearman_within_clips"], figures["spearman_pooled"])
        noise = [f"{values['white']:.2f}, {values['background']:.2f}" for values in each]
        rows.append(
            (
                network,
                f"{figures['auroc_of_errors']:.3f}",
                *noise,
                f"{right} of {changed['changed']} / {changed['found'] - right}",
            )
        )
    head = (
        "network",
        "AUROC for errors",
        "Spearman against SNR, within clips: white, background noise",
        "the same, all clips pooled",
        "labels changed at random: found / wrongly suspected",
    )
    return table(head, rows)


def largest() -> dict[str, float]:
    """The longest run of the command."""
    return result("difficulty_scale")["rows"][-1]


FIGURES: dict[str, Figure] = {
    "difficulty": value(validity),
    "difficulty_seeds": value(lambda: f"{result('difficulty')['pairs_of_networks'][0]['spearman']:.2f}"),
    "scale_clips": value(lambda: f"{largest()['clips']:,}"),
    "scale_mb": value(lambda: f"{largest()['peak_mb']:.0f} MB"),
    "scale_seconds": value(lambda: f"{largest()['cpu_seconds']:.0f} s"),
    "report_clips": value(lambda: f"{result('report_page')['clips']:,}"),
    "report_mb": value(lambda: f"{result('report_page')['bytes'] / 1e6:.1f} MB"),
    "report_seconds": value(lambda: f"{result('report_page')['load_ms']['median'] / 1000:.1f} s"),
}
