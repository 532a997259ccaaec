"""How much more does a 32-bit Arm system compute for a clip than a 64-bit one? Modelled: no board took part.

    python benchmarks/arm32.py [MODEL]

A program classifies a clip of noise with every layer (operating point `full`), front end included, once and twice, in
an emulator that logs every instruction; the difference of the counts is one clip. On a 32-bit system the library has
portable kernels alone, which use no vectors; on a 64-bit one it has NEON as well. Instructions count as one whatever
they do: a ratio of counts is no ratio of times. Needs Debian's g++-aarch64-linux-gnu, g++-arm-linux-gnueabihf and
qemu-user-static. Writes results/arm32.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from aarch64_model import executed
from arm_tools import version

from bnn_exit import machine, pretrained
from bnn_exit.files import write_json

HERE = Path(__file__).parent
NATIVE = HERE.parent / "bnn_exit" / "runtime" / "native"
RESULT = HERE / "results" / "arm32.json"
TARGETS = {"aarch64-linux-gnu": "qemu-aarch64-static", "arm-linux-gnueabihf": "qemu-arm-static"}
SYSTEMS = {
    "64-bit, NEON": ("aarch64-linux-gnu", "neon"),
    "64-bit, portable": ("aarch64-linux-gnu", "portable"),
    "32-bit, portable": ("arm-linux-gnueabihf", "portable"),
}
PROGRAM = r"""
#include <bnn_exit.h>
#include <stdio.h>
#include <stdlib.h>

static char file[1 << 22];
static float clip[1 << 20];

int main(int count, char** arguments) {
  char error[512];
  bnn_exit_classifier* classifier;
  bnn_exit_prediction prediction;
  FILE* stream = fopen(arguments[1], "rb");
  size_t size = fread(file, 1, sizeof file, stream), i;
  int times = atoi(arguments[2]);
  fclose(stream);
  if (count != 3 || bnn_exit_classifier_new(file, size, NULL, &classifier, error, sizeof error)) return 1;
  srand(1);
  for (i = 0; i < bnn_exit_clip_samples(classifier); ++i) clip[i] = (float)rand() / (float)RAND_MAX - 0.5f;
  for (; times; --times) {
    size = bnn_exit_clip_samples(classifier);
    if (bnn_exit_classify(classifier, clip, size, "full", NULL, &prediction, error, sizeof error)) return 1;
  }
  return prediction.exit_index + 1 != bnn_exit_exit_count(classifier);
}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="arabic-speech-commands-small", help="a file or a name")
    options = parser.parse_args()
    model = pretrained.resolve(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        programs = {target: build(target, Path(scratch) / target) for target in TARGETS}
        counts = {}
        for name, (target, isa) in SYSTEMS.items():
            once, twice = (instructions(target, programs[target], isa, model, times) for times in (1, 2))
            counts[name] = twice - once
            print(f"{name}: {counts[name]:,d} instructions a clip", flush=True)
    least = min(counts.values())
    tools = {**{f"{target}-gcc": f"{target}-gcc" for target in TARGETS}, **{tool: tool for tool in TARGETS.values()}}
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "kind": "modelled: instructions counted in an emulator, not measured on a board",
            "command": "python benchmarks/arm32.py",
            **machine.provenance({name: version(tool) for name, tool in tools.items()}),
            "model": options.model,
            "operating_point": "full",
            "instructions_of_a_clip": counts,
            "times_the_least": {name: round(count / least, 2) for name, count in counts.items()},
        },
    )
    print(f"wrote {RESULT}")
    return 0


def build(target: str, folder: Path) -> Path:
    """The program for a system, beside the library that it is linked with."""
    folder.mkdir()
    processor = target.partition("-")[0]
    tools = "".join(
        f"set(CMAKE_{language}_COMPILER {target}-{tool})\n" for language, tool in (("C", "gcc"), ("CXX", "g++"))
    )
    (folder / "toolchain").write_text(f"set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR {processor})\n{tools}")
    settings = f"-DCMAKE_TOOLCHAIN_FILE={folder / 'toolchain'}"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["cmake", "-S", NATIVE, "-B", folder / "build", settings], **quiet)
    subprocess.run(["cmake", "--build", folder / "build", "-j", "2"], **quiet)
    source, program = folder / "program.c", folder / "build" / "program"
    source.write_text(PROGRAM)
    places = [f"-I{NATIVE / 'include'}", f"-L{folder / 'build'}", "-lbnn_exit_native", f"-Wl,-rpath,{folder / 'build'}"]
    subprocess.run([f"{target}-gcc", "-O2", source, "-o", program, *places], check=True)
    return program


def instructions(target: str, program: Path, isa: str, model: Path, times: int) -> int:
    """All that the program executes."""
    emulator = [TARGETS[target], "-L", f"/usr/{target}", "-E", f"BNN_EXIT_ISA={isa}"]
    return executed(emulator, [program, model, times])


if __name__ == "__main__":
    sys.exit(main())
