"""Estimates of the link, and the choice of the way, with numbers by hand."""

import made_split_points
import pytest

from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.errors import ArgumentError
from bnn_exit.offload.scheduler import LEAVE, LOCAL, SEND, EnergyModel, Link, Scheduler

POINTS = made_split_points.POINTS
PROFILE = DeviceProfile("board", (1000.0, 3000.0, 11000.0), (1000.0, 3000.0, 11000.0), "native")


def link(round_trip_s, bits_per_s):
    made = Link()
    made.round_trip_s, made.bits_per_s = round_trip_s, bits_per_s
    return made


def test_moving_averages_by_hand():
    made = Link()
    assert made.seconds(1000) == 0
    made.observe_round_trip(0.010)
    assert made.round_trip_s == 0.010
    made.observe_round_trip(0.020)
    assert made.round_trip_s == pytest.approx(0.010 + 0.3 * 0.010)
    made.observe_transfer(1000, 0.013 + 0.080)  # 8000 bits in 80 ms
    assert made.bits_per_s == pytest.approx(100_000)
    made.observe_transfer(1000, 0.013 + 0.040)  # seconds a bit: 10 us, then 5 us
    assert made.bits_per_s == pytest.approx(1 / (10e-6 - 0.3 * 5e-6))
    assert made.seconds(500) == pytest.approx(0.013 + 4000 * 8.5e-6)


def test_a_transfer_faster_than_the_round_trip_lowers_it():
    made = link(0.1, None)
    made.observe_transfer(1000, 0.02)
    assert made.round_trip_s == pytest.approx(0.1 - 0.3 * 0.08)


def choose(scheduler, *, link, size=1000, is_up=True, left_s=1.0, point="full"):
    return scheduler.choose(link=link, size=size, is_up=is_up, left_s=left_s, point=POINTS[point]).name


@pytest.mark.parametrize(
    "bits_per_s, left_s, way",
    [
        (8e6, 1.0, SEND),  # 2 ms + 1 ms, here 10 ms
        (8e5, 1.0, LOCAL),  # 2 ms + 10 ms
        (8e6, 0.002, LEAVE),
        (8e5, 0.011, LOCAL),
    ],
)
def test_the_fastest_way_within_the_deadline(bits_per_s, left_s, way):
    scheduler = Scheduler(POINTS, after=1, profile=PROFILE, has_local=True)
    assert choose(scheduler, link=link(0.002, bits_per_s), left_s=left_s) == way


def test_the_time_here_is_of_the_exits_that_clips_reach():
    scheduler = Scheduler(POINTS, after=1, profile=PROFILE, has_local=True)
    seconds = {}
    for name, point in POINTS.items():
        options = scheduler.options(link=Link(), size=1, is_up=True, point=point)
        seconds[name] = next(each.seconds for each in options if each.name == LOCAL)
    # From exit 1: to exit 3 10 ms; to exit 2 2 ms; where no clip of validation went on, to the last.
    assert seconds == pytest.approx({"full": 0.010, "balanced": 0.002, "fast": 0.010})


def test_the_least_energy():
    watts = EnergyModel(compute_w=2.0, transmit_w=1.0, wait_w=0.1)
    scheduler = Scheduler(POINTS, after=1, profile=PROFILE, has_local=True, objective="energy", energy=watts)
    here, slow, fast = 0.010 * 2.0, link(0.5, 8e6), link(0.5, 4e5)
    options = {each.name: each for each in scheduler.options(link=slow, size=1000, is_up=True, point=POINTS["full"])}
    assert options[LOCAL].joules == pytest.approx(here)
    assert options[SEND].joules == pytest.approx(0.001 * 1.0 + 0.5 * 0.1)
    assert choose(scheduler, link=slow) == LOCAL
    assert choose(scheduler, link=link(0.1, 8e6)) == SEND  # 1 mJ + 10 mJ
    assert choose(scheduler, link=fast) == LOCAL


def test_for_accuracy_thresholds_follow_the_link():
    scheduler = Scheduler(POINTS, after=1, profile=PROFILE, objective="accuracy", deadline_s=0.100)

    def point(seconds, is_up=True):
        return scheduler.operating_point("fast", link=link(seconds, 8e9), size=1000, is_up=is_up)

    assert point(0.01) == "full"
    assert point(0.15) == "balanced"  # half of the clips go: 1 ms + 75 ms
    assert point(0.30) == "fast"


def test_without_a_server_or_a_profile():
    alone = Scheduler(POINTS, after=1)
    assert choose(alone, link=Link(), is_up=False) == LEAVE
    unknown = Scheduler(POINTS, after=1, has_local=True)
    assert choose(unknown, link=Link(), is_up=False) == LOCAL
    assert choose(unknown, link=link(0.1, 1e6)) == SEND


@pytest.mark.parametrize(
    "change, message",
    [
        ({"deadline_s": float("nan")}, "deadline_s is nan"),
        ({"profile": DeviceProfile("b", (1.0,), (1.0,), "native")}, "times of 1 exit, but the whole file has 3"),
        ({"objective": "accuracy", "points": {}}, "no operating points to choose from"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ArgumentError, match=message):
        Scheduler(change.pop("points", POINTS), after=1, **change)


@pytest.mark.parametrize("value", [-1, float("nan"), "much"])
def test_watts(value):
    with pytest.raises(ArgumentError, match=r"wait_w is .*, but must be a number of watts"):
        EnergyModel(wait_w=value)
