"""Where a clip that the exit rule does not let leave continues: here or on the server.

As the scheduler of DynO (Almeida et al. 2022, section 4.5): every way has an estimate of its time, made of the measured
device, the size of the packet and moving averages of the link; what breaks the deadline is dropped, and the rest is
ranked by one objective. As in exit prediction (Dong et al. 2022) thresholds follow the bandwidth, where accuracy is the
objective: then the operating point is the most accurate one that the deadline allows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.pairs import zip_strict
from bnn_exit.text import counted

OBJECTIVES = ("latency", "energy", "accuracy")
LEAVE, LOCAL, SEND = "leave", "local", "send"
SMOOTHING = 0.3
"""Weight of the newest measurement in a moving average."""


@dataclasses.dataclass(frozen=True)
class EnergyModel:
    """Watts of a device, above what it takes when it does nothing: energy is watts times seconds.

    The usual ones are of the order of a small board with Wi-Fi; measure your own.

    Attributes:
        compute_w: while it computes.
        transmit_w: while it sends.
        wait_w: while it waits for an answer.
    """

    compute_w: float = 1.5
    transmit_w: float = 1.0
    wait_w: float = 0.3

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
                raise ArgumentError(f"{field.name} is {value!r}, but must be a number of watts of at least 0")


class Link:
    """Moving averages of what the network gives.

    Attributes:
        round_trip_s: seconds from a request of no size to its answer, the server's work included; None: not measured.
        bits_per_s: of the way to the server; None: not measured.
    """

    def __init__(self) -> None:
        self.round_trip_s: float | None = None
        self.bits_per_s: float | None = None

    def observe_round_trip(self, seconds: float) -> None:
        """A request of no size took this long."""
        self.round_trip_s = _averaged(self.round_trip_s, max(seconds, 1e-6))

    def observe_transfer(self, size: int, seconds: float) -> None:
        """A request of `size` bytes took `seconds` until its answer came."""
        if self.round_trip_s is None or seconds < self.round_trip_s:
            # No transfer takes less than none: the round trip has become shorter.
            self.observe_round_trip(seconds)
        sending = max(seconds - self.round_trip_s, 1e-6) if self.round_trip_s is not None else seconds
        # A moving average of seconds a bit, as slow clips weigh more than fast ones in what a user waits.
        before = None if self.bits_per_s is None else 1 / self.bits_per_s
        self.bits_per_s = 1 / _averaged(before, sending / (8 * size))

    def seconds(self, size: float) -> float:
        """What a packet of `size` bytes would take until its answer is there; 0 for what is not known yet."""
        return (self.round_trip_s or 0.0) + self.sending_s(size)

    def sending_s(self, size: float) -> float:
        """What it takes to send `size` bytes."""
        return 0.0 if self.bits_per_s is None else 8 * size / self.bits_per_s


def _averaged(before: float | None, now: float) -> float:
    return now if before is None else before + SMOOTHING * (now - before)


@dataclasses.dataclass(frozen=True)
class Option:
    """A way for a clip, with its estimates.

    Attributes:
        name: LEAVE, LOCAL or SEND.
        seconds: from now to the answer.
        joules: of the device.
        accuracy: of clips that go there: those of validation.
    """

    name: str
    seconds: float
    joules: float
    accuracy: float


class Scheduler:
    """Chooses the way of each clip.

    Args:
        points: operating points of the whole file.
        after: the last exit of the device, counted from 1.
        profile: measured times of the whole file on this device (`python -m bnn_exit.bench --json`); None: going on
            here has no estimate, and is taken only when nothing can be sent.
        has_local: whether the other half is here too.
        objective: "latency" (least time), "energy" (least of the device) or "accuracy" (most accurate within the
            deadline).
        deadline_s: for a clip, from its samples to its answer; a longer one lets more clips be sent.
        energy: watts, for the objective "energy".

    Raises:
        ArgumentError: an unknown objective, a deadline that is not above 0, or a profile of another number of exits.
    """

    def __init__(
        self,
        points: Mapping[str, OperatingPoint],
        *,
        after: int,
        profile: DeviceProfile | None = None,
        has_local: bool = False,
        objective: str = "latency",
        deadline_s: float = 0.5,
        energy: EnergyModel | None = None,
    ) -> None:
        self.objective = one_of("objective", objective, OBJECTIVES)
        if not (isinstance(deadline_s, (int, float)) and 0 < deadline_s < math.inf):
            raise ArgumentError(f"deadline_s is {deadline_s!r}, but must be a number of seconds above 0")
        exits = next((len(point.exit_shares) for point in points.values()), None)
        if profile is not None and exits is not None and len(profile.mean_us) != exits:
            raise ArgumentError(
                f"profile has times of {counted(len(profile.mean_us), 'exit')}, but the whole file has {exits}: time "
                "the file that was split"
            )
        if objective == "accuracy" and not points:
            raise ArgumentError("objective is 'accuracy', but the file has no operating points to choose from")
        self._points, self._after, self._profile = dict(points), after, profile
        self._has_local, self.deadline_s, self._energy = has_local, float(deadline_s), energy or EnergyModel()

    def operating_point(self, name: str, *, link: Link, size: float, is_up: bool) -> str:
        """The operating point for the next clip: `name`, or for the objective "accuracy" the most accurate one whose
        average clip is there within the deadline, and the fastest one where none is.

        Args:
            name: what the user asked for.
            link: as it was measured.
            size: bytes of a packet.
            is_up: whether anything can be sent.
        """
        if self.objective != "accuracy":
            return name
        times = {each: self._mean_seconds(point, link, size, is_up) for each, point in self._points.items()}
        allowed = [each for each in times if times[each] <= self.deadline_s]
        if not allowed:
            return min(times, key=lambda each: times[each])
        return max(allowed, key=lambda each: (self._points[each].accuracy, -times[each]))

    def choose(self, *, link: Link, size: float, is_up: bool, left_s: float, point: OperatingPoint | None) -> Option:
        """The way of a clip that the exit rule lets go on.

        Args:
            link: as it was measured.
            size: bytes of its packet.
            is_up: whether anything can be sent.
            left_s: seconds until its deadline.
            point: the operating point in use, if it has a name.
        """
        options = self.options(link=link, size=size, is_up=is_up, point=point)
        allowed = [each for each in options if each.seconds <= left_s]
        if not allowed:
            return Option(LEAVE, 0.0, 0.0, 0.0)
        if self.objective == "energy":
            return min(allowed, key=lambda each: (each.joules, each.seconds))
        return min(allowed, key=lambda each: each.seconds)

    def options(self, *, link: Link, size: float, is_up: bool, point: OperatingPoint | None) -> list[Option]:
        """The ways there are, with their estimates; arguments as of `choose`."""
        found, accuracy = [], point.accuracy if point else 0.0
        if is_up:
            sending, total = link.sending_s(size), link.seconds(size)
            joules = self._energy.transmit_w * sending + self._energy.wait_w * (total - sending)
            found.append(Option(SEND, total, joules, accuracy))
        if self._has_local:
            seconds = self._local_s(point.exit_shares if point else None)
            # Without a profile a way that works is not dropped, but one with an estimate goes before it.
            if seconds is not None or not found:
                found.append(Option(LOCAL, seconds or 0.0, self._energy.compute_w * (seconds or 0.0), accuracy))
        return found

    def _local_s(self, shares: Sequence[float] | None) -> float | None:
        """Mean seconds from the exit of the device on, of clips that go on."""
        if self._profile is None:
            return None
        here, deeper = self._profile.mean_us[self._after - 1], self._profile.mean_us[self._after :]
        weights = list(shares[self._after :]) if shares else []
        if sum(weights) <= 0:
            weights = [0.0] * (len(deeper) - 1) + [1.0]
        mean = sum(weight * us for weight, us in zip_strict(weights, deeper)) / sum(weights)
        return max(mean - here, 0.0) / 1e6

    def _mean_seconds(self, point: OperatingPoint, link: Link, size: float, is_up: bool) -> float:
        """Of the average clip under an operating point."""
        own = self._profile.mean_us if self._profile else (0.0,) * len(point.exit_shares)
        early, rest = point.exit_shares[: self._after], sum(point.exit_shares[self._after :])
        ways = [each.seconds for each in self.options(link=link, size=size, is_up=is_up, point=point)]
        seconds = sum(share * us for share, us in zip_strict(early, own[: self._after])) / 1e6
        return seconds + rest * (own[self._after - 1] / 1e6 + (min(ways) if ways else 0.0))
