"""Which stage gets how many blocks: blocks are moved between stages for a budget of ops (`--blocks auto`).

The idea is that of spectral adaptive inference (SCAI; Sun et al. 2022, arXiv 2206.12420): parts that need it get more
layers than others, so that accuracy depends less on where the exits are. Only its abstract was read. There the parts
are segments of a spectrum. That stages between exits stand for them here is inferred; the budget, the candidates and
the probes below are our own.

An allocation is a tuple, the blocks of each stage. The budget is the ops of the whole network, every head included,
with the blocks of its size. Candidates are the allocations that are maximal under it: no stage can get one more block.
There may be hundreds, so they are limited to the nearest ones: by the distance from the size's own, which is the sum
over stages of the difference in blocks; at the same distance, those with more blocks in earlier stages come first. Each
is trained for a short time, and the one of the highest mean over exits of the validation accuracy wins.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Blocks = tuple[int, ...]
"""Blocks of each stage, at least 1."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """An allocation after its short training.

    Attributes:
        blocks: of each stage.
        ops: of the whole network, as `bnn_exit.cost.Cost.ops`.
        accuracy: on validation clips, of each exit, from 0 to 1.
    """

    blocks: Blocks
    ops: float
    accuracy: tuple[float, ...]

    @property
    def score(self) -> float:
        """The mean accuracy over exits, since some clips leave at each of them."""
        return float(np.mean(self.accuracy))


@dataclasses.dataclass(frozen=True)
class Search:
    """The candidates, and the probes of those that were trained so far.

    Attributes:
        candidates: the allocations to compare; the first is that of the size.
        probes: of some of them, in the same order.
    """

    candidates: tuple[Blocks, ...]
    probes: tuple[Probe, ...] = ()

    def finished(self, probe: Callable[[Blocks], Probe], *, after_each: Callable[[Search], None]) -> Search:
        """The search with a probe of every candidate.

        Args:
            probe: trains one allocation.
            after_each: called with the search so far, for storing it.
        """
        search = self
        for blocks in self.candidates[len(self.probes) :]:
            search = dataclasses.replace(search, probes=(*search.probes, probe(blocks)))
            after_each(search)
        return search

    @property
    def best(self) -> Probe:
        """The probe of the highest score; of equal ones the first, so that nothing is moved without a gain."""
        return max(self.probes, key=lambda probe: probe.score)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "candidates": [list(blocks) for blocks in self.candidates],
            "probes": [
                {"blocks": list(probe.blocks), "ops": probe.ops, "accuracy": list(probe.accuracy)}
                for probe in self.probes
            ],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Search:
        """From `to_dict`; ValueError, KeyError or TypeError if it is none."""
        candidates = tuple(_blocks(each) for each in values["candidates"])
        probes = tuple(
            Probe(_blocks(each["blocks"]), float(each["ops"]), tuple(map(float, each["accuracy"])))
            for each in values["probes"]
        )
        if not candidates or [probe.blocks for probe in probes] != list(candidates[: len(probes)]):
            raise ValueError("its probes are not those of its candidates")
        return cls(candidates, probes)


def candidates(own: Blocks, *, ops: Callable[[Blocks], float], most: int) -> tuple[Blocks, ...]:
    """The allocations to compare: maximal under the budget, and the nearest ones to `own`, which comes first.

    Args:
        own: the allocation whose ops are the budget.
        ops: of the network with an allocation; it must rise with each block.
        most: how many at most.

    Example:
        >>> candidates((2, 2), ops=lambda blocks: 2 * blocks[0] + blocks[1], most=3)
        ((2, 2), (1, 4))
    """
    budget = _Budget(own, ops)
    found: list[Blocks] = []
    # From `own` to any allocation under the budget leads a way of single steps under it: take blocks away first, then
    # add. So where none is at a distance, none is further away.
    for distance in itertools.count():
        ring = [blocks for blocks in _at_distance(own, distance) if budget.holds(blocks)]
        if not ring:
            return tuple(found)
        for blocks in ring:
            if not any(budget.holds(more) for more in _with_one_more(blocks)):
                found.append(blocks)
                if len(found) == most:
                    return tuple(found)
    raise AssertionError("rings end")


class _Budget:
    """Whether an allocation is under the budget. Most follow from others, which saves building their networks."""

    def __init__(self, own: Blocks, ops: Callable[[Blocks], float]) -> None:
        self._ops, self._limit = ops, ops(own)
        self._under, self._over = [own], list(_with_one_more(own))

    def holds(self, blocks: Blocks) -> bool:
        if any(_is_within(blocks, known) for known in self._under):
            return True
        if any(_is_within(known, blocks) for known in self._over):
            return False
        holds = self._ops(blocks) <= self._limit
        (self._under if holds else self._over).append(blocks)
        return holds


def _is_within(blocks: Blocks, other: Blocks) -> bool:
    return all(count <= most for count, most in zip(blocks, other, strict=True))


def _with_one_more(blocks: Blocks) -> Iterator[Blocks]:
    for index, count in enumerate(blocks):
        yield (*blocks[:index], count + 1, *blocks[index + 1 :])


def _at_distance(own: Blocks, distance: int) -> Iterator[Blocks]:
    """Every allocation at this distance, those with more blocks in earlier stages first."""
    if not own:
        if distance == 0:
            yield ()
        return
    first, *rest = own
    for count in range(first + distance, max(first - distance, 1) - 1, -1):
        for others in _at_distance(tuple(rest), distance - abs(count - first)):
            yield (count, *others)


def _blocks(values: Any) -> Blocks:
    if not isinstance(values, list) or not all(type(count) is int and count >= 1 for count in values):
        raise ValueError(f"{values!r} are no blocks")
    return tuple(values)
