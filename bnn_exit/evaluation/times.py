"""Times of calls: the clock, what a number of calls says, and where noise is larger than the figure."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Clock = Callable[[], float]
"""The time now, in seconds."""

Figures = dict[str, "float | None"]
"""Minimum, median, mean, p95 and spread in microseconds; None where it cannot be measured."""

_CHANGES, _MOST_READS = 20, 1_000_000
_ROUNDING_S = 1e-10  # seconds since the start of a machine are floats: distances of this size are none


@dataclasses.dataclass(frozen=True)
class Times:
    """Times of some calls, in microseconds.

    Attributes:
        minimum, median, mean: of the calls.
        p95: their 95th percentile.
    """

    minimum: float
    median: float
    mean: float
    p95: float

    @classmethod
    def of(cls, seconds: npt.ArrayLike) -> Times:
        """Of calls that took these seconds [calls]."""
        values = np.asarray(seconds, np.float64) * 1e6
        return cls(
            float(values.min()), float(np.median(values)), float(values.mean()), float(np.percentile(values, 95))
        )


def clock_of(backend: str, *, threads: int) -> Clock:
    """The clock for a backend: processor time for one thread, so that other programs do not count, else wall time.

    NumPy may compute on threads of its own, so those of the reference count too.
    """
    if threads > 1:
        return time.perf_counter
    return time.process_time if backend == "reference" else time.thread_time


def clock_step_s(now: Clock) -> float:
    """The step of a clock: seconds between its values; infinite for one that stands still.

    Measured, because systems whose clock of processor time counts ticks report a nanosecond. What lies between two
    reads is a number of steps, and so are the differences of these.
    """
    last, found = now(), []
    for _ in range(_MOST_READS):
        value = now()
        if value != last:
            found.append(abs(value - last))
            last = value
            if len(found) == _CHANGES:
                break
    distances = np.diff(sorted([0.0, *found]))
    return float(min(distances[distances > _ROUNDING_S], default=math.inf))


def time_us(seconds: npt.ArrayLike) -> dict[str, float]:
    """`Times.of` as JSON values."""
    return dataclasses.asdict(Times.of(seconds))


def spread_us(seconds: npt.ArrayLike) -> float:
    """How far the median of seconds [calls] may be off: half of its 95 % confidence interval, in microseconds.

    From the ranks of the values, which holds for any distribution. Infinite for fewer than six calls: so few have no
    such interval.
    """
    values = np.sort(np.asarray(seconds, np.float64)) * 1e6
    rank = _lower_rank(len(values))
    return float(values[-rank] - values[rank - 1]) / 2 if rank else math.inf


@functools.lru_cache(maxsize=64)
def _lower_rank(count: int) -> int:
    """Rank, from 1, of the value where the 95 % interval of the median of `count` values begins; 0 if there is none.

    The median lies below the value of rank r if fewer than r values lie below the median, which is binomial.
    """
    rank, below, ways = 0, 0, 1
    while 40 * (below + ways) <= 2**count:  # 2.5 % on this side
        below += ways
        ways = ways * (count - rank) // (rank + 1)
        rank += 1
    return rank


def figures_us(seconds: npt.ArrayLike, *, step_s: float = 0.0) -> Figures:
    """`time_us` of calls, and `spread`; None where the noise or the step of the clock is larger than the figure.

    Args:
        seconds: [calls]. The spread of fewer than six is not known, and None.
        step_s: of the clock.
    """
    spread = max(spread_us(seconds), 1e6 * step_s)
    found: Figures = {**time_us(seconds)}
    limit = spread if math.isfinite(spread) else 1e6 * step_s
    return _measurable(found, spread=spread, is_measurable=(found["median"] or 0.0) > 2 * limit)


def difference_us(seconds: npt.ArrayLike, earlier: npt.ArrayLike, *, step_s: float = 0.0) -> Figures:
    """`figures_us` of what calls take beyond the calls that they are paired with.

    All are None if the median is not beyond twice its spread. So are a mean that is not beyond twice its own error,
    which a single disturbed call makes large, and a minimum above the median.
    """
    longer, shorter = np.asarray(seconds, np.float64), np.asarray(earlier, np.float64)
    paired = longer - shorter
    # Both times are off by a step. Where all differences are equal, this is all that is known of the spread.
    spread = max(spread_us(paired), 2e6 * step_s)
    found: Figures = {**time_us(paired)}
    median = found["median"] or 0.0
    if len(paired) < 2 or not paired.mean() > 2 * 1.96 * paired.std(ddof=1) / math.sqrt(len(paired)):
        found["mean"] = None
    # The smallest difference belongs to an earlier call that was disturbed; that of the smallest times to none.
    minimum = 1e6 * float(longer.min() - shorter.min())
    found["minimum"] = minimum if minimum <= median else None
    return _measurable(found, spread=spread, is_measurable=median > 2 * spread)


def _measurable(found: Figures, *, spread: float, is_measurable: bool) -> Figures:
    """The figures above 0, if they are measurable at all, and the spread if it is known."""
    kept: Figures = {
        name: value if is_measurable and value is not None and value > 0 else None for name, value in found.items()
    }
    return {**kept, "spread": spread if math.isfinite(spread) else None}
