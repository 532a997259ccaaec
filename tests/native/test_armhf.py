"""32-bit Arm under a 64-bit kernel, as Raspberry Pi OS has it: `uname` names another processor than the compiler's.

There the portable kernels are built, and must predict as the reference does.
"""

import re
import subprocess
from pathlib import Path

import aarch64
import numpy as np
import pytest
from kernel_report import check_report
from native.compilers import optimize

import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.runtime import session

NATIVE = Path(bnn_exit.__file__).parent / "runtime" / "native"
EMULATOR = "qemu-arm-static"
LIBRARIES = Path("/usr/arm-linux-gnueabihf")
TOOLCHAIN = """
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_CXX_COMPILER arm-linux-gnueabihf-g++)
"""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    aarch64.require("arm-linux-gnueabihf-g++", "cmake", EMULATOR)
    folder = tmp_path_factory.mktemp("armhf")
    (folder / "toolchain.cmake").write_text(TOOLCHAIN)
    settings = [f"-DCMAKE_TOOLCHAIN_FILE={folder / 'toolchain.cmake'}", "-DBNN_EXIT_WARNINGS=ON"]
    settings += ["-DBNN_EXIT_EXAMPLES=ON", "-DBNN_EXIT_KERNEL_CHECK=ON", optimize("1")]
    for command in (["-S", NATIVE, "-B", folder / "build", *settings], ["--build", folder / "build", "-j", "2"]):
        done = subprocess.run(["cmake", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build"


def emulate(*command):
    command = [EMULATOR, "-L", str(LIBRARIES), *(str(part) for part in command)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_portable_kernels_are_built_and_agree_with_their_definition(programs):
    done = emulate(programs / "kernel_check", "60", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    check_report(done.stdout, isas={"portable"}, cases=60)


@pytest.mark.parametrize("kind", ["log_mel", "waveform"])
def test_the_example_predicts_as_the_reference_does(programs, tiny, tmp_path, kind):
    model, clip = tmp_path / "model.tflite", tmp_path / "clip.wav"
    model.write_bytes(tiny.adaptive_file(input=kind))
    wav.write(clip, np.random.default_rng(3).uniform(-0.5, 0.5, 720).astype(np.float32), sample_rate_hz=16000)
    expected = session.load(model, backend="reference").predict(wav.read(clip), operating_point="full")
    done = emulate(programs / "classify", model, clip, "full")
    assert done.returncode == 0, done.stderr
    first, *rows = done.stdout.splitlines()
    label, exit_index, score = re.fullmatch(r"(.*) \(exit (\d) of 3, score ([\d.]+)\)", first).groups()
    assert (label, int(exit_index)) == (expected.label, expected.exit_index)
    assert float(score) == pytest.approx(expected.score, abs=1e-4)
    np.testing.assert_allclose([float(row.split()[0]) for row in rows], expected.probabilities, atol=1e-5)
