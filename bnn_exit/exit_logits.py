"""The logits of every exit for every clip: the input of policies, calibration, difficulty and reports."""

from __future__ import annotations

import dataclasses
import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import expanded, write_bytes
from bnn_exit.text import counted

_FORMAT = 1

_DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error),
    # A file of another kind: a single array.
    *(TypeError, AttributeError),
    # zipfile raises these where damage looks like encryption or an unknown compression.
    *(RuntimeError, NotImplementedError),
)


@dataclasses.dataclass(frozen=True)
class ExitLogits:
    """The logits of all exits for some clips.

    Attributes:
        logits: float32 [clips, exits, classes]. Logarithms of probabilities serve as well: nothing here changes when
            all logits of an exit grow by one number.
        labels: int64 [clips], the true classes, 0-based; None if they are not known.
        split: "train", "validation", "test", or "" for clips of no split.
        names: what each clip is called; empty if they have no names.
        features: for each exit, float32 [clips, size]: the pooled features that class means are taken of; empty if
            they were not asked for.
        background: numbers of the classes that are none to recognise, such as unknown and silence; for policies that
            reject.
        gate_scores: float32 [clips], of a skip gate, where a model file gave them in place of features; else None.

    Raises:
        ArgumentError: shapes that do not fit together, a label out of range.
        DataError: no clips, or NaN or infinity among the logits.
    """

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None = None
    split: str = ""
    names: tuple[str, ...] = ()
    features: tuple[npt.NDArray[np.float32], ...] = ()
    background: tuple[int, ...] = ()
    gate_scores: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        logits = np.asarray(self.logits, np.float32)
        object.__setattr__(self, "logits", logits)
        if logits.ndim != 3:
            raise ArgumentError(f"logits has shape {logits.shape}, but must be [clips, exits, classes]")
        clips, exits, classes = logits.shape
        if classes < 2 or exits < 1:
            raise ArgumentError(f"logits has shape {logits.shape}, but needs at least 1 exit and 2 classes")
        if not clips:
            raise DataError(f"the {self.split or 'given'} split is empty: there are no logits to work with")
        bad = ~np.isfinite(logits).all(axis=(1, 2))
        if bad.any():
            raise DataError(
                f"logits of {bad.sum()} of {counted(clips, 'clip')} (first: clip {bad.argmax()}) hold NaN or infinity: "
                "the network diverged, train it again with a lower learning rate"
            )
        if self.labels is not None:
            object.__setattr__(self, "labels", _checked_labels(self.labels, clips, classes))
        if self.names and len(self.names) != clips:
            raise ArgumentError(f"names has {len(self.names)} entries, but there are {counted(clips, 'clip')}")
        if self.features and (len(self.features) != exits or any(len(each) != clips for each in self.features)):
            raise ArgumentError(
                f"features has the shapes {[each.shape for each in self.features]}, but must be one array "
                f"[{clips}, size] for each of the {counted(exits, 'exit')}"
            )
        if self.gate_scores is not None and np.shape(self.gate_scores) != (clips,):
            raise ArgumentError(
                f"gate_scores has shape {np.shape(self.gate_scores)}, but there are {counted(clips, 'clip')}"
            )
        if any(not 0 <= number < classes for number in self.background):
            raise ArgumentError(f"background is {list(self.background)}, but must be numbers from 0 to {classes - 1}")

    def __len__(self) -> int:
        """Clips."""
        return len(self.logits)

    @property
    def exits(self) -> int:
        """Exits of the network."""
        return self.logits.shape[1]

    @property
    def classes(self) -> int:
        """Classes of the network."""
        return self.logits.shape[2]

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """The labels.

        Raises:
            DataError: they are not known.
        """
        if self.labels is None:
            raise DataError("labels are missing: these clips have none, and there is no accuracy without them")
        return self.labels

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether the exit's most probable class is the true one: [clips, exits]."""
        return self.logits.argmax(axis=-1) == self.truth[:, None]

    def select_clips(self, clips: npt.ArrayLike) -> ExitLogits:
        """The logits of some clips, by number or by a mask."""
        chosen = np.asarray(clips)
        chosen = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        return dataclasses.replace(
            self,
            logits=self.logits[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            names=tuple(self.names[index] for index in chosen) if self.names else (),
            features=tuple(each[chosen] for each in self.features),
            gate_scores=None if self.gate_scores is None else self.gate_scores[chosen],
        )

    def select_exits(self, exits: npt.ArrayLike) -> ExitLogits:
        """The logits of some exits, as of a network without the others."""
        chosen = [int(index) for index in np.asarray(exits)]
        features = tuple(self.features[index] for index in chosen) if self.features else ()
        # A skip gate reads the features of the first exit.
        gate_scores = self.gate_scores if chosen[:1] == [0] else None
        return dataclasses.replace(self, logits=self.logits[:, chosen], features=features, gate_scores=gate_scores)

    @classmethod
    def from_probabilities(cls, probabilities: npt.ArrayLike, **known: Any) -> ExitLogits:
        """From probabilities [clips, exits, classes], which a model file gives; `known`: further attributes."""
        return cls(np.log(np.maximum(np.asarray(probabilities, np.float32), np.finfo(np.float32).tiny)), **known)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them to an .npz file in one step."""
        arrays = {"format": np.array(_FORMAT), "logits": self.logits, "split": np.array(self.split)}
        if self.labels is not None:
            arrays["labels"] = self.labels
        if self.names:
            arrays["names"] = np.array(self.names)
        if self.gate_scores is not None:
            arrays["gate_scores"] = self.gate_scores
        if self.background:
            arrays["background"] = np.array(self.background, np.int64)
        arrays |= {f"features_{index}": each for index, each in enumerate(self.features)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ExitLogits:
        """The logits that `save` wrote.

        Raises:
            DataError: the file is missing or damaged.
        """
        try:
            # From memory: NumPy leaves a damaged file open.
            with np.load(io.BytesIO(expanded(path).read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            if int(arrays["format"]) != _FORMAT:
                raise ValueError(f"format {arrays['format']}")
            features = [name for name in arrays if name.startswith("features_")]
            return cls(
                logits=arrays["logits"],
                labels=arrays.get("labels"),
                split=str(arrays["split"]),
                names=tuple(map(str, arrays.get("names", ()))),
                features=tuple(arrays[f"features_{index}"] for index in range(len(features))),
                background=tuple(map(int, arrays.get("background", ()))),
                gate_scores=arrays.get("gate_scores"),
            )
        except FileNotFoundError as error:
            raise DataError(f"no such file: {str(Path(path))!r}") from error
        except _DAMAGE as error:
            raise DataError(f"{str(Path(path))!r} does not hold logits of exits: {error}") from error


def _checked_labels(labels: npt.ArrayLike, clips: int, classes: int) -> npt.NDArray[np.int64]:
    try:
        values = np.asarray(labels)
    except ValueError as error:
        raise ArgumentError(f"labels has rows of several lengths, but must hold {clips} integers") from error
    if values.shape != (clips,):
        raise ArgumentError(f"labels has shape {values.shape}, but the logits are of {counted(clips, 'clip')}")
    if not np.issubdtype(values.dtype, np.integer):
        raise ArgumentError(f"labels holds {values.tolist()[0]!r}, but must hold integers, 0 to {classes - 1}")
    if values.min() < 0 or values.max() >= classes:
        raise ArgumentError(
            f"labels has values {values.min()} to {values.max()}, but must be whole, 0 to {classes - 1}"
        )
    return values.astype(np.int64)
