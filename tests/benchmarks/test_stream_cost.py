"""The counter of instructions, on a log made by hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

from native.compilers import C_COMPILER, needs_c

SOURCE = Path(__file__).parents[2] / "benchmarks" / "count_instructions.c"


def listed(*addresses: str) -> str:
    return "----------------\nIN: \n" + "".join(f"{each}:  d503201f  nop      \n" for each in addresses) + "\n"


def executed(host: str, address: str) -> str:
    return f"Trace 0: {host} [0000000001009331/000000{address}/00000001/00000200] name\n"


@needs_c
def test_instructions_are_counted_as_often_as_they_are_executed(tmp_path: Path) -> None:
    program = tmp_path / "count"
    subprocess.run([C_COMPILER, "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE], check=True)
    log = listed("0x5500000000", "0x5500000004", "0x5500000008") + executed("0x7f0000000100", "5500000000") * 4
    log += listed("0x550000000c", "0x5500000010") + executed("0x7f0000000240", "550000000c")
    log += executed("0x7f0000000100", "5500000000") * 2
    # The place of a block is used again for another one.
    log += listed("0x5500000100") + executed("0x7f0000000100", "5500000100") * 5
    done = subprocess.run([program], input=log, capture_output=True, text=True, check=True)
    *blocks, total = done.stdout.splitlines()
    assert total == f"total {3 * 6 + 2 * 1 + 1 * 5}"
    assert sorted(blocks) == ["5500000000 18", "550000000c 2", "5500000100 5"]
    # What was executed, but never listed, cannot be counted.
    assert subprocess.run([program], input=executed("0x7f00", "55"), capture_output=True, text=True).returncode == 2
