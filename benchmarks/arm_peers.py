"""What int8 DS-CNNs cost in LiteRT with XNNPACK on 64-bit Arm, counted and modelled as arm_path.py does with ours.

The wheel of ai-edge-litert for aarch64 holds a library with a C interface, which litert_path.c runs with one thread.
The weights are random, which changes no count: kernels compute every product. The emulator is the processor in
question, so that XNNPACK takes its kernels for it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ds_cnn
import numpy as np
from arm_cycles import CORES, cost, disassembled, print_row
from arm_tools import Block, Counter, Symbols, one_of

from bnn_exit._keras import set_seed

HERE = Path(__file__).parent
PART_NUMBERS = {"cortex-a53": "0xd03", "cortex-a72": "0xd08", "cortex-a76": "0xd0b"}
CPU_FEATURES = dict.fromkeys(("cortex-a53", "cortex-a72"), "fp asimd evtstrm crc32 cpuid") | {
    "cortex-a76": "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
}
"""As /proc/cpuinfo has them on boards; XNNPACK chooses its kernels by both."""
LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
"""Where Debian's cross compiler keeps the C library."""
INPUT, CLASSES = "mel10", 40
FEATURES = ds_cnn.INPUTS[INPUT].features


class Peers:
    """Counts and models int8 DS-CNNs in LiteRT.

    Args:
        folder: for programs and files.
        wheel: ai-edge-litert for aarch64; None: pip downloads it.
    """

    def __init__(self, folder: Path, wheel: Path | None) -> None:
        self._folder, self._counter = folder, Counter(folder)
        self._wheel = wheel or download(folder)
        shutil.unpack_archive(self._wheel, folder / "litert", "zip")
        (library,) = (folder / "litert").rglob("libLiteRt.so")
        self._program = folder / "litert_path"
        command = ["aarch64-linux-gnu-gcc", "-O2", "-no-pie", str(HERE / "litert_path.c"), "-o", str(self._program)]
        command += [str(library), f"-Wl,-rpath,{library.parent}", "-Wl,--allow-shlib-undefined"]
        subprocess.run(command, check=True)
        self._marker = f"{Symbols(self._program).address('run_once'):x}"

    def rows(self, sizes: Sequence[str], front_end: Sequence[Block]) -> list[dict[str, Any]]:
        """The cost of each size on each processor, after a front end that executes `front_end` with `FEATURES`."""
        systems = {core: system(self._folder / core, core) for core in CORES}
        rows = []
        for size in sizes:
            file = self._folder / f"ds_cnn_{size}.tflite"
            file.write_bytes(int8_file(size))
            for core, libraries in systems.items():
                row = {
                    "peer": f"DS-CNN {size}, int8, LiteRT with XNNPACK",
                    "wheel": self._wheel.name,
                    "input": INPUT,
                    "emulator": core,
                    **self._row(file, core, libraries, front_end),
                }
                print_row(f"{row['peer']} on {core}", row)
                rows.append(row)
        return rows

    def _row(self, file: Path, core: str, libraries: Path, front_end: Sequence[Block]) -> dict[str, Any]:
        command = [self._program, file]
        run = self._counter.segments(command, markers=[self._marker], processor=core, libraries=libraries)
        network = [block for segment in one_of(run, self._marker) for block in segment.blocks]
        most = max(network, key=lambda block: block.instructions)
        steps = {"front end": [("log-mel", front_end)], "network": [("network", network)]}
        return {
            **cost(steps, cores={core: CORES[core]}, folder=self._folder),
            "dot_product_instructions": any("dot\t" in line for line in disassembled([most.words])[0].splitlines()),
        }


def download(folder: Path) -> Path:
    """LiteRT's wheel for aarch64."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    command += ["--python-version", "3.11", "--platform", "manylinux_2_27_aarch64", "ai-edge-litert"]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("ai_edge_litert-*.whl")
    return wheel


def int8_file(size: str) -> bytes:
    """A DS-CNN with random weights as an int8 file."""
    set_seed(0)
    shape = (FEATURES.num_frames(FEATURES.sample_rate_hz), ds_cnn.INPUTS[INPUT].bands, 1)
    samples = np.random.default_rng(0).normal(size=(20, *shape)).astype(np.float32)
    return ds_cnn.convert_int8(ds_cnn.network(size, input_shape=shape, num_classes=CLASSES), samples)


def system(folder: Path, core: str) -> Path:
    """A folder with what a program finds on a board: shared libraries, and a description of the processor."""
    (folder / "proc").mkdir(parents=True)
    (folder / "lib").symlink_to(LIBRARIES)
    lines = [
        f"Features\t: {CPU_FEATURES[core]}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x0",
    ]
    lines += [f"CPU part\t: {PART_NUMBERS[core]}", "CPU revision\t: 1"]
    text = "".join(f"processor\t: {number}\n" + "\n".join(lines) + "\n\n" for number in range(4))
    (folder / "proc" / "cpuinfo").write_text(text)
    return folder
