"""Thresholds whose accuracy loss is bounded with a stated confidence on new clips: Learn then Test."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bnn_exit.calibration.objective import Thresholds
from bnn_exit.calibration.p_values import P_VALUES
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Policy, rule
from bnn_exit.text import counted

P_VALUE = "binomial_or_exact"
"""The most powerful of P_VALUES on real exit logits; `benchmarks/guarantee.py` compares them."""

STEPS = 100
"""Thresholds of a path."""

_MOST_CLIPS = 10_000_000


@dataclasses.dataclass(frozen=True)
class Guarantee:
    """Thresholds with a guarantee, or those of the full network if no others pass the test.

    Attributes:
        thresholds: one for each exit but the last; all 0 is the full network, which loses nothing.
        max_accuracy_drop: the accuracy lost against the full network is at most this, ...
        confidence: ... except with probability 1 - confidence, for clips that mislead by chance.
        clips: that were tested on.
        lost: of these, correct at the last exit and wrong at the exit where they leave.
        gained: of these, wrong at the last exit and correct where they leave.
        p_value: of the test, at most 1 - confidence; 1 where nothing was tested with success.
        clips_needed: about how many clips would allow the next bolder thresholds of the path, if clips were lost and
            gained as often as here; None if no number would, or there are no bolder ones.
        halved: how many clips there were, where half of them chose and only the others were tested on; None where all
            were.
    """

    thresholds: Thresholds
    max_accuracy_drop: float
    confidence: float
    clips: int
    lost: int = 0
    gained: int = 0
    p_value: float = 1.0
    clips_needed: int | None = None
    halved: int | None = None

    @property
    def useful(self) -> bool:
        """Whether any exit but the last is used."""
        return any(self.thresholds)

    def sentence(self) -> str:
        """The guarantee in words, or why there is none."""
        bound = f"at most {100 * self.max_accuracy_drop:g} points of accuracy lost, confidence {self.confidence:g}"
        if self.useful:
            return (
                f"{bound}: {self.lost} of {counted(self.clips, 'clip')} lost, {self.gained} gained, p = "
                f"{self.p_value:.2g}; for new clips of the same speakers, places and microphones, not for others"
            )
        # With halved clips, twice as many are needed.
        if self.halved is None:
            these, times = counted(self.clips, "clip"), 1
        else:
            these, times = f"{counted(self.halved, 'clip')}, half tested,", 2
        least = least_clips(self.max_accuracy_drop, self.confidence)
        if self.clips < least:
            return f"{bound}: {these} are too few to guarantee it; even without a loss it takes {times * least:,}"
        if self.clips_needed is None:
            return f"{bound}: no early exit satisfies it on these {these.rstrip(',')}, however cautious"
        return (
            f"{bound}: {these} are too few to guarantee it for any early exit; about {times * self.clips_needed} "
            "would do"
        )


def guarantee(
    exit_logits: ExitLogits,
    path: Sequence[Thresholds],
    *,
    policy: Policy,
    max_accuracy_drop: float,
    confidence: float,
    reference: npt.ArrayLike | None = None,
    p_value: str = P_VALUE,
) -> Guarantee:
    """The boldest thresholds of a path such that they and all before them pass the test.

    Learn then Test (Angelopoulos, Bates, Candes, Jordan and Lei 2021) with fixed-sequence testing: for each thresholds
    of the path in turn, the hypothesis that they lose more than the limit is tested at level 1 - confidence, and the
    first that cannot be refuted ends the path. Only the first true hypothesis of the path can violate
    the guarantee, and it is refuted wrongly with probability at most 1 - confidence, for any number of steps.

    That holds if clips are drawn independently from the distribution of the clips to come, and if neither the path nor
    what the policy learned depends on them. New speakers or microphones are another distribution. If the same
    clips chose the epoch of the weights, as in a run with a validation split, they are not fully independent.

    Args:
        exit_logits: of all exits to labelled clips.
        path: thresholds from cautious to bold.
        policy: fitted on other clips, if it learns anything.
        max_accuracy_drop: above 0 and at most 1.
        confidence: above 0 and below 1, such as 0.95. Larger is safer and slower.
        reference: bool [clips], whether the full network is right; None takes the last exit.
        p_value: a name in P_VALUES.

    Raises:
        ArgumentError: a setting out of range.
        DataError: no labels.
    """
    _check(max_accuracy_drop, confidence)
    level, clips = 1 - confidence, len(exit_logits)
    found = losses(exit_logits, path, policy=policy, reference=reference)
    counts = [(int((each > 0).sum()), int((each < 0).sum())) for each in found]
    p_values = walk(counts, clips=clips, limit=max_accuracy_drop, level=level, p_value=p_value)
    steps, needed = len(p_values), None
    if steps < len(counts):
        lost, gained = counts[steps]
        needed = _clips_needed(lost / clips, gained / clips, clips, max_accuracy_drop, level)
    if not steps:
        off = (0.0,) * policy.num_thresholds(exit_logits.exits)
        return Guarantee(off, max_accuracy_drop, confidence, clips, clips_needed=needed)
    return Guarantee(
        tuple(path[steps - 1]), max_accuracy_drop, confidence, clips, *counts[steps - 1], p_values[-1], needed
    )


def losses(
    exit_logits: ExitLogits, path: Sequence[Thresholds], *, policy: Policy, reference: npt.ArrayLike | None = None
) -> npt.NDArray[np.int8]:
    """The loss of each clip for each step of a path: int8 [steps, clips], 1 lost, -1 gained, 0 neither."""
    right = policy.probabilities(exit_logits).argmax(axis=-1) == exit_logits.truth[:, None]
    full = right[:, -1] if reference is None else np.asarray(reference, np.bool_)
    scores, clips = policy.scores(exit_logits), np.arange(len(exit_logits))
    here = [right[clips, rule.exit_indices(scores, thresholds)] for thresholds in path]
    return full.astype(np.int8) - np.array(here, np.int8).reshape(len(path), len(exit_logits))


def walk(
    counts: Sequence[tuple[int, int]], *, clips: int, limit: float, level: float, p_value: str = P_VALUE
) -> list[float]:
    """Fixed-sequence testing: p-values of the steps up to the first that fails, which is left out.

    Args:
        counts: lost and gained clips at each step of a path.
        clips: how many there are.
        limit: of the risk.
        level: what a p-value may be at most.
        p_value: a name in P_VALUES.
    """
    test, passed = P_VALUES[one_of("p_value", p_value, P_VALUES)], []
    for lost, gained in counts:
        p = test(clips, lost, gained, limit, level)
        if p > level:
            break
        passed.append(p)
    return passed


def rising_path(*, exits: int, highest: float, always: bool = True, skips: bool = False) -> list[Thresholds]:
    """From cautious to bold, highest * t^(1/k) at exit k for rising t: it uses no clips, so all can be tested.

    Deeper exits are more accurate at the same score, so their thresholds rise; `benchmarks/guarantee.py`
    compares this with one threshold for all exits, and with thresholds searched on half of the clips.

    Args:
        exits: of the network.
        highest: that a score can be.
        always: whether the last step lets every clip leave at the first exit.
        skips: whether the policy has a skip gate, which is off on this path: it saves work and risks no accuracy.
    """
    gate = (0.0,) * (rule.num_thresholds(exits, skips=skips) - (exits - 1))
    path = [
        (*(float(np.float32(highest * value ** (1 / k))) for k in range(1, exits)), *gate)
        for value in np.geomspace(1e-4, 1.0, STEPS - 1)
    ]
    return [*path, (*(rule.ALWAYS,) * (exits - 1), *gate)] if always else path


def halves(exit_logits: ExitLogits, *, seed: int = 0) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of the clips to choose with and of those to test on, drawn by chance.

    Raises:
        DataError: a single clip.
    """
    if len(exit_logits) < 2:
        raise DataError("1 clip cannot be halved: give at least two")
    order = np.random.default_rng(seed).permutation(len(exit_logits))
    return np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])


def least_clips(max_accuracy_drop: float, confidence: float) -> int:
    """The fewest clips that a guarantee needs: with none of them lost, (1 - max_accuracy_drop)^clips is p."""
    _check(max_accuracy_drop, confidence)
    if max_accuracy_drop == 1:
        return 1
    return math.ceil(math.log(1 - confidence) / math.log1p(-max_accuracy_drop) - 1e-9)


def _clips_needed(lost: float, gained: float, clips: int, limit: float, level: float) -> int | None:
    """About the least number of clips from `clips` on at which these shares of lost and gained clips would pass."""
    if lost - gained >= limit:
        return None

    def passes(count: int) -> bool:
        counts = (round(count * lost), round(count * gained))
        return P_VALUES[P_VALUE](count, *counts, limit, level) <= level

    low, high = clips, 2 * clips
    while not passes(high):
        low, high = high, 2 * high
        if high > _MOST_CLIPS:
            return None
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _check(max_accuracy_drop: float, confidence: float) -> None:
    if not 0 < max_accuracy_drop <= 1:
        raise ArgumentError(
            f"max_accuracy_drop is {max_accuracy_drop!r}, but a guarantee needs it above 0 and at most 1 "
            "(0.01 is a percent)"
        )
    if not 0 < confidence < 1:
        raise ArgumentError(f"confidence is {confidence!r}, but must be above 0 and below 1, such as 0.95")
