"""Every kernel of every instruction set against its definition, in a program that is built for this test.

`kernels/check/` holds the definitions in plain loops; here the program is built, run, and its report read. NEON runs
under an emulator.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import bnn_exit

KERNELS = Path(bnn_exit.__file__).parent / "runtime" / "native" / "kernels"
CROSS_COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64-static"


def build(folder, *options):
    for tool in ("cmake", *(option.partition("=")[2] for option in options if "COMPILER" in option)):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    commands = [
        ["cmake", "-S", str(KERNELS / "check"), "-B", str(folder), *options],
        ["cmake", "--build", str(folder), "--target", "kernel_check", "--parallel", str(os.cpu_count())],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "kernel_check"


def listed(macro):
    """The names in THE list."""
    return re.findall(rf"^BNN_EXIT_{macro}\((?:[^,]*, )?(\w+)", (KERNELS / "kernels.inc").read_text(), re.MULTILINE)


def check_report(output, *, isas, cases):
    """Every listed kernel is reported for each of these instruction sets, with enough cases and none that differs."""
    agreeing = {}
    for isa, kernel, agree, differ in re.findall(r"^(\w+) (\w+) agree (\d+) differ (\d+)$", output, re.MULTILINE):
        assert differ == "0", output
        agreeing[isa, kernel] = int(agree)
    checked = [name for name in listed("KERNEL") if not name.endswith(("_bytes", "_pack"))]
    assert set(agreeing) == {(isa, kernel) for isa in isas for kernel in checked}
    assert min(agreeing.values()) >= cases


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


def test_neon_agrees_with_its_definition(tmp_path):
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} is not installed")
    program = build(
        tmp_path,
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={CROSS_COMPILER}",
    )
    done = subprocess.run([EMULATOR, str(program), "100", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    check_report(done.stdout, isas={"portable", "neon"}, cases=100)


@pytest.mark.parametrize("seed", [2, 3])
def test_other_shapes_agree_too(program, seed):
    done = subprocess.run([str(program), "150", str(seed)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
