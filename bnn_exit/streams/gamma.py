"""The regularised incomplete gamma function and its inverse, in the standard library alone."""

from __future__ import annotations

import math

_EPSILON = 1e-16
_STEPS = 100_000


def upper(shape: float, x: float) -> float:
    """Q(shape, x): the probability that a gamma variable of this shape and scale 1 exceeds x.

    By its series below shape + 1, else by its continued fraction (Press et al. 2007, "Numerical Recipes", section 6.2).
    For whole shapes Q(k + 1, m) is the probability that a Poisson variable of mean m is at most k.

    Args:
        shape: above 0.
        x: at least 0.

    Example:
        >>> round(upper(1, 2.995732), 6)
        0.05
    """
    if x <= 0:
        return 1.0
    return 1 - _series(shape, x) if x < shape + 1 else _fraction(shape, x)


def quantile(shape: float, probability: float) -> float:
    """The x of which `upper(shape, x)` is 1 - probability, to about twelve digits.

    Args:
        shape: above 0.
        probability: at least 0 and below 1.
    """
    if probability <= 0:
        return 0.0
    low, high = 0.0, shape + 1
    while upper(shape, high) > 1 - probability:
        low, high = high, 2 * high
    # Halving is slow and cannot fail; the function is called a few times a table.
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if upper(shape, middle) > 1 - probability else (low, middle)
    return (low + high) / 2


def _scale(shape: float, x: float) -> float:
    return math.exp(shape * math.log(x) - x - math.lgamma(shape))


def _series(shape: float, x: float) -> float:
    term = total = 1 / shape
    for step in range(1, _STEPS):
        term *= x / (shape + step)
        total += term
        if term < total * _EPSILON:
            break
    return min(1.0, total * _scale(shape, x))


def _fraction(shape: float, x: float) -> float:
    # Lentz's method.
    tiny = 1e-300
    b = x + 1 - shape
    c, d = 1 / tiny, 1 / b
    value = d
    for step in range(1, _STEPS):
        a = -step * (step - shape)
        b += 2
        d = a * d + b
        d = 1 / (d if abs(d) > tiny else tiny)
        c = b + a / c
        c = c if abs(c) > tiny else tiny
        value *= d * c
        if abs(d * c - 1) < _EPSILON * 4:
            break
    return min(1.0, value * _scale(shape, x))
