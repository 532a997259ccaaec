"""One training a folder, no dead ends: whatever ends a training, its folder is new or can be gone on with."""

import errno
import json
import os
import random
import subprocess
import sys

import pytest

from bnn_exit import files
from bnn_exit.commands import train
from bnn_exit.errors import ArgumentError, BnnExitError, DataError
from bnn_exit.runs.lock import held, new_folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


HOLD = """
import sys, pathlib
from bnn_exit.runs.lock import held
with held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_training_is_told_who_is_at_work(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BnnExitError, match=rf"another training is at work in .* \(process {process.pid} on "):
            held(tmp_path).__enter__()
        with pytest.raises(BnnExitError, match="another training is at work"), new_folder(tmp_path):
            pass
        process.kill()  # the lock goes with the process
        process.wait()
        with held(tmp_path):
            assert names(tmp_path) == [".lock"]
    assert names(tmp_path) == []


def test_what_killed_trainings_left_is_removed(tmp_path):
    left = [
        ".candidate.1234.part",
        ".best.npz.1234.part",
        "steps/1_a/.last.npz.1.part",
        "answers/.validation.npz.2.part",
    ]
    for name in left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    files.write_bytes(tmp_path / "best.npz", b"whole")
    with held(tmp_path):
        pass
    assert names(tmp_path) == ["answers", "best.npz", "steps", "steps/1_a"]


@pytest.mark.parametrize("left", [[], ["environment.json"], [".config.json.1234.part", ".lock"]])
def test_a_start_that_was_killed_before_its_settings_left_no_run(tmp_path, left):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    for name in left:
        (folder / name).write_bytes(b"")
    with new_folder(folder):
        files.write_json(folder / "config.json", {})
    with pytest.raises(ArgumentError, match="exists already: choose another folder, or resume it with --resume"):
        new_folder(folder).__enter__()


def test_a_start_that_fails_before_its_settings_leaves_nothing(tmp_path):
    with pytest.raises(DataError), new_folder(tmp_path / "runs" / "a"):
        raise DataError("no data")
    assert names(tmp_path) == []
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "a"):
        with pytest.raises(ArgumentError, match=r"(exists already|cannot be written)"):
            new_folder(folder).__enter__()
    assert names(tmp_path) == ["file"]


class Killed(BaseException):
    """Nothing that a command could catch: as if it were killed, but in this process."""


@pytest.fixture
def interrupted(monkeypatch):
    """Makes the n-th file that is written fail, before or after it has its name."""
    replace, count = os.replace, [0]

    def set_up(fails_at, kind):
        count[0] = 0

        def failing(source, target):
            count[0] += 1
            if count[0] != fails_at:
                return replace(source, target)
            if kind == "full":
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            if kind == "after":
                replace(source, target)
            raise Killed

        monkeypatch.setattr(os, "replace", failing)
        return count

    yield set_up
    monkeypatch.setattr(os, "replace", replace)


def start(folder):
    """The steps of a training that write, without the training."""
    with new_folder(folder):
        work(folder)


def resume(folder):
    with held(folder):
        assert files.read_json(folder / "config.json") == {"a": 1}
        work(folder)


def work(folder):
    if not (folder / "config.json").is_file():
        files.write_json(folder / "config.json", {"a": 1})
    for name in ("environment.json", "steps/1_a/last.npz", "best.npz", "last.npz", "history.json", "model.tflite"):
        files.write_bytes(folder / name, name.encode())


@pytest.mark.parametrize("kind", ["full", "before", "after"])
def test_every_write_may_fail_and_the_folder_can_be_gone_on_with(tmp_path, interrupted, kind, monkeypatch):
    start(tmp_path / "whole")
    for fails_at in range(1, 8):
        folder = tmp_path / str(fails_at)
        interrupted(fails_at, kind)
        with pytest.raises((OSError, Killed)):
            start(folder)
        interrupted(0, kind)
        (resume if (folder / "config.json").is_file() else start)(folder)
        assert names(folder) == names(tmp_path / "whole")


def test_odd_settings_of_a_run_are_one_line(tmp_path, tone_task, capsys):
    """A run folder may come from elsewhere: whatever is in its settings, the command says so in a line."""
    from bnn_exit.settings.augment import AugmentConfig
    from bnn_exit.settings.model import ModelConfig
    from bnn_exit.settings.run import RunConfig, RunTask
    from bnn_exit.training import TrainConfig
    from distill.trainer import check_settings

    distillation = {"teachers": ["a.keras"], "plan": {"steps": [{"name": "a"}]}}
    RunConfig(RunTask.of(tone_task), ModelConfig(), AugmentConfig(), TrainConfig(), distillation).save(tmp_path)
    values, generator = json.loads((tmp_path / "config.json").read_text()), random.Random(0)
    check_settings(RunConfig.load(tmp_path), tmp_path)
    odd = [None, True, -1, 0.5, 10**400, 1e999, "", "x", [], {}, [[]], {"a": [1]}, [None], ["\0"]]
    for _ in range(300):
        changed = json.loads(json.dumps(values))
        node = changed
        while True:
            key = generator.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if generator.random() < 0.2 or not isinstance(node[key], (dict, list)) or not node[key]:
                node[key] = generator.choice(odd)
                break
            node = node[key]
        (tmp_path / "config.json").write_text(json.dumps(changed))
        try:
            check_settings(RunConfig.load(tmp_path), tmp_path)
        except BnnExitError as error:
            assert "config.json" in str(error)
    for content in (b"", b"[]", b"\xff", b"[" * 100_000, b"null", b'{"format": "x"}'):
        (tmp_path / "config.json").write_bytes(content)
        assert train.main(["--resume", str(tmp_path)]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
