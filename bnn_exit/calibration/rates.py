"""Is the rate of rare events below a limit, if they come in groups? Poisson tests with a design effect."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.streams import poisson

MIN_GROUPS = 10
"""Fewer groups do not tell how much they differ."""
ENOUGH_EVENTS = 20
"""Of a step whose design effect may be believed."""

SOME_EVENTS = 5
"""With fewer, the standard error of a design effect says more about the number of groups than about them."""

METHOD = (
    "fixed-sequence testing (Angelopoulos et al. 2021) of Poisson rates with the design effect of groups "
    "(Rao and Scott 1999)"
)

Counts = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RateTest:
    """The test of one step of a path.

    Attributes:
        events: in all groups.
        hours: of all groups.
        design_effect: how many times the variance of the events is that of a Poisson variable, at least 1.
        p_value: for "the rate exceeds the limit".
        confidence: of the bound.
    """

    events: int
    hours: float
    design_effect: float
    p_value: float
    confidence: float

    @property
    def bound_per_hour(self) -> float:
        """Upper confidence bound of the rate."""
        effect = self.design_effect
        return effect * poisson.upper_bound(self.events / effect, confidence=self.confidence) / self.hours


def design_effect(counts: npt.ArrayLike, hours: npt.ArrayLike) -> float:
    """How many times the variance of a sum of counts is that of a Poisson variable, from groups; at least 1.

    The variance is that of a ratio estimator over groups (Rao and Scott 1999, "A simple method for analysing
    overdispersion in clustered Poisson data", Statistics in Medicine 18), which makes no assumption about what happens
    within a group. So n events count as n / design effect independent ones. One standard error of the estimate is
    added, which follows from the kurtosis of the groups: few groups with most of the events hide how large it is.

    Args:
        counts: [groups], events of each.
        hours: [groups], above 0.
    """
    events, exposure = np.asarray(counts, np.float64), np.asarray(hours, np.float64)
    total, groups = events.sum(), len(events)
    if total == 0 or groups < 2:
        return 1.0
    squares = np.square(events - total / exposure.sum() * exposure)
    estimate = max(1.0, float(groups / (groups - 1) * squares.sum() / total))
    kurtosis = float(np.square(squares).mean() / max(np.square(squares.mean()), 1e-300))
    return estimate * (1 + float(np.sqrt(max(0.0, kurtosis - 1) / groups)))


def rate_tests(
    counts: npt.ArrayLike, hours: npt.ArrayLike, *, limit_per_hour: float, confidence: float
) -> list[RateTest]:
    """A test of each step of a path, from strict to loose, each of which has the events of the one before and more.

    Few events do not show how they cluster: none have no variance at all. So the design effect of a step is the largest
    of its own and those of the looser steps, up to the first with 20 events. That is more cautious than its own alone,
    which would break the bound; `benchmarks/listening_bound.py` simulates both.

    Args:
        counts: [steps, groups].
        hours: [groups], above 0.
        limit_per_hour: above 0.
        confidence: above 0 and below 1.

    Raises:
        ArgumentError: a limit or a confidence out of range.
    """
    _check(limit_per_hour, confidence)
    table, exposure = np.asarray(counts, np.int64), np.asarray(hours, np.float64)
    whole, totals = float(exposure.sum()), table.sum(axis=1)
    own = [design_effect(row, exposure) for row in table]
    tests = []
    for step, events in enumerate(totals.tolist()):
        enough = np.flatnonzero(totals[step:] >= ENOUGH_EVENTS)
        last = step + int(enough[0]) if len(enough) else len(totals) - 1
        effect = max([own[last], *(own[each] for each in range(step, last) if totals[each] >= SOME_EVENTS)])
        p = poisson.p_value(events / effect, limit_per_hour * whole / effect)
        tests.append(RateTest(events, whole, effect, p, confidence))
    return tests


def passed(tests: Sequence[RateTest], *, confidence: float) -> int:
    """How many steps of a path pass before the first that does not (fixed-sequence testing).

    Each is tested at the level 1 - confidence. Only the first step whose rate exceeds the limit can be passed wrongly,
    and it is with probability at most 1 - confidence, for any number of steps (Angelopoulos, Bates, Candes, Jordan and
    Lei 2021, "Learn then Test"), if the path does not depend on the events that are counted.
    """
    for step, test in enumerate(tests):
        if test.p_value > 1 - confidence:
            return step
    return len(tests)


def hours_needed(limit_per_hour: float, *, confidence: float, design_effect: float = 1.0) -> float:
    """How many hours without an event would show that the rate is below the limit: 3 / limit at 0.95."""
    _check(limit_per_hour, confidence)
    return design_effect * poisson.hours_without_events(limit_per_hour, confidence=confidence)


def check_groups(groups: int) -> None:
    """DataError for fewer groups than a bound needs."""
    if groups < MIN_GROUPS:
        raise DataError(
            f"{groups} groups (speakers or recordings) are too few to show how false accepts cluster: a bound needs at "
            f"least {MIN_GROUPS}; give more recordings, or who speaks when with --speakers"
        )


def _check(limit_per_hour: float, confidence: float) -> None:
    if not 0 < limit_per_hour < np.inf:
        raise ArgumentError(f"max_false_accepts_per_hour is {limit_per_hour!r}, but must be above 0, such as 0.5")
    if not 0 < confidence < 1:
        raise ArgumentError(f"confidence is {confidence!r}, but must be above 0 and below 1, such as 0.95")
