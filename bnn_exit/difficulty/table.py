"""The definition of difficulty, and the table with a row for each clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import policies
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies import Policy, rule
from bnn_exit.policies.uncertainty import Entropy
from bnn_exit.text import counted

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

UNKNOWN = -1
"""The label of a clip whose true class is not known."""


@dataclasses.dataclass(frozen=True)
class Table:
    """How hard each clip is.

    With p_k the probabilities that exit k = 1..K gives, w_k = (1/k) / (1 + 1/2 + ... + 1/K) and C classes, the *mean
    probabilities* are p = sum_k w_k p_k and

        difficulty = H(p) / ln C,    H(p) = -sum_c p_c ln p_c,

    in [0, 1]: 0 if all exits are certain of one class, 1 if their mean is uniform. It is exactly the sum of

        uncertainty = sum_k w_k H(p_k) / ln C    (each exit is unsure by itself)  and
        disagreement = difficulty - uncertainty  (exits are sure of different classes),

    the latter being the Jensen-Shannon divergence of the exits (Lin 1991) over ln C; Depeweg et al. 2018 split the
    uncertainty of an ensemble in this way. Earlier exits weigh more, since a clip that is clear to a shallow network is
    easy. `benchmarks/difficulty.py` compares this with other definitions.

    Attributes:
        difficulty, uncertainty, disagreement: [clips], in [0, 1], larger is harder.
        agreement: [clips], share of the exits that give the last exit's class, the last included: in [1/K, 1].
        prediction_depth: [clips], the earliest exit, 0-based, from which on every exit gives the last one's class
            (Baldock, Maennel and Neyshabur 2021, with exits for their nearest-neighbour probes).
        exit_index: [clips], the exit, 0-based, at which the clip leaves with the given thresholds.
        scores: [clips, exits], what the policy compares with thresholds; low is certain.
        predictions: [clips, exits], the most probable class of each exit.
        mean_probabilities: [clips, classes], p above.
        labels: [clips], the true classes, -1 where they are not known.
        names: what each clip is called.
        class_names: what each class is called.
    """

    difficulty: Floats
    uncertainty: Floats
    disagreement: Floats
    agreement: Floats
    prediction_depth: Integers
    exit_index: Integers
    scores: Floats
    predictions: Integers
    mean_probabilities: Floats
    labels: Integers
    names: tuple[str, ...]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Clips."""
        return len(self.difficulty)

    @property
    def predicted(self) -> Integers:
        """[clips], the class that each clip gets at its exit."""
        return self.predictions[np.arange(len(self)), self.exit_index]

    @property
    def overthinking(self) -> npt.NDArray[np.bool_]:
        """[clips], whether an earlier exit is right and the last is wrong (Kaya, Hong and Dumitras 2019); False where
        the label is not known."""
        right = self.predictions == self.labels[:, None]
        return right[:, :-1].any(axis=1) & ~right[:, -1]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dictionary of plain values for each clip, with exits counted from 1.

        `path`, `label` and `correct` (None if not known), `prediction`, `exit`, `difficulty`, `uncertainty`,
        `disagreement`, `agreement`, `prediction_depth`, `overthinking` (None if not known), and `prediction_k` and
        `score_k` for each exit k.
        """
        predicted, overthinking = self.predicted, self.overthinking
        for index, name in enumerate(self.names):
            label = int(self.labels[index])
            known = label != UNKNOWN
            yield {
                "path": name,
                "label": self.class_names[label] if known else None,
                "prediction": self.class_names[int(predicted[index])],
                "correct": bool(predicted[index] == label) if known else None,
                "exit": int(self.exit_index[index]) + 1,
                "difficulty": float(self.difficulty[index]),
                "uncertainty": float(self.uncertainty[index]),
                "disagreement": float(self.disagreement[index]),
                "agreement": float(self.agreement[index]),
                "prediction_depth": int(self.prediction_depth[index]) + 1,
                "overthinking": bool(overthinking[index]) if known else None,
                **{f"prediction_{k + 1}": self.class_names[each] for k, each in enumerate(self.predictions[index])},
                **{f"score_{k + 1}": float(each) for k, each in enumerate(self.scores[index])},
            }


def columns(exits: int) -> list[str]:
    """The keys of `Table.rows` for a network of so many exits, in order."""
    nothing = np.zeros((1, exits, 2))
    table = from_probabilities(nothing + 0.5, nothing[..., 0], thresholds=[0] * (exits - 1), class_names=("", ""))
    return list(next(table.rows()))


def exit_weights(exits: int) -> Floats:
    """w_k of the definition: proportional to 1, 1/2, ..., 1/exits, with the sum 1."""
    weights = 1 / np.arange(1, exits + 1)
    return weights / weights.sum()


def from_probabilities(
    probabilities: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    thresholds: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    skips: bool = False,
) -> Table:
    """The table of some clips from the outputs of every exit.

    Args:
        probabilities: [clips, exits, classes], each row sums to 1.
        scores: [clips, exits], of the policy.
        thresholds: [exits - 1], which decide where a clip leaves; [exits] with a skip gate.
        labels: [clips], the true classes, -1 where not known; None: none is known.
        names: of clips; empty: their numbers.
        class_names: empty: their numbers.
        skips: whether the policy has a skip gate.

    Raises:
        ArgumentError: shapes that do not fit together, or thresholds out of range.
        DataError: NaN or infinity among the probabilities.
    """
    values, compared = np.asarray(probabilities, np.float64), np.asarray(scores, np.float64)
    if values.ndim != 3 or values.shape[:2] != compared.shape:
        raise ArgumentError(
            f"probabilities and scores have the shapes {values.shape} and {compared.shape}, but must be "
            "[clips, exits, classes] and [clips, exits]"
        )
    clips, exits, classes = values.shape
    bad = ~np.isfinite(values).all(axis=(1, 2))
    if bad.any():
        raise DataError(
            f"probabilities of {bad.sum()} of {counted(clips, 'clip')} (first: clip {bad.argmax()}) hold NaN or "
            "infinity, so their difficulty is not defined"
        )
    for name, given, count in (("names", names, clips), ("class_names", class_names, classes)):
        if len(given) not in (0, count):
            raise ArgumentError(f"{name} has {len(given)} entries, but must have {count}")
    known = np.full(clips, UNKNOWN) if labels is None else np.asarray(labels, np.int64)
    if known.shape != (clips,) or (clips and (known.min() < UNKNOWN or known.max() >= classes)):
        raise ArgumentError(f"labels must be [{clips}] whole numbers, 0 to {classes - 1}, or -1 where not known")

    limits = rule.check_thresholds(thresholds, exits=exits, skips=skips)
    weights = exit_weights(exits)
    # Sums, not matrix products: those differ in the last bits with the number of clips, and a row should not.
    mean_probabilities = (values * weights[:, None]).sum(axis=1)
    difficulty = Entropy.of(mean_probabilities)
    # Entropy is concave, so the difference is below 0 only by rounding.
    uncertainty = np.minimum((Entropy.of(values) * weights).sum(axis=1), difficulty)
    predictions = values.argmax(axis=-1)
    same = predictions == predictions[:, -1:]
    return Table(
        difficulty=difficulty,
        uncertainty=uncertainty,
        disagreement=difficulty - uncertainty,
        agreement=same.mean(axis=1),
        # The last exit that differs is followed by the depth; argmax of the reversed row finds it.
        prediction_depth=np.where(same.all(axis=1), 0, exits - (~same[:, ::-1]).argmax(axis=1)),
        exit_index=rule.exit_indices(compared, limits),
        scores=compared,
        predictions=predictions,
        mean_probabilities=mean_probabilities,
        labels=known,
        names=tuple(names) or tuple(map(str, range(clips))),
        class_names=tuple(class_names) or tuple(map(str, range(classes))),
    )


def from_exit_logits(
    exit_logits: ExitLogits,
    *,
    thresholds: npt.ArrayLike,
    policy: Policy | None = None,
    class_names: Sequence[str] = (),
) -> Table:
    """The table of clips whose exit logits are known, such as those in RUN/exit_logits.

    Args:
        exit_logits: of all exits.
        thresholds: [exits - 1], such as an operating point's, in the policy's own scale.
        policy: fitted; gives the scores and, where it changes them, the probabilities. None: the default one.
        class_names: empty: their numbers.

    Raises:
        ArgumentError: thresholds or names of the wrong number.
        DataError: the policy reads features, and the exit logits hold none.
    """
    chosen = policy or policies.fit(policies.DEFAULT)
    return from_probabilities(
        chosen.probabilities(exit_logits),
        chosen.scores(exit_logits),
        thresholds=thresholds,
        skips=chosen.skips(),
        labels=exit_logits.labels,
        names=exit_logits.names,
        class_names=class_names,
    )
