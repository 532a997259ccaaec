"""Measured times of a device: how long a clip takes, by the exit where it leaves."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn_exit.errors import ArgumentError, BnnExitError, DataError, one_of
from bnn_exit.files import read_json, write_json

_FORMAT = 1

SKIPPED = "skipped"
"""Row of `bench` for clips that a skip gate sends past the early heads."""


@dataclasses.dataclass(frozen=True)
class DeviceProfile:
    """Times from sound to prediction on one device, the front end included.

    Attributes:
        name: what the device is called.
        mean_us: average microseconds of clips that leave at each exit.
        worst_us: the 95th percentile of the same.
        backend: what ran the network, such as "native".
        threads: for one clip.
        machine: as `bnn_exit.machine.describe` returns it.
        skipped_us: average microseconds of clips that a skip gate sends past the early heads; None if that was not
            timed, and the time of the last exit, an upper bound, is taken.
    """

    name: str
    mean_us: tuple[float, ...]
    worst_us: tuple[float, ...]
    backend: str
    threads: int = 1
    machine: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    skipped_us: float | None = None

    def __post_init__(self) -> None:
        for name in ("mean_us", "worst_us"):
            values = getattr(self, name)
            if not values or not all(isinstance(v, (int, float)) and math.isfinite(v) and v > 0 for v in values):
                raise ArgumentError(f"{name} is {list(values)!r}, but must be a time above 0 for each exit")
            object.__setattr__(self, name, tuple(map(float, values)))
        if len(self.mean_us) != len(self.worst_us):
            raise ArgumentError(f"mean_us has {len(self.mean_us)} times, but worst_us has {len(self.worst_us)}")

    def select_exits(self, subset: tuple[int, ...]) -> DeviceProfile:
        """Upper bounds for the network without the other exits: times of heads alone were not measured."""
        mean, worst = (tuple(times[index] for index in subset) for times in (self.mean_us, self.worst_us))
        return dataclasses.replace(self, mean_us=mean, worst_us=worst)

    @classmethod
    def from_bench(cls, report: Mapping[str, Any], *, name: str = "", backend: str | None = None) -> DeviceProfile:
        """From what `python -m bnn_exit.bench MODEL clips --json` prints.

        Args:
            report: the object.
            name: of the device; "" takes the processor's.
            backend: one of those that were timed; None means the first.

        Raises:
            ArgumentError: a backend that was not timed.
            DataError: the report lacks something, or an exit was not measurable.
        """
        try:
            chosen = next(iter(report["times"])) if backend is None else one_of("backend", backend, report["times"])
            times = report["times"][chosen]
            mean_us, worst_us = (
                [_whole(times, f"exit {k + 1}", figure) for k in range(report["exits"])] for figure in ("mean", "p95")
            )
            return cls(
                name=name or str(report["machine"]["cpu"]),
                mean_us=tuple(mean_us),
                worst_us=tuple(worst_us),
                backend=chosen,
                threads=int(report["threads"]),
                machine=dict(report["machine"]),
                skipped_us=_whole(times, SKIPPED, "mean") if SKIPPED in times else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            if isinstance(error, ArgumentError):
                raise
            raise DataError(f"the report of bnn_exit.bench lacks {error}: make it again with --json") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON."""
        write_json(path, {"format": _FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DeviceProfile:
        """What `save` wrote, or what `python -m bnn_exit.bench --json` printed.

        Raises:
            DataError: the file is missing or damaged, or of another kind.
        """
        try:
            values = read_json(path)
            if "times" in values:
                return cls.from_bench(values, name=Path(path).stem)
            if values.pop("format") != _FORMAT:
                raise ValueError("it is of another format")
            return cls(**values)
        except FileNotFoundError as error:
            raise DataError(f"no such file: {str(Path(path))!r}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BnnExitError) as error:
            raise DataError(
                f"{str(Path(path))!r} does not hold times of a device ({error}): "
                "python -m bnn_exit.bench MODEL clips --json > FILE makes one"
            ) from error


def _whole(times: Mapping[str, Any], row: str, figure: str) -> float:
    """Front end and network of an exit, in a table of `bench`; DataError if they were not measurable.

    Reports of earlier versions have the two apart, so there they are added. A file with the front end inside has none.
    """
    together = times.get(f"front end + {row}")
    parts = [together] if together else [times[row], *([times["front end"]] if "front end" in times else [])]
    if any(part[figure] is None for part in parts):
        raise DataError(f"the time of {row} was not measurable: time it again with more --repeats")
    return float(sum(part[figure] for part in parts))
