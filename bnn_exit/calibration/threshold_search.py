"""The best thresholds for an objective: exhaustive on grids for up to four exits, block descent beyond."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.calibration.objective import Problem, SearchObjective, Thresholds
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule

GRID_CELLS = 1_000_000
"""Threshold combinations one exhaustive search looks at: 1000 x 1000 for three exits, 100 x 100 x 100 for four."""

BLOCK_CELLS = 10_000
"""Combinations for one block of thresholds in a descent, where the others stay."""

RESTARTS = 6
"""Random starting points of a descent, beside the full network."""

GATE_STEPS = 16
"""Thresholds of a skip gate that are tried, each with a search of the other thresholds."""

GATE_CELLS = GRID_CELLS // GATE_STEPS
"""Combinations of each of these searches."""

RESOLUTION = 1e-6
"""Scores below this are rounding: float32 holds the largest probability, near 1, in steps of 6e-8 to 1.2e-7, and each
backend adds in its own order. No threshold is placed among them."""


def search(
    problem: Problem, objective: SearchObjective, *, starts: Sequence[Thresholds] = (), cells: int = GRID_CELLS
) -> Thresholds:
    """The best thresholds for an objective.

    For up to four exits every combination on a grid of score quantiles is tried (every distinct decision, if
    the grid is large enough), then those near the best on a finer grid, then single thresholds move over all
    their distinct values, until nothing improves. For more exits the same steps are taken on blocks of up to three
    thresholds, the others held, from several starting points. Deterministic.

    Args:
        problem: scores, correctness and resources.
        objective: constraints, and what is minimised.
        starts: further starting points; the result is never worse than one of them.
        cells: combinations of a grid; more are finer and slower.
    """
    if problem.gate is not None:
        return _search_with_gate(problem, objective, starts=starts)
    count = problem.exits - 1
    off = (0.0,) * count
    if count == 0:
        return off
    candidates = [distinct_thresholds(problem.scores[:, k]) for k in range(count)]
    singles: list[tuple[int, ...]] = [(k,) for k in range(count)]

    if count <= 3:
        begin, blocks = [off, *starts], [tuple(range(count)), *singles]
    else:
        width = 3 if count <= 6 else 2
        begin = [off, *starts, *_random_starts(candidates)]
        blocks = [*itertools.combinations(range(count), width), *singles]
    size = cells if count <= 3 else BLOCK_CELLS
    results = [_descend(problem, candidates, start, blocks, objective=objective, cells=size) for start in begin]
    best = min(results, key=lambda thresholds: objective.key(problem.totals(thresholds)))
    # The shortest decimals that are the same float32: 0.51, not 0.5099999904632568.
    return tuple(float(str(np.float32(value))) for value in best)


def _search_with_gate(problem: Problem, objective: SearchObjective, *, starts: Sequence[Thresholds]) -> Thresholds:
    """The best of some thresholds of the skip gate, off and quantiles of its scores, each with its best thresholds of
    the exits: on a coarse grid first, and on the fine one for the best."""
    assert problem.gate is not None
    tried = {0.0: None, **dict.fromkeys(float(start[-1]) for start in starts)}
    tried |= dict.fromkeys(float(value) for value in _grid(distinct_thresholds(problem.gate), GATE_STEPS))
    found: list[Thresholds] = []
    for gate in tried:
        own = [start[:-1] for start in starts if start[-1] == gate]
        coarse = search(
            problem.at_gate(gate), objective, starts=[*own, *(each[:-1] for each in found[-1:])], cells=GATE_CELLS
        )
        found.append((*coarse, float(str(np.float32(gate)))))
    *exits, gate = min(found, key=lambda thresholds: objective.key(problem.totals(thresholds)))
    return (*search(problem.at_gate(gate), objective, starts=[tuple(exits)]), gate)


def distinct_thresholds(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One threshold for every distinct decision on these scores, rising: 0 first, the last above every score.

    Scores below RESOLUTION count as equal.
    """
    values = np.unique(np.maximum(scores[scores >= 0], np.float32(RESOLUTION)))
    if not len(values):
        return np.zeros(1, np.float32)
    above = 1.0 if values[-1] < 1 else float(values[-1]) + 1.0
    found = [0.0]
    ends = [*values.tolist(), above]
    for low, high in zip(ends, ends[1:]):
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
    objective: SearchObjective,
    size: int,
    near: bool = False,
) -> Thresholds:
    """The best values, of all combinations on a grid, for the thresholds in `block`; the others stay.

    The grid has `size` values for each; with `near` it is a finer one, around the thresholds as they are.

    A clip that passes every exit of the block leaves at the first other exit that lets it, so for this clip the later
    exits of the block do not exist. Let v_k be what a clip adds to a total (ops, clips lost) if it leaves
    at the k-th exit of the block, v_K if it passes them all. A total over clips is then
        sum v_0 + sum_k S_k(v_k - v_{k-1}),   S_k(w) = sum of w over the clips that pass the first k exits,
    and S_k for every combination of k thresholds at once is the suffix sum of a k-dimensional histogram.
    """
    grids = [_grid(candidates[k], size, near=thresholds[k] if near else None) for k in block]
    held = np.array(thresholds, np.float32)
    held[list(block)] = 0.0
    rows = np.arange(len(problem.correct))
    final = rule.first_leaving(problem.scores, held)
    # Bin b: the number of grid thresholds that keep the clip in, so it leaves at grid place j exactly if b <= j.
    bins = []
    for k, grid in zip_strict(block, grids):
        kept = np.searchsorted(grid, problem.scores[:, k], side="right")
        bins.append(np.where(final < k, len(grid), kept))

    totals = {}
    for name, table in problem.quantities().items():
        adds = [table[:, k] for k in block] + [table[rows, final]]
        total = np.full((1,) * len(block), adds[0].sum())
        for k in range(1, len(block) + 1):
            total = total + _passing_sums(bins[:k], [len(grid) for grid in grids[:k]], adds[k] - adds[k - 1]).reshape(
                [len(grid) for grid in grids[:k]] + [1] * (len(block) - k)
            )
        totals[name] = total
    place = np.unravel_index(objective.best(totals), [len(grid) for grid in grids])
    chosen = list(thresholds)
    for k, grid, index in zip_strict(block, grids, place):
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
    objective: SearchObjective,
    cells: int,
) -> Thresholds:
    """Improve one block after another until a whole round changes nothing."""
    best, key = start, objective.key(problem.totals(start))
    # A grid that holds all candidates of a block needs no refinement.
    steps = []
    for block in blocks:
        size = int(cells ** (1 / len(block)) + 1e-9) if len(block) > 1 else len(candidates[block[0]])
        steps.append((block, size, False))
        if any(len(candidates[k]) > size for k in block):
            steps.append((block, size, True))
    improved = True
    while improved:
        improved = False
        for block, size, near in steps:
            found = _best_block(problem, candidates, best, block, objective=objective, size=size, near=near)
            found_key = objective.key(problem.totals(found))
            if found_key < key:
                best, key, improved = found, found_key, True
    return best


def _grid(candidates: npt.NDArray[np.float32], size: int, *, near: float | None = None) -> npt.NDArray[np.float32]:
    """At most `size` of the candidates, evenly spread over their ranks, both ends included.

    With `near`, of those within two steps of such a grid around this value.
    """
    if len(candidates) <= size:
        return candidates
    if near is not None:
        reach, place = 2 * len(candidates) // size + 1, int(np.searchsorted(candidates, np.float32(near)))
        return _grid(candidates[max(0, place - reach) : place + reach + 1], size)
    return candidates[np.linspace(0, len(candidates) - 1, size).round().astype(np.int64)]


def _random_starts(candidates: Sequence[npt.NDArray[np.float32]]) -> list[Thresholds]:
    generator = np.random.default_rng(0)
    return [tuple(float(generator.choice(values)) for values in candidates) for _ in range(RESTARTS)]
