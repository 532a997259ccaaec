"""Reverberation of rooms that are made up, as the energy of their impulse responses."""

from __future__ import annotations

import numpy as np

_SPEED_OF_SOUND = 343.0  # m/s
_SMALLEST, _LARGEST = np.array([2.5, 2.5, 2.2]), np.array([8.0, 6.0, 3.5])  # m, sides of a room
_FROM_WALL = 0.3  # m, of source and microphone
_CLOSE, _FAR = 0.5, 4.0  # m, between source and microphone


def room_energies(*, rooms: int, rt60_s: tuple[float, float], hop_s: float, seed: int) -> np.ndarray:
    """Energy of made-up room impulse responses in steps of the frame hop: float32 `[rooms, steps]`, each of sum 1.

    Rooms, places of source and microphone, and reverberation times are drawn at random. The walls of a room absorb
    alike, as much as gives its reverberation time by Eyring's formula.

    Args:
        rooms: how many.
        rt60_s: (shortest, longest) time in which the energy falls by 60 dB, in seconds, above 0.
        hop_s: length of a step in seconds; a step holds what arrives from then on, counted from the direct sound.
        seed: of all draws.

    Example:
        >>> energies = room_energies(rooms=4, rt60_s=(0.2, 0.5), hop_s=0.01, seed=0)
        >>> energies.shape
        (4, 50)
    """
    draw = np.random.default_rng(seed)
    steps = max(1, round(rt60_s[1] / hop_s))
    result = np.zeros((rooms, steps))
    for room in range(rooms):
        size = draw.uniform(_SMALLEST, _LARGEST)
        rt60 = draw.uniform(*rt60_s)
        source = draw.uniform(_FROM_WALL, size - _FROM_WALL)
        microphone = _near(draw, source, size)
        result[room] = _energy(size, source, microphone, rt60_s=rt60, hop_s=hop_s, steps=steps)
    return (result / result.sum(axis=1, keepdims=True)).astype(np.float32)


def _near(draw: np.random.Generator, source: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A place in the room at a usual distance from the source; the last of many tries if none is."""
    for _ in range(100):
        place = draw.uniform(_FROM_WALL, size - _FROM_WALL)
        if _CLOSE <= np.linalg.norm(place - source) <= _FAR:
            break
    return place


def _energy(
    size: np.ndarray, source: np.ndarray, microphone: np.ndarray, *, rt60_s: float, hop_s: float, steps: int
) -> np.ndarray:
    """Energy per step of the response, by the image-source method (Allen and Berkley 1979).

    Each image of the source in the walls gives an arrival after its distance, whose energy falls with the square of
    the distance and by the absorption of a wall at each reflection. Phases are ignored: arrivals add by energy.
    """
    volume, surface = size.prod(), 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    # Eyring: RT60 = 0.161 V / (-S ln(1 - absorption)); so the energy that one reflection leaves is
    log_reflected = -0.161 * volume / (surface * rt60_s)
    reach = np.linalg.norm(microphone - source) + _SPEED_OF_SOUND * rt60_s
    axes = []
    for side, here, there in zip(size, source, microphone, strict=True):
        order = np.arange(-int(reach / (2 * side)) - 1, int(reach / (2 * side)) + 2)
        # Images at 2 n L + s after 2 |n| reflections, and at 2 n L - s after |2 n - 1|.
        places = np.concatenate([2 * order * side + here, 2 * order * side - here]) - there
        reflections = np.concatenate([2 * np.abs(order), np.abs(2 * order - 1)])
        axes.append((places, reflections))
    (x, x_count), (y, y_count), (z, z_count) = axes
    direct = np.linalg.norm(microphone - source)
    energy = np.zeros(steps)
    for place, count in zip(z, z_count, strict=True):  # a plane of images at a time
        square = x[:, None] ** 2 + y[None, :] ** 2 + place**2
        reflections = x_count[:, None] + y_count[None, :] + count
        step = ((np.sqrt(square) - direct) / _SPEED_OF_SOUND / hop_s).astype(np.int64)
        inside = step < min(steps, max(1, int(rt60_s / hop_s)))
        arriving = np.exp(log_reflected * reflections[inside]) / square[inside]
        energy += np.bincount(step[inside], arriving, minlength=steps)
    return energy
