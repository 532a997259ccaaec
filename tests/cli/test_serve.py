"""`python -m bnn_exit.serve` as a user runs it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bnn_exit
from bnn_exit.model_file.listening_points import ListeningPoint

pytest.importorskip("wyoming")

from wyoming.audio import AudioChunk
from wyoming.client import AsyncClient
from wyoming.event import read_event, write_event
from wyoming.info import Describe, Info
from wyoming.wake import Detection

ROOT = Path(__file__).resolve().parents[2]
MODEL = "arabic-speech-commands-small"
POINT = ListeningPoint("loose", operating_point="balanced", thresholds={"open": 0.4, "zero": 0.9}, span_ms=300)


@pytest.fixture(scope="module")
def point(tmp_path_factory):
    place = tmp_path_factory.mktemp("serve") / "point.json"
    place.write_text(json.dumps(POINT.to_dict()))
    return str(place)


def start(*arguments, cwd=None):
    path = os.pathsep.join(str(place) for place in (ROOT, os.environ.get("PYTHONPATH")) if place)
    return subprocess.Popen(
        [sys.executable, "-m", "bnn_exit.serve", *arguments], cwd=cwd, env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def sound():
    values = np.random.default_rng(0).normal(0, 0.1, 16000 * 3).clip(-1, 1)
    return AudioChunk(rate=16000, width=2, channels=1, audio=(values * 32767).astype("<i2").tobytes()).event()


def found(event, data):
    """Whether an event is the detection that a stream makes of some bytes."""
    stream = bnn_exit.Stream(bnn_exit.load(MODEL), listening_point=POINT)
    (made,) = stream.push(np.frombuffer(data, "<i2"))
    detection = Detection.from_event(event)
    return (detection.name, detection.timestamp) == ("open", round(1000 * made.time_s))


async def ask(uri):
    """The information of a server, and its first answer to some sound."""
    async with AsyncClient.from_uri(uri, read_timeout=60) as connection:
        await connection.write_event(Describe().event())
        info = Info.from_event(await connection.read_event())
        await connection.write_event(sound())
        return info, await connection.read_event()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("scheme", "number"), [("tcp", signal.SIGTERM), ("tcp", signal.SIGINT), ("unix", signal.SIGTERM)]
)
def test_it_serves_until_a_signal(point, tmp_path, scheme, number):
    uri = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/s"}[scheme]
    with start(MODEL, "--uri", uri, "--listening-point", point, "--language", "ar") as process:
        ready = process.stderr.readline().decode().rstrip("\n")
        assert ready.startswith(f"note: 2 wake words at {uri.removesuffix('0')}")
        info, detection = asyncio.run(ask(ready.partition(" at ")[2]))
        process.send_signal(number)
        out, err = process.stdout.read(), process.stderr.read()
    assert (process.returncode, out, err) == (0, b"", b"")
    assert [(model.name, model.languages) for model in info.wake[0].models] == [("open", ["ar"]), ("zero", ["ar"])]
    assert found(detection, sound().payload) and list(tmp_path.iterdir()) == []


def test_standard_input_and_output(point):
    with start(MODEL, "--uri", "stdio://", "--listening-point", point) as process:
        for event in (Describe().event(), sound()):
            write_event(event, process.stdin)
        info, detection = (read_event(process.stdout) for _ in range(2))
        process.stdin.close()
        assert process.stdout.read() == b"" and process.stderr.read() == b""
    assert process.returncode == 0
    assert Info.is_type(info.type) and found(detection, sound().payload)


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("redirected", "text"),
    [
        ("</dev/null", "standard input is no pipe"),
        ("<point.json", "standard input is no pipe"),
        ("<&-", "standard input is closed"),
        ("</dev/null >/dev/null", "standard input is no pipe"),
        (">/dev/null", "standard output is no pipe"),
        (">out", "standard output is no pipe"),
        (">&-", "standard output is closed"),
    ],
)
def test_standard_input_and_output_that_carry_nothing(tmp_path, redirected, text):
    (tmp_path / "point.json").write_text("{}")
    path = os.pathsep.join(str(place) for place in (ROOT, os.environ.get("PYTHONPATH")) if place)
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m bnn_exit.serve "$@" {redirected}', sys.executable, MODEL, "--uri", "stdio://"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, input=b"", capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"error: stdio:// needs pipes as standard input and output, but {text}\n"


def test_a_port_that_is_taken(point):
    with start(MODEL, "--uri", "tcp://127.0.0.1:0", "--listening-point", point) as first:
        where = first.stderr.readline().decode().rstrip("\n").partition(" at ")[2]
        with start(MODEL, "--uri", where, "--listening-point", point) as second:
            error = second.stderr.read().decode()
        first.terminate()
    assert second.returncode == 1
    assert error.startswith(f"error: {where} cannot be used: ") and error.count("\n") == 1
    assert "address already in use" in error


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "the following arguments are required: model"),
        (["--uri", "http://x", MODEL], 2, "uri is 'http://x', but must be such as tcp://0.0.0.0:10400, unix:///run"),
        (["nowhere.tflite"], 1, "nowhere.tflite"),
        (
            [MODEL],
            2,
            f"{MODEL} has no listening point, so nothing says which labels make events: python -m bnn_exit.cal",
        ),
        ([MODEL, "--max-clients", "0"], 2, "'0' is not a whole number of at least 1"),
        ([MODEL, MODEL, "--listening-point", "POINT"], 2, f"two model files are called '{MODEL}' and have 'open'"),
        (
            [MODEL, "--listening-point", "POINT", "--uri", "unix:///nowhere/s"],
            1,
            "unix:///nowhere/s cannot be used: No such file",
        ),
        ([MODEL, "--listening-point", "POINT", "--uri", "tcp://256.0.0.1:1"], 1, "tcp://256.0.0.1:1 cannot"),
    ],
)
def test_a_mistake_is_one_line(point, tmp_path, arguments, status, text):
    arguments = [point if each == "POINT" else each for each in arguments]
    with start(*arguments, cwd=tmp_path) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (status, b"")
    (line,) = err.decode().splitlines()
    assert line.startswith("error: ") and text in line
