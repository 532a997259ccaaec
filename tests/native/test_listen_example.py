"""The example that listens to raw PCM: its events are those of the Python stream."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny_files
from native.compilers import C_COMPILER, NATIVE, needs_c, needs_library

import bnn_exit
from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint
from bnn_exit.runtime import native_backend

pytestmark = [needs_library, needs_c]

POINTS = [
    ListeningPoint(
        "balanced",
        "balanced",
        {"yes": 0.34, "no": 0.34, 'an "other"\\': 0.34},
        hop_ms=20,
        span_ms=40,
        refractory_ms=40,
        gate=GateSettings(margin_db=6, rise_db_per_s=20, hang_over_ms=60),
    ),
    ListeningPoint("eager", "fast", {"no": 0.35}, hop_ms=10, span_ms=10, release=1, refractory_ms=10),
]
LABELS = ("yes", "no", 'an "other"\\')


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    place = tmp_path_factory.mktemp("listen") / "listen"
    library = native_backend.find_library()
    command = [C_COMPILER, "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic"]
    command += ["-I", NATIVE / "include", NATIVE / "examples" / "listen.c", library]
    subprocess.run([*command, f"-Wl,-rpath,{library.parent}", "-o", place], check=True)
    return place


def model(tmp_path, *points):
    path = tmp_path / "model.tflite"
    meta = tiny_files.metadata(labels=LABELS, listening_points={point.name: point for point in points})
    path.write_bytes(tiny_files.adaptive_file(meta=meta.to_json()))
    return path


def run(*command, data=b""):
    done = subprocess.run([str(part) for part in command], input=data, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def pcm(samples, seed=0):
    """Noise whose level rises and falls, int16."""
    envelope = 10 ** (np.sin(np.arange(samples) / 900 + seed) * 1.5 - 2)
    return (np.random.default_rng(seed).uniform(-1, 1, samples) * envelope * 32767).astype("<i2")


@pytest.mark.parametrize(("point", "rate"), [(None, None), ("eager", None), (None, 48000), ("balanced", 8000)])
def test_its_events_are_those_of_the_python_stream(program, tmp_path, point, rate):
    path, samples = model(tmp_path, *POINTS), pcm(40000)
    options = [*(["--listening-point", point] if point else []), *(["--rate", rate] if rate else [])]
    status, out, err = run(program, path, "--json", *options, data=samples.tobytes())
    assert status == 0, err
    stream = bnn_exit.Stream(
        bnn_exit.load(path, backend="native"), listening_point=point or "balanced", sample_rate_hz=rate
    )
    windows = stream.windows(samples)
    expected = [window.event for window in windows if window.event]
    found = [json.loads(line) for line in out.splitlines()]
    # The Python resampler waits for some more samples: at the end its last window may be missing.
    assert len(expected) > 1 and 0 <= len(found) - len(expected) <= (rate is not None)
    for event, other in zip(found, expected):
        assert (event["event"], event["exit_index"]) == (other.label, other.exit_index)
        for name in ("start_s", "end_s", "time_s", "probability"):
            assert event[name] == pytest.approx(getattr(other, name), abs=1e-3), name
    if rate is None:
        exits = [sum(window.exit_index == index for window in windows) for index in (0, 1, 2, -1)]
        text = "2.5 s, {} events, {} windows, exit 1: {}, exit 2: {}, exit 3: {}, gate closed: {}\n"
        assert err == text.format(len(expected), len(windows), *exits)
        assert (exits[3] > 0) == (point is None)


def test_windows_are_printed_on_demand(program, tmp_path):
    samples = pcm(40000)
    status, out, err = run(program, model(tmp_path, POINTS[0]), "--windows", "--json", data=samples.tobytes())
    assert status == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    windows = bnn_exit.Stream(bnn_exit.load(tmp_path / "model.tflite", backend="native")).windows(samples)
    found = [line for line in lines if "window" in line]
    assert len(found) == len(windows) and len(lines) > len(windows)
    for line, window in zip(found, windows):
        label = None if window.exit_index < 0 else LABELS[int(window.probabilities.argmax())]
        assert (line["window"], line["exit_index"]) == (label, window.exit_index)
    status, out, _ = run(program, tmp_path / "model.tflite", "--windows", data=samples.tobytes())
    texts = out.splitlines()
    assert status == 0 and len(texts) == len(lines)
    assert any(re.fullmatch(r"[\d.]+ to [\d.]+ s: silence", text) for text in texts)
    assert any(re.fullmatch(r"[\d.]+ s: \S.* \([\d.]+, exit \d, in [\d.]+ to [\d.]+ s\)", text) for text in texts)


def test_a_model_without_a_listening_point_prints_windows_on_demand(program, tmp_path):
    path, samples = model(tmp_path), pcm(4000)
    assert run(program, path, data=samples.tobytes()) == (
        1,
        "",
        f"error: {path}: it has no listening point, so there are no events: --windows prints each window's label, and "
        f"python -m bnn_exit.calibrate {path} --stream NEGATIVES --max-false-accepts-per-hour 0.5 makes one\n",
    )
    status, out, err = run(program, path, "--windows", "--operating-point", "full", data=samples.tobytes())
    assert (status, out.count("\n"), out.count("exit 3")) == (0, 3, 3)
    assert err == "0.2 s, 0 events, 3 windows, exit 1: 0, exit 2: 0, exit 3: 3, gate closed: 0\n"


def test_the_only_listening_point_needs_no_name(program, tmp_path):
    samples = pcm(16000)
    named = run(program, model(tmp_path, POINTS[1]), "--listening-point", "eager", data=samples.tobytes())
    assert named == run(program, tmp_path / "model.tflite", data=samples.tobytes())
    assert named[0] == 0 and named[1].count("no (") > 1


def test_what_it_says_of_mistakes(program, tmp_path):
    path = model(tmp_path, *POINTS)
    other = tmp_path / "other"
    other.mkdir()
    two = model(other, POINTS[1], ListeningPoint("calm", "full", {"no": 0.9}))
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(path.read_bytes()[:1000])
    for arguments, message in (
        ((path, "--listening-point", "egaer"), "listening_point is 'egaer', but must be one of balanced, eager"),
        ((path, "--operating-point", "quick"), "operating_point is 'quick', but must be one of full, balanced, fast"),
        ((path, "--rate", "4000"), "sample_rate_hz is 4000, but must be from 8000 to 192000"),
        ((two,), "it has several listening points: choose one with --listening-point NAME"),
        ((tmp_path / "none.tflite",), "cannot be read"),
        ((broken,), "this file is damaged"),
    ):
        status, out, err = run(program, *arguments, data=pcm(100).tobytes())
        assert (status, out, err.count("\n")) == (1, "", 1), err
        assert err.startswith("error: ") and message in err
    for wrong in ((), ("--json",), (path, path), (path, "--rate"), (path, "--rate", "16k"), (path, "--speed", "1")):
        status, out, err = run(program, *wrong)
        assert (status, out, err.count("\n")) == (2, "", 1) and err.startswith("usage: ")


def test_an_odd_last_byte_is_an_error_after_all_events(program, tmp_path):
    path, samples = model(tmp_path, POINTS[1]), pcm(16000)
    whole = run(program, path, data=samples.tobytes())
    status, out, err = run(program, path, data=samples.tobytes() + b"\1")
    assert (status, out) == (1, whole[1]) and out
    assert err == ("error: standard input: it ends within a sample: 16-bit PCM has two bytes for each\n" + whole[2])


def test_an_audio_file_is_not_taken_for_samples(program, tmp_path):
    status, out, err = run(program, model(tmp_path, POINTS[1]), data=b"RIFF" + pcm(16000).tobytes())
    assert (status, out) == (1, "")
    assert "error: standard input: it is a WAV file, not raw samples: record with arecord -t raw\n" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_events_that_cannot_be_written_are_an_error(program, tmp_path):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [program, model(tmp_path, POINTS[1])], input=pcm(16000).tobytes(), stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1 and done.stderr.startswith(b"error: standard output: it cannot be written")


def test_an_empty_input_is_no_mistake(program, tmp_path):
    status, out, err = run(program, model(tmp_path, POINTS[1]))
    assert (status, out) == (0, "")
    assert err == "0.0 s, 0 events, 0 windows, exit 1: 0, exit 2: 0, exit 3: 0, gate closed: 0\n"


def test_bytes_may_come_one_by_one(program, tmp_path):
    path, data = model(tmp_path, POINTS[1]), pcm(3000).tobytes()
    expected = run(program, path, data=data)
    with subprocess.Popen(
        [program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        for at in range(0, len(data), 17):
            child.stdin.write(data[at : at + 17])
            child.stdin.flush()
        out, err = child.communicate()
    assert (child.returncode, out.decode(), err.decode()) == expected
