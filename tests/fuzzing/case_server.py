"""Runs cases in the native library in another process, so that a crash of the library is a result like any other.

The program is bnn_exit/runtime/native/fuzz/case_server.cpp.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import select
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit.runtime import native_backend

OK, FILE, ARGUMENT, LIMIT, MEMORY, BUSY, RUN = range(7)
FORK, TWO_THREADS, CLASSIFIER, MISUSE, FLUSH = 1, 2, 4, 8, 16


SOURCE = Path(native_backend.__file__).parent / "native"


def build(folder: Path, compiler: str) -> Path:
    """The program for the library that is installed, without sanitizers."""
    library = native_backend.find_library()
    program = folder / "case_server_plain"
    flags = ["-std=c++17", "-O1", f"-I{SOURCE / 'include'}"]
    sources = [SOURCE / "fuzz" / "case_server.cpp", SOURCE / "fuzz" / "contract.cpp"]
    command = [compiler, *flags, *sources, library, f"-Wl,-rpath,{library.parent}", "-pthread"]
    subprocess.run([*command, "-o", program], check=True)
    return program


class ServerDied(Exception):
    """The program ended, or sent no result in time; the text is what it last wrote."""


@dataclasses.dataclass
class Round:
    status: int
    text: str
    ns: int
    outputs: list[Any]


@dataclasses.dataclass
class IsaResult:
    """The result of one instruction set. The fields after `peak_bytes` are only set if the file was loaded."""

    isa: str
    status: int
    text: str
    load_ns: int
    peak_bytes: int
    bytes: int = 0
    operations: int = 0
    inputs: list[tuple[str, tuple[int, ...]]] = dataclasses.field(default_factory=list)
    outputs: list[tuple[str, tuple[int, ...]]] = dataclasses.field(default_factory=list)
    rounds: list[Round] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class CaseResult:
    """Results of all instruction sets, status and text of the classifier if asked for, and violated rules."""

    isas: list[IsaResult]
    classifier: tuple[int, str] | None
    violations: list[str]


class CaseServer:
    """The program; it is restarted whenever it has died."""

    def __init__(self, program: Path, environment: Mapping[str, str] | None = None) -> None:
        self._program, self._environment = program, {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115

    def close(self) -> None:
        """End the program, in its own time: coverage is written then."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None
        self._errors.close()

    def __enter__(self) -> CaseServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(
        self,
        file: bytes,
        rounds: Sequence[Sequence[Any]],
        *,
        isas: str = "",
        max_bytes: int = 1 << 26,
        max_operations: int = 1 << 26,
        threads: int = 1,
        flags: int = 0,
        timeout_s: float = 90,
    ) -> CaseResult:
        """Load a file and run it with the inputs of each round.

        Raises:
            ServerDied: there is no result; the next call restarts the program.
        """
        case = b"".join(
            [
                _chunk(file),
                struct.pack("=QQ", max_bytes, max_operations),
                _chunk(isas.encode()),
                struct.pack("=iIII", threads, flags, len(rounds), len(rounds[0]) if rounds else 0),
                *(_chunk(np.asarray(array).tobytes()) for inputs in rounds for array in inputs),
            ]
        )
        if self._process is None:
            if self._errors.closed:
                self._errors = tempfile.TemporaryFile()  # noqa: SIM115
            self._errors.seek(0)
            self._errors.truncate()
            self._process = subprocess.Popen(
                [self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=self._environment,
            )
        try:
            self._process.stdin.write(case)
            self._process.stdin.flush()
            size = struct.unpack("=I", self._read(4, timeout_s))[0]
            return _Reader(self._read(size, timeout_s)).case_result()
        except (BrokenPipeError, EOFError):
            raise self._died("ended") from None
        except TimeoutError:
            raise self._died(f"sent no result in {timeout_s} s") from None

    def _read(self, size: int, timeout_s: float) -> bytes:
        stream, data = self._process.stdout, b""
        while len(data) < size:
            if not select.select([stream], [], [], timeout_s)[0]:
                raise TimeoutError
            piece = os.read(stream.fileno(), size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def _died(self, what: str) -> ServerDied:
        process, self._process = self._process, None
        if what != "ended":
            process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        status = process.wait()
        process.stdout.close()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        relevant = [
            line for line in lines if "ERROR" in line or "runtime error" in line or (" /" in line and "core/" in line)
        ]
        return ServerDied(f"{what} (status {status}): " + " | ".join(relevant[:6] or lines[-3:]))


def _chunk(data: bytes) -> bytes:
    return struct.pack("=I", len(data)) + data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def _number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"={form}", self._data, self._at)
        self._at += struct.calcsize(f"={form}")
        return value

    def _bytes(self) -> bytes:
        size = self._number("I")
        self._at += size
        return self._data[self._at - size : self._at]

    def _text(self) -> str:
        return self._bytes().decode(errors="replace")

    def _port(self) -> tuple[str, tuple[int, ...]]:
        return self._text(), tuple(np.frombuffer(self._bytes(), np.int64).tolist())

    def _isa_result(self) -> IsaResult:
        result = IsaResult(self._text(), self._number("i"), self._text(), self._number("Q"), self._number("Q"))
        if result.status != OK:
            return result
        result.bytes, result.operations = self._number("Q"), self._number("Q")
        result.inputs = [self._port() for _ in range(self._number("i"))]
        result.outputs = [self._port() for _ in range(self._number("i"))]
        for _ in range(self._number("I")):
            found = Round(self._number("i"), self._text(), self._number("Q"), [])
            if found.status == OK:
                for dtype, shape in result.outputs:
                    values = np.frombuffer(self._bytes(), np.dtype(dtype))
                    if values.size == math.prod(shape):
                        values = values.reshape(shape)
                    found.outputs.append(values)
            result.rounds.append(found)
        return result

    def case_result(self) -> CaseResult:
        isas = [self._isa_result() for _ in range(self._number("I"))]
        classifier = (self._number("i"), self._text()) if self._number("I") else None
        return CaseResult(isas, classifier, [self._text() for _ in range(self._number("I"))])
