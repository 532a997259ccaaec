"""All commands under one name: `bnn-exit train ...`, the same as `python -m bnn_exit.train ...`."""

from __future__ import annotations

import importlib
import sys

from bnn_exit.command_line import run_command
from bnn_exit.display import show
from bnn_exit.errors import ArgumentError, one_of

COMMANDS = {
    "train": ("bnn_exit.commands.train", "train a network, choose its thresholds and export it"),
    "train-teacher": ("distill.train_teacher", "train a full-precision teacher"),
    "evaluate": ("bnn_exit.commands.evaluate", "accuracy, exits, cost and time of an exported model"),
    "calibrate": ("bnn_exit.commands.calibrate", "choose thresholds for limits on accuracy, cost and time"),
    "export": ("bnn_exit.commands.export", "export a run again, such as with the front end inside"),
    "split": ("bnn_exit.commands.split", "cut a model in two, for a device and a server"),
    "adapt": ("bnn_exit.commands.adapt", "refit the early exits to a place, on clips without labels"),
    "report": ("bnn_exit.commands.report", "one HTML page about a trained model"),
    "predict": ("bnn_exit.commands.predict", "classify audio files"),
    "listen": ("bnn_exit.commands.listen", "listen to a microphone, a pipe or a file without an end"),
    "serve": ("bnn_exit.commands.serve", "offer wake words to Home Assistant by the Wyoming protocol"),
    "serve-model": ("bnn_exit.commands.serve_model", "serve the second half of a split model"),
    "difficulty": ("bnn_exit.commands.difficulty", "how hard each clip is, and which labels look wrong"),
    "bench": ("bnn_exit.commands.bench", "time a model file on this machine"),
    "search": ("bnn_exit.commands.search", "find a network for a budget of time and bytes"),
    "models": ("bnn_exit.commands.models", "list the trained models that come with the package"),
    "tasks": ("audio_tasks.__main__", "look at a data set"),
}
"""Command -> the module with its `main`, and what it does."""


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    words = sys.argv[1:] if argv is None else argv

    def chosen() -> int:
        if not words:
            raise ArgumentError("the command is missing (see bnn-exit --help)")
        if words[0] in ("-h", "--help"):
            show(usage())
            return 0
        if words[0] == "--version":
            from bnn_exit.machine import version

            show(version())
            return 0
        if words[0].startswith("-"):
            raise ArgumentError(f"the command is missing before {words[0]} (see bnn-exit --help)")
        module, _ = COMMANDS[one_of("command", words[0], COMMANDS)]
        status: int = importlib.import_module(module).main(words[1:])
        return status

    return run_command(chosen)


def usage() -> str:
    """Every command with what it does."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: bnn-exit COMMAND ...",
            "",
            "Binary neural networks that stop early on easy sounds.",
            "",
            *lines,
            "",
            "bnn-exit COMMAND --help shows its options.",
        ]
    )
