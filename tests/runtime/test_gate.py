import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.model_file.listening_points import GateSettings
from bnn_exit.runtime.gate import Gate

NATS = math.log(10) / 10


def frames(*levels_db):
    return np.repeat(np.array(levels_db, np.float32)[:, None] * np.float32(NATS), 4, axis=1)


def opened(gate, *levels_db):
    """Whether the gate is open after each frame."""
    states = []
    for level in levels_db:
        gate.push(frames(level))
        states.append(gate.is_open)
    return states


def gate(**changes):
    return Gate(
        GateSettings(**{"margin_db": 9, "rise_db_per_s": 1, "hang_over_ms": 0, **changes}), hop_s=0.01, window_frames=3
    )


def test_it_opens_for_as_long_as_a_loud_frame_is_in_the_window():
    assert opened(gate(), -60, -60, -50, -60, -60, -60) == [False, False, True, True, True, False]


def test_a_frame_within_the_margin_is_not_loud():
    assert opened(gate(), -60, -51.5, -50.5) == [False, False, True]


def test_the_hang_over_keeps_it_open_longer_than_a_window():
    assert opened(gate(hang_over_ms=50), -60, -50, -60, -60, -60, -60, -60).count(True) == 5


def test_the_floor_falls_at_once_and_rises_slowly():
    slow = gate(rise_db_per_s=10)  # 0.1 dB a frame
    assert opened(slow, -40, -60, -50) == [False, False, True]
    assert not any(opened(gate(rise_db_per_s=100), -60, *np.arange(-59.5, 0, 0.9)))  # a slow swell is the new noise


def test_constant_sound_never_opens_it_and_a_reset_forgets_the_floor():
    each = gate()
    assert not any(opened(each, *[-30] * 20))
    assert opened(each, -10) == [True]
    each.reset()
    assert opened(each, -10, -10, -10) == [False] * 3


@settings(max_examples=100, deadline=None)
@given(levels=st.lists(st.floats(-100, 20, width=32), max_size=40), cut=st.integers(0, 40))
def test_how_frames_are_grouped_has_no_effect(levels, cut):
    one, two = gate(), gate()
    for level in levels:
        one.push(frames(level))
    two.push(frames(*levels[:cut]) if levels[:cut] else np.empty((0, 4), np.float32))
    two.push(frames(*levels[cut:]) if levels[cut:] else np.empty((0, 4), np.float32))
    assert one.is_open == two.is_open
