"""p-values for 'the accuracy lost exceeds a limit', from clips that were lost, gained or neither.

A clip's loss is 1 if an early exit is wrong and the full network correct, -1 in the opposite case, else 0. Its
mean is the accuracy lost, the risk. Each function gives p such that, whenever the risk exceeds the limit, p is at most
u with probability at most u, for every u in [0, 1], every number of clips and every such distribution: valid for clips
drawn independently from one distribution, not only for many of them. `benchmarks/guarantee.py` compares their power.
Each takes

    clips, lost, gained: numbers of clips: all, those of loss 1 and those of loss -1.
    limit: of the risk, above 0 and at most 1.
    level: what p will be compared with; only `exact` uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bnn_exit.errors import missing_package


def binomial(clips: int, lost: int, gained: int, limit: float, level: float) -> float:
    """The probability of so few lost clips, if a share `limit` of all is lost: a binomial tail.

    Valid because at least the risk is lost; clips that are gained count for nothing. `gained` is not used.
    """
    return float(_binomial().cdf(lost, clips, limit))


def hoeffding_bentkus(clips: int, lost: int, gained: int, limit: float, level: float) -> float:
    """The better of two tail bounds for means of losses in [0, 1] (Bates et al. 2021; Angelopoulos et al. 2021).

    Losses are moved to [0, 1] by (loss + 1) / 2, where their spread is not seen any more.
    """
    mean, allowed = ((lost - gained) / clips + 1) / 2, (limit + 1) / 2
    hoeffding = math.exp(-clips * _kl(min(mean, allowed), allowed))
    bentkus = math.e * float(_binomial().cdf(math.ceil(clips * mean - 1e-9), clips, allowed))
    return min(1.0, hoeffding, bentkus)


def betting(clips: int, lost: int, gained: int, limit: float, level: float) -> float:
    """One over the wealth of bets that the risk is at most the limit (Waudby-Smith and Ramdas 2024).

    A bet of share b multiplies wealth by 1 + b (limit - loss), whose mean is at most 1 if the risk is at least the
    limit. Wealth, spread at the start over many b that do not look at the clips, so exceeds 1/u with probability at
    most u (Markov's inequality). Clips in another order give the same wealth.
    """
    shares = np.geomspace(1e-3, 0.99, 60) / (1 - limit) if limit < 1 else np.zeros(1)
    growth = (
        lost * np.log1p(shares * (limit - 1))
        + gained * np.log1p(shares * (limit + 1))
        + (clips - lost - gained) * np.log1p(shares * limit)
    )
    top = growth.max()
    return min(1.0, math.exp(-top) / float(np.exp(growth - top).mean()))


REST = 0.05
"""What `exact` keeps for the chance that its bound on gained clips is wrong, as a share of the level."""


_NEGLIGIBLE = 1e-12
"""Chance that more clips are gained than `exact` looks at; added as well."""


def exact(clips: int, lost: int, gained: int, limit: float, level: float) -> float:
    """The probability of so small a difference of lost and gained clips, the share of gained clips being unknown.

    Let a share q be gained; the worst distribution that breaks the limit then loses limit + q. The tail probability of
    the difference D under it grows with q: its slope in q is n (P(D' = d + 1) - P(D' = d)), with D' the difference of
    n - 1 clips, and D' rises up to within 1 of its mean wherever the square of the share of clips that stay is at least
    four times the product of the other two shares, because it then is a sum of independent Bernoulli variables
    (Darroch 1964). So q is taken at its upper confidence bound (Clopper and Pearson 1934), which is wrong
    with probability r = REST * level, and r is added (Berger and Boos 1994). Where the condition on q does not hold, p
    is 1.
    """
    if limit >= 1:
        return 1.0
    rest = REST * level
    share = 1.0 if gained >= clips else float(_beta().ppf(1 - rest, gained + 1, clips - gained))
    worst, stay = limit + share, 1 - limit - 2 * share
    difference = lost - gained
    if stay <= 0 or stay**2 < 4 * worst * share or difference + 1 > (clips - 1) * limit - 1:
        return 1.0
    found = _binomial()
    many = np.arange(int(found.isf(_NEGLIGIBLE, clips, share)) + 1)
    tails = found.cdf(np.minimum(difference + many, clips - many), clips - many, worst / (1 - share))
    return float(min(1.0, found.pmf(many, clips, share) @ tails + _NEGLIGIBLE + rest))


FEW = 16
"""Clips that may be lost, clips * limit, up to which `binomial` usually beats `exact`."""


def binomial_or_exact(clips: int, lost: int, gained: int, limit: float, level: float) -> float:
    """`binomial` where few clips may be lost, else `exact`: valid, since what decides is known before any clip is."""
    return (binomial if clips * limit < FEW else exact)(clips, lost, gained, limit, level)


P_VALUES: dict[str, Callable[[int, int, int, float, float], float]] = {
    "binomial": binomial,
    "hoeffding_bentkus": hoeffding_bentkus,
    "betting": betting,
    "exact": exact,
    "binomial_or_exact": binomial_or_exact,
}
"""Name -> function. The smaller the value, the stronger the evidence that the limit holds."""


def _kl(mean: float, other: float) -> float:
    """Kullback-Leibler divergence of two coins."""
    found = 0.0
    for a, b in ((mean, other), (1 - mean, 1 - other)):
        if a > 0:
            found += a * math.log(a / b) if b > 0 else math.inf
    return found


def _binomial() -> Any:
    return _scipy_stats().binom


def _beta() -> Any:
    return _scipy_stats().beta


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise missing_package("scipy", purpose="a guarantee", extra="train") from error
    return stats
