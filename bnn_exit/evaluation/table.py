"""A report as text for a terminal."""

from __future__ import annotations

from bnn_exit.display import shown
from bnn_exit.evaluation.report import ExitFigures, PointFigures, Report
from bnn_exit.evaluation.times import Times
from bnn_exit.pairs import zip_strict
from bnn_exit.text import counted

NONE = "-"


def table(report: Report) -> str:
    """A line for each exit and each operating point, and their times."""
    lines = [
        f"{report.task}, {report.split} split, {counted(report.sample_count, 'clip')}, backend {report.backend}, "
        f"{report.threads} thread, {report.provenance['machine']['cpu']}",
        "",
        f"{'exit':<10} {'accuracy %':>10} {'binary MACs':>14} {'float MACs':>12} {'ops %':>7}",
    ]
    for figures in report.exits:
        lines.append(
            f"{figures.exit_index + 1:<10} {100 * figures.accuracy:>10.2f} {figures.cost.binary_macs:>14,} "
            f"{figures.cost.float_macs:>12,} {100 * figures.relative_cost['ops']:>7.1f}"
        )
    width = max([10, *(len(shown(name)) for name in report.operating_points)])
    lines += [
        "",
        f"{'point':<{width}} {'accuracy %':>10} {'drop pp':>8} {'binary %':>9} {'ops %':>7}  "
        "clips that leave at each exit (%)",
    ]
    for name, point in report.operating_points.items():
        shares = " ".join(f"{100 * share:.1f}" for share in point.exit_shares)
        lines.append(
            f"{shown(name):<{width}} {100 * point.accuracy:>10.2f} {100 * point.accuracy_drop:>8.2f} "
            f"{100 * point.relative_cost['binary_macs']:>9.1f} {100 * point.relative_cost['ops']:>7.1f}  {shares}"
        )
    gate = {name: point.skipped_share for name, point in report.operating_points.items()}
    shown_gate = ", ".join(f"{shown(name)} {100 * share:.1f}" for name, share in gate.items() if share is not None)
    if shown_gate:
        lines.append(f"clips that the skip gate sent past the early heads (%): {shown_gate}")
    skipped = ", ".join(f"{count} {reason}" for reason, count in report.skipped_files.items())
    return "\n".join([*lines, "", *times(report), "", f"skipped files: {shown(skipped) or 'none'}"])


def times(report: Report) -> list[str]:
    """Lines with the times of the front end, of the network, and of both, at each exit and operating point."""
    rows: dict[str, ExitFigures | PointFigures] = {f"exit {each.exit_index + 1}": each for each in report.exits}
    # Apart, because a point may be called like an exit.
    names = [*rows, *map(shown, report.operating_points)]
    width = max(10, *map(len, names))
    lines = [
        f"times in us, of {report.time_of}",
        f"{'':<{width}} {'front end':>19}  {'network':>19}  {'front end + network':>30}".rstrip(),
        f"{'':<{width}} {'median':>9} {'mean':>9}  {'median':>9} {'mean':>9}  {'median':>10} {'mean':>9} {'p95':>9}",
    ]
    for name, figures in zip_strict(names, [*rows.values(), *report.operating_points.values()]):
        parts = (figures.front_end_us, figures.time_us, figures.whole_us)
        front_end, network, whole = ((_cell(part, "median"), _cell(part, "mean")) for part in parts)
        lines.append(
            f"{name:<{width}} {front_end[0]:>9} {front_end[1]:>9}  {network[0]:>9} {network[1]:>9}  "
            f"{whole[0]:>10} {whole[1]:>9} {_cell(figures.whole_us, 'p95'):>9}"
        )
    if report.front_end_us is None:
        lines.append(f"{NONE}: the front end is in the file, and its time in that of the network")
    return lines


def _cell(figures: Times | None, name: str) -> str:
    return NONE if figures is None else f"{getattr(figures, name):.1f}"
