"""Every kernel of every instruction set against its definition, in a program that is built for this test.

`kernels/check/` holds the definitions in plain loops; here the program is built from the objects of the library, run,
and its report read. NEON has its turn in `test_aarch64.py`.
"""

import os
import re
import subprocess

import pytest
from kernel_report import check_report, listed
from native.compilers import CXX_COMPILER, NATIVE, needs_cmake, needs_cxx

pytestmark = [needs_cxx, needs_cmake]


def build(folder):
    settings = ["-DBNN_EXIT_KERNEL_CHECK=ON", f"-DCMAKE_CXX_COMPILER={CXX_COMPILER}"]
    commands = [
        ["cmake", "-S", str(NATIVE), "-B", str(folder), *settings],
        ["cmake", "--build", str(folder), "--target", "kernel_check", "--parallel", str(os.cpu_count())],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "kernel_check"


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return build(tmp_path_factory.mktemp("kernels"))


def test_the_list_names_kernels_and_instruction_sets():
    assert {"binary_conv", "conv", "depthwise", "elementwise"} <= set(listed("KERNEL"))
    assert listed("ISA") == ["portable", "scalar", "avx2", "avx512", "avx512_vpopcnt", "neon"]


def test_every_kernel_of_this_machine_agrees_with_its_definition(program):
    done = subprocess.run([str(program), "300", "1"], capture_output=True, text=True)
    lacking = set(re.findall(r"^(\w+) not on this processor$", done.stdout, re.MULTILINE))
    isas = set(re.findall(r"^(\w+) \w+ agree", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stdout
    assert "portable" in isas and isas | lacking <= set(listed("ISA")) and not isas & lacking
    check_report(done.stdout, isas=isas, cases=300)
    # The list goes from the slowest to the fastest.
    assert f"fastest {[name for name in listed('ISA') if name in isas][-1]}\n" in done.stdout


@pytest.mark.parametrize("seed", [2, 3])
def test_other_shapes_agree_too(program, seed):
    done = subprocess.run([str(program), "150", str(seed)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
