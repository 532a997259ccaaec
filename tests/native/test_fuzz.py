"""The fuzz target with sanitizers of memory and undefined behaviour: short, a fixed seed, in another process.

A crash, a report of a sanitizer, a violation of the interface's contract or a hang fails a test. The portable kernels
stand for all of them; benchmarks/results/fuzz.json holds the long run on every instruction set.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from native.compilers import CXX_COMPILER, NATIVE, needs_cmake, needs_cxx, optimize

ROOT = Path(__file__).parents[2]
pytestmark = [needs_cxx, needs_cmake]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    subprocess.run([sys.executable, ROOT / "tests" / "fuzz_corpus.py", folder], check=True, env=environment())
    return folder


def environment(**more):
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **{k: str(v) for k, v in more.items()}}


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("fuzz")
    settings = ["-DBNN_EXIT_PORTABLE=ON", f"-DCMAKE_CXX_COMPILER={CXX_COMPILER}", optimize("0")]
    subprocess.run(["cmake", "-S", NATIVE / "fuzz", "-B", folder, *settings], check=True, capture_output=True)
    # The judge's program is compiled for itself alone: that it can be.
    command = ["cmake", "--build", folder, "-j", "2", "--target", "fuzz_plain", "case_server"]
    done = subprocess.run(command, capture_output=True, text=True)
    if "cannot find -lasan" in done.stderr or "cannot find libasan" in done.stderr:
        pytest.skip("the sanitizers' libraries are not installed")
    assert done.returncode == 0, done.stderr[-2000:]

    def run(*arguments):
        settings = environment(BNN_EXIT_FUZZ_BASE=corpus / "base.tflite", BNN_EXIT_FUZZ_LAST=folder / "last")
        done = subprocess.run(
            [folder / "fuzz_plain", *arguments], capture_output=True, text=True, timeout=120, env=settings
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run


def test_good_files(fuzz, corpus):
    files = sorted((corpus / "corpus").iterdir())
    assert len(files) > 200
    assert fuzz(*files) == f"{len(files)} runs\n"


def test_truncations_at_every_byte(fuzz, corpus):
    files = [corpus / "corpus" / name for name in ("everything", "metadata")]
    assert fuzz("--truncate", *files) == f"{sum(file.stat().st_size + 1 for file in files)} runs\n"


def test_random_changes(fuzz, corpus):
    assert fuzz("--mutate", "2000", "1", *sorted((corpus / "corpus").iterdir())) == "2000 runs\n"
