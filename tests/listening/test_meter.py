import io

import numpy as np
import pytest

from bnn_exit.listening.meter import Meter, bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("power", "peak", "text"),
    [
        (0.0, 0.0, f"[{' ' * 30}] quiet"),
        (1e-6, 0.001, f"[{' ' * 30}] quiet"),
        (0.001, 0.1, f"[{'#' * 15}{' ' * 15}] -30 dB"),
        (1.0, 1.0, f"[{'#' * 30}] 0 dB clipped"),
    ],
)
def test_the_bar(power, peak, text):
    assert bar(power, peak) == text


def test_it_is_drawn_at_a_steady_pace_and_erased():
    file = Terminal()
    meter = Meter(file, rate_hz=1000)
    meter.push(np.full(99, 0.1, np.float32))
    meter.erase()
    assert file.getvalue() == ""
    meter.push(np.full(1, 0.1, np.float32))
    assert file.getvalue() == f"\r[{'#' * 20}{' ' * 10}] -20 dB\x1b[K"
    meter.erase()
    meter.erase()
    assert file.getvalue().endswith("dB\x1b[K\r\x1b[K") and file.getvalue().count("\r") == 2
    meter.push(np.zeros(0, np.float32))


def test_nothing_is_drawn_into_a_file():
    file = io.StringIO()
    Meter(file, rate_hz=10).push(np.ones(100, np.float32))
    assert file.getvalue() == ""
