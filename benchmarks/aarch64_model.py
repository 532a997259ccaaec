"""What do the NEON kernels cost beside Larq Compute Engine's hand-written ones? Modelled: no board took part.

    python benchmarks/aarch64_model.py

1. Instructions that a binary layer executes: the kernels, cross-compiled, run once and twice in an emulator that logs
   every instruction; the difference of the counts is one layer, with all that a call does around its inner loop.
2. Cycles of the inner loop, from llvm-mca's models of processors, taken from the compiled object.

LCE's figures come from a study of its published inline assembly by the same methods. Instructions count as one whatever
they do, LCE's and our loads of four registers too. Needs Debian's g++-aarch64-linux-gnu, qemu-user-static and llvm
(llvm-19 has a model of the Neoverse N1). Writes results/aarch64_model.json and exits with 1 if a bar is missed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from arm_tools import COMPILER, EMULATOR, MCA, NATIVE, version
from result_file import report

from bnn_exit import machine
from bnn_exit.files import write_json

HERE = Path(__file__).parent
MODES = {"bitpacked": 0, "float": 1, "residual": 2}
LCE_INSTRUCTIONS = {
    (25, 16, 64, 64, 3, 1): {
        "bitpacked": {"ruy": 573e3, "indirect": 3993e3},
        "float": {"ruy": 598e3, "indirect": 553e3},
    },
    (12, 8, 128, 128, 3, 1): {
        "bitpacked": {"ruy": 413e3, "indirect": 3490e3},
        "float": {"ruy": 426e3, "indirect": 431e3},
    },
    (6, 4, 256, 256, 3, 1): {
        "bitpacked": {"ruy": 384e3, "indirect": 3321e3},
        "float": {"ruy": 390e3, "indirect": 417e3},
    },
    (24, 16, 64, 128, 3, 2): {
        "bitpacked": {"ruy": 252e3, "indirect": 1915e3},
        "float": {"ruy": 264e3, "indirect": 265e3},
    },
}
"""By height, width, input channels, output channels, kernel size and stride. LCE's ruy mode is its default one."""
LCE_MACS_PER_CYCLE = {
    "cortex-a53": {"128 channels and more": 30.8, "64 channels": 24.8},
    "cortex-a55": {"128 channels and more": 34.4, "64 channels": 28.2},
    "cortex-a72": {"128 channels and more": 85.2, "64 channels": 85.2},
    "neoverse-n1": {"128 channels and more": 85.3, "64 channels": 85.3},
}
"""The best of LCE's loops. With 64 channels its ruy loop pads 18 half words to 20, which these figures leave out."""
BARRED_CORES = ("cortex-a53", "cortex-a72", "neoverse-n1")
TOLERANCE = 0.05
ITERATIONS = 1000


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        program, kernels = build(Path(scratch))
        layers = [measure(program, layer) for layer in LCE_INSTRUCTIONS]
        loop = inner_loop(kernels)
        cores = {core: model(loop, core, Path(scratch)) for core in LCE_MACS_PER_CYCLE}
    result = {
        "question": "instructions of binary layers and modelled cycles of their inner loop on 64-bit Arm, beside LCE's",
        "kind": "modelled: counted in an emulator and by llvm-mca, not measured on a board",
        "lce": "figures of a study of its published inline assembly, by the same methods",
        "command": "python benchmarks/aarch64_model.py",
        **machine.provenance({name: version(tool) for name, tool in TOOLS.items()}),
        "instructions_per_layer": layers,
        "inner_loop": {"macs": macs(loop), "instructions": loop, "macs_per_cycle": cores},
        "bars": bars(layers, cores),
    }
    path = HERE / "results" / "aarch64_model.json"
    write_json(path, result)
    print(f"wrote {path}")
    return report(result["bars"])


TOOLS = {"compiler": COMPILER, "emulator": EMULATOR, "llvm-mca": MCA}


def build(folder: Path) -> tuple[Path, Path]:
    """The program that runs a layer, and the object with the kernels."""
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={NATIVE / 'cmake' / 'aarch64.cmake'}"
    configure = ["cmake", "-S", str(NATIVE / "kernels" / "check"), "-B", str(folder), toolchain]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", str(folder), "--target", "kernel_layer"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (kernels,) = folder.glob("CMakeFiles/kernel_layer.dir/**/neon.cpp.o")
    return folder / "kernel_layer", kernels


def instructions(program: Path, layer: tuple[int, ...], mode: int, times: int) -> int:
    """All that the program executes."""
    return executed([EMULATOR], [program, "neon", *layer, mode, times])


def executed(emulator: list[str], command: list[Any]) -> int:
    """The instructions that a program executes, as QEMU logs them; it must print nothing itself."""
    log = ["-singlestep", "-d", "exec,nochain", "-D", "/dev/stdout"]
    words = [*emulator, *log, *map(str, command)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        count = sum(line.startswith(b"Trace") for line in process.stdout)
    if process.returncode or not count:
        raise SystemExit(f"error: {' '.join(words)} failed: status {process.returncode}")
    return count


def measure(program: Path, layer: tuple[int, ...]) -> dict:
    height, width, channels, filters, kernel, stride = layer
    total = -(-height // stride) * -(-width // stride) * channels * filters * kernel**2
    names = ("height", "width", "in", "out", "kernel", "stride")
    row: dict = {"layer": dict(zip(names, layer, strict=True)), "macs": total}
    for mode, number in MODES.items():
        count = instructions(program, layer, number, 2) - instructions(program, layer, number, 1)
        row[mode] = {"instructions": count, "macs_per_instruction": round(total / count, 2)}
        if mode in LCE_INSTRUCTIONS[layer]:
            lce = {name: int(value) for name, value in LCE_INSTRUCTIONS[layer][mode].items()}
            row[mode] |= {"lce_instructions": lce, "of_lce_best": round(count / min(lce.values()), 3)}
    print(row, flush=True)
    return row


def inner_loop(kernels: Path) -> list[str]:
    """The instructions of the smallest loop that counts the bits of several registers."""
    command = ["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", str(kernels)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = re.findall(r"^ *([0-9a-f]+):\t(.*?)(?:\s*(?://|<).*)?$", text, re.MULTILINE)
    places = {int(address, 16): index for index, (address, _) in enumerate(lines)}
    loops = []
    for index, (address, instruction) in enumerate(lines):
        branch = re.fullmatch(r"b\.\w+\t([0-9a-f]+)", instruction)
        if branch and int(branch[1], 16) <= int(address, 16) and int(branch[1], 16) in places:
            body = [line for _, line in lines[places[int(branch[1], 16)] : index]]
            if sum(line.startswith("cnt") for line in body) >= 16 and not any(line.startswith("b.") for line in body):
                loops.append([*(line.replace("\t", " ") for line in body), "b.ne #-4"])
    if not loops:
        raise SystemExit("error: the inner loop is not in the object")
    return min(loops, key=len)


def macs(loop: list[str]) -> int:
    """Each counted register compares 128 bits."""
    return 128 * sum(line.startswith("cnt") for line in loop)


def model(loop: list[str], core: str, folder: Path) -> dict:
    path = folder / "loop.s"
    path.write_text("\n".join(loop) + "\n")
    command = [MCA, "-march=aarch64", f"-mcpu={core}", f"-iterations={ITERATIONS}", str(path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Total Cycles:\s+(\d+)", text)
    assert found
    rate = macs(loop) * ITERATIONS / int(found[1])
    lce = LCE_MACS_PER_CYCLE[core]
    return {
        "ours": round(rate, 1),
        "lce": lce,
        "times_lce": {name: round(rate / figure, 3) for name, figure in lce.items()},
    }


def bars(layers: list[dict], cores: dict[str, dict]) -> list[dict]:
    found = []
    for mode in ("bitpacked", "float"):
        figure = max(row[mode]["of_lce_best"] for row in layers)
        what = f"instructions of a layer, {mode} output: largest share of LCE's better mode"
        found.append({"what": what, "figure": figure, "bar": 1 + TOLERANCE, "met": figure <= 1 + TOLERANCE})
    for core in BARRED_CORES:
        figure = min(cores[core]["times_lce"].values())
        what = f"{core}: MACs a cycle of the inner loop, smallest ratio to LCE's best"
        found.append({"what": what, "figure": figure, "bar": 1 - TOLERANCE, "met": figure >= 1 - TOLERANCE})
    return found


if __name__ == "__main__":
    sys.exit(main())
