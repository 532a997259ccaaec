"""Training schemes, gates and adaptation: benchmarks/results/{schemes/*,trecx,adaptation}.json."""

from __future__ import annotations

from typing import Any

from figure_values.common import Figure, percent, result, table, value

LEVELS = ("0.995", "0.99", "0.98")
ROWS = ("clean", "noisy", "alone", "adapted")


def balanced_ops(row: str) -> str:
    """Million ops of a row of the comparison, seed 0, at `balanced`."""
    return f"{result(f'schemes/{row}-seed0')['balanced']['ops'] / 1e6:.3f}"


def schemes() -> str:
    """Every row of the comparison, over its seeds."""
    head = ("scheme or gate", "seeds", "exits, %", "`balanced`, %", "at million ops")
    head += ("million ops at -0.5 / -1 / -2 points", "core minutes", "MB")
    return table(head, [scheme_cells(row) for row in result("schemes")["rows"]])


def scheme_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table: a mean over seeds, and ± half of what they spread."""
    limits = [row.get(f"ops_at_{limit}") for limit in ("0.005", "0.01", "0.02")]
    return (
        row["title"],
        str(len(row["seeds"])),
        " / ".join(spread(each, 100, 2) for each in row["exit_accuracy"]),
        spread(row["balanced_accuracy"], 100, 2),
        spread(row["balanced_ops"], 1e-6, 3),
        " / ".join(f"{each['mean'] / 1e6:.3f}" for each in limits if each) or "-",
        f"{row['processor_minutes']['mean']:.0f}",
        f"{row['peak_memory_mb']['mean']:.0f}",
    )


def spread(figure: dict[str, float], scale: float, digits: int) -> str:
    """98.75 ± 0.12; without the spread of a single seed."""
    half = f" ± {scale * figure['spread'] / 2:.{digits}f}" if figure["spread"] else ""
    return f"{scale * figure['mean']:.{digits}f}{half}"


def scheme_claims() -> str:
    """What papers say, and whether it holds."""
    summary = result("schemes")
    titles = {row["row"]: row["title"] for row in summary["rows"]}
    rows = [
        (titles[claim["row"]], claim["claim"], claim["comparison"])
        for claim in summary["claims"]
        if claim["row"] in titles
    ]
    return table(("scheme or gate", "its paper says", "here"), rows)


def adaptation() -> str:
    """Ops at equal agreement in each environment: clean, noisy, adapted, and the share won back."""
    values, (_, level, _) = result("adaptation"), LEVELS
    levels = " / ".join(percent(float(each), 1) for each in LEVELS)
    head = (
        "noise",
        "SNR, dB",
        f"% of all ops at {percent(float(level), 1)} %: clean",
        "noisy",
        "without replay",
        "adapted",
    )
    head += (f"won back at {levels} %, %",)
    rows = []
    for name, environment in values["environments"].items():
        low, high = environment["snr_db"]
        ops = ("-" if part is None else percent(part, 1) for part in (environment["ops"][row][level] for row in ROWS))
        rows.append((name.replace("_", " "), f"{low:g} to {high:g}", *ops, won_back(environment)))
    return table(head, [*rows, (f"the {len(values['kinds'])} kinds together", *[""] * 5, won_back(values))])


def won_back(values: dict[str, Any]) -> str:
    """At each agreement."""
    found = (values["won_back"][level] for level in LEVELS)
    return " / ".join("-" if share is None else percent(share, 0) for share in found)


def adaptation_span() -> str:
    """The least and the most that is won back with one kind of noise."""
    values = result("adaptation")
    found = [values["environments"][kind]["won_back"]["0.99"] for kind in values["kinds"]]
    return f"{percent(min(found), 0)} to {percent(max(found), 0)} %"


def last_exit(variant: str) -> str:
    """Accuracy of T-RecX's last exit alone."""
    return f"{percent(result('trecx')['final_accuracy'][variant])} %"


FIGURES: dict[str, Figure] = {
    "schemes": value(schemes),
    "scheme_claims": value(scheme_claims),
    "joint_ops": value(lambda: balanced_ops("joint")),
    "skip_gate_ops": value(lambda: balanced_ops("skip-gate")),
    "trecx_share": value(lambda: f"{percent(result('trecx')['bars'][0]['figure'], 1)} %"),
    "trecx_view": value(lambda: last_exit("view")),
    "trecx_no_view": value(lambda: last_exit("no_view")),
    "adaptation": value(adaptation),
    "adaptation_won_back": value(lambda: f"{percent(result('adaptation')['won_back']['0.99'], 0)} %"),
    "adaptation_alone": value(lambda: f"{percent(result('adaptation')['won_back_alone']['0.99'], 0)} %"),
    "adaptation_span": value(adaptation_span),
    "adaptation_kinds": value(lambda: str(len(result("adaptation")["kinds"]))),
    "adaptation_clips": value(lambda: str(*result("adaptation")["learning_clips"])),
}
