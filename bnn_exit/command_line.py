"""What the commands share: argument parsing, the exit status, and one line for a user's mistake."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from bnn_exit import files, workers
from bnn_exit.display import escape_streams, show
from bnn_exit.errors import ArgumentError, BnnExitError, describe_os_error, nearest


def run_command(main: Callable[[], int | None]) -> int:
    """Run a command's body: 0 on success, 1 on failure, 2 on bad arguments, 130 on Ctrl-C; one line, no traceback."""
    if sys.stderr is None:
        # Closed by the caller (2>&-). `print` would take standard output in its place, and the next file that is opened
        # would get number 2, to which compiled libraries write their messages.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, open until the process ends
    # Users do not need the source line that Python prints with a warning.
    warnings.formatwarning = lambda message, *place, **more: f"warning: {message}\n"
    escape_streams()
    try:
        return main() or 0
    except ArgumentError as error:
        return _fail(error, 2)
    except BnnExitError as error:
        return _fail(error, 1)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has exited. Redirect stdout so that the flush at exit is silent.
        sys.stdout = None
        return 1
    except OSError as error:
        return _fail(describe_os_error(error), 1)
    except MemoryError:
        return _fail("there is too little free memory: give less at once", 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _fail(message: object, status: int) -> int:
    show(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    return status


_MISTYPED = "unrecognized arguments"
"""How argparse names options that a parser does not have."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, through `run_command`, and whose help keeps its lines."""

    def __init__(self, *, prog: str, description: str, epilog: str, **more: Any) -> None:
        # More: what argparse hands on to the parsers of commands, which Python 3.14 has added to.
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **more,
        )
        self._words: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As usual, with ~ at the beginning of a value as the home folder; only paths begin so.

        A shell leaves it in --out=~/run, systemd and Docker leave it everywhere.
        """
        self._words = list(sys.argv[1:] if args is None else args)
        try:
            found, rest = super().parse_known_args(args, namespace)
        except ArgumentError as error:  # an action may raise one of its own, past `error`
            if str(error).startswith(_MISTYPED) or not self._mistyped():
                raise
            self.error(str(error))
        first = next((index for index, word in enumerate(rest) if self._unknown([word])), None)
        if first is not None:  # said here: a parser of commands does not know the options of this one
            self.error(f"{_MISTYPED}: {' '.join(rest[first:])}")
        for name, value in vars(found).items():
            setattr(found, name, _expanded(value))
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Raise ArgumentError instead of printing the usage and leaving; for a mistyped option with the nearest one.

        A mistyped option comes before any other mistake, which it may have caused.
        """
        unknown = self._mistyped()
        if unknown and not message.startswith(_MISTYPED):
            message = f"{_MISTYPED}: {unknown[0]}"
        near = nearest(unknown[0], self._option_string_actions) if unknown and unknown[0] in message else ""
        raise ArgumentError(f"{message}{near} (see {self.prog} --help)")

    def _mistyped(self) -> list[str]:
        """The names in the command line that are no options; a parser of commands leaves them to its commands."""
        return [] if self._subparsers else self._unknown(self._words)

    def _unknown(self, words: list[str]) -> list[str]:
        """The names among the words that look like options, as argparse sees them, and are none of this parser's."""
        options = words[: words.index("--")] if "--" in words else words
        names = [word.split("=")[0] for word in options if word.startswith("--") and " " not in word.split("=")[0]]
        return [name for name in names if name not in self._option_string_actions]


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(each) for each in value]
    if isinstance(value, Path):
        return files.expanded(value)
    return str(files.expanded(value)) if isinstance(value, str) and value.startswith("~") else value


def numbers(text: str) -> list[float]:
    """Comma-separated numbers, as in `--thresholds 0.1,0.2`."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 0.1,0.2") from None


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, least=1)


def count(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, least=0)


def _whole(text: str, *, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return value


def add_workers_option(arguments: Any, *, of: str = "") -> None:
    """Add `--workers` to a parser or a group: how many processes run the clips; `of` says whose clips."""
    arguments.add_argument(
        "--workers",
        type=_worker_count,
        metavar="N",
        help=f"processes that run many clips{of}: more is faster and takes more memory, results do not change; 1 is "
        "this process alone (default: all cores)",
    )


def _worker_count(text: str) -> int:
    try:
        return workers.check("workers", int(text))
    except ValueError:  # ArgumentError is one
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {workers.MOST}") from None
