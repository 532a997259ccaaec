"""Cycles of what a program executed on 64-bit Arm, by LLVM's models of processors."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arm_tools import MCA, Block, Symbols

CORES = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a72", "cortex-a76": "neoverse-n1"}
"""Processors, and LLVM's model of each: it takes the A57's for the A76, whose core for servers is the Neoverse N1."""
MODELLED_SHARE, LOOP_SHARE = 0.0002, 0.05
"""Runs of instructions that hold this share are modelled, and those that are named in the result."""
ITERATIONS = 200
"""Of each loop that is modelled."""


def cost(
    parts: Mapping[str, Sequence[tuple[str, Sequence[Block]]]],
    *,
    cores: Mapping[str, str],
    folder: Path,
    symbols: Symbols | None = None,
) -> dict[str, Any]:
    """Instructions and cycles of a path.

    Args:
        parts: the steps of each part, each with what it executes.
        cores: names of processors and of LLVM's models.
        folder: for llvm-mca's files.
        symbols: to name the functions of loops.
    """
    blocks = [block for steps in parts.values() for _, each in steps for block in each]
    total = sum(block.instructions for block in blocks)
    held: dict[Block, int] = {}  # by the run of instructions, whatever its executions
    for block in blocks:
        run = block._replace(executions=0)
        held[run] = held.get(run, 0) + block.instructions
    runs = sorted((run for run in held if held[run] >= MODELLED_SHARE * total), key=lambda run: -held[run])
    texts = [run.words for run in runs]
    rates = {core: dict(zip(texts, model(texts, name, folder))) for core, name in cores.items()}
    covered = sum(held[run] for run in runs)
    means = {
        core: sum(held[run] / len(run.words) * rate[run.words] for run in runs) / covered
        for core, rate in rates.items()
    }

    def figures(some: Iterable[Block]) -> dict[str, Any]:
        some = list(some)
        cycles = {
            core: sum(each.executions * rate.get(each.words, len(each.words) * means[core]) for each in some)
            for core, rate in rates.items()
        }
        return {
            "instructions": sum(each.instructions for each in some),
            "cycles": {core: round(figure) for core, figure in cycles.items()},
        }

    return {
        **figures(blocks),
        "covered": round(covered / total, 4),
        "parts": [
            {
                "part": part,
                **figures(block for _, each in steps for block in each),
                "steps": [{"step": step, **figures(each)} for step, each in steps] if len(steps) > 1 else [],
            }
            for part, steps in parts.items()
        ],
        "loops": [
            {
                **({"function": symbols.name(run.address)} if symbols else {}),
                "share": round(held[run] / total, 4),
                "length": len(run.words),
                "executions": held[run] // len(run.words),
                "cycles": {core: round(rate[run.words], 2) for core, rate in rates.items()},
            }
            for run in runs
            if held[run] >= LOOP_SHARE * total
        ],
    }


def print_row(name: str, row: Mapping[str, Any]) -> None:
    print(f"{name}: {row['instructions']} instructions, cycles {row['cycles']}, {row['covered']:.1%} modelled")
    for part in row["parts"]:
        print(f"  {part['part']:40s} {part['instructions']:9d} {part['cycles']}", flush=True)


def model(runs: Sequence[tuple[str, ...]], processor: str, folder: Path) -> list[float]:
    """Cycles of straight runs of instructions, each in a loop that repeats it, by LLVM's model of a processor.

    Args:
        runs: the words of the instructions.
        folder: for a file of them.
    """
    path = folder / "runs.s"
    texts = enumerate(disassembled(runs))
    path.write_text("".join(f"# LLVM-MCA-BEGIN {index}\n{text}\n# LLVM-MCA-END\n" for index, text in texts))
    command = [MCA, "-march=aarch64", f"-mcpu={processor}", f"-iterations={ITERATIONS}"]
    command += ["-instruction-info=false", "-resource-pressure=false", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.findall(r"Total Cycles:\s+(\d+)", done.stdout)
    if done.returncode or len(found) != len(runs):
        raise SystemExit(f"error: {' '.join(command)} failed: {done.stderr}")
    return [int(cycles) / ITERATIONS for cycles in found]


def disassembled(runs: Sequence[tuple[str, ...]]) -> list[str]:
    """The assembly of each run. Calls and returns become branches: llvm-mca does not know what they cost."""
    tool = MCA.replace("mca", "mc")
    command = [tool, "--disassemble", "-triple=aarch64", "-mattr=+all"]
    little = " ".join(f"0x{word[at : at + 2]}" for run in runs for word in run for at in (6, 4, 2, 0))
    done = subprocess.run(command, input=little, capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("\t") and ".text" not in line]
    if len(lines) != sum(map(len, runs)):
        raise SystemExit(f"error: {tool} does not know all instructions: {done.stderr}")
    lines = [re.sub(r"^(bl|blr|ret|br)\b.*", "b #4", line) for line in lines]
    places = iter(lines)
    return ["\n".join(next(places) for _ in run) for run in runs]
