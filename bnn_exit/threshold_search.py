"""The cheapest thresholds that keep an accuracy: exhaustive on grids for up to four exits, block descent beyond."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit import policy

GRID_CELLS = 1_000_000
"""Threshold combinations one exhaustive search looks at: 1000 x 1000 for three exits, 100 x 100 x 100 for four."""

BLOCK_CELLS = 10_000
"""Combinations for one block of thresholds in a descent, where the others stay."""

RESTARTS = 6
"""Random starting points of a descent, beside the full network."""

RESOLUTION = 1e-6
"""Scores below this are rounding: float32 holds the largest probability, near 1, in steps of 6e-8 to 1.2e-7, and each
backend adds in its own order. No threshold is placed among them."""

Thresholds = tuple[float, ...]
_Key = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Problem:
    """What a search needs to know about the clips.

    Attributes:
        scores: float32 [clips, exits - 1].
        correct: bool [clips, exits], whether the exit's answer is right.
        ops: float64 [exits], cumulative cost of leaving at each exit.
    """

    scores: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]
    ops: npt.NDArray[np.float64]

    @property
    def exits(self) -> int:
        """Number of exits."""
        return self.correct.shape[1]

    def totals(self, thresholds: Sequence[float]) -> tuple[float, int]:
        """Summed ops and number of right answers over all clips."""
        exits = policy.exit_indices(self.scores, np.asarray(thresholds, np.float32))
        return float(self.ops[exits].sum()), int(self.correct[np.arange(len(exits)), exits].sum())


def search(problem: Problem, *, max_accuracy_drop: float, starts: Sequence[Thresholds] = ()) -> Thresholds:
    """Least total ops with at most `max_accuracy_drop` lost against the last exit; ties go to the more accurate.

    For up to four exits every combination on a grid of score quantiles is tried (every distinct decision, where
    the grid has room for them all), then single thresholds move over all their distinct values until none helps.
    For more exits the same exhaustive step is taken on blocks of up to three thresholds, the others held, from several
    starting points. Deterministic.

    Args:
        problem: scores, answers and costs.
        max_accuracy_drop: in [0, 1].
        starts: further starting points; the result is never worse than one of them that keeps the accuracy.
    """
    count = problem.exits - 1
    off = (0.0,) * count
    if count == 0:
        return off
    clips = len(problem.correct)
    # Whole clips, so that 0.005 of 2400 allows 12 errors whatever the rounding of the division.
    required = int(np.ceil(problem.correct[:, -1].sum() - max_accuracy_drop * clips - 1e-6))
    candidates = [distinct_thresholds(problem.scores[:, k]) for k in range(count)]
    singles: list[tuple[int, ...]] = [(k,) for k in range(count)]

    if count <= 3:
        whole = _best_block(problem, candidates, off, tuple(range(count)), required=required, cells=GRID_CELLS)
        begin, blocks = [whole, *starts], singles
    else:
        width = 3 if count <= 6 else 2
        begin = [off, *starts, *_random_starts(candidates)]
        blocks = [*itertools.combinations(range(count), width), *singles]
    results = [_descend(problem, candidates, start, blocks, required=required) for start in begin]
    best = min(results, key=lambda thresholds: _key(problem, thresholds, required=required))
    # The shortest decimals that are the same float32: 0.51, not 0.5099999904632568.
    return tuple(float(str(np.float32(value))) for value in best)


def distinct_thresholds(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One threshold for every distinct decision on these scores, rising: 0 first, the last above every score.

    Scores below RESOLUTION count as equal.
    """
    values = np.unique(np.maximum(scores[scores >= 0], np.float32(RESOLUTION)))
    if not len(values):
        return np.zeros(1, np.float32)
    above = 1.0 if values[-1] < 1 else float(values[-1]) + 1.0
    found = [0.0]
    for low, high in itertools.pairwise([*values.tolist(), above]):
        found.append(_between(low, high))
    return np.array(found, np.float32)


def _between(low: float, high: float) -> float:
    """The float32 with the fewest decimals in the middle half of a gap, so rounding on either side is harmless."""
    middle, reach = (low + high) / 2, (high - low) / 4
    for digits in range(1, 10):
        short = float(np.float32(round(middle, digits)))
        if abs(short - middle) <= reach:
            return short
    # Neighbouring float32 numbers: low < high still sends `low` out and keeps `high` in.
    nearest = float(np.float32(middle))
    return nearest if low < nearest <= high else high


def _best_block(
    problem: Problem,
    candidates: Sequence[npt.NDArray[np.float32]],
    thresholds: Thresholds,
    block: tuple[int, ...],
    *,
    required: int,
    cells: int,
) -> Thresholds:
    """The best values, of all combinations on a grid, for the thresholds in `block`; the others stay.

    A clip that passes every exit of the block is answered by the first other exit that lets it leave, so for this clip
    the later exits of the block do not exist. Let v_k be what a clip adds to a total (ops, right answers) if it leaves
    at the k-th exit of the block, v_K if it passes them all. A total over clips is then
        sum v_0 + sum_k S_k(v_k - v_{k-1}),   S_k(w) = sum of w over the clips that pass the first k exits,
    and S_k for every combination of k thresholds at once is the suffix sum of a k-dimensional histogram.
    """
    size = int(cells ** (1 / len(block)) + 1e-9)
    grids = [_grid(candidates[k], size) for k in block]
    held = np.array(thresholds, np.float32)
    held[list(block)] = 0.0
    rows = np.arange(len(problem.correct))
    final = policy.exit_indices(problem.scores, held)
    # Bin b: the number of grid thresholds that keep the clip in, so it leaves at grid place j exactly if b <= j.
    bins = []
    for k, grid in zip(block, grids, strict=True):
        kept = np.searchsorted(grid, problem.scores[:, k], side="right")
        bins.append(np.where(final < k, len(grid), kept))

    totals = []
    for table in (np.broadcast_to(problem.ops, problem.correct.shape), problem.correct.astype(np.float64)):
        adds = [table[:, k] for k in block] + [table[rows, final]]
        total = np.full((1,) * len(block), adds[0].sum())
        for k in range(1, len(block) + 1):
            total = total + _passing_sums(bins[:k], [len(grid) for grid in grids[:k]], adds[k] - adds[k - 1]).reshape(
                [len(grid) for grid in grids[:k]] + [1] * (len(block) - k)
            )
        totals.append(total)
    ops, right = totals
    right = np.rint(right)

    lacking = np.maximum(required - right, 0)
    enough = lacking == lacking.min()
    ops = np.where(enough, ops, np.inf)
    cheapest = enough & (ops <= ops.min() * (1 + 1e-12))
    place = np.unravel_index(np.where(cheapest, right, -1).argmax(), right.shape)
    chosen = list(thresholds)
    for k, grid, index in zip(block, grids, place, strict=True):
        chosen[k] = float(grid[index])
    return tuple(chosen)


def _passing_sums(
    bins: Sequence[npt.NDArray[np.int64]], sizes: Sequence[int], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """[sizes...]: for every combination of grid places j, the sum of the weights of clips with every bin above j."""
    shape = [size + 1 for size in sizes]
    flat = np.ravel_multi_index(tuple(bins), tuple(shape))
    counted = np.bincount(flat, weights=weights, minlength=int(np.prod(shape)))
    sums: npt.NDArray[np.float64] = counted.astype(np.float64).reshape(shape)
    for axis in range(len(shape)):
        sums = np.flip(np.flip(sums, axis).cumsum(axis), axis)
    return sums[(slice(1, None),) * len(shape)]


def _descend(
    problem: Problem,
    candidates: Sequence[npt.NDArray[np.float32]],
    start: Thresholds,
    blocks: Sequence[tuple[int, ...]],
    *,
    required: int,
) -> Thresholds:
    """Improve one block after another until a whole round changes nothing."""
    best, key = start, _key(problem, start, required=required)
    improved = True
    while improved:
        improved = False
        for block in blocks:
            cells = BLOCK_CELLS if len(block) > 1 else len(candidates[block[0]])
            found = _best_block(problem, candidates, best, block, required=required, cells=cells)
            found_key = _key(problem, found, required=required)
            if found_key < key:
                best, key, improved = found, found_key, True
    return best


def _key(problem: Problem, thresholds: Thresholds, *, required: int) -> _Key:
    """Smaller is better: first enough right answers, then fewer ops, then more right answers."""
    ops, right = problem.totals(thresholds)
    return float(max(0, required - right)), ops, float(-right)


def _grid(candidates: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """At most `size` of the candidates, evenly spread over their ranks, both ends included."""
    if len(candidates) <= size:
        return candidates
    return candidates[np.linspace(0, len(candidates) - 1, size).round().astype(np.int64)]


def _random_starts(candidates: Sequence[npt.NDArray[np.float32]]) -> list[Thresholds]:
    generator = np.random.default_rng(0)
    return [tuple(float(generator.choice(values)) for values in candidates) for _ in range(RESTARTS)]
