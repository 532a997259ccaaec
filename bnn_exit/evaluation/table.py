"""A report as text for a terminal."""

from __future__ import annotations

from bnn_exit.display import shown
from bnn_exit.evaluation.report import Report


def table(report: Report) -> str:
    """A line for each exit and each operating point."""
    lines = [
        f"{report.task}, {report.split} split, {report.sample_count} clips, backend {report.backend}, "
        f"{report.threads} thread, {report.provenance['machine']['cpu']}",
        "",
        f"{'exit':<10} {'accuracy %':>10} {'binary MACs':>14} {'float MACs':>12} {'ops %':>7} {'median us':>10}",
    ]
    for figures in report.exits:
        lines.append(
            f"{figures.exit_index + 1:<10} {100 * figures.accuracy:>10.2f} {figures.cost.binary_macs:>14,} "
            f"{figures.cost.float_macs:>12,} {100 * figures.relative_cost['ops']:>7.1f} "
            f"{figures.time_us.median:>10.1f}"
        )
    width = max([10, *(len(shown(name)) for name in report.operating_points)])
    lines += [
        "",
        f"{'point':<{width}} {'accuracy %':>10} {'drop pp':>8} {'binary %':>9} {'ops %':>7} {'mean us':>10} "
        f"{'p95 us':>10}  clips that leave at each exit (%)",
    ]
    for name, point in report.operating_points.items():
        shares = " ".join(f"{100 * share:.1f}" for share in point.exit_shares)
        lines.append(
            f"{shown(name):<{width}} {100 * point.accuracy:>10.2f} {100 * point.accuracy_drop:>8.2f} "
            f"{100 * point.relative_cost['binary_macs']:>9.1f} {100 * point.relative_cost['ops']:>7.1f} "
            f"{point.time_us.mean:>10.1f} {point.time_us.p95:>10.1f}  {shares}"
        )
    skipped = ", ".join(f"{count} {reason}" for reason, count in report.skipped_files.items())
    return "\n".join([*lines, "", f"skipped files: {shown(skipped) or 'none'}"])
