"""What benchmarks/arm_path.py counts and models, on logs, plans and cycles made by hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from emulator_log import CALL, NOP, executed, listed
from native.compilers import C_COMPILER, needs_c

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import arm_cycles  # noqa: E402
import arm_path  # noqa: E402
import arm_tools  # noqa: E402
from arm_tools import Block, Segment  # noqa: E402

PLAN = """\
CONV_2D -> float32[1, 4, 4, 16]
LceQuantize -> int32[1, 4, 4, 1] bits
LceBconv2d + ADD + LceQuantize -> int32[1, 4, 4, 1] bits
LceBconv2d + ADD -> float32[1, 4, 4, 16]
SOFTMAX -> float32[1, 40]
LESS -> bool[1]
IF -> float32[1, 40] -> int32[1] -> float32[1]
then
else
  AVERAGE_POOL_2D -> float32[1, 2, 2, 16]
  LceBconv2d + ADD -> float32[1, 2, 2, 16]
  SOFTMAX -> float32[1, 40]
  IF -> float32[1, 40] -> int32[1] -> float32[1]
  then
    SUB -> float32[1]
  else
    LceBconv2d + ADD -> float32[1, 2, 2, 16]
    FULLY_CONNECTED -> float32[1, 40]
"""


@pytest.fixture
def count(tmp_path):
    program = tmp_path / "count"
    source = ROOT / "benchmarks" / "count_instructions.c"
    subprocess.run([C_COMPILER, "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, source], check=True)

    def run(log, *markers):
        done = subprocess.run([program, *markers], input=log, capture_output=True, text=True, check=True)
        return arm_tools.parse(done.stdout)

    return run


@needs_c
def test_a_log_is_split_at_its_markers(count) -> None:
    loop, step = executed("0x7f0000000100", "5500000000"), executed("0x7f0000000240", "5500000100")
    back = executed("0x7f0000000380", "5500000008")
    # A loop that calls a step through a pointer, twice; the step is two instructions long.
    log = listed("5500000000", "5500000004", words=(NOP, CALL)) + loop
    log += listed("5500000100", "5500000104") + step * 3
    log += listed("5500000008", "550000000c", "5500000010") + back
    log += loop + step * 5 + back
    segments = count(log, "5500000004+", "5500000008")
    assert [segment.marker for segment in segments] == ["start", *["5500000004+", "5500000008"] * 2]
    # The call that leads to the second step belongs to what follows the first one.
    assert [segment.instructions for segment in segments] == [2, 6, 3 + 2, 10, 3]
    assert segments[3].blocks == [Block(0x5500000100, 5, (NOP, NOP))]
    assert segments[0].blocks == [Block(0x5500000000, 1, (NOP, CALL))]


@needs_c
def test_a_segment_begins_where_its_block_begins_and_not_inside_of_one(count) -> None:
    log = listed("5500000000", "5500000004") + executed("0x7f0000000100", "5500000000") * 2
    assert [segment.marker for segment in count(log, "5500000004")] == ["start"]
    assert [segment.instructions for segment in count(log, "5500000000")] == [0, 2, 2]


def test_segments_that_do_not_add_up_are_refused() -> None:
    text = f"segment start\n5500000000 3 {NOP}\nsegment a\n5500000004 2 {NOP} {NOP}\ntotal "
    assert [segment.instructions for segment in arm_tools.parse(f"{text}7\n")] == [3, 4]
    with pytest.raises(SystemExit, match="do not add up"):
        arm_tools.parse(f"{text}8\n")


def test_the_run_before_the_last_marker_is_taken() -> None:
    segments = [Segment(marker, []) for marker in ("start", "a", "b", "a", "b", "c", "a", "b")]
    assert [segment.marker for segment in arm_tools.one_of(segments, "a")] == ["a", "b", "c"]
    with pytest.raises(SystemExit, match="ran 2 times"):
        arm_tools.one_of(segments[:5], "a")


def test_steps_on_the_way_to_an_exit_are_grouped() -> None:
    def parts(index, executed):
        return [part for part, _ in arm_path.named_parts(PLAN, index, executed)]

    first = ["stem", "stem", "binary layer 1", "binary layer 2", *["head 1 and its decision"] * 2]
    assert parts(0, 7) == [*first, "head 1 and its decision"]  # the copy of the results
    second = [*first, "float steps before binary layer 3", "binary layer 3", "head 2 and its decision"]
    assert parts(1, 12) == [*second, *["head 2 and its decision"] * 3]
    third = [*second, "binary layer 4", *["head 3 and its decision"] * 3]
    assert parts(2, 13) == third
    assert arm_path.path_to_exit(PLAN, 1)[-3:] == ["SUB -> float32[1]", arm_path.COPY, arm_path.COPY]


def test_a_plan_that_does_not_match_what_was_executed_is_refused() -> None:
    with pytest.raises(SystemExit, match="the plan has 7 steps on the way, but 8 were executed"):
        arm_path.named_parts(PLAN, 0, 8)


def test_cycles_are_weighted_by_executions_and_the_rest_takes_their_mean(tmp_path, monkeypatch) -> None:
    long, short, rare = (NOP,) * 4, (NOP, CALL), (CALL,)
    asked = []

    def model(runs, processor, folder):
        asked.append((runs, processor))
        return [{"fast": 2.0, "slow": 6.0}[processor] if run == long else 1.0 for run in runs]

    monkeypatch.setattr(arm_cycles, "model", model)
    monkeypatch.setattr(arm_cycles, "MODELLED_SHARE", 0.01)
    parts = {
        "one": [("a", [Block(0x10, 100, long), Block(0x20, 50, short)]), ("b", [Block(0x10, 25, long)])],
        "two": [("c", [Block(0x20, 150, short), Block(0x30, 3, rare)])],
    }
    found = arm_cycles.cost(parts, cores={"quick": "fast", "lazy": "slow"}, folder=tmp_path)
    assert asked == [([long, short], "fast"), ([long, short], "slow")]
    # 125 runs of four instructions and 200 of two are modelled: 900 instructions of 903.
    assert found["instructions"] == 903
    assert found["covered"] == round(900 / 903, 4)
    quick, lazy = (125 * 2 + 200) / 900, (125 * 6 + 200) / 900
    assert found["cycles"] == {"quick": round(450 + 3 * quick), "lazy": round(950 + 3 * lazy)}
    one, two = found["parts"]
    assert (one["instructions"], one["cycles"]) == (600, {"quick": 300, "lazy": 800})
    assert [step["instructions"] for step in one["steps"]] == [500, 100]
    assert two["cycles"] == {"quick": round(150 + 3 * quick), "lazy": round(150 + 3 * lazy)}
    assert [(loop["length"], loop["executions"], loop["cycles"]["lazy"]) for loop in found["loops"]] == [
        (4, 125, 6.0),
        (2, 200, 1.0),
    ]


@pytest.mark.skipif(shutil.which(arm_tools.MCA) is None, reason=f"{arm_tools.MCA} is not installed")
def test_a_model_of_a_processor_gives_a_figure_for_each_run(tmp_path) -> None:
    add = "8b010000"  # add x0, x0, x1: each waits for the one before
    one, four = arm_cycles.model([(add, CALL), (add,) * 4], "cortex-a72", tmp_path)
    assert 1 <= one < 2
    assert 4 <= four < 4.1
