"""~ is the home folder in every path that a user gives, on the command line and in Python."""

import argparse
import importlib
import os
import pkgutil
from pathlib import Path

import numpy as np
import pytest
import tiny_files

import audio_tasks
import bnn_exit
import distill
from audio_tasks.cache import default_cache_dir
from audio_tasks.layout import open_data_dir
from bnn_exit import files
from bnn_exit.audio import wav
from bnn_exit.command_line import Parser
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file import reader


def commands():
    """The parser of every module that makes one."""
    for package in (bnn_exit, audio_tasks, distill):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            path = Path(info.module_finder.path, info.name.rsplit(".", 1)[1], "__init__.py" if info.ispkg else "")
            source = (path if info.ispkg else path.with_suffix(".py")).read_text()
            if "ArgumentParser:" in source and info.name != "bnn_exit.command_line":
                module = importlib.import_module(info.name)
                made = [getattr(module, name) for name in ("parser", "arguments") if hasattr(module, name)]
                yield from (pytest.param(make(), id=info.name) for make in made)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


COMMANDS = list(commands())


def test_every_command_was_found():
    assert {each.id for each in COMMANDS} >= {
        *(f"bnn_exit.commands.{name}" for name in ("train", "predict", "evaluate", "bench", "export")),
        *("audio_tasks.__main__", "audio_tasks.folder", "distill.train_teacher"),
    }


@pytest.mark.parametrize("parser", COMMANDS)
def test_every_value_of_a_command_has_its_home_folder(parser, home):
    assert isinstance(parser, Parser)
    given, expected = "~/given", (str(home / "given"), [str(home / "given")])
    takes = (argparse._StoreAction, argparse._AppendAction)
    taking = [each for each in parser._actions if isinstance(each, takes)]
    positional = [each for each in taking if not each.option_strings and not each.choices]
    texts = [each for each in taking if each.option_strings and each.type is None and not each.choices]
    needed = [f"{each.option_strings[0]}={given}" for each in texts if each.required]
    for option in texts:
        found = parser.parse_args([*needed, f"{option.option_strings[0]}={given}", *[given for _ in positional]])
        for action in (option, *positional):
            assert getattr(found, action.dest) in expected, action.dest


def test_paths_in_python_have_their_home_folder(home):
    wav.write("~/a/clip.wav", np.zeros(100, np.float32), sample_rate_hz=16000)
    assert (home / "a" / "clip.wav").is_file() and wav.read("~/a/clip.wav").size == 100
    (home / "m.tflite").write_bytes(tiny_files.adaptive_file())
    assert reader.read("~/m.tflite").path == home / "m.tflite"
    assert bnn_exit.load("~/m.tflite", backend="reference").exits == 3
    files.write_json("~/x.json", [1])
    assert files.read_json("~/x.json") == [1]
    ExitLogits(np.zeros((2, 2, 2))).save("~/exit_logits.npz")
    assert len(ExitLogits.load("~/exit_logits.npz").logits) == 2
    assert open_data_dir("~/a", cache_dir=home, layout="clips") == home / "a"


def test_the_cache_is_in_the_home_folder(home, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_CACHE", "~/cache")
    assert default_cache_dir() == home / "cache"
    monkeypatch.delenv("BNN_EXIT_CACHE")
    assert default_cache_dir() == home / ".cache" / "bnn_exit"
    assert (
        files.expanded("a~b/~") == Path("a~b/~") and os.fspath(files.expanded("~no-such-user/x")) == "~no-such-user/x"
    )
