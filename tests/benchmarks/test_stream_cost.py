"""The counter of instructions, on a log made by hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

from emulator_log import NOP, executed, listed
from native.compilers import C_COMPILER, needs_c

SOURCE = Path(__file__).parents[2] / "benchmarks" / "count_instructions.c"


@needs_c
def test_instructions_are_counted_as_often_as_they_are_executed(tmp_path: Path) -> None:
    program = tmp_path / "count"
    subprocess.run([C_COMPILER, "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE], check=True)
    log = listed("5500000000", "5500000004", "5500000008") + executed("0x7f0000000100", "5500000000") * 4
    log += listed("550000000c", "5500000010") + executed("0x7f0000000240", "550000000c")
    log += executed("0x7f0000000100", "5500000000") * 2
    # The place of a block is used again for another one.
    log += listed("5500000100") + executed("0x7f0000000100", "5500000100") * 5
    done = subprocess.run([program], input=log, capture_output=True, text=True, check=True)
    first, *blocks, total = done.stdout.splitlines()
    assert first == "segment start"
    assert total == f"total {3 * 6 + 2 * 1 + 1 * 5}"
    assert sorted(blocks) == [f"5500000000 6 {NOP} {NOP} {NOP}", f"550000000c 1 {NOP} {NOP}", f"5500000100 5 {NOP}"]
    # What was executed, but never listed, cannot be counted.
    assert subprocess.run([program], input=executed("0x7f00", "55"), capture_output=True, text=True).returncode == 2
