"""Tables, statistics and the plot of what `accuracy.py` measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import accuracy_bars
from accuracy_bars import final
from accuracy_rows import GROUPS, Row, how_to, in_group

from bnn_exit.evaluation import plots

Result = dict[str, Any]

HEAD = (
    "| network | accuracy of each exit % | ops of each exit, M | file KB | `balanced` % | loses pp | its ops % "
    "| its time % | with the front end % | front end us | native us | both us | LCE us | both us |",
    "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|---|---|",
)
BLANKS = HEAD[0].count("|") - 2
"""Cells beside the first."""


def line(row: Row, result: Result) -> str:
    """A row of a table; what does not apply to the network is a dash."""
    exits, point = result["exits"], result.get("operating_points", {}).get("balanced")
    cells = [
        row.title,
        " / ".join(f"{100 * figures['accuracy']:.2f}" for figures in exits),
        " / ".join(f"{figures['ops'] / 1e6:.2f}" for figures in exits),
        f"{result['file']['bytes'] / 1000:.0f}" if "file" in result else "-",
    ]
    if point:
        shares = point["relative_cost"]["ops"], point["relative_time"]["native"]
        cells += [f"{100 * point['accuracy']:.2f}", f"{100 * point['drop']:.2f}", *(f"{100 * s:.1f}" for s in shares)]
        # Results of earlier versions have the network alone.
        whole = point.get("relative_whole_time", {}).get("native")
        cells.append("-" if whole is None else f"{100 * whole:.1f}")
    else:
        cells += ["-"] * 5
    cells.append(f"{result['front_end_us']:.0f}" if "front_end_us" in result else "-")
    for backend in ("native", "lce"):
        for name in ("time_us", "whole_us"):
            times = [figures[name][backend] for figures in exits if backend in figures.get(name, {})]
            cells.append(" / ".join(f"{time:.0f}" for time in times) or "-")
    return f"| {' | '.join(cells)} |"


def markdown(results: Mapping[str, Result]) -> str:
    """Every table, the bars, and the commands of what is not measured."""
    lines: list[str] = []
    for group, title in GROUPS.items():
        lines += [f"## {title}", "", *HEAD]
        missing = []
        for row in in_group(group):
            if row.name in results:
                lines.append(line(row, results[row.name]))
            else:
                lines.append(f"| {row.title} | not measured |{' |' * (BLANKS - 1)}")
                missing.append(row.name)
        lines += [f"| **{name}** | {text} |{' |' * (BLANKS - 1)}" for name, text in _statistics(group, results)]
        lines += ["", *([f"not measured: `{how_to(missing)}`", ""] if missing else [])]
    return "\n".join([*lines, "## Bars", "", *accuracy_bars.lines(accuracy_bars.judge(results))])


def _statistics(group: str, results: Mapping[str, Result]) -> list[tuple[str, str]]:
    """What stands below the rows of a table once all of them are measured: names and texts."""
    figures = statistics_of(group, results)
    if not figures:
        return []
    if group == "twin":
        return [("gap, pp", f"{100 * figures['gap']:.2f}")]
    spread = [
        f"{100 * mean:.2f} ± {100 * each:.2f}" for mean, each in zip(figures["mean"], figures["deviation"], strict=True)
    ]
    return [(f"mean ± standard deviation of {figures['count']}", " / ".join(spread))]


def statistics_of(group: str, results: Mapping[str, Result]) -> dict[str, Any]:
    """Of folds and trainings: `count`, `mean` and sample standard `deviation` of the accuracy of each exit. Of the
    twins: `gap`, by which the full-precision network is better at the final exit. Nothing until every row is measured.
    """
    rows = in_group(group)
    if group not in ("best", "esc10", "seeds", "quicknet", "twin") or any(row.name not in results for row in rows):
        return {}
    found = [results[row.name] for row in rows]
    if group == "twin":
        binary, full = sorted(found, key=lambda result: "file" not in result)
        # As a bar judges it: without the rounding of floats, which decides how half a digit is shown.
        return {"gap": round(final(full) - final(binary), 9)}
    exits = list(zip(*([figures["accuracy"] for figures in result["exits"]] for result in found), strict=True))
    return {
        "count": len(found),
        "mean": [statistics.mean(values) for values in exits],
        "deviation": [statistics.stdev(values) for values in exits],
    }


def summary(results: Mapping[str, Result]) -> dict[str, Any]:
    """Everything that the tables say, as JSON values."""
    groups = {}
    for group, title in GROUPS.items():
        rows = in_group(group)
        groups[group] = {
            "title": title,
            "rows": {row.name: _short(row, results[row.name]) for row in rows if row.name in results},
            "not_measured": [row.name for row in rows if row.name not in results],
            **statistics_of(group, results),
        }
    return {"split": "test", "bars": accuracy_bars.judge(results), "groups": groups}


def _short(row: Row, result: Result) -> dict[str, Any]:
    points = result.get("operating_points", {})
    kept = ("accuracy", "drop", "exit_shares", "relative_cost", "relative_time", "relative_whole_time")
    return {
        "title": row.title,
        "seed": result["seed"],
        "sample_count": result["sample_counts"]["test"],
        "bytes": result.get("file", {}).get("bytes"),
        "exits": result["exits"],
        "operating_points": {name: {key: point[key] for key in kept if key in point} for name, point in points.items()},
        "result": f"accuracy/{row.name}.json",
    }


def plot(path: Path, results: Mapping[str, Result]) -> None:
    """Accuracy against ops: every exit of each network on Arabic Speech Commands, and its operating points."""
    rows = [row for group in ("best", "small", "backbones") for row in in_group(group)]
    shown = {row.title: results[row.name] for row in rows if row.name in results}
    if not shown:
        return
    figure = plots.new_figure(width=8, height=5.2)
    axes = figure.add_subplot()
    for index, (name, result) in enumerate(shown.items()):
        style = {"color": plots.COLOURS[index % len(plots.COLOURS)]}
        marker = plots.MARKERS[index % len(plots.MARKERS)]
        exits = [(figures["ops"] / 1e6, 100 * figures["accuracy"]) for figures in result["exits"]]
        label = f"{name}, {result['file']['bytes'] / 1000:.0f} KB"
        axes.plot(*zip(*exits, strict=True), marker="|", ls=":", **style)
        points = result["operating_points"].values()
        places = sorted((point["mean_cost"]["ops"] / 1e6, 100 * point["accuracy"]) for point in points)
        axes.plot(*zip(*places, strict=True), f"{marker}-", label=label, **style)
    clips = {result["sample_counts"]["test"] for result in shown.values()}
    count = f"{clips.pop()} test clips" if len(clips) == 1 else "test clips"
    title = f"Accuracy against cost, Arabic Speech Commands, {count}\ndotted: every clip at one exit"
    axes.set(title=title, xlabel="mean ops of a clip, million (float MACs + binary MACs / 64)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right", title="operating points")
    plots.save(figure, path)
