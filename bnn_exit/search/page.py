"""The page of a study: accuracy against time, and every trial in a table. No script, nothing fetched."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import resources

from bnn_exit.search.cost import Budget
from bnn_exit.search.record import DONE, OVER, STATES, STOPPED, Record, best, pareto
from bnn_exit.search.space import Candidate

WIDTH, HEIGHT, MARGIN = 760, 420, 56
"""Of the plot, in pixels, and of its axes."""

_STYLE = """
svg { width: 100%; height: auto; max-width: 960px; }
svg text { fill: var(--faint); font-size: 12px; }
.axis { stroke: var(--line); } .front { stroke: var(--mark); fill: none; stroke-width: 2; }
.limit { stroke: var(--wrong); stroke-dasharray: 6 4; }
.trial { fill: var(--line); } .trial.front-point { fill: var(--mark); } .trial.best { fill: var(--exit-2); }
.trial:hover { stroke: var(--ink); stroke-width: 2; }
td.text, th.text { text-align: left; }
"""


def page(records: Sequence[Record], budget: Budget, *, title: str, facts: Mapping[str, str]) -> str:
    """The text of an HTML file.

    Args:
        records: every trial.
        budget: its time is drawn.
        title: of the page.
        facts: what -> text, shown above the plot.
    """
    style = (resources.files("bnn_exit.report") / "assets" / "style.css").read_text(encoding="utf-8")
    entries = "\n".join(f"<div><dt>{_text(what)}</dt><dd>{_text(text)}</dd></div>" for what, text in facts.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{_text(title)}</title>
<style>
{style}{_STYLE}</style>
</head>
<body>
<header><h1>{_text(title)}</h1>
<dl class="facts">
{entries}
</dl></header>
<main>
<h2>Accuracy against mean time</h2>
<figure><figcaption>Each point is a trial that was trained to the end; point at one to read its settings. The line joins
those that no other one beats. Orange: the trial in recipe.json. Accuracy is on validation clips, after a short
training; time is predicted from the rates of the device.</figcaption>
{_plot(records, budget)}
</figure>
<h2>Trials</h2>
<p>{_counts(records)}</p>
<div class="wide">{_table(records, budget)}</div>
</main>
</body>
</html>
"""


def _text(value: object) -> str:
    return html.escape(str(value).encode("utf-8", "backslashreplace").decode())


def _plot(records: Sequence[Record], budget: Budget) -> str:
    done = [record for record in records if record.state == DONE]
    if not done:
        return "<p>No trial was trained to the end yet.</p>"
    limit = budget.max_mean_us
    times = [record.cost["mean_us"] for record in done] + ([] if limit is None else [limit])
    accuracies = [100 * float(record.accuracy or 0) for record in done]
    across, up = _scale(times, MARGIN, WIDTH - 16), _scale(accuracies, HEIGHT - MARGIN, 16)
    front, chosen = pareto(records), best(records, budget)
    base, left = HEIGHT - MARGIN, MARGIN
    about = "accuracy against mean time; the table has the same"
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{about}">']
    parts.append(f'<path class="axis" d="M{left} 16V{base}H{WIDTH - 16}" fill="none"/>')
    for value in _ticks(times):
        parts.append(f'<text x="{across(value):.1f}" y="{base + 18}" text-anchor="middle">{value:.4g}</text>')
    for value in _ticks(accuracies):
        parts.append(f'<text x="{left - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    parts.append(f'<text x="{(left + WIDTH) / 2}" y="{HEIGHT - 10}" text-anchor="middle">mean time in us</text>')
    parts.append(f'<text x="{left + 8}" y="12">accuracy in %</text>')
    if limit is not None:
        parts.append(
            f'<path class="limit" d="M{across(limit):.1f} 16V{base}"><title>budget: {limit:g} us</title></path>'
        )
    places = " ".join(f"{across(each.cost['mean_us']):.1f},{up(100 * float(each.accuracy or 0)):.1f}" for each in front)
    parts.append(f'<polyline class="front" points="{places}"/>')
    for record in done:
        kind = "trial best" if record == chosen else "trial front-point" if record in front else "trial"
        x, y = across(record.cost["mean_us"]), up(100 * float(record.accuracy or 0))
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="6"><title>{_text(_hover(record))}</title></circle>'
        )
    return "\n".join([*parts, "</svg>"])


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    least, most = _range(values)
    return lambda value: start + (end - start) * (value - least) / (most - least)


def _range(values: Sequence[float]) -> tuple[float, float]:
    least, most = min(values), max(values)
    room = 0.08 * (most - least) or 0.05 * abs(most) or 1.0
    return least - room, most + room


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers in the range, four to ten of them."""
    least, most = _range(values)
    step = 10.0 ** math.floor(math.log10(most - least))
    while (most - least) / step < 4:
        step /= 2
    return [step * number for number in range(math.ceil(least / step), math.floor(most / step) + 1)]


def _hover(record: Record) -> str:
    cost = record.cost
    return (
        f"trial {record.number}: {100 * float(record.accuracy or 0):.2f} %, {cost['mean_us']:.1f} us, "
        f"{cost['kb']:.0f} kB; {Candidate.from_dict(record.settings)}"
    )


def _counts(records: Sequence[Record]) -> str:
    counts = Counter(record.state for record in records)
    return "; ".join(f"{counts[state]} {state} ({about})" for state, about in STATES.items() if counts[state])


def _table(records: Sequence[Record], budget: Budget) -> str:
    """Trained trials, the most accurate first, then the others."""
    titles = ("trial", "state", "accuracy, %", "mean us", "kB", "leave at each exit, %", "settings, or why not")
    chosen, front = best(records, budget), pareto(records)
    shown = [record for record in records if record.state != OVER]
    shown.sort(key=lambda each: (each.state != DONE, each.state != STOPPED, -float(each.accuracy or 0), each.number))
    head = "".join(f'<th{_kind(index)} scope="col">{title}</th>' for index, title in enumerate(titles))
    rows = []
    for record in shown:
        mark = " (best)" if record == chosen else " (front)" if record in front else ""
        cost: Mapping[str, float] = record.cost if record.state == DONE else record.predicted
        about = str(Candidate.from_dict(record.settings)) if record.settings else ""
        cells = (
            f"{record.number}{mark}",
            record.state,
            "" if record.accuracy is None else f"{100 * record.accuracy:.2f}",
            f"{cost['mean_us']:.1f}" if "mean_us" in cost else "",
            f"{cost['kb']:.0f}" if "kb" in cost else "",
            " ".join(f"{100 * share:.0f}" for share in record.exit_shares),
            "; ".join(filter(None, (about, record.reason))),
        )
        rows.append(
            "<tr>" + "".join(f"<td{_kind(index)}>{_text(cell)}</td>" for index, cell in enumerate(cells)) + "</tr>"
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table>"


def _kind(column: int) -> str:
    return ' class="text"' if column in (1, 6) else ""
