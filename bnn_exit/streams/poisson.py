"""Exact confidence bounds of the rate of rare events, from how many there were."""

from __future__ import annotations

import math

from bnn_exit.errors import ArgumentError
from bnn_exit.streams import gamma


def interval(count: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided bounds of the mean of a Poisson variable that was `count` (Garwood 1936, "Fiducial limits").

    Half of 1 - confidence lies beyond each bound, at most; the lower one of no events is 0.

    Raises:
        ArgumentError: a count that is no whole number of at least 0, or a confidence that is not between 0 and 1.

    Example:
        >>> [round(bound, 2) for bound in interval(0)], [round(bound, 2) for bound in interval(10)]
        ([0.0, 3.69], [4.8, 18.39])
    """
    _check(count, confidence)
    beyond = (1 - confidence) / 2
    low = 0.0 if count == 0 else gamma.quantile(count, beyond)
    return low, gamma.quantile(count + 1, 1 - beyond)


def upper_bound(count: float, *, confidence: float = 0.95) -> float:
    """One-sided upper bound of the mean of a Poisson variable that was `count`; errors as of `interval`.

    A count need not be whole here: one that was divided by a dispersion is not.

    Example:
        >>> round(upper_bound(0), 3)  # the rule of three
        2.996
    """
    _check(count, confidence, whole=False)
    return gamma.quantile(count + 1, confidence)


def p_value(count: float, mean: float) -> float:
    """The probability that a Poisson variable of this mean is at most `count`: a p-value for "the mean is larger"."""
    return gamma.upper(count + 1, mean)


def hours_without_events(rate_per_hour: float, *, confidence: float = 0.95) -> float:
    """How many hours without a single event show that their rate is below this one: 3 / rate at 0.95.

    Example:
        >>> round(hours_without_events(0.5), 1)
        6.0
    """
    return -math.log(1 - confidence) / rate_per_hour


def _check(count: float, confidence: float, *, whole: bool = True) -> None:
    if not 0 <= count < math.inf or (whole and count != int(count)):
        raise ArgumentError(f"count is {count!r}, but must be a {'whole ' if whole else ''}number of at least 0")
    if not 0 < confidence < 1:
        raise ArgumentError(f"confidence is {confidence!r}, but must be above 0 and below 1, such as 0.95")
