"""A program that is started for each event, without a shell."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping

from bnn_exit.errors import ArgumentError, describe_os_error
from bnn_exit.listening.source import Tell
from bnn_exit.text import counted

LIMIT = 4
"""Programs that may run at once."""
END_S = 5.0
"""How long the end waits for those that still run."""
PLACEHOLDERS = ("label", "probability", "time_s", "start_s", "end_s", "exit", "file")


class Programs:
    """Starts a command for each event and never waits for it.

    `{label}`, `{probability}` and the other PLACEHOLDERS in its arguments become those of the event, after the command
    was split into words: a label is always a part of one word. The environment holds the same as BNN_EXIT_LABEL,
    BNN_EXIT_PROBABILITY and so on. Standard input is empty, and standard output is our standard error, so that it does
    not stand among the events.
    """

    def __init__(self, command: str, *, tell: Tell, limit: int = LIMIT) -> None:
        """
        Args:
            command: as a shell would split it into words.
            tell: is told what goes wrong later.
            limit: programs that may run at once; beyond it, events start none.

        Raises:
            ArgumentError: no command, unbalanced quotes, an unknown placeholder, no such program.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ArgumentError(f"run is {command!r}, which cannot be split into words: {error}") from error
        if not self._words:
            raise ArgumentError("run is empty, but must be a command")
        # In the words, where they are put in: quotes of the command may stand within one.
        for name in re.findall(r"\{(\w+)\}", " ".join(self._words)):
            if name not in PLACEHOLDERS:
                choices = ", ".join("{" + each + "}" for each in PLACEHOLDERS)
                raise ArgumentError(f"run has {{{name}}}, but the placeholders are {choices}")
        if shutil.which(os.path.expanduser(self._words[0])) is None:
            raise ArgumentError(f"run begins with {self._words[0]!r}, but there is no such program")
        self._words[0] = os.path.expanduser(self._words[0])
        self._tell, self._limit = tell, limit
        self._running: list[subprocess.Popen[bytes]] = []
        self.started = self.skipped = 0

    def start(self, values: Mapping[str, object]) -> None:
        """Start the command for an event.

        Args:
            values: of the PLACEHOLDERS.
        """
        self.reap()
        if len(self._running) >= self._limit:
            self.skipped += 1
            running = counted(self._limit, "program")
            self._tell(f"{running} of earlier events still running: none was started for {values['label']}")
            return
        texts = {name: str(values[name]) for name in PLACEHOLDERS}
        words = [re.sub(r"\{(\w+)\}", lambda found: texts[found[1]], word) for word in self._words]
        environment = {**os.environ, **{f"BNN_EXIT_{name.upper()}": text for name, text in texts.items()}}
        try:
            program = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=_standard_error(),
                env=environment,
                start_new_session=True,  # Ctrl-C ends the command, and not what it has started
            )
        except OSError as error:
            self._tell(f"{words[0]} was not started: {describe_os_error(error)}")
            return
        self.started += 1
        self._running.append(program)

    def reap(self) -> None:
        """Take note of programs that have ended."""
        for program in list(self._running):
            if program.poll() is not None:
                self._ended(program)

    def _ended(self, program: subprocess.Popen[bytes]) -> None:
        self._running.remove(program)
        if program.returncode:
            self._tell(f"{self._words[0]} ended with status {program.returncode}")

    def close(self, *, wait_s: float = END_S) -> None:
        """Wait for the programs that still run, but not long; those that go on are left alone."""
        for program in list(self._running):
            try:
                program.wait(wait_s)
            except subprocess.TimeoutExpired:
                wait_s = 0.0
            else:
                self._ended(program)
        if self._running:
            self._tell(f"{counted(len(self._running), 'program')} of events still running: left alone")


def _standard_error() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # it is no file, as in a notebook
        return subprocess.DEVNULL
