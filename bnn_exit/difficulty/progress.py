"""What commands over many clips show on stderr: a progress bar, and lines that do not run into it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from bnn_exit.difficulty import sources
from bnn_exit.display import show, shown


class Progress:
    """The clips, with a progress bar on a terminal if tqdm is installed, and lines that do not run into the bar."""

    def __init__(self, given: Sequence[str]) -> None:
        self._given = given
        self._bar: Any = None

    def __iter__(self) -> Iterator[Any]:
        clips = sources.clips(self._given)
        try:
            import tqdm
        except ImportError:
            yield from clips
            return
        total = sources.count(self._given) if sys.stderr.isatty() else None
        with tqdm.tqdm(clips, desc="clips", unit="clip", total=total, disable=None) as self._bar:
            yield from self._bar

    def log(self, line: str) -> None:
        """A line on stderr."""
        if self._bar is None:
            show(shown(line), file=sys.stderr)
        else:
            self._bar.write(shown(line), file=sys.stderr)
