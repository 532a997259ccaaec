"""Writes the figures of README.md and docs/ anew from benchmarks/results: python docs/figures.py [--check]

A figure stands between two markers, which readers do not see:

    <!-- figures: NAME -->98.50 %<!-- end -->

NAME is one of the values in docs/figure_values; a table stands on lines of its own between its markers. --check changes
nothing, and fails if something would change.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from figure_values import FIGURES  # noqa: E402

MARKED = re.compile(r"<!-- figures: (\S+) -->(.*?)<!-- end -->", re.DOTALL)


def pages() -> list[Path]:
    """README.md and every page of the documentation."""
    return [HERE.parent / "README.md", *sorted(HERE.rglob("*.md"))]


def renewed(page: Path, text: str) -> str:
    """The text of a page with today's figures; an unknown name ends the program with a message."""

    def figure(found: re.Match[str]) -> str:
        name = found[1]
        if name not in FIGURES:
            raise SystemExit(f"error: {page} asks for the figure {name!r}, which docs/figure_values does not have")
        value = FIGURES[name](page.parent)
        return f"<!-- figures: {name} -->{value}<!-- end -->"

    return MARKED.sub(figure, text)


def main(argv: list[str] | None = None) -> int:
    """Write the pages that change; the exit status is 1 if --check finds one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail if something would change")
    options = parser.parse_args(argv)
    stale = 0
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = renewed(page, text)
        if new != text:
            stale += 1
            print(f"{page.relative_to(HERE.parent)}: {'out of date' if options.check else 'written'}")
            if not options.check:
                page.write_text(new, encoding="utf-8")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
