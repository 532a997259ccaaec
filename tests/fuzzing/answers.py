"""What the native library makes of files, asked of another process: a crash of that is an answer, too.

The program is bnn_exit/runtime/native/fuzz/answers.cpp.
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
    program = folder / "answers_plain"
    flags = ["-std=c++17", "-O1", f"-I{SOURCE / 'include'}"]
    command = [compiler, *flags, SOURCE / "fuzz" / "answers.cpp", library, f"-Wl,-rpath,{library.parent}", "-pthread"]
    subprocess.run([*command, "-o", program], check=True)
    return program


class Died(Exception):
    """The program ended or did not answer in time; the text is what it last wrote."""


@dataclasses.dataclass
class Round:
    status: int
    text: str
    ns: int
    outputs: list[Any]


@dataclasses.dataclass
class Answer:
    """Of one instruction set. What follows `peak_bytes` is only there if the file was loaded."""

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
class Answers:
    """Of every instruction set asked for; status and text of a classifier if one was asked for; broken promises."""

    isas: list[Answer]
    classifier: tuple[int, str] | None
    broken: list[str]


class Native:
    """The program, started again whenever it has died."""

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

    def __enter__(self) -> Native:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
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
    ) -> Answers:
        """What becomes of a file and inputs for some runs.

        Raises:
            Died: no answer; ask the next, and the program is started again.
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
            return _Reader(self._read(size, timeout_s)).answers()
        except (BrokenPipeError, EOFError):
            raise self._died("ended") from None
        except TimeoutError:
            raise self._died(f"gave no answer in {timeout_s} s") from None

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

    def _died(self, what: str) -> Died:
        process, self._process = self._process, None
        if what != "ended":
            process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        status = process.wait()
        process.stdout.close()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        telling = [
            line for line in lines if "ERROR" in line or "runtime error" in line or (" /" in line and "core/" in line)
        ]
        return Died(f"{what} (status {status}): " + " | ".join(telling[:6] or lines[-3:]))


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

    def _answer(self) -> Answer:
        answer = Answer(self._text(), self._number("i"), self._text(), self._number("Q"), self._number("Q"))
        if answer.status != OK:
            return answer
        answer.bytes, answer.operations = self._number("Q"), self._number("Q")
        answer.inputs = [self._port() for _ in range(self._number("i"))]
        answer.outputs = [self._port() for _ in range(self._number("i"))]
        for _ in range(self._number("I")):
            found = Round(self._number("i"), self._text(), self._number("Q"), [])
            if found.status == OK:
                for dtype, shape in answer.outputs:
                    values = np.frombuffer(self._bytes(), np.dtype(dtype))
                    if values.size == math.prod(shape):
                        values = values.reshape(shape)
                    found.outputs.append(values)
            answer.rounds.append(found)
        return answer

    def answers(self) -> Answers:
        isas = [self._answer() for _ in range(self._number("I"))]
        classifier = (self._number("i"), self._text()) if self._number("I") else None
        return Answers(isas, classifier, [self._text() for _ in range(self._number("I"))])
