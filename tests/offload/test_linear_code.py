"""The code of few bits for floats."""

import numpy as np
import pytest

from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.offload import linear_code


def test_values_by_hand():
    # Cells of size 1 that meet at 0: [-1, 0), [0, 1), [1, 2); codes 0, 1, 2, whose bits are planes.
    step, zero, planes = linear_code.encode(np.array([-1.0, 0.0, 1.0], np.float32), 2)
    assert (step, zero, planes) == (1.0, 1, bytes([0b00100000, 0b01000000]))
    decoded = linear_code.decode(step, zero, planes, bits=2, shape=(3,))
    np.testing.assert_array_equal(decoded, np.array([-0.5, 0.5, 1.5], np.float32))


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("shift", [-4.0, 0.0, 4.0])
def test_the_error_is_half_a_cell_and_signs_survive(bits, scale, shift):
    values = (np.random.default_rng(bits).normal(shift, 1, (3, 7, 5)) * scale).astype(np.float32)
    step, zero, planes = linear_code.encode(values, bits)
    decoded = linear_code.decode(step, zero, planes, bits=bits, shape=values.shape)
    span = max(float(values.max()), 0) - min(float(values.min()), 0)
    assert step == pytest.approx(span / (2**bits - 2), rel=1e-6)
    assert np.abs(decoded.astype(np.float64) - values).max() <= 0.5001 * step
    np.testing.assert_array_equal(decoded < 0, values < 0)
    assert len(planes) == bits * 14  # 105 values


def test_values_next_to_zero_stay_on_their_side():
    values = np.array([-100.0, -1e-40, -0.0, 0.0, 1e-40, 100.0], np.float32)
    decoded = linear_code.decode(*linear_code.encode(values, 3), bits=3, shape=(6,))
    np.testing.assert_array_equal(decoded < 0, [True, True, False, False, False, False])


@pytest.mark.parametrize("value", [0.0, 2.5, -2.5])
def test_a_constant_tensor(value):
    step, zero, planes = linear_code.encode(np.full((4,), value, np.float32), 4)
    decoded = linear_code.decode(step, zero, planes, bits=4, shape=(4,))
    assert np.abs(decoded - value).max() <= step / 2 and np.all((decoded < 0) == (value < 0))


def test_bad_values_and_codes():
    with pytest.raises(ArgumentError, match="NaN or infinity"):
        linear_code.encode(np.array([1.0, np.nan], np.float32), 8)
    for step, planes in ((-1.0, bytes(8)), (float("nan"), bytes(8)), (1.0, bytes(7))):
        with pytest.raises(DataError, match="does not hold 8 values of 8 bits"):
            linear_code.decode(step, 0, planes, bits=8, shape=(8,))
