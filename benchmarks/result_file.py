"""What the scripts share about their result files: the call that made one, and the bars that it reaches."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accuracy_measure import without_places


def called(script: str, argv: Sequence[str] | None) -> str:
    """The call of `script`, to be read anywhere; None for the arguments of this process."""
    given = sys.argv[1:] if argv is None else argv
    words = [part for word in given for part in (word.split("=", 1) if word.startswith("--") else [word])]
    return without_places(shlex.join(["python", f"benchmarks/{Path(script).name}", *words]))


def report(bars: Sequence[Mapping[str, Any]]) -> int:
    """Print a line for each bar; the exit status: 0 if all of them are met.

    Args:
        bars: each with `what`, `figure`, `bar` and `met`; `at_bound`, the figure of a perfect kernel, may follow.
    """
    for bar in bars:
        figure = f"{bar['figure']:.3g}" if isinstance(bar["figure"], float) else bar["figure"]
        bound = f"; at this processor's bound: {bar['at_bound']:.3g}" if "at_bound" in bar else ""
        print(f"{'met   ' if bar['met'] else 'MISSED'} {bar['what']}: {figure} (bar: {bar['bar']}{bound})")
    return 0 if all(bar["met"] for bar in bars) else 1
