"""What the scripts about 64-bit Arm share: tools, programs built for it, and the counter of instructions."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
NATIVE = HERE.parent / "bnn_exit" / "runtime" / "native"
COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64-static"
MCA = next((tool for tool in ("llvm-mca-19", "llvm-mca") if shutil.which(tool)), "llvm-mca")
PROCESSOR = "cortex-a72"
"""That of a Raspberry Pi 4, so that the C library takes no instructions that boards lack."""


def version(tool: str) -> str:
    text = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout
    return next(line.strip() for line in text.splitlines() if re.search(r"\d+\.\d+", line))


def build(folder: Path, *sources: Path) -> list[Path]:
    """A program for 64-bit Arm of each C source and the native library, without shared libraries."""
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={NATIVE / 'cmake' / 'aarch64.cmake'}"
    command = ["cmake", "-S", str(NATIVE), "-B", str(folder / "build"), toolchain]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", str(folder / "build"), "--parallel", "2"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    library = [str(each) for each in sorted((folder / "build" / "CMakeFiles" / "bnn_exit_native.dir").rglob("*.o"))]
    programs = []
    for source in sources:
        compiled, program = folder / f"{source.stem}.o", folder / source.stem
        command = ["aarch64-linux-gnu-gcc", "-O2", "-c", str(source), "-I", str(NATIVE / "include")]
        subprocess.run([*command, "-o", str(compiled)], check=True)
        subprocess.run([COMPILER, "-static", "-o", str(program), str(compiled), *library, "-lpthread"], check=True)
        programs.append(program)
    return programs


class Block(NamedTuple):
    """A straight run of instructions, and how often a segment executes it."""

    address: int
    executions: int
    words: tuple[str, ...]

    @property
    def instructions(self) -> int:
        """All that it executes."""
        return self.executions * len(self.words)


class Segment(NamedTuple):
    """What is executed from one marker to the next."""

    marker: str
    blocks: list[Block]

    @property
    def instructions(self) -> int:
        """All that it executes."""
        return sum(block.instructions for block in self.blocks)


class Counter:
    """Counts the instructions of programs for 64-bit Arm in the emulator, by count_instructions.c.

    Args:
        folder: for the compiled counter.
    """

    def __init__(self, folder: Path) -> None:
        self._program = folder / "count"
        source = str(HERE / "count_instructions.c")
        subprocess.run(["cc", "-O2", "-o", str(self._program), source], check=True)

    def text(
        self,
        command: Sequence[Any],
        *,
        markers: Sequence[str] = (),
        processor: str = PROCESSOR,
        libraries: Path | None = None,
        source: Path | None = None,
    ) -> tuple[str, subprocess.CompletedProcess[str]]:
        """What the counter prints, and the finished run of `command`, which reads `source`.

        Args:
            libraries: a folder with the shared libraries, and other files that the program finds in place of this
                machine's.
        """
        # Into a file: the counter prints while the emulator runs, and nobody would read a pipe then.
        with tempfile.TemporaryFile("w+") as printed:
            with subprocess.Popen([self._program, *markers], stdin=subprocess.PIPE, stdout=printed) as counter:
                assert counter.stdin is not None
                log = counter.stdin.fileno()
                words = [EMULATOR, "-cpu", processor, "-d", "in_asm,exec,nochain", "-D", f"/dev/fd/{log}"]
                words += ["-L", str(libraries)] if libraries else []
                words += map(str, command)
                with open(source or "/dev/null", "rb") as given:
                    done = subprocess.run(words, stdin=given, capture_output=True, text=True, pass_fds=[log])
                counter.stdin.close()
            printed.seek(0)
            text = printed.read()
        if done.returncode or counter.returncode:
            raise SystemExit(f"error: {' '.join(words)} failed: {done.stderr}")
        return text, done

    def total(self, command: Sequence[Any], **options: Any) -> tuple[int, subprocess.CompletedProcess[str]]:
        """All instructions of a program, and its finished run."""
        text, done = self.text(command, **options)
        return int(text.splitlines()[-1].removeprefix("total ")), done

    def segments(self, command: Sequence[Any], *, markers: Sequence[str], **options: Any) -> list[Segment]:
        """What a program executes from each marker (see count_instructions.c) to the next."""
        return parse(self.text(command, markers=markers, **options)[0])


def parse(text: str) -> list[Segment]:
    """The segments that the counter prints."""
    found: list[Segment] = []
    *lines, total = text.splitlines()
    for line in lines:
        first, second, *words = line.split()
        if first == "segment":
            found.append(Segment(second, []))
        else:
            found[-1].blocks.append(Block(int(first, 16), int(second), tuple(words)))
    if sum(segment.instructions for segment in found) != int(total.removeprefix("total ")):
        raise SystemExit("error: the segments do not add up to what was counted")
    return found


def one_of(segments: Sequence[Segment], marker: str) -> list[Segment]:
    """The segments from the last marker but one to the last: one whole run, which is not the first."""
    places = [place for place, segment in enumerate(segments) if segment.marker == marker]
    if len(places) < 3:
        raise SystemExit(f"error: the program ran {len(places)} times, but three are needed")
    return list(segments[places[-2] : places[-1]])


class Symbols:
    """The functions of a program by address."""

    def __init__(self, program: Path) -> None:
        self._program = program
        command = ["aarch64-linux-gnu-nm", "-C", "-n", "--defined-only", str(program)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows = [line.split(" ", 2) for line in text.splitlines()]
        self._named = [(int(address, 16), name) for address, kind, name in rows if kind in "tTwWi"]

    def address(self, name: str) -> int:
        """Where the function of that name begins, without its arguments; it must be the only one."""
        found = {address for address, each in self._named if each.split("(")[0] == name}
        if len(found) != 1:
            raise SystemExit(f"error: {self._program} has {len(found)} functions {name}")
        return found.pop()

    def indirect_calls(self, name: str) -> list[int]:
        """The addresses of the function's calls through a pointer."""
        start = self.address(name)
        end = min(address for address, _ in self._named if address > start)
        command = ["aarch64-linux-gnu-objdump", "-d", f"--start-address={start}", f"--stop-address={end}"]
        text = subprocess.run([*command, str(self._program)], check=True, capture_output=True, text=True).stdout
        return [int(address, 16) for address in re.findall(r"^ *([0-9a-f]+):.*\tblr\t", text, re.MULTILINE)]

    def name(self, address: int) -> str:
        """The function around an address."""
        before = [name for place, name in self._named if place <= address]
        return before[-1] if before else "?"
