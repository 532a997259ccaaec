"""Every command of the documentation is one that its program takes."""

import argparse
import importlib
import re
import shlex

import pytest
from doc_pages import PAGES, ROOT, commands, name

from audio_tasks import TASKS, mix_command

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([\w./-]+):", MAKEFILE.replace("$(VENV)", ".venv"), flags=re.MULTILINE))
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
EXTRAS = set(re.findall(r"^(\w+) = \[", PYPROJECT.split("[project.optional-dependencies]")[1].split("\n[")[0], re.M))
ALL = [(name(page), command) for page in PAGES for command in commands(page)]
PACKAGES = {"pre-commit", "sounddevice", "wyoming"}
"""Of an index, that pages install by name. Ours is in none: it is installed from its folder or a wheel."""
PROGRAMS = (
    *("arecord", "cmake", "cp", "git", "mkdir", "ninja", "PYTHONPATH=", "BNN_EXIT_", "./", "build"),
    *("docker", "journalctl", "sudo"),
)
"""Others that pages call; what they do is not ours to check."""


def words_of(command):
    """The words of a command, without variables before it and redirections after it."""
    words = shlex.split(command.split(" > ")[0].split(" && ")[0])
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words


def parser_of(module):
    """The parser of `python -m MODULE`, or of `bnn-exit NAME`."""
    package, _, rest = module.partition(".")
    if package == "bnn_exit":
        return importlib.import_module(f"bnn_exit.commands.{rest}").parser()
    found = importlib.import_module(f"{module}.__main__" if module == "audio_tasks" else module)
    return (getattr(found, "parser", None) or found.arguments)()


def calls(command):
    """The module of ours that a command runs, with its arguments; None for another command."""
    words = words_of(command)
    if not words:
        return None
    if words[0] == "bnn-exit":
        return f"bnn_exit.{words[1]}", words[2:]
    is_module = re.search(r"(^|/)python3?$", words[0]) and words[1:2] == ["-m"]
    if is_module and words[2].partition(".")[0] in ("bnn_exit", "distill", "audio_tasks"):
        return words[2], words[3:]
    return None


OURS = sorted({command for _, command in ALL if calls(command)})


def test_there_are_commands_of_every_kind():
    modules = {calls(command)[0].removeprefix("bnn_exit.") for command in OURS}
    assert modules >= {"train", "calibrate", "evaluate", "predict", "export", "bench", "difficulty", "models", "report"}
    assert modules >= {"distill.train_teacher", "audio_tasks.folder"}


@pytest.mark.parametrize("command", OURS)
def test_every_command_is_one_that_its_parser_takes(command):
    module, arguments = calls(command)
    if module == "audio_tasks" and arguments[0] == "mix":
        assert isinstance(mix_command.arguments().parse_args(arguments[1:]), argparse.Namespace)
        return
    assert isinstance(parser_of(module).parse_args(arguments), argparse.Namespace)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_other_command_names_what_is_there(page):
    for command in commands(page):
        words = words_of(command)
        if not words or calls(command):
            continue
        program = words[0].rpartition("/")[2]
        if program == "make":
            wanted = [word for word in words[1:] if "=" not in word]
            assert wanted and set(wanted) <= TARGETS, command
        elif program == "pip":
            installed = [word for word in words[2:] if not word.startswith("-")]
            assert all(re.match(r"\.(\[|$)|bnn_exit-.*\.whl$", each) or each in PACKAGES for each in installed), command
            assert {extra for each in re.findall(r"\[([\w,]+)\]", command) for extra in each.split(",")} <= EXTRAS, (
                command
            )
        elif program in ("python", "python3") and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), command
        elif program in ("python", "python3"):
            assert words[1] in ("-m", "-c") and (words[1] == "-c" or words[2] in ("pytest", "venv")), command
            assert all((ROOT / word.partition("::")[0]).exists() for word in words if word.startswith("tests/")), (
                command
            )
        elif program not in ("ruff", "mypy", "mkdocs", "pre-commit", "clang-format"):
            assert command.startswith(PROGRAMS), command


def test_every_task_is_described():
    text = (ROOT / "docs" / "guides" / "train-your-own.md").read_text(encoding="utf-8")
    table = text[text.index("| task | data |") :].split("\n\n")[0]
    assert {each for each in re.findall(r"`(\w+)`", table) if each in TASKS} == set(TASKS)


def test_the_first_commands_stand_in_the_readme():
    assert {"make demo", "make test", "make docs"} <= set(commands(ROOT / "README.md"))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
