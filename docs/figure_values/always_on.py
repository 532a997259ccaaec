"""Listening to streams: benchmarks/results/{always_on,listening_bound,stream_cost}.json.

always_on.json and its picture may be missing: then nothing was measured yet, and the tables say so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from figure_values.common import RESULTS, Figure, link, percent, result, table, value

NETWORKS = {
    "listening-english-base": "ten English words, base",
    "listening-arabic-base": "40 Arabic words, base",
    "listening-english-medium": "ten English words, medium",
    "listening-arabic-medium": "40 Arabic words, medium",
    "listening-english": "ten English words, small",
    "listening-arabic": "40 Arabic words, small",
}
"""Row of always_on.json -> what a reader calls it; a row for another listening point is ROW-POINT."""
HEAVIEST = "lognormal 1.5"
"""Kind of false accepts in the simulation whose tail no test of so few groups can see."""
SHORT = ("words found %", "false accepts an hour", "windows at exit 1 %", "95 % of events within, ms")


def measured() -> dict[str, Any]:
    """The rows of always_on.json; none if it is missing."""
    return result("always_on")["rows"] if (RESULTS / "always_on.json").is_file() else {}


def title(name: str, row: dict[str, Any]) -> str:
    """What a row is about."""
    known = next((about for each, about in NETWORKS.items() if name == each or name.startswith(f"{each}-")), name)
    return f"{known}, `{row['listening_point']['name']}`"


def rows_or_note(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table; where nothing was measured it says so."""
    return table(head, rows or [("not measured yet", *[""] * (len(head) - 1))])


def rate(row: dict[str, Any]) -> str:
    """False accepts an hour with their 95 % bounds, count and hours."""
    false = row["false_accepts"]
    bounds = f"{false['low']:.2f} to {false['high']:.2f}"
    return f"{false['per_hour']:.2f} ({bounds}; {false['count']} in {false['hours']:.2f} h)"


def delay(row: dict[str, Any]) -> str:
    """What 95 % of the hits do not exceed."""
    seconds = row["delay_s"].get("95")
    return "no hits" if seconds is None else f"{1000 * seconds:.0f}"


def chosen(row: dict[str, Any]) -> str:
    """The bound that the listening point was chosen by, on validation."""
    figures = row["listening_point"]["figures"]
    if "bound_per_hour" not in figures:
        return "-"
    found = f"{figures['bound_per_hour']:.2f}"
    return f"{found} ({percent(figures['confidence'], 0)} %, {figures['hours']:.2f} h)"


def spoken(row: dict[str, Any]) -> str:
    """Words that the transcripts of the recordings without words have all the same, and those that were found."""
    return f"{row['spoken_hits']} of {row['spoken']}" if row["spoken"] else "-"


def found(folder: Path) -> str:
    """Words found and false accepts of each network."""
    rows = [
        (
            link(folder, "always_on", text=name),
            title(name, row),
            f"{percent(row['recall'], 1)} of {row['words']}",
            rate(row),
            chosen(row),
            spoken(row),
        )
        for name, row in measured().items()
    ]
    head = ("result", "network", "words found %", "false accepts an hour", "bound when chosen", "spoken words found")
    return rows_or_note(head, rows)


def exits() -> str:
    """Where windows without words leave, what that costs in recall, and delays."""
    rows = [
        (
            title(name, row),
            percent(row["exit_shares"][0], 1),
            f"{row['relative_ops']:.3f}",
            percent(row["recall_last_exit"], 1),
            f"{100 * row['recall_lost_by_exits']:+.1f}",
            delay(row),
        )
        for name, row in measured().items()
    ]
    head = (
        "network",
        "windows at exit 1 %",
        "mean ops, times exit 1's",
        "words found by the last exit alone %",
        "exits lose, points",
        "95 % of events within, ms",
    )
    return rows_or_note(head, rows)


def short() -> str:
    """For the README."""
    rows = [
        (title(name, row), percent(row["recall"], 1), rate(row), percent(row["exit_shares"][0], 1), delay(row))
        for name, row in measured().items()
    ]
    return rows_or_note(("network", *SHORT), rows)


def millions(instructions: float) -> str:
    """21853432 as 21.9 M."""
    return f"{instructions / 1e6:.1f} M"


def cost() -> str:
    """Instructions for a second of audio, for each model and operating point."""
    rows = [
        (
            row["model"],
            f"`{row['operating_point']}`",
            " / ".join(percent(share, 1) for share in row["speech"]["exit_shares"]),
            millions(row["speech"]["instructions_per_second"]),
            millions(row["quiet"]["instructions_per_second"]),
        )
        for row in result("stream_cost")["rows"]
    ]
    head = ("model", "operating point", "windows of each exit %", "read speech", "quiet noise, gate on")
    return table(head, rows)


def bars() -> str:
    """Every bar, and whether it is met."""
    rows = [
        (title(name, row), bar["what"], bar["figure"], bar["bar"], verdict(bar))
        for name, row in measured().items()
        for bar in row["bars"]
    ]
    for row in result("stream_cost")["rows"]:
        for bar in row["bars"]:
            about = f"{row['model']}, `{row['operating_point']}`"
            rows.append((about, bar["what"], millions(bar["figure"]), f"<= {millions(bar['bar'])}", verdict(bar)))
    return table(("network", "what", "figure", "bar", ""), rows)


def verdict(bar: dict[str, Any]) -> str:
    """Whether a bar is met, so that a miss is seen."""
    return "met" if bar["met"] else "**missed**"


def broken(test: str, *, heaviest: bool = False) -> str:
    """The least and the most draws of a simulation in which a test breaks its bound; the heaviest tail stands apart."""
    rows = [row for row in result("listening_bound")["rows"] if (row["kind"] == HEAVIEST) == heaviest]
    shares = [row["broken"][test] for row in rows]
    return f"{percent(min(shares), 1)} to {percent(max(shares), 1)} %"


def picture(folder: Path) -> str:
    """The DET curves, if they were drawn."""
    path = RESULTS / "always_on.png"
    if not path.is_file():
        return "\n\n"
    return f"\n\n![Words missed against false accepts an hour]({Path(os.path.relpath(path, folder)).as_posix()})\n\n"


FIGURES: dict[str, Figure] = {
    "listening": found,
    "listening_exits": value(exits),
    "listening_short": value(short),
    "listening_cost": value(cost),
    "listening_bars": value(bars),
    "listening_picture": picture,
    "bound_broken": value(lambda: broken("package")),
    "bound_broken_heaviest": value(lambda: broken("package", heaviest=True)),
    "bound_broken_exact": value(lambda: broken("exact")),
    "bound_draws": value(lambda: f"{result('listening_bound')['draws']}"),
    "bound_confidence": value(lambda: f"{percent(1 - result('listening_bound')['confidence'], 0)} %"),
}
