"""The tables that `calibrate` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bnn_exit.calibration.curves import CurvePoint
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.modes import Modes
from bnn_exit.calibration.select import Selection
from bnn_exit.cost import Cost
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule
from bnn_exit.text import counted


def points(
    found: Mapping[str, OperatingPoint],
    *,
    full: Cost,
    full_accuracy: float,
    policy: str,
    device: DeviceProfile | None = None,
) -> str:
    """Operating points, a line each.

    Args:
        found: by name.
        full: cost of the full network; ops are shown as shares of it.
        full_accuracy: of the full network on the same clips.
        policy: name of the score.
        device: adds times; its exits are those of the points.
    """
    first = next(iter(found.values()))
    width = max(len("point"), *map(len, found))
    time = f" {'mean us':>9} {'worst us':>9}" if device else ""
    lines = [
        f"policy {policy}, {first.sample_count} {first.split} clips; the full network reaches "
        f"{100 * full_accuracy:.2f} % accuracy",
        f"{'point':{width}} {'accuracy %':>10} {'drop pp':>8} {'ops %':>6}{time}  leave at each exit (%), thresholds",
    ]
    for name, point in found.items():
        shares = " ".join(f"{100 * share:5.1f}" for share in point.exit_shares)
        thresholds = " ".join(f"{threshold:.4g}" for threshold in point.thresholds)
        drop, ops = full_accuracy - point.accuracy, point.mean_cost["ops"] / full.ops
        time = "" if device is None else _times(point, device)
        lines.append(
            f"{name:{width}} {100 * point.accuracy:10.2f} {100 * drop:8.2f} {100 * ops:6.1f}{time}  {shares}   "
            f"{thresholds}"
        )
    skipped = [f"{name} {100 * p.skipped_share:.1f}" for name, p in found.items() if p.skipped_share is not None]
    if skipped:
        lines.append(
            f"clips that the skip gate, whose threshold is the last, sends past the early heads (%): "
            f"{', '.join(skipped)}"
        )
    return "\n".join(lines)


def subsets(selection: Selection, *, full: Cost, most: int = 5) -> str:
    """The best subsets of exits, a line each."""
    lines = [f"{'exits':12} {'ops %':>6} {'drop pp':>8}"]
    for choice in selection.subsets[:most]:
        kept = ",".join(str(index + 1) for index in choice.exits)
        lines.append(f"{kept:12} {100 * choice.mean_ops / full.ops:6.1f} {100 * choice.accuracy_drop:8.2f}")
    if len(selection.subsets) > most:
        lines.append(f"and {len(selection.subsets) - most} more")
    return "\n".join(lines)


def curves(
    anytime: Sequence[CurvePoint], budgeted: Sequence[CurvePoint], *, full: Cost, held_out: str, split: str, clips: int
) -> str:
    """The two curves of papers."""
    lines = [f"anytime, {clips} {split} clips: every clip leaves there", f"{'exit':>6} {'ops %':>6} {'accuracy %':>10}"]
    for index, point in enumerate(anytime):
        lines.append(f"{index + 1:6d} {100 * point.ops / full.ops:6.1f} {100 * point.accuracy:10.2f}")
    lines += [
        "",
        f"budgeted batch, thresholds from {held_out}, figures from {split}",
        f"{'ops %':>6} {'accuracy %':>10}  leave at each exit (%)",
    ]
    for point in budgeted:
        shares = " ".join(f"{100 * share:5.1f}" for share in point.exit_shares)
        lines.append(f"{100 * point.ops / full.ops:6.1f} {100 * point.accuracy:10.2f}  {shares}")
    return "\n".join(lines)


def modes(found: Modes, *, full: Cost, held_out: str, split: str, most: int = 12) -> str:
    """The operating modes of a file: how many, their span, and some of them."""
    count, points = len(found.points), found.points
    some = points if count <= most else [points[round(k * (count - 1) / (most - 1))] for k in range(most)]
    lines = [
        f"{counted(count, 'operating mode')} (Pareto-optimal, of {found.tried:,} tried), thresholds from {held_out}, "
        f"figures from {split}",
        f"accuracy spans {100 * found.accuracy_span:.2f} points, ops a factor of {found.ops_ratio:.2f}",
        f"{'ops %':>6} {'accuracy %':>10}  thresholds" + ("" if count <= most else f" ({most} of {count})"),
    ]
    for point in some:
        thresholds = " ".join(f"{value:.4f}" for value in point.thresholds)
        lines.append(f"{100 * point.ops / full.ops:6.1f} {100 * point.accuracy:10.2f}  {thresholds}")
    return "\n".join(lines)


def _times(point: OperatingPoint, device: DeviceProfile) -> str:
    mean = sum(share * time for share, time in zip_strict(point.exit_shares, device.mean_us))
    if point.skipped_share is not None and device.skipped_us is not None:
        mean -= point.skipped_share * (device.mean_us[-1] - device.skipped_us)
    # A clip may still reach an exit that none reached, unless an earlier exit lets every clip leave.
    early = point.thresholds[: len(point.exit_shares) - 1]
    always = [index for index, threshold in enumerate(early) if threshold >= rule.ALWAYS]
    reachable = device.worst_us[: always[0] + 1] if always else device.worst_us
    return f" {mean:9.1f} {max(reachable):9.1f}"
