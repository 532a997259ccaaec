"""What was counted while listening, for the summary at the end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from bnn_exit.display import shown
from bnn_exit.text import counted


@dataclasses.dataclass
class Tally:
    """Counts of a stream so far.

    Attributes:
        rate_hz: of the samples.
        exits: of the network.
        hop_ms: from one window to the next.
        samples: that were recognised.
        lost: that were not: the device, the system or a full queue lost them.
        gaps: how often samples were lost, be it an unknown number of them.
        gated: windows for which the network did not run.
        left_at: windows that left at each exit.
        events: of each label.
        cpu_s: processor time.
    """

    rate_hz: int
    exits: int
    hop_ms: float
    samples: int = 0
    lost: int = 0
    gaps: int = 0
    gated: int = 0
    cpu_s: float = 0.0
    left_at: Counter[int] = dataclasses.field(default_factory=Counter)
    events: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def seconds(self) -> float:
        """Of sound."""
        return self.samples / self.rate_hz

    @property
    def windows(self) -> int:
        """That were complete."""
        return self.gated + sum(self.left_at.values())

    @property
    def core_share(self) -> float | None:
        """Processor time for a second of sound. Of less than a window it would be the work of the start: None."""
        return self.cpu_s / self.seconds if self.windows else None

    def to_dict(self) -> dict[str, Any]:
        """All figures, with shares in [0, 1]; None where there was nothing."""
        return {
            "hours": self.seconds / 3600,
            "events": dict(self.events),
            "windows": self.windows,
            "hop_ms": self.hop_ms,
            "exit_shares": [self._share(self.left_at[index]) for index in range(self.exits)],
            "gated_share": self._share(self.gated),
            "core_share": self.core_share,
            "lost_samples": self.lost,
            "gaps": self.gaps,
        }

    def _share(self, count: int) -> float | None:
        return count / self.windows if self.windows else None

    def text(self) -> str:
        """The same in a few lines."""
        total = sum(self.events.values())
        rate = f" ({3600 * total / self.seconds:.1f} an hour)" if total else ""
        lines = [f"listened for {self.seconds / 3600:.4f} h: {counted(total, 'event')}{rate}"]
        lines += [f"  {count}\t{shown(label)}" for label, count in self.events.most_common()]
        if self.windows:
            shares = [
                f"exit {index + 1} {100 * self.left_at[index] / self.windows:.1f} %" for index in range(self.exits)
            ]
            shares += [f"not run {100 * self.gated / self.windows:.1f} %"] if self.gated else []
            lines.append(f"{counted(self.windows, 'window')}, one each {self.hop_ms:g} ms: {', '.join(shares)}")
        if self.core_share is not None:
            lines.append(f"{100 * self.core_share:.2f} % of a core")
        if self.gaps:
            lost = f"{counted(self.lost, 'sample')} ({self.lost / self.rate_hz:.2f} s)"
            lines.append(f"{lost} lost in {counted(self.gaps, 'gap')}")
        return "\n".join(lines)
