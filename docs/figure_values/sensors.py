"""Sensors: benchmarks/results/activity.json."""

from __future__ import annotations

from figure_values.common import Figure, percent, result, table, value


def devices() -> str:
    """Accuracy and operating modes of each device, over the folds."""
    rows = []
    for device, found in result("activity")["devices"].items():
        folds = found["folds"]
        rows.append(
            (
                device,
                " / ".join(map(percent, found["binary_exits"])),
                percent(found["balanced"]),
                percent(found["float"]),
                percent(found["forest"]),
                *(
                    " ".join(str(fold[modes]) for fold in folds)
                    + " / "
                    + " ".join(f"{fold[span]:.1f}" for fold in folds)
                    for modes, span in (("modes", "ops_ratio"), ("modes_from_test", "ops_ratio_from_test"))
                ),
                f"{max(fold['bytes'] for fold in folds):,d}",
            )
        )
    head = (
        "device",
        "accuracy of each exit %",
        "`balanced` %",
        "float twin %",
        "random forest %",
        "modes of each fold / their span of ops",
        "the same with thresholds from test",
        "bytes, most",
    )
    return table(head, rows)


def exit_ops() -> str:
    """Ops of leaving at each exit, in thousands."""
    ops = result("activity")["devices"]["phone"]["folds"][0]["ops"]
    return " / ".join(f"{each / 1000:.1f}" for each in ops)


FIGURES: dict[str, Figure] = {"activity": value(devices), "activity_ops": value(exit_ops)}
