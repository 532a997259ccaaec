import argparse
import errno
import os
import subprocess
import sys

import pytest

from bnn_exit.command_line import Parser, numbers, positive_int, run_command
from bnn_exit.errors import ArgumentError, DataError, ExportError, MissingPackageError, ModelFileError


def parser():
    arguments = Parser(prog="python -m thing", description="Does things.", epilog="examples:\n  thing 1\n  thing 2")
    arguments.add_argument("--count", type=positive_int)
    arguments.add_argument("--thresholds", type=numbers)
    return arguments


def test_a_mistake_is_an_argument_error_that_points_to_the_help():
    with pytest.raises(ArgumentError) as caught:
        parser().parse_args(["--cuont", "3"])
    assert str(caught.value) == (
        "unrecognized arguments: --cuont 3; did you mean '--count'? (see python -m thing --help)"
    )
    with pytest.raises(ArgumentError, match=r"^unrecognized arguments: --zzz \(see python -m thing --help\)$"):
        parser().parse_args(["--zzz"])


def test_a_mistyped_option_is_named_although_it_is_required_or_of_a_command():
    needy = Parser(prog="python -m thing", description="", epilog="")
    needy.add_argument("--unlabelled", required=True)
    message = r"^unrecognized arguments: --unlabeled; did you mean '--unlabelled'\? \(see python -m thing --help\)$"
    with pytest.raises(ArgumentError, match=message):
        needy.parse_args(["--unlabeled=clips"])
    with pytest.raises(ArgumentError, match=r"^the following arguments are required: --unlabelled \(see"):
        needy.parse_args([])
    several = Parser(prog="python -m thing", description="", epilog="")
    several.add_subparsers(required=True).add_parser("run", description="", epilog="").add_argument("--seed")
    with pytest.raises(ArgumentError, match=r": --sede 3; did you mean '--seed'\? \(see python -m thing run --help\)$"):
        several.parse_args(["run", "--sede", "3"])


class Refusing(argparse.Action):
    def __call__(self, *given):
        raise ArgumentError("never")


@pytest.mark.parametrize(
    "words",
    [["--cuont", "3", "--thresholds", "x"], ["--thresholds", "x", "--cuont=3"], ["--refusing", "1", "--cuont", "3"]],
)
def test_a_mistyped_option_comes_before_other_mistakes(words):
    arguments = parser()
    arguments.add_argument("--refusing", action=Refusing)
    message = r"^unrecognized arguments: --cuont; did you mean '--count'\? \(see python -m thing --help\)$"
    with pytest.raises(ArgumentError, match=message):
        arguments.parse_args(words)


def test_what_only_looks_like_an_option_hides_no_mistake():
    arguments = parser()
    arguments.add_argument("clips", nargs="*")
    with pytest.raises(ArgumentError, match=r"argument --count: 'x' is not a whole"):
        arguments.parse_args(["--count", "x", "--odd name.wav", "--", "--cuont"])
    assert arguments.parse_args(["--count", "3", "--", "--cuont"]).clips == ["--cuont"]


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


# --------------------------------------------------------------------------------------------------------- run_command


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_a_command_without_an_error_keeps_its_status(returned, status, capsys):
    assert run_command(lambda: returned) == status
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ArgumentError("size is 'huge'"), 2, "error: size is 'huge'"),
        (DataError("no clips"), 1, "error: no clips"),
        (ModelFileError("truncated"), 1, "error: truncated"),
        (ExportError("float layer"), 1, "error: float layer"),
        (MissingPackageError("needs larq"), 1, "error: needs larq"),
        (DataError("two\n  lines\tand a tab"), 1, "error: two lines and a tab"),
        (OSError(errno.ENOSPC, "No space", "/data/x"), 1,
         "error: no space left on the disk while writing '/data/x': free some space and run the command again"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line_and_a_status(error, status, line, capsys):
    assert run_command(raising(error)) == status
    printed = capsys.readouterr()
    assert printed.err == line + "\n"
    assert printed.out == ""


def test_our_own_mistake_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_command(raising(ZeroDivisionError()))


def test_argparse_exits_pass_through():
    with pytest.raises(SystemExit):
        run_command(raising(SystemExit(0)))


@pytest.mark.skipif(os.name != "posix", reason="pipes close differently elsewhere")
def test_a_reader_that_goes_away_ends_the_command_without_a_word():
    code = (
        "import sys\n"
        "from bnn_exit.command_line import run_command\n"
        "def main():\n"
        "    for number in range(100000): print(number)\n"
        "raise SystemExit(run_command(main))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_with_standard_error_closed_nothing_goes_to_standard_output():
    code = (
        "import os, sys; os.close(2); sys.stderr = None\n"
        "from bnn_exit.command_line import run_command\n"
        "from bnn_exit.errors import DataError\n"
        "def main():\n"
        "    print('note', file=sys.stderr)\n"
        "    assert open(os.devnull).fileno() != 2\n"
        "    raise DataError('bad')\n"
        "sys.exit(run_command(main))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
