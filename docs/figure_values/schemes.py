"""Training schemes, gates and adaptation: benchmarks/results/{schemes/*,trecx,adaptation}.json."""

from __future__ import annotations

from figure_values.common import Figure, percent, result, table, value

LEVELS = ("0.995", "0.99", "0.98")


def balanced_ops(row: str) -> str:
    """Million ops of a row of the comparison, seed 0, at `balanced`."""
    return f"{result(f'schemes/{row}-seed0')['balanced']['ops'] / 1e6:.3f}"


def adaptation() -> str:
    """Ops at equal agreement: clean, noisy, adapted, and the share won back."""
    values = result("adaptation")
    head = ("% of all ops, at an agreement of", *(f"{percent(float(level), 1)} %" for level in LEVELS))
    names = {"clean": "clean clips", "noisy": "noisy clips", "adapted": "noisy clips, adapted exits"}
    full = values["full_ops"]
    rows = [
        (text, *(percent(values["rows"][name]["ops_at_agreement"][level] / full, 1) for level in LEVELS))
        for name, text in names.items()
    ]
    won = ("share of the lost ops won back, %", *(percent(values["won_back"][level], 0) for level in LEVELS))
    return table(head, [*rows, won])


def last_exit(variant: str) -> str:
    """Accuracy of T-RecX's last exit alone."""
    return f"{percent(result('trecx')['final_accuracy'][variant])} %"


FIGURES: dict[str, Figure] = {
    "joint_ops": value(lambda: balanced_ops("joint")),
    "skip_gate_ops": value(lambda: balanced_ops("skip-gate")),
    "trecx_share": value(lambda: f"{percent(result('trecx')['bars'][0]['figure'], 1)} %"),
    "trecx_view": value(lambda: last_exit("view")),
    "trecx_no_view": value(lambda: last_exit("no_view")),
    "adaptation": value(adaptation),
    "adaptation_won_back": value(lambda: f"{percent(result('adaptation')['won_back']['0.99'], 0)} %"),
    "adaptation_clips": value(lambda: str(result("adaptation")["learning_clips"])),
}
