"""The figures of `bench` as lines for a terminal, or in Markdown."""

from __future__ import annotations

from typing import Any

from bnn_exit.display import shown
from bnn_exit.evaluation.times import Figures
from bnn_exit.pairs import zip_strict
from bnn_exit.text import counted

NOT_MEASURABLE = "-"


def text(report: dict[str, Any], *, markdown: bool = False) -> str:
    """The figures of `report` as lines for a terminal, or in Markdown."""
    times, cold = report["times"], report["cold_times"]
    names = list(times)
    head = ["us, warm caches"]
    for name in names:
        head += [f"{name} {column}" for column in ("minimum", "median", "p95", "cold median")]
        if name != names[0]:
            head.append(f"times {names[0]}")
    body = []
    for row in times[names[0]]:
        cells = [shown(row)]
        for name in names:
            figures = times[name][row]
            cells += [_cell(figures["minimum"]), _median(figures), _cell(figures["p95"]), _median(cold[name][row])]
            if name != names[0]:
                own, first = figures["median"], times[names[0]][row]["median"]
                cells.append(_cell(own / first if own and first else None))
        body.append(cells)
    clock = report["clock_before_and_after"][1]
    mhz = "clock unknown" if clock["mhz"] is None else f"{clock['mhz']:.0f} MHz"
    governor = "" if clock["governor"] is None else f" ({clock['governor']})"
    host = report["machine"]
    lines = [
        f"{report['model']}: {report['model_bytes'] / 1000:.0f} KB, {counted(report['exits'], 'exit')}; "
        f"{counted(report['calls'], 'call')} on {counted(report['clips'], 'clip')}"
        f"{'' if report['sound'] == 'files' else ' of noise'}",
        f"{host['cpu']}, {host['architecture']}, {host['userland_bits']}-bit userland, {mhz}{governor}, "
        f"{counted(report['threads'], 'thread')}" + (f", native kernels: {report['isa']}" if report["isa"] else ""),
        "",
    ]
    if markdown:
        lines += ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] + ["---:"] * (len(head) - 1), *body)]
    else:
        widths = [max(len(cells[column]) for cells in (head, *body)) for column in range(len(head))]
        for cells in (head, *body):
            rest = (cell.rjust(width) for cell, width in zip_strict(cells[1:], widths[1:]))
            lines.append("  ".join([cells[0].ljust(widths[0]), *rest]).rstrip())
    lines += [
        "",
        "warm: clip after clip on one backend, each once untimed before, as bnn_exit.evaluate does it",
        f"cold: caches emptied before each of {report['cold_calls']} calls"
        + ("; those of other cores were not" if report["threads"] > 1 else ""),
        "±: half of the 95 % confidence interval of the median",
    ]
    if any(NOT_MEASURABLE in cells for cells in body):
        lines.append(f"{NOT_MEASURABLE}: not measurable here, less than the noise; more --repeats help")
    if report["exit_shares"]:
        lines.append("")
        for name, shares in report["exit_shares"].items():
            lines.append(
                f"{shown(name)}: " + ", ".join(f"{100 * s:.0f} % at exit {k + 1}" for k, s in enumerate(shares))
            )
    return "\n".join(lines)


def _cell(figure: float | None) -> str:
    if figure is None:
        return NOT_MEASURABLE
    # What is measurable is never shown as 0.0.
    return f"{figure:.1f}" if figure >= 0.05 else f"{figure:.1g}"


def _median(figures: Figures) -> str:
    spread = figures["spread"]
    known = figures["median"] is not None and spread is not None
    return _cell(figures["median"]) + (f" ± {_cell(spread)}" if known else "")
