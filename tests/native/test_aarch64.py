"""64-bit Arm: the wheel is built with a cross compiler, and what it holds runs under an emulator.

One build serves the wheel, the example program and the check of the kernels.
"""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import aarch64
import numpy as np
import pytest
from binary_cases import convolution
from kernel_report import check_report
from operator_cases import CASES, as_arrays

from bnn_exit.audio import logmel, wav
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime import session
from bnn_exit.runtime.reference.interpreter import Interpreter
from bnn_exit.settings.features import FeatureConfig

ROOT = Path(__file__).parents[2]
LIBRARY = "bnn_exit/runtime/native/libbnn_exit_native.so"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, and the folder with the programs."""
    aarch64.require(*aarch64.TOOLS)
    folder = tmp_path_factory.mktemp("aarch64")
    command = [sys.executable, ROOT / ".ci" / "build_wheel.py", "--machine", "aarch64", "--out", folder / "dist"]
    command += ["--build-folder", folder / "build"]
    command += ["--define", "BNN_EXIT_EXAMPLES=ON", "--define", "BNN_EXIT_KERNEL_CHECK=ON"]
    done = subprocess.run(command, capture_output=True, text=True)
    if "Could not find a version" in done.stderr or "No matching distribution" in done.stderr:
        pytest.skip("scikit-build-core cannot be downloaded")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    assert done.stdout.startswith(str(wheel))
    return wheel, folder / "build"


@pytest.fixture(scope="module")
def wheel(built):
    return built[0]


@pytest.fixture(scope="module")
def programs(built):
    aarch64.require(aarch64.EMULATOR)
    return built[1]


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Runs Python code for 64-bit Arm with the wheel and NumPy, and nothing else that is not Python's own."""
    aarch64.require(aarch64.EMULATOR)
    folder = aarch64.python_folder(tmp_path_factory.mktemp("python"))
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def run(code, *arguments):
        return aarch64.emulate(
            folder / "root/usr/bin/python3.11",
            *("-c", code, *arguments),
            libraries=folder / "root",
            environment={"PYTHONPATH": f"{site}:{folder / 'site'}", "PYTHONHOME": str(folder / "root/usr")},
        )

    return run


@pytest.fixture(scope="module")
def model_paths(tiny, tmp_path_factory):
    """Two files: with the front end outside, and inside."""
    folder = tmp_path_factory.mktemp("model")
    paths = [folder / f"{kind}.tflite" for kind in ("log_mel", "waveform")]
    for path in paths:
        path.write_bytes(tiny.adaptive_file(input=path.stem))
    return paths


@pytest.fixture(params=[0, 1], ids=["log_mel", "waveform"])
def model_path(request, model_paths):
    return model_paths[request.param]


def clip(seed, samples=720):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def test_the_name_of_the_wheel_says_where_it_runs(wheel):
    name = re.fullmatch(r"bnn_exit-[\d.]+-py3-none-manylinux_2_(\d+)_aarch64\.whl", wheel.name)
    # The oldest systems to serve: Raspberry Pi OS of 2021 has glibc 2.31.
    assert name and 17 <= int(name[1]) <= 28
    with zipfile.ZipFile(wheel) as archive:
        (about,) = (path for path in archive.namelist() if path.endswith(".dist-info/WHEEL"))
        assert f"Tag: py3-none-manylinux_2_{name[1]}_aarch64\n" in archive.read(about).decode()
        assert "Root-Is-Purelib: false" in archive.read(about).decode()


def test_the_wheel_holds_the_shipped_models_and_whom_to_credit(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for path in (ROOT / "bnn_exit" / "pretrained").glob("*.*"):
            assert archive.read(f"bnn_exit/pretrained/{path.name}") == path.read_bytes()
    assert any(name.endswith(".dist-info/licenses/NOTICE") for name in names)


def test_the_glibc_in_the_name_has_all_that_the_library_asks_for(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(LIBRARY, tmp_path)
    symbols = subprocess.run(["aarch64-linux-gnu-objdump", "-T", library], capture_output=True, text=True).stdout
    versions = [int(minor) for minor in re.findall(r"\(?GLIBC_2\.(\d+)\)?", symbols)]
    assert len(versions) > 10 and f"_2_{max(versions)}_" in wheel.name


def test_the_wheel_is_small_and_holds_the_packages_and_one_library(wheel):
    assert wheel.stat().st_size < 1_600_000
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        folders = ("bnn_exit", "audio_tasks", "distill")
        modules = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py")}
        assert modules and names >= modules
        settings = {
            str(path.relative_to(ROOT))
            for folder in ("bnn_exit/settings/recipes", "bnn_exit/settings/plans", "bnn_exit/pretrained")
            for path in (ROOT / folder).glob("*.[jt][sf]*")
        }
        settings |= {str(path.relative_to(ROOT)) for path in (ROOT / "bnn_exit/report/assets").iterdir()}
        assert len(settings) >= 7
        assert {name for name in names if not name.endswith((".py", "py.typed"))} == {LIBRARY, *settings}


def test_the_library_is_for_64_bit_arm_and_needs_the_c_library_alone(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        library = Path(archive.extract(LIBRARY, tmp_path))
    image = library.read_bytes()
    assert image[:5] == b"\x7fELF\x02" and int.from_bytes(image[18:20], "little") == 183
    dynamic = subprocess.run(["aarch64-linux-gnu-readelf", "-dW", library], capture_output=True, text=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    assert needed <= {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-aarch64.so.1"} and needed
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
    for place in (str(ROOT), "/home/", "/tmp/", "/root/"):
        assert place.encode() not in image


def test_the_wheel_requires_numpy_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (about,) = (path for path in archive.namelist() if path.endswith(".dist-info/METADATA"))
        required = re.findall(r"^Requires-Dist: (.*)$", archive.read(about).decode(), re.MULTILINE)
        assert [line for line in required if "extra ==" not in line] == ["numpy>=1.24"]


def test_neon_agrees_with_its_definition(programs):
    done = aarch64.emulate(programs / "kernel_check", "100", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    check_report(done.stdout, isas={"neon"}, cases=100)


@pytest.mark.parametrize("samples", [720, 500])
@pytest.mark.parametrize("point", ["full", "fast"])
def test_the_example_predicts_as_the_reference_does(programs, model_path, tmp_path, samples, point):
    path = tmp_path / "clip.wav"
    wav.write(path, clip(samples, samples), sample_rate_hz=16000)
    done = aarch64.emulate(programs / "classify", model_path, path, point)
    assert done.returncode == 0, done.stderr
    first, *rows = done.stdout.splitlines()
    model = session.load(model_path, backend="reference")
    expected = model.predict(wav.read(path), operating_point=point)
    label, exit_index, score = re.fullmatch(r"(.*) \(exit (\d) of 3, score ([\d.]+)\)", first).groups()
    assert (label, int(exit_index)) == (expected.label, expected.exit_index)
    assert float(score) == pytest.approx(expected.score, abs=1e-4)
    np.testing.assert_allclose([float(row.split()[0]) for row in rows], expected.probabilities, atol=1e-5)


def test_the_example_tells_of_a_damaged_file(programs, model_path, tmp_path):
    """An exception on the way: its frames must be found on old systems too."""
    path, broken = tmp_path / "clip.wav", tmp_path / "broken.tflite"
    wav.write(path, clip(1), sample_rate_hz=16000)
    broken.write_bytes(model_path.read_bytes()[:1000])
    done = aarch64.emulate(programs / "classify", broken, path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "this file is damaged" in done.stderr and done.stderr.count("\n") == 1


ON_THE_BOARD = """
import importlib.util, json, platform, sys
import numpy as np
import bnn_exit
from bnn_exit.errors import ModelFileError
from bnn_exit.runtime import capabilities

clips, broken, *paths = sys.argv[1:]
predictions = []
for path in paths:
    model = bnn_exit.load(path, backend="native")
    for waveform in np.load(clips):
        for point in ("full", "fast"):
            prediction = model.predict(waveform, operating_point=point)
            exit_taken = [prediction.label, prediction.exit_index, float(prediction.score)]
            predictions.append([*exit_taken, prediction.probabilities.tolist()])
try:
    bnn_exit.load(broken, backend="native")
    error = ""
except ModelFileError as caught:
    error = str(caught)
absent = [name for name in ("tensorflow", "larq", "larq_compute_engine") if importlib.util.find_spec(name) is None]
print(json.dumps([platform.machine(), bnn_exit.__file__, capabilities()["isa"], absent, error, predictions]))
"""


def test_the_wheel_predicts_in_python_as_the_reference_does(python, model_paths, tmp_path):
    clips = np.stack([clip(seed) for seed in range(5)])
    np.save(tmp_path / "clips.npy", clips)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model_paths[0].read_bytes()[:1000])
    done = python(ON_THE_BOARD, tmp_path / "clips.npy", broken, *model_paths)
    assert done.returncode == 0, done.stderr
    machine, package, isa, absent, error, predictions = json.loads(done.stdout)
    assert (machine, isa) == ("aarch64", "neon")
    assert not Path(package).is_relative_to(ROOT)
    assert absent == ["tensorflow", "larq", "larq_compute_engine"]
    assert str(broken) in error and "damaged" in error
    expected = []
    for path in model_paths:
        model = session.load(path, backend="reference")
        expected += [model.predict(waveform, operating_point=point) for waveform in clips for point in ("full", "fast")]
    assert [found[:2] for found in predictions] == [[one.label, one.exit_index] for one in expected]
    np.testing.assert_allclose([found[2] for found in predictions], [one.score for one in expected], atol=1e-5)
    np.testing.assert_allclose([found[3] for found in predictions], [one.probabilities for one in expected], atol=1e-5)


CORE_ON_THE_BOARD = """
import sys
import numpy as np
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.runtime.native_backend import FrontEnd, NativeNetwork

given = np.load(sys.argv[1])
results = {"log_mel": FrontEnd(FeatureConfig()).log_mel(given["waveform"])}
for case in range(int(given["cases"])):
    network = NativeNetwork(given[f"{case} file"].tobytes())
    inputs = [given[f"{case} input {index}"] for index in range(int(given[f"{case} inputs"]))]
    for index, result in enumerate(network(inputs)):
        results[f"{case} result {index}"] = result
np.savez(sys.argv[2], **results)
"""


def binary_convolutions(tiny, count):
    """Of every kind of shape: full and partial words, tiles and groups of channels."""
    random = np.random.default_rng(11)
    for seed in range(count):
        stride = int(random.integers(1, 3))
        settings = {
            "channels": int(random.choice([3, 32, 40, 64, 96, 128, 200, 256])),
            "filters": int(random.choice([1, 16, 33, 64, 96])),
            "size": tuple(int(axis) for axis in random.integers(5, 9, 2)),
            "kernel": tuple(int(axis) for axis in random.integers(1, 4, 2)),
            "stride": stride,
            "dilation": int(random.integers(1, 3)) if stride == 1 else 1,
            "padding": str(random.choice(["SAME", "VALID"])),
            "bitpacked": bool(random.integers(2)),
        }
        data, values, _ = convolution(tiny, seed=seed, **settings)
        yield data, [values]


def test_the_core_computes_as_the_reference_does(python, tiny, single, tmp_path):
    """Binary convolutions bit for bit, every other operator, and the front end."""
    binary = list(binary_convolutions(tiny, 60))
    others = [
        single(name, list(as_arrays(inputs)), outputs, options, **settings)
        for name, inputs, outputs, options, settings in CASES.values()
    ]
    waveform = clip(2, 16000)
    given = {"waveform": waveform, "cases": len(binary) + len(others)}
    for case, (data, inputs) in enumerate([*binary, *others]):
        given |= {f"{case} file": np.frombuffer(data, np.uint8), f"{case} inputs": len(inputs)}
        given |= {f"{case} input {index}": value for index, value in enumerate(inputs)}
    np.savez(tmp_path / "given.npz", **given)
    done = python(CORE_ON_THE_BOARD, tmp_path / "given.npz", tmp_path / "found.npz")
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["log_mel"], logmel.log_mel(waveform, FeatureConfig()), rtol=1e-4)
    for case, (data, inputs) in enumerate([*binary, *others]):
        tolerance = {"rtol": 0, "atol": 0} if case < len(binary) else {"rtol": 1e-5, "atol": 1e-6}
        for index, expected in enumerate(Interpreter(flatbuffer.read(data)).run(inputs)):
            ours = found[f"{case} result {index}"]
            assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape)
            np.testing.assert_allclose(ours, expected, err_msg=f"case {case}", **tolerance)
