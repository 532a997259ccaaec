import numpy as np
import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.sensors.window import check, fit_length

TWO = ("light", "heat")


def test_values_become_float32_and_float32_stays_as_it_is():
    assert check([[1, 2], [3, 4]], TWO).dtype == np.float32
    array = np.ones((5, 2), np.float32)
    assert check(array, TWO) is array
    assert check(np.arange(4), ("light",)).tolist() == [[0], [1], [2], [3]]


def test_the_middle_of_longer_values_is_used():
    values = np.arange(7)[:, None]
    assert fit_length(values, 4, ("light",))[:, 0].tolist() == [1, 2, 3, 4]
    assert fit_length(values, 7, ("light",))[:, 0].tolist() == list(range(7))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("a.npy", "values is 'a.npy', but must be an array [samples, channels]"),
        (np.zeros(4), "values has shape (4,), but must be [samples, channels] with 2 channels: light, heat"),
        (np.zeros((4, 3)), "values has shape (4, 3), but must be [samples, channels] with 2 channels: light, heat"),
        (np.zeros((0, 2)), "values has 0 samples, but must have at least 1"),
        (np.array([["a", "b"]]), "values has the type <U1, but must hold real numbers"),
        ([[1, 2], [3, np.nan]], "values has 1 NaN or infinite numbers, the first in sample 2 of heat"),
        ([[1e300, 2]], "values has 1 NaN or infinite numbers, the first in sample 1 of light"),
    ],
)
def test_values_that_cannot_be_used(values, message):
    with pytest.raises(ArgumentError) as caught:
        check(values, TWO)
    assert message in str(caught.value)


def test_values_that_are_too_short():
    with pytest.raises(ArgumentError, match="values has 3 samples, but a window of this file has 4"):
        fit_length(np.zeros((3, 2)), 4, TWO)
