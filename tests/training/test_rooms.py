"""Made-up rooms: their energy falls as the reverberation time says."""

from __future__ import annotations

import numpy as np
import pytest

from bnn_exit.training.rooms import _energy, room_energies


def test_energies_are_shares_and_the_direct_sound_is_first():
    found = room_energies(rooms=32, rt60_s=(0.1, 0.6), hop_s=0.01, seed=3)
    assert found.shape == (32, 60) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found >= 0).all()
    assert (found.argmax(axis=1) == 0).all()
    # Rooms differ: some are nearly dry, in others most of the energy comes late.
    assert found[:, 0].min() < 0.6 and found[:, 0].max() > 0.85


def test_the_same_seed_gives_the_same_rooms():
    first, again, other = (room_energies(rooms=3, rt60_s=(0.2, 0.3), hop_s=0.02, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 15) and not np.array_equal(first, other)


@pytest.mark.parametrize("rt60", [0.2, 0.4, 0.6])
def test_energy_falls_by_sixty_decibels_in_the_reverberation_time(rt60):
    size, source, microphone = np.array([5.0, 4.0, 3.0]), np.array([1.0, 1.2, 1.5]), np.array([3.4, 2.6, 1.1])
    energy = _energy(size, source, microphone, rt60_s=rt60, hop_s=0.01, steps=round(rt60 / 0.01))
    # What is left from a time on falls in a straight line in dB (Schroeder 1965), here from a tenth to half of it.
    left = 10 * np.log10(np.cumsum(energy[::-1])[::-1] / energy.sum())
    first, last = len(left) // 10, len(left) // 2
    slope = (left[last] - left[first]) / (last - first) / 0.01
    assert -60 / slope == pytest.approx(rt60, rel=0.3)


def test_a_room_of_two_reflections_is_that_by_hand():
    # One step holds the direct sound and every image that arrives within it.
    size, source, microphone = np.array([4.0, 4.0, 4.0]), np.array([2.0, 2.0, 2.0]), np.array([2.0, 2.0, 3.0])
    rt60 = 0.3
    energy = _energy(size, source, microphone, rt60_s=rt60, hop_s=0.0075, steps=1)
    reflected = np.exp(-0.161 * 64 / (96 * rt60))
    # Up to 1 m + 343 m/s * 7.5 ms = 3.57 m: the direct sound at 1 m and the image in the ceiling at 3 m. Those in the
    # walls are at sqrt(17) m, that in the floor at 5 m.
    assert energy == pytest.approx([1 + reflected / 9])
