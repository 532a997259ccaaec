"""The C interface as a program sees it: the example is compiled and must answer as the Python package does."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bnn_exit.audio import wav
from bnn_exit.config import FeatureConfig
from bnn_exit.runtime import native_backend, session

COMPILER = shutil.which("cc") or shutil.which("gcc")
NATIVE = Path(native_backend.__file__).parent / "native"
pytestmark = [
    pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    place = tmp_path_factory.mktemp("classify") / "classify"
    library = native_backend.find_library()
    command = [COMPILER, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", NATIVE / "include"]
    command += [NATIVE / "examples" / "classify.c", library, f"-Wl,-rpath,{library.parent}", "-o", place]
    subprocess.run(command, check=True)
    return place


@pytest.fixture(scope="module", params=["log_mel", "waveform"])
def model_path(request, tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(tiny.adaptive_file(input=request.param))
    return path


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("samples", [719, 720, 721, 500, 2001])
@pytest.mark.parametrize("point", ["full", "fast"])
def test_it_answers_as_the_python_package_does(program, model_path, tmp_path, samples, point):
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


def test_what_it_says_of_mistakes(program, model_path, tmp_path):
    clip = tmp_path / "clip.wav"
    wav.write(clip, np.zeros(720, np.float32), sample_rate_hz=16000)
    slow = tmp_path / "slow.wav"
    wav.write(slow, np.zeros(720, np.float32), sample_rate_hz=8000)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model_path.read_bytes()[:1000])
    for arguments, message in (
        ((model_path, clip, "quick"), "operating_point is 'quick', but must be one of full, balanced, fast"),
        ((model_path, slow), "its sample rate is not the model's"),
        ((model_path, model_path), "this is not a whole wav file"),
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
