import argparse

import pytest

from bnn_exit.command_line import Parser, numbers, positive_int
from bnn_exit.errors import ArgumentError


def parser():
    arguments = Parser(prog="python -m thing", description="Does things.", epilog="examples:\n  thing 1\n  thing 2")
    arguments.add_argument("--count", type=positive_int)
    arguments.add_argument("--thresholds", type=numbers)
    return arguments


def test_a_mistake_is_an_argument_error_that_points_to_the_help():
    with pytest.raises(ArgumentError) as caught:
        parser().parse_args(["--cuont", "3"])
    assert str(caught.value) == "unrecognized arguments: --cuont 3 (see python -m thing --help)"


def test_options_cannot_be_shortened():
    with pytest.raises(ArgumentError, match="unrecognized arguments: --cou 3"):
        parser().parse_args(["--cou", "3"])


def test_the_help_keeps_the_lines_of_its_examples(capsys):
    with pytest.raises(SystemExit) as left:
        parser().parse_args(["--help"])
    assert left.value.code == 0
    assert "examples:\n  thing 1\n  thing 2\n" in capsys.readouterr().out


def test_numbers():
    assert parser().parse_args(["--thresholds", "0, 0.25,2e-1"]).thresholds == [0.0, 0.25, 0.2]
    assert numbers("3") == [3.0]


@pytest.mark.parametrize("text", ["", "a", "0.1,", "0.1;0.2"])
def test_what_is_not_a_list_of_numbers(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a list of numbers such as"):
        numbers(text)


def test_positive_int():
    assert parser().parse_args(["--count", "12"]).count == 12


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "", "many"])
def test_what_is_not_a_positive_int(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of at least 1"):
        positive_int(text)
