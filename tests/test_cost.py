import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError

counts = st.integers(0, 10**12)
costs = st.builds(Cost, binary_macs=counts, float_macs=counts, bytes=counts)


def test_64_binary_macs_are_one_operation():
    assert Cost(binary_macs=640, float_macs=7).ops == 17.0
    assert Cost(binary_macs=32, float_macs=0).ops == 0.5


@given(costs, costs)
def test_costs_add_up(left, right):
    total = left + right
    assert total.binary_macs == left.binary_macs + right.binary_macs
    assert total.float_macs == left.float_macs + right.float_macs
    assert total.bytes == left.bytes + right.bytes
    assert total == right + left


def test_a_cost_and_a_number_do_not_add_up():
    with pytest.raises(TypeError, match="unsupported operand"):
        Cost(1, 2) + 3


@given(costs)
def test_to_a_dict_and_back(cost):
    assert Cost.from_dict(cost.to_dict()) == cost


def test_the_dict_holds_the_three_counts():
    assert Cost(1, 2, 3).to_dict() == {"binary_macs": 1, "float_macs": 2, "bytes": 3}


@pytest.mark.parametrize("value", [-1, 1.5, True, "7", None])
def test_a_count_is_a_whole_number_of_at_least_0(value):
    with pytest.raises(ArgumentError, match=r"float_macs is .*, but must be a whole number of at least 0"):
        Cost(binary_macs=1, float_macs=value)


def test_from_dict_names_what_is_wrong():
    with pytest.raises(ArgumentError, match=r"'binary_mac', but must be one of .*did you mean 'binary_macs'"):
        Cost.from_dict({"binary_mac": 1})
    with pytest.raises(ArgumentError, match=r"needs binary_macs and float_macs, but got \['bytes'\]"):
        Cost.from_dict({"bytes": 1})
