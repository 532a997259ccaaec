"""The C interface from a C program: the example is compiled and must predict as the Python package does."""

import io
import re
import struct
import subprocess

import numpy as np
import pytest
from native.compilers import C_COMPILER, NATIVE, needs_c, needs_library

import bnn_exit
from bnn_exit.audio import riff, wav
from bnn_exit.errors import DataError
from bnn_exit.runtime import native_backend, session
from bnn_exit.settings.features import FeatureConfig

pytestmark = [needs_library, needs_c]


def compiled(name, folder):
    library = native_backend.find_library()
    command = [C_COMPILER, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", NATIVE / "include"]
    command += [NATIVE / "examples" / f"{name}.c", library, f"-Wl,-rpath,{library.parent}", "-o", folder / name]
    subprocess.run(command, check=True)
    return folder / name


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled("classify", tmp_path_factory.mktemp("classify"))


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    return compiled("watch", tmp_path_factory.mktemp("watch"))


@pytest.fixture(scope="module", params=["log_mel", "waveform"])
def model_path(request, tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(tiny.adaptive_file(input=request.param))
    return path


def run(*command, **settings):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, **settings)


@pytest.mark.parametrize("samples", [719, 720, 721, 500, 2001])
@pytest.mark.parametrize("point", ["full", "fast"])
def test_it_predicts_as_the_python_package_does(program, model_path, tmp_path, samples, point):
    clip = tmp_path / "clip.wav"
    wav.write(clip, np.random.default_rng(samples).uniform(-0.5, 0.5, samples).astype(np.float32), sample_rate_hz=16000)
    done = run(program, model_path, clip, point)
    assert done.returncode == 0, done.stderr
    first, *rows = done.stdout.splitlines()
    model = session.load(model_path, backend="reference")
    expected = model.predict(wav.read(clip), operating_point=point)
    label, exit_index, exits, score = re.fullmatch(r"(.*) \(exit (\d) of (\d), score ([\d.]+)\)", first).groups()
    assert (label, int(exit_index), int(exits)) == (expected.label, expected.exit_index, 3)
    assert float(score) == pytest.approx(expected.score, abs=1e-4)
    assert [row.split()[1] for row in rows] == list(model.labels)
    np.testing.assert_allclose([float(row.split()[0]) for row in rows], expected.probabilities, atol=1e-5)


def test_it_predicts_with_a_file_of_one_exit(program, tiny, tmp_path):
    clip, path = tmp_path / "clip.wav", tmp_path / "model.tflite"
    wav.write(clip, np.random.default_rng(0).uniform(-0.5, 0.5, 720).astype(np.float32), sample_rate_hz=16000)
    path.write_bytes(tiny.adaptive_file(exits=1))
    done = run(program, path, clip, "balanced")
    assert done.returncode == 0, done.stderr
    expected = session.load(path, backend="reference").predict(wav.read(clip))
    assert done.stdout.startswith(f"{expected.label} (exit {expected.exit_index} of 1, score {expected.score:.4f}")


def test_what_it_says_of_mistakes(program, model_path, tmp_path):
    clip = tmp_path / "clip.wav"
    wav.write(clip, np.zeros(720, np.float32), sample_rate_hz=16000)
    slow = tmp_path / "slow.wav"
    wav.write(slow, np.zeros(720, np.float32), sample_rate_hz=8000)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model_path.read_bytes()[:1000])
    for arguments, message in (
        ((model_path, clip, "quick"), "operating_point is 'quick', but must be one of full, balanced, fast"),
        ((model_path, slow), "its sample rate is 8000 Hz, but the model's is 16000 Hz"),
        ((model_path, model_path), "this is not a wav file"),
        ((model_path, tmp_path / "none.wav"), "cannot be read"),
        ((broken, clip), "this file is damaged"),
        ((clip, clip), "this is not a TFLite file"),
    ):
        done = run(program, *arguments)
        assert done.returncode == 1 and done.stdout == ""
        assert message in done.stderr and done.stderr.count("\n") == 1
    assert run(program).returncode == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_samples": 2**26}, "this file needs more than 268435456 bytes of memory"),
        (
            {"clip_samples": 2**25, "features": FeatureConfig(num_mels=4, fft_size=2**16)},
            "this file needs more than 34359738368 operations a run",
        ),
    ],
)
def test_metadata_are_held_to_the_limits(program, tiny, tmp_path, changes, message):
    path, clip = tmp_path / "model.tflite", tmp_path / "clip.wav"
    path.write_bytes(tiny.adaptive_file(meta=tiny.metadata(**changes).to_json()))
    wav.write(clip, np.zeros(720, np.float32), sample_rate_hz=16000)
    done = run(program, path, clip)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_every_function_is_declared_and_there(program):
    declared = re.findall(r"\b(bnn_exit_\w+)\(", (NATIVE / "include" / "bnn_exit.h").read_text())
    library = native_backend._library()
    functions = set(declared)
    assert len(functions) > 15
    for name in functions:
        assert getattr(library, name)


def wav_headers():
    """WAV files as recorders write them, right and wrong, all with the same samples: name and bytes."""
    samples = np.random.default_rng(3).integers(-8000, 8000, 720).astype("<i2").tobytes()
    plain = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
    guid = bytes.fromhex("000000001000800000aa00389b71")
    extensible = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4, 1) + guid

    def chunk(name, body, size=None):
        return name + struct.pack("<I", len(body) if size is None else size) + body

    def file(*chunks):
        body = b"WAVE" + b"".join(chunks)
        return b"RIFF" + struct.pack("<I", len(body)) + body

    fmt, data, odd = chunk(b"fmt ", plain), chunk(b"data", samples), chunk(b"LIST", b"abc")
    yield "plain", file(fmt, data)
    yield "extensible", file(chunk(b"fmt ", extensible), data)
    yield "extensible of another family", file(chunk(b"fmt ", extensible[:-1] + b"\0"), data)
    yield "extensible, cut", file(chunk(b"fmt ", extensible[:30]), data)
    yield "fmt after data", file(data, fmt)
    yield "two fmt", file(fmt, chunk(b"fmt ", plain[:14] + b"\x18\0"), data)
    yield "short fmt", file(chunk(b"fmt ", plain[:14]), data)
    yield "only fmt", file(fmt)
    yield "an odd chunk before", file(fmt, odd + b"\0", data)
    yield "an odd chunk without padding", file(fmt, odd, data)
    yield "chunks after data", file(fmt, data, odd + b"\0")
    yield "no name of a chunk", file(fmt, b"\0\0\0\0\0\0\0\0", data)
    for size in (0, 1, 2, 1439, 1441, 1448, 1476, 1484, 1485, 1500, 4000, 0x7FFFEFFF, 0x7FFFF000, 0xFFFFFFFF):
        yield f"{size} bytes", file(fmt, chunk(b"data", samples, size))
    yield "0 bytes and chunks", file(fmt, chunk(b"data", b""), odd + b"\0")
    yield "0 bytes at the end", file(fmt, chunk(b"data", b""))
    yield "a cut frame", file(fmt, chunk(b"data", samples[:-1]))
    for name, form in (
        ("8 bits", (1, 1, 16000, 16000, 1, 8)),
        ("12 bits", (1, 1, 16000, 32000, 2, 12)),
        ("24 bits in four bytes", (1, 1, 16000, 64000, 4, 24)),
        ("float", (3, 1, 16000, 64000, 4, 32)),
        ("stereo", (1, 2, 16000, 64000, 4, 16)),
        ("no channels", (1, 0, 16000, 32000, 2, 16)),
        ("65535 channels", (1, 65535, 16000, 32000, 2, 16)),
        ("another rate", (1, 1, 8000, 16000, 2, 16)),
        ("a wrong frame", (1, 1, 16000, 9, 9, 16)),
    ):
        yield name, file(chunk(b"fmt ", struct.pack("<HHIIHH", *form)), data)
    whole = file(fmt, odd + b"\0", data)
    for end in (*range(0, 62, 3), len(whole) - 1):
        yield f"cut at {end}", whole[:end]


def test_it_reads_wav_headers_as_the_python_package_does(program, tiny, tmp_path):
    path, clip = tmp_path / "model.tflite", tmp_path / "clip.wav"
    path.write_bytes(tiny.adaptive_file())
    model = session.load(path, backend="native")
    read = 0
    for name, data in wav_headers():
        clip.write_bytes(data)
        done = run(program, path, clip, "full")
        try:
            encoding = riff.open_wav(io.BytesIO(data)).encoding
            expected = model.predict(wav.read(clip), operating_point="full")
        except DataError:
            encoding = None
        if encoding is None or encoding.is_float or encoding.width != 2 or encoding.rate_hz != 16000:
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), (name, done)
            continue
        assert done.returncode == 0, (name, done.stderr)
        rows = done.stdout.splitlines()[1:]
        np.testing.assert_allclose(
            [float(row.split()[0]) for row in rows], expected.probabilities, atol=1e-5, err_msg=name
        )
        read += 1
    assert read > 15


@pytest.fixture(scope="module")
def values_path(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "model.tflite"
    path.write_bytes(tiny.adaptive_file(input="values"))
    return path


def test_a_stream_of_values_is_classified_as_by_the_python_package(watch, values_path):
    values = np.random.default_rng(0).normal(0, 3, (100, 2)).astype(np.float32)
    text = "".join(f"{first!r}, {second!r}\n" for first, second in values.tolist())
    done = run(watch, values_path, 200, "fast", input=text)
    assert done.returncode == 0, done.stderr
    model = session.load(values_path, backend="reference")
    windows = bnn_exit.Stream(model, hop_ms=200, operating_point="fast").windows(values)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == len(windows) == 7
    for (start, label, probability, _, exit_index), window in zip(rows, windows, strict=True):
        assert float(start) == pytest.approx(window.start_s, abs=1e-3)
        assert label == model.labels[window.probabilities.argmax()] and int(exit_index) == window.exit_index
        assert float(probability) == pytest.approx(window.probabilities.max(), abs=1e-5)


@pytest.mark.parametrize(
    ("model", "options", "text", "message"),
    [
        ("values", [], "1 2\n1\n", "standard input: a line does not hold one number for each channel"),
        ("values", [], "1 2 3\n", "standard input: a line does not hold one number for each channel"),
        ("values", [], "1 nan\n", "standard input: sample 0 is NaN or infinite"),
        ("values", [30], "", "hop_ms is 30, but must be a multiple of the 20 ms"),
        ("sound", [], "", "it takes sound, not values of sensors"),
    ],
)
def test_streams_of_values_that_cannot_be(watch, values_path, tiny, tmp_path, model, options, text, message):
    path = values_path
    if model == "sound":
        path = tmp_path / "model.tflite"
        path.write_bytes(tiny.adaptive_file())
    done = run(watch, path, *options, input=text)
    assert done.returncode == 1 and message in done.stderr
