"""`predict` and `difficulty` over many clips: workers change nothing but the time."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_files

import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.commands import difficulty, predict
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.runtime.backends import installed
from bnn_exit.workers import OrderedMap

ROOT = Path(__file__).resolve().parents[2]
SPEED = re.compile(r"(\d+) clips in [\d.]+ s: [\d.]+ clips a second, (1 worker|\d+ workers)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and a folder of clips of every kind."""
    place = tmp_path_factory.mktemp("many")
    (place / "model.tflite").write_bytes(tiny_files.adaptive_file())
    random = np.random.default_rng(0)
    for index in range(60):
        path = place / "clips" / ("yes" if index % 2 else "no") / f"{index:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Some are quiet, some of another sample rate and some longer than the model's input.
        gain = 0.0001 if index % 10 == 4 else 0.1
        samples = random.normal(0, gain, 720 * (1 + 2 * (index % 7 == 6))).clip(-1, 1)
        wav.write(path, samples, sample_rate_hz=(16000, 16000, 8000, 16000, 44100)[index % 5])
        if index % 9 == 7:
            path.write_bytes(path.read_bytes()[:index])
        if index == 30:
            path.unlink()
            path.mkdir()
    return place


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Workers start after a few clips, and the command waits for them."""
    monkeypatch.setattr(OrderedMap, "alone", 5)
    monkeypatch.setattr(OrderedMap, "chunk", 3)
    monkeypatch.setattr(OrderedMap, "_wait_s", None)


def both(command, arguments, capsys, *written):
    """What a command prints and writes, and what it tells of its speed, with one worker and with two."""
    found = []
    for workers in ("1", "2"):
        status = command.main([*arguments, "--workers", workers])
        out, err = capsys.readouterr()
        *told, speed = err.splitlines()
        found.append((status, out, told, *(path.read_bytes() for path in written)))
        assert SPEED.fullmatch(speed)[2] == {"1": "1 worker", "2": "2 workers"}[workers]
    assert found[0] == found[1]
    return found[0][0], found[0][1].splitlines(), found[0][2], SPEED.fullmatch(speed)[1]


@pytest.mark.parametrize("backend", [name for name in installed() if name != "lce"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--explain", "--thresholds", "0.5,0.9"]], ids=" ".join)
def test_predict_prints_the_same(folder, capsys, backend, options):
    paths = [*sorted(map(str, folder.glob("clips/*/*.wav"))), str(folder / "missing.wav")]
    arguments = [str(folder / "model.tflite"), *paths, *options, "--backend", backend]
    status, lines, told, clips = both(predict, arguments, capsys)
    broken = sum(line.startswith("error: ") for line in told)
    assert status == 1 and broken == 8 and clips == str(61 - broken)
    assert sum(not line.startswith("  exit") for line in lines) == 61 - broken
    assert {line.split(": ")[0] for line in told} == {"error", "warning", "note"}
    assert f"error: {folder}/clips/no/30.wav: a folder, not an audio file; give the files in it" in told


def test_difficulty_prints_and_writes_the_same(folder, tmp_path, capsys):
    table, page = tmp_path / "d.csv", tmp_path / "d.html"
    arguments = [str(folder / "model.tflite"), str(folder / "clips"), str(tmp_path), "--labels", "folders"]
    arguments += ["--csv", str(table), "--html", str(page)]
    status, lines, told, clips = both(difficulty, arguments, capsys, table, page)
    assert status == 1 and clips == str(len(table.read_text().splitlines()) - 1) == "53"
    assert ": 53 clips, mean difficulty" in lines[0]
    assert f"error: {tmp_path}: no .wav, .flac, .ogg file in this folder or those in it" in told
    assert told[-1] == "error: 7 of 60 clips could not be used"


def test_estimate_gives_the_same_table(folder):
    session = bnn_exit.load(folder / "model.tflite")
    clips = [(str(seed), np.random.default_rng(seed).normal(0, 0.1, 720)) for seed in range(40)]
    one = bnn_exit.difficulty.estimate(session, clips)
    two = bnn_exit.difficulty.estimate(session, clips, workers=2)
    assert list(two.rows()) == list(one.rows())
    assert two.names == one.names and two.scores.tobytes() == one.scores.tobytes()
    with pytest.raises(DataError, match=r"clip 30"):
        bnn_exit.difficulty.estimate(session, [*clips[:30], DataError("clip 30"), *clips], workers=2)
    with pytest.raises(ArgumentError, match=r"^workers is 0, but must be a whole number from 1 to 256$"):
        bnn_exit.difficulty.estimate(session, clips, workers=0)


def test_a_few_clips_are_not_timed(folder, capsys):
    paths = sorted(map(str, folder.glob("clips/*/0*.wav")))[:4]
    assert predict.main([str(folder / "model.tflite"), *paths]) == 0
    assert difficulty.main([str(folder / "model.tflite"), *paths]) == 0
    assert not [line for line in capsys.readouterr().err.splitlines() if SPEED.fullmatch(line)]


def test_all_cores_are_the_default(folder, capsys, monkeypatch):
    path = str(folder / "clips" / "no" / "00.wav")
    for command in (predict, difficulty):
        for cores in (1, 2):
            monkeypatch.setattr(command, "cores", lambda cores=cores: cores)
            assert command.main([str(folder / "model.tflite"), *[path] * 30]) == 0
            told = capsys.readouterr().err.splitlines()[-1]
            assert SPEED.fullmatch(told)[2] == ("1 worker" if cores == 1 else "2 workers")


@pytest.mark.parametrize("command", [predict, difficulty])
@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5", "257"])
def test_a_number_of_workers_that_is_none_is_one_line(folder, capsys, command, given):
    assert command.main([str(folder / "model.tflite"), "a.wav", f"--workers={given}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(
        f"error: argument --workers: '{given}' is not a whole number from 1 to 256 (see"
    )
    assert err.count("\n") == 1


# ----------------------------------------------------------------------------------------- processes of a real command


def of_parent(number):
    """The processes that a process has started, without the one that tracks resources, which outlives signals."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == number and b"spawn_main" in path.with_name("cmdline").read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def threads(number):
    try:
        return len(list(Path(f"/proc/{number}/task").iterdir()))
    except OSError:
        return 0


@pytest.fixture
def running(folder, tmp_path):
    """`difficulty` over a list without an end, in a process group of its own, whose two workers have been started."""
    command = [sys.executable, "-m", "bnn_exit.difficulty", str(folder / "model.tflite"), "-", "--workers", "2"]
    places = [os.environ.get("PYTHONPATH", ""), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    # One thread of each library: the second thread of a worker is the one that reads, when it is ready.
    environment.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    feeder = subprocess.Popen(["yes", str(folder / "clips" / "no" / "00.wav")], stdout=subprocess.PIPE)
    pipes = {"stdin": feeder.stdout, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = subprocess.Popen(
        [*command, "--csv", str(tmp_path / "d.csv")], **pipes, text=True, env=environment, start_new_session=True
    )
    feeder.stdout.close()
    try:
        while len(of_parent(started.pid)) < 2:
            assert started.poll() is None
            time.sleep(0.001)
        yield started
    finally:
        started.kill()
        started.communicate()
        feeder.kill()
        feeder.wait()


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in Linux's /proc")


@linux
@pytest.mark.parametrize("when", ["workers start", "workers compute"])
def test_ctrl_c_is_one_line_and_leaves_nothing(running, tmp_path, when):
    workers = of_parent(running.pid)
    for number in workers:  # from their first moment on
        blocked = re.search(r"SigBlk:\s*(\w+)", Path(f"/proc/{number}/status").read_text())[1]
        assert int(blocked, 16) >> (signal.SIGINT - 1) & 1
    while when == "workers compute" and min(map(threads, workers)) < 2:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it
    out, err = running.communicate()
    assert (running.returncode, out, err) == (130, "", "error: interrupted\n")
    assert not any(map(threads, workers))
    assert list(tmp_path.iterdir()) == []


@linux
def test_a_killed_worker_is_one_line_and_leaves_nothing(running, tmp_path):
    workers = of_parent(running.pid)
    os.kill(workers[0], signal.SIGKILL)
    out, err = running.communicate()
    assert (running.returncode, out) == (1, "")
    assert err == (
        "error: a worker process was killed (signal 9), perhaps for want of memory: take fewer workers; "
        "1 starts no process\n"
    )
    assert not any(map(threads, workers))
    assert list(tmp_path.iterdir()) == []
