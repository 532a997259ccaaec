"""One HTML page without network: figures of each class, and the clips worth a look, in tables that sort."""

from __future__ import annotations

import html
import os
import string
from collections.abc import Sequence
from typing import Any

from bnn_exit import files
from bnn_exit.difficulty.summary import Summary

ABOUT_SUSPECTS = (
    "Clips that every exit gives one other class, with at least the probability that clips labelled so have on average."
)
_PAGE = string.Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Difficulty: $title</title>
<style>
:root { color-scheme: light dark; --line: #8886; --bar: #3b82c4; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 1.5rem auto; padding: 0 1rem; }
h2 { margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.number, th.number { text-align: right; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \\25b2"; }
th[aria-sort=descending] button::after { content: " \\25bc"; }
td.path { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
</style>
</head>
<body>
<h1>Difficulty of $clips clips</h1>
<p>$about</p>
<p>Difficulty lies in [0, 1]: 0 if all exits are certain of one class, 1 if their mean is uniform. It is the sum of
uncertainty (each exit is unsure by itself) and disagreement (exits are sure of different classes).</p>
$sections
<script>
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const cell = button.parentElement, table = cell.closest("table"), body = table.tBodies[0];
    const column = [...cell.parentElement.children].indexOf(cell), number = cell.classList.contains("number");
    const was = cell.getAttribute("aria-sort"), down = number ? was !== "descending" : was === "ascending";
    for (const other of cell.parentElement.children) other.setAttribute("aria-sort", "none");
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => number ? parseFloat(row.children[column].textContent) : row.children[column].textContent;
    const order = (a, b) => number ? (isNaN(a) - isNaN(b)) || a - b : a.localeCompare(b);
    const rows = [...body.rows].sort((one, two) => (down ? -1 : 1) * order(value(one), value(two)));
    body.append(...rows);
  });
}
</script>
</body>
</html>
""")


def write(path: str | os.PathLike[str], summary: Summary, *, model: str, point: str) -> None:
    """Write the page in one step.

    Args:
        path: of the page.
        summary: of all clips.
        model: what the model is called.
        point: what the thresholds are called.
    """
    text = page(summary, model=model, point=point)
    # A path of other bytes than UTF-8 has surrogates, which no page can hold.
    files.write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def page(summary: Summary, *, model: str, point: str) -> str:
    """The page as text; everything that comes from names is escaped."""
    about = [f"Model {html.escape(model)}, thresholds {html.escape(point)}"]
    about.append(f"mean difficulty {summary.difficulty / max(summary.clips, 1):.4f}")
    shares = summary.exit_counts / max(summary.clips, 1)
    about.append("leaving at each exit " + " / ".join(f"{100 * share:.1f} %" for share in shares))
    if summary.accuracy is not None:
        about.append(f"accuracy {100 * summary.accuracy:.2f} % of {summary.clips - summary.unlabelled} labelled clips")
    sections = [_classes(summary)]
    sections.append(_section(f"The {len(summary.hardest)} hardest clips", _clip_rows(summary.hardest)))
    if summary.labelled:
        about_overthinking = f"{summary.overthinking} clips that only an earlier exit classifies correctly."
        sections.append(_section("Overthinking", _clip_rows(summary.overthought), about_overthinking))
        sections.append(_section("Labels that look wrong", _suspect_rows(summary), ABOUT_SUSPECTS))
    return _PAGE.substitute(
        title=html.escape(model), clips=f"{summary.clips:,}", about="; ".join(about) + ".", sections="\n".join(sections)
    )


def _suspect_rows(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"clip": each.name, "label": each.label, "every exit predicts": each.instead, "probability": each.probability}
        for each in summary.suspects()
    ]


def _classes(summary: Summary) -> str:
    rows = []
    for each in summary.classes():
        row: dict[str, Any] = {
            "class": each.name,
            "clips": each.clips,
            "difficulty": each.difficulty,
            "uncertainty": each.uncertainty,
            "disagreement": each.disagreement,
            "most confused with": each.confused_with,
            "probability": each.confusion,
        }
        if summary.labelled:
            row |= {"errors": each.errors, "overthinking": each.overthinking}
        rows.append(row)
    return _section(
        "Classes", rows, "" if summary.labelled else "Without labels the last exit decides the class of a clip."
    )


def _clip_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    names = [
        "difficulty",
        "uncertainty",
        "disagreement",
        "agreement",
        "exit",
        "prediction_depth",
        "label",
        "prediction",
    ]
    return [
        {"clip": row["path"]}
        | {name.replace("_", " "): row[name] for name in names}
        | {name.replace("_", " "): value for name, value in row.items() if name.startswith("score_")}
        for row in rows
    ]


def _section(title: str, rows: Sequence[dict[str, Any]], about: str = "") -> str:
    heading = f"<h2>{html.escape(title)}</h2>" + (f"\n<p>{html.escape(about)}</p>" if about else "")
    if not rows:
        return f"{heading}\n<p>None.</p>"
    numbers = {name for name, value in rows[0].items() if isinstance(value, (int, float))}
    head = "".join(
        f'<th scope="col" aria-sort="none"{_kind(name, numbers)}><button>{html.escape(name)}</button></th>'
        for name in rows[0]
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{_kind(name, numbers)}>{_text(value)}</td>" for name, value in row.items()) + "</tr>"
        for row in rows
    )
    return (
        f'{heading}\n<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _kind(name: str, numbers: set[str]) -> str:
    if name in numbers:
        return ' class="number"'
    return ' class="path"' if name == "clip" else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else html.escape(str(value))
