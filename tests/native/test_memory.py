"""Memory of a process that loads and runs a file, the way the benchmark measures it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from native.compilers import needs_library

from bnn_exit.audio import wav

pytestmark = [
    needs_library,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not report resident sets"),
]


@pytest.fixture(scope="module")
def memory():
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    try:
        import memory

        return memory
    finally:
        sys.path.pop(0)


@pytest.fixture
def model_path(tiny, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file())
    return path


def emulator():
    """Name of the emulator that executes our processes, or None."""
    if not sys.platform.startswith("linux"):
        return None
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        name = os.path.basename(os.readlink(f"/proc/{child.pid}/exe"))
    return name if name.startswith("qemu-") else None


@pytest.mark.skipif(emulator() is not None, reason="an emulator's memory would be counted")
def test_a_python_process_stays_small(memory, model_path):
    stages = memory.python_stages(model_path)
    values = list(stages.values())
    assert values == sorted(values) and values[0] > 3
    assert stages["run"] < memory.BARS_MB["python"]
    # What is ours, with what of Python's own it imports: that alone is larger in 3.14.
    assert stages["run"] - stages["numpy"] < (15 if sys.version_info < (3, 14) else 16)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_c_example_stays_small(memory, model_path, tmp_path):
    clip = tmp_path / "clip.wav"
    wav.write(clip, np.zeros(720, np.float32), sample_rate_hz=16000)
    watch, program = memory.build_watch(tmp_path), memory.build_example(tmp_path)
    used = memory.c_peak(watch, program, model_path, clip, "full")
    assert 1 < used < memory.BARS_MB["c"]
