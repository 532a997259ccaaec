"""From contents to one HTML file: everything inside, nothing fetched, every text from data escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Any

from bnn_exit.errors import missing_package
from bnn_exit.evaluation.report import Report
from bnn_exit.report.contents import contents
from bnn_exit.report.source import Source

MAX_BYTES = 9_500_000
"""What pictures and sounds of clips may fill the page up to; some mail systems stop at 10 MB."""

MAX_MEDIA = 4_000_000
"""What they may take at most: base64 is decoded while the page loads."""

SCRIPTS = ("rule.js", "tables.js", "charts.js", "thresholds.js", "gallery.js", "main.js")


def page(source: Source) -> str:
    """The report as the text of an HTML file.

    Args:
        source: the measured pass.

    Raises:
        MissingPackageError: bokeh is not installed.
    """
    library = plotting_library()
    without_media = len(_assembled(source, contents(source, budget=0), library).encode(errors="backslashreplace"))
    budget = max(0, min(MAX_MEDIA, MAX_BYTES - without_media))
    return _assembled(source, contents(source, budget=budget), library)


def plotting_library() -> str:
    """Bokeh's script, as the Python package brings it; MissingPackageError if that is not installed."""
    try:
        from bokeh.resources import Resources
    except ImportError:
        raise missing_package("bokeh", purpose="the report", extra="report") from None
    parts = Resources(mode="inline", components=["bokeh", "bokeh-api"], log_level="error").js_raw
    return "\n".join(parts)


def _assembled(source: Source, held: Mapping[str, Any], library: str) -> str:
    title = f"{source.report.task}: {source.report.split} split"
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        facts="\n".join(
            f"<div><dt>{html.escape(what)}</dt><dd>{html.escape(text)}</dd></div>"
            for what, text in facts(source.report, source.about).items()
        ),
        style=_asset("style.css"),
        data=embedded(held),
        library=library,
        scripts="\n".join(f"<script>\n{_asset(name)}</script>" for name in SCRIPTS),
    )


def embedded(value: Any) -> str:
    """JSON that no parser of HTML takes for markup: a label may well hold "</script>"."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def facts(report: Report, about: Mapping[str, str]) -> dict[str, str]:
    """The head of the page, what -> text: how the figures came about."""
    count, of, known = report.sample_count, report.split_count, report.provenance
    skipped = ", ".join(f"{number} {reason}" for reason, number in report.skipped_files.items())
    return {
        "Task": report.task,
        "Split": report.split,
        "Clips": f"{count:,}" if count == of else f"{count:,} of {of:,}, evenly spread",
        "Files left out": skipped or "none",
        **about,
        "Backend": f"{report.backend}, {report.threads} thread",
        "Machine": f"{known['machine']['cpu']}, {known['machine']['platform']}",
        "Time is of": report.time_of,
        "Versions": ", ".join(f"{name} {version}" for name, version in known["versions"].items()),
        "Date": known["date"],
    }


def _asset(name: str) -> str:
    return (resources.files("bnn_exit.report") / "assets" / name).read_text(encoding="utf-8")
