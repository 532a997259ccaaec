"""Training on two replicas ends where training on one does: two devices of a process, and two processes.

Sums over halves of a batch round otherwise than over the whole, so weights agree to a tolerance: 1e-4 of the largest in
a variable. Moving variances lack Bessel's correction, one part in the number of values that they are taken of.
"""

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from training.train_replicas import train

from bnn_exit._keras import make_repeatable, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file import reader
from bnn_exit.training.distribution import Distribution
from bnn_exit.training.loop import LAST

HERE = Path(__file__).parent
TOLERANCE = 3e-4  # of the largest value: sums in another order, over all steps
VALUES_A_CHANNEL = 16 * 12 * 16  # batch x height x width where BatchNorm is


def free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("localhost", 0))
        return [opened.getsockname()[1] for opened in sockets]


def surroundings():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE.parents[1])])}


def start(script, *arguments, cluster=None, index=0):
    environment = surroundings()
    if cluster:
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": cluster}, "task": task})
    command = [sys.executable, str(HERE / script), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_jobs(strategy, jobs, **options):
    return start("train_replicas.py", strategy, *map(json.dumps, jobs), **options)


@contextmanager
def ended(processes):
    """Whatever happens, none of them is left running."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> folder with the checkpoints of a training; the processes run side by side."""
    root = tmp_path_factory.mktemp("runs")
    made = {}

    def job(name, copy_of=None, **options):
        made[name] = root / name
        return {"folder": str(made[name]), "copy_of": copy_of and str(made[copy_of]), **options}

    bop, more = {"optimizer": "bop", "weight_decay": 0.1}, {"epochs": 4, "resume": True}
    (root / "mirrored odd").mkdir()
    processes = [
        start_jobs(
            "mirrored",
            [
                job("mirrored adam"),
                job("mirrored bop", **bop),
                job("mirrored resumed", "mirrored adam", **more),
                job("mirrored odd", batch_size=15),
            ],
        )
    ]
    jobs = [job("workers adam"), job("workers resumed", "workers adam", **more)]
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    processes += [start_jobs("multiworker", jobs, cluster=cluster, index=index) for index in (0, 1)]
    with ended(processes):
        make_repeatable()
        alone = Distribution.start(None)
        for options in (job("adam"), job("bop", **bop), job("resumed", "adam", **more)):
            train(alone, **options)
        for process in processes:
            output, errors = process.communicate()
            assert process.returncode == 0, errors
            assert output == "done, 2 replicas\n"
        train(alone, **job("resumed alone", "mirrored adam", **more))
    return made


def checkpoint(folder):
    with np.load(folder / LAST) as file:
        state = json.loads(file["state"].tobytes())
        return [file[f"variable_{index}"] for index in range(len(file.files) - 1)], state["history"]


@pytest.mark.timeout(900)  # half a minute on two idle cores, but four processes on busy ones
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mirrored adam", "adam"),
        ("mirrored bop", "bop"),
        ("mirrored resumed", "resumed"),
        ("resumed alone", "resumed"),
        ("workers adam", "adam"),
        ("workers resumed", "resumed"),
    ],
)
def test_two_replicas_end_where_one_does(folders, name, other):
    (found, history), (expected, expected_history) = checkpoint(folders[name]), checkpoint(folders[other])
    # Weights and everything that the optimiser remembers.
    assert len(found) == len(expected)
    for value, wanted in zip(found, expected, strict=True):
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(value, wanted, rtol=2 / VALUES_A_CHANNEL, atol=TOLERANCE * max(scale, 1e-3))
    close = [
        np.abs(value - wanted).max() <= TOLERANCE * np.abs(wanted).max()
        for value, wanted in zip(found, expected, strict=True)
    ]
    assert sum(close) >= len(close) - 3  # all but the moving variances of the three BatchNorm layers
    for record, wanted in zip(history, expected_history, strict=True):
        assert record["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
        assert record["validation_accuracy"] == wanted["validation_accuracy"]


def test_a_batch_that_cannot_be_split_is_refused_before_anything_is_written(folders):
    (path,) = folders["mirrored odd"].iterdir()
    assert path.read_text() == "batch_size is 15, but must be a multiple of the 2 replicas, such as 16"


@pytest.mark.timeout(600)
def test_the_command_trains_on_two_replicas_and_exports(tmp_path):
    basic = ["--distribute", "mirrored", "--head", "pooled", "--epochs", "1", "--batch-size"]
    odd = [*basic, "64", "--task", "odd", "--out", str(tmp_path / "odd")]
    even = [*basic, "16", "--task", "tones", "--out", str(tmp_path / "even")]
    command = [sys.executable, str(HERE / "train_command.py"), json.dumps(odd), json.dumps(even)]
    done = subprocess.run(command, env=surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall("^status .*", done.stdout, flags=re.MULTILINE) == ["status 2", "status 0"], done.stderr
    assert (
        "error: batch_size is 39 (all training clips), but must be a multiple of the 2 replicas, such as 38\n"
        in done.stderr
    )
    assert "precision binary, 2 replicas\n" in done.stderr
    assert not (tmp_path / "odd").exists()
    assert reader.read(tmp_path / "even" / "model.tflite").metadata.labels == ("low", "middle", "high", "top")


@pytest.mark.timeout(600)
def test_the_command_trains_with_two_workers_that_leave_together(tmp_path):
    run = ["--task", "tones", "--head", "pooled", "--epochs", "1", "--batch-size", "16", "--deepest-weight", "0.3"]
    arguments = json.dumps([*run, "--distribute", "multiworker", "--out", str(tmp_path / "run")])
    cluster = [f"localhost:{port}" for port in free_ports(2)]
    workers = [start("train_command.py", arguments, cluster=cluster, index=index) for index in (0, 1)]
    with ended(workers):
        (output, errors), (_, others) = [worker.communicate() for worker in workers]
    for printed, worker in zip((errors, others), workers, strict=True):
        assert worker.returncode == 0, printed
        # A worker that leaves while the first one exports looks lost to it.
        assert "heartbeat" not in printed and "UNAVAILABLE" not in printed, printed
    assert "status 0" in output and "next: python -m bnn_exit.evaluate" in output
    assert reader.read(tmp_path / "run" / "model.tflite").metadata.labels == ("low", "middle", "high", "top")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["distillation"]["deepest_weight"] == 0.3


def test_a_process_alone_is_left_as_it_is():
    alone = Distribution.start(None)

    def step(*batch):
        return batch

    variables = [tf.Variable(1.0)]
    assert alone.step(step) is step and alone.share(step) is step
    assert alone.local(variables)[0] is variables[0]
    assert alone.writes and str(alone) == ""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, '--distribute multiworker needs the environment variable TF_CONFIG, such as {"cluster":'),
        ("{", "TF_CONFIG is '{', but must list all workers and the index of this one"),
        ("[]", "TF_CONFIG is '\\[\\]', but must list all workers"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "TF_CONFIG is .* but must list"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "TF_CONFIG is .* but must list"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}', "TF_CONFIG is .* but must list"),
    ],
)
def test_a_cluster_that_is_not_described_gets_one_line(monkeypatch, config, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ArgumentError, match=message):
        Distribution.start("multiworker")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ArgumentError, match=r"--distribute is 'mirror', but must be one of .*did you mean 'mirrored'"):
        Distribution.start("mirror")
