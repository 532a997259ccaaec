"""Made-up spectra: peaks on a drifting baseline, with noise. `python -m audio_tasks.synthetic_spectra OUT.npz`.

A spectrum of substance s on instrument i, at points x from 0 to 1, is

    y(x) = gain * sum over peaks p of s: height_p / (1 + ((x - shift_i - place_p) / (width_p * resolution_i))^2)
           + baseline: a parabola of random size, and a slow wave
           + noise of a standard deviation of `noise`

Peaks are Lorentzian lines, as in Raman spectra. Substances share some of their lines, so that no single line tells them
apart. Each instrument has a shift, a resolution and a gain of its own: it is the group, of which no two splits have the
same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError
from bnn_exit.files import write_arrays
from bnn_exit.pairs import zip_strict

_LINES = 9
"""Places of lines that substances choose from."""
_OF_SUBSTANCE = 4


class Spectra(NamedTuple):
    """What was made.

    Attributes:
        values: float32 [spectra, points, 1].
        label: names of the substances, [spectra].
        group: names of the instruments, [spectra].
    """

    values: np.ndarray
    label: np.ndarray
    group: np.ndarray


def make(
    *,
    count: int = 1200,
    points: int = 256,
    substances: int = 6,
    instruments: int = 12,
    noise: float = 0.05,
    seed: int = 0,
) -> Spectra:
    """Make spectra; the same for the same arguments.

    Args:
        count: spectra, spread evenly over substances and instruments.
        points: of a spectrum, at least 32.
        substances: classes, from 2 to 20.
        instruments: groups, at least 3.
        noise: standard deviation, where the highest line of a substance has a height of about 1. More is harder.
        seed: of everything.

    Raises:
        ArgumentError: a value out of range.

    Example:
        >>> make(count=60, points=64).values.shape
        (60, 64, 1)
    """
    for name, value, least, most in (
        ("points", points, 32, 1 << 16),
        ("substances", substances, 2, 20),
        ("instruments", instruments, 3, 1000),
        ("count", count, substances, 1 << 20),
    ):
        if not least <= value <= most:
            raise ArgumentError(f"{name} is {value}, but must be from {least} to {most}")
    if not 0 <= noise <= 10:
        raise ArgumentError(f"noise is {noise}, but must be from 0 to 10")
    random = np.random.default_rng(seed)
    x = np.linspace(0, 1, points)
    places, widths = random.uniform(0.1, 0.9, _LINES), random.uniform(0.008, 0.02, _LINES)
    lines = [random.choice(_LINES, _OF_SUBSTANCE, replace=False) for _ in range(substances)]
    heights = random.uniform(0.3, 1.0, (substances, _OF_SUBSTANCE))
    shifts, resolutions = random.normal(0, 0.004, instruments), random.uniform(0.8, 1.5, instruments)
    gains = random.uniform(0.7, 1.4, instruments)
    substance, instrument = np.arange(count) % substances, np.arange(count) // substances % instruments
    values = np.zeros((count, points, 1), np.float32)
    for number, (s, i) in enumerate(zip_strict(substance, instrument)):
        distance = (x[:, None] - shifts[i] - places[lines[s]]) / (widths[lines[s]] * resolutions[i])
        peaks = (heights[s] * random.uniform(0.8, 1.2, _OF_SUBSTANCE) / (1 + distance**2)).sum(axis=1)
        tilt, bend, size, phase = random.normal(0, [0.5, 0.5, 0.1, 3.0])
        baseline = tilt * x + bend * x**2 + size * np.sin(2 * np.pi * x + phase)
        values[number, :, 0] = gains[i] * peaks + baseline + random.normal(0, noise, points)
    return Spectra(
        values,
        np.array([f"substance_{s + 1}" for s in substance]),
        np.array([f"instrument_{i + 1}" for i in instrument]),
    )


EPILOG = """\
examples:
  python -m audio_tasks.synthetic_spectra spectra.npz
  python -m bnn_exit.train --task timeseries --data-dir spectra.npz --group group --recipe fast
"""


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = Parser(
        prog="python -m audio_tasks.synthetic_spectra",
        description="Write made-up spectra: peaks on a drifting baseline, with noise.",
        epilog=EPILOG,
    )
    parser.add_argument("out", metavar="OUT.npz", help="file to write: values, label and group of each spectrum")
    parser.add_argument("--count", type=positive_int, default=1200, help="spectra; default %(default)s")
    parser.add_argument("--points", type=positive_int, default=256, help="of a spectrum; default %(default)s")
    parser.add_argument("--substances", type=positive_int, default=6, help="classes; default %(default)s")
    parser.add_argument("--instruments", type=positive_int, default=12, help="groups; default %(default)s")
    parser.add_argument("--noise", type=float, default=0.05, help="more is harder; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of everything; default %(default)s")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command: write spectra."""

    def run() -> int:
        options = vars(arguments().parse_args(argv))
        out = Path(options.pop("out"))
        if out.suffix != ".npz":
            raise ArgumentError(f"OUT.npz is {str(out)!r}, but must end in .npz")
        made = make(**options)
        write_arrays(out, made._asdict())
        show(f"wrote {len(made.values)} spectra to {out}")
        return 0

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
