"""Rates of a device by kind of operator, and the time of a network that was never run there.

The time of a network is taken to be a sum: for each kind of work (`operator_work.KINDS`) its amount times the
nanoseconds of one unit. The rates are fitted to measured times of one or more files, exit by exit: least squares of the
relative error, no rate below 0. Few files cannot tell all kinds apart, so that a small penalty keeps the ratios of the
rates near usual ones; with one file of two exits, these are little more than scaled. The front end takes time by its
frames, each with a Fourier transform of n log2(n) steps.

Latency that is predicted from sums over operators is common in architecture search (nn-Meter, Zhang et al. 2021; cost
tables of FBNet, Wu et al. 2019); the kinds, the penalty and its weight here are our own.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.operator_work import KINDS, Work
from bnn_exit.errors import ArgumentError, BnnExitError, DataError, one_of
from bnn_exit.files import read_json
from bnn_exit.settings.features import FeatureConfig

USUAL_NS = {
    **{"binary_macs": 0.002, "conv_macs": 0.1, "depthwise_macs": 0.3, "dense_macs": 0.1},
    **{"values": 0.5, "layers": 300.0},
}
"""Nanoseconds of a unit on a fast processor. Only their ratios matter, and these only where few files were timed."""

PENALTY = 0.01
"""Of a rate that is twice the usual one, as a squared relative error of a time: a tenth."""


@dataclasses.dataclass(frozen=True)
class OperatorRates:
    """How long one unit of each kind of work takes on a device.

    Attributes:
        name: of the device.
        ns: kind in KINDS -> nanoseconds of a unit, at least 0.
        frame_step_ns: nanoseconds of the front end for each frame and step of its Fourier transform.
        misfit: the largest relative error of a time that they were fitted to, from 0.
        backend, threads: of the times.
    """

    name: str
    ns: Mapping[str, float]
    frame_step_ns: float
    misfit: float = 0.0
    backend: str = "native"
    threads: int = 1

    def __post_init__(self) -> None:
        if set(self.ns) != set(KINDS):
            raise ArgumentError(f"ns has the kinds {', '.join(self.ns)}, but must have {', '.join(KINDS)}")
        values = {**self.ns, "frame_step_ns": self.frame_step_ns}
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ArgumentError(f"{name} is {value!r}, but must be a time of at least 0")

    def network_us(self, work: Work) -> float:
        """Microseconds of so much work."""
        return sum(work[kind] * self.ns[kind] for kind in KINDS) / 1000

    def front_end_us(self, features: FeatureConfig, *, clip_samples: int) -> float:
        """Microseconds from a waveform to log-mel."""
        return _frame_steps(features, clip_samples) * self.frame_step_ns / 1000

    def profile(self, work: Sequence[Work], features: FeatureConfig, *, clip_samples: int) -> DeviceProfile:
        """The predicted times of a network, the front end included, as if it had been timed.

        Args:
            work: of leaving at each exit, cumulative.
            features, clip_samples: what the front end computes.
        """
        front = self.front_end_us(features, clip_samples=clip_samples)
        times = tuple(front + self.network_us(each) for each in work)
        return DeviceProfile(self.name, times, times, self.backend, threads=self.threads)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**dataclasses.asdict(self), "ns": dict(self.ns)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OperatorRates:
        """From `to_dict`; ArgumentError or TypeError if it is none."""
        return cls(**values)

    @classmethod
    def load(cls, paths: Sequence[str | os.PathLike[str]]) -> OperatorRates:
        """Fitted to what `python -m bnn_exit.bench MODEL --json` printed on one device, a file for each model.

        Raises:
            DataError: a file is missing or damaged, or of another kind or version.
            ArgumentError: files of different devices, backends or threads.
        """
        reports = []
        for path in paths:
            try:
                values = read_json(path)
                if "times" not in values:
                    raise ValueError("it has no times")
                reports.append(values)
            except FileNotFoundError as error:
                raise DataError(f"no such file: {str(Path(path))!r}") from error
            except (OSError, ValueError, TypeError) as error:
                raise DataError(
                    f"{str(Path(path))!r} does not hold times of a device ({error}): "
                    "python -m bnn_exit.bench MODEL --json > FILE makes one"
                ) from error
        return cls.from_bench(reports)

    @classmethod
    def from_bench(cls, reports: Sequence[Mapping[str, Any]], *, backend: str | None = None) -> OperatorRates:
        """From the objects of `python -m bnn_exit.bench MODEL --json`; errors as `load`.

        Args:
            reports: one for each model that was timed; more models tell the kinds apart better.
            backend: one of those that were timed; None means the first.
        """
        work: list[list[int]] = []
        times: list[float] = []
        fronts: list[float] = []
        devices = set()
        try:
            for report in reports:
                chosen = next(iter(report["times"])) if backend is None else one_of("backend", backend, report["times"])
                devices.add((str(report["machine"]["cpu"]), chosen, int(report["threads"])))
                rows = report["times"][chosen]
                if report.get("work") is None or "front end" not in rows:
                    raise DataError(
                        f"the times of {report['model']} do not say what was computed: make them again with this "
                        "version of bnn_exit.bench, and a file without a skip gate or the front end inside"
                    )
                for index, each in enumerate(report["work"]):
                    measured = rows[f"exit {index + 1}"]["mean"]
                    if measured is not None:
                        times.append(float(measured))
                        work.append([each[kind] for kind in KINDS])
                features = FeatureConfig.from_dict(report["features"])
                if rows["front end"]["mean"] is not None:
                    steps = _frame_steps(features, report["clip_samples"])
                    fronts.append(1000 * float(rows["front end"]["mean"]) / steps)
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            if isinstance(error, BnnExitError):
                raise
            raise DataError(f"the report of bnn_exit.bench lacks {error}: make it again with --json") from error
        if len(devices) > 1:
            found = "; ".join(f"{cpu}, {name}, {threads} threads" for cpu, name, threads in sorted(devices))
            raise ArgumentError(f"the times are of different devices or settings ({found}): give those of one")
        if not times or not fronts or min(times) <= 0 or min(fronts) <= 0:
            raise DataError("no time was measurable: time again with more --repeats")
        name, used, threads = devices.pop()
        ns, misfit = fitted(np.array(work, float), np.array(times))
        return cls(name, ns, float(np.mean(fronts)), misfit, used, threads)


def fitted(work: np.ndarray, times_us: np.ndarray) -> tuple[dict[str, float], float]:
    """The rates in nanoseconds by kind, and the largest relative error of a time.

    Args:
        work: [times, kinds] in the order of KINDS.
        times_us: [times], above 0.
    """
    usual = np.array([USUAL_NS[kind] for kind in KINDS]) / 1000
    relative = work * usual / times_us[:, None]
    alone = relative.sum(axis=1)
    scale = float(alone.sum() / np.square(alone).sum())
    relative = relative * scale
    # Coordinate descent: each rate in turn is the best one beside the others, and never below 0.
    rates = np.ones(len(usual))
    curvature = np.square(relative).sum(axis=0) + PENALTY
    for _ in range(2000):
        for kind in range(len(rates)):
            rest = 1 - relative @ rates + relative[:, kind] * rates[kind]
            rates[kind] = max(0.0, (relative[:, kind] @ rest + PENALTY) / curvature[kind])
    misfit = float(np.abs(relative @ rates - 1).max())
    return {kind: float(1000 * rate) for kind, rate in zip(KINDS, rates * usual * scale)}, misfit


def _frame_steps(features: FeatureConfig, clip_samples: int) -> float:
    return features.num_frames(clip_samples) * features.fft_size * math.log2(features.fft_size)
