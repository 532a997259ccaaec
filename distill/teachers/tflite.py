"""TFLite files as teachers, in a process of their own: TensorFlow Lite does not check a file, and damage ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import Any

import numpy as np

from bnn_exit.errors import DataError
from bnn_exit.model_file import flatbuffer
from bnn_exit.text import counted
from distill.tflite_worker import FACTS, REFUSED, ROWS, receive, send

LIMIT_S = 300.0
"""Seconds for one message: to open a file, or to run a batch of clips."""


class TFLiteProcess:
    """A TFLite file in another process, which is started again after an interruption.

    Args:
        data: the file.
        trust: also one that calls TensorFlow's own operations (`Flex...`), which may write files.

    Attributes:
        input_shape: of the one input, the batch included where the file has one.
        size: values of the one output.

    Raises:
        DataError: a damaged file, one for another interpreter, or one with other than one input and output of float32.
    """

    def __init__(self, data: bytes, *, trust: bool = False) -> None:
        # Our own reader finds and names most damage.
        model = flatbuffer.read(data)
        names = {operator.name for graph in model.subgraphs for operator in graph.operators}
        if any(name.startswith("Lce") for name in names):
            raise DataError("is a binary network for Larq Compute Engine: give the folder of its run")
        foreign = sorted(name for name in names if name.startswith("Flex"))
        if foreign and not trust:
            raise DataError(
                f"calls {foreign[0]!r}, an operation of TensorFlow, which may be a program: give --trust-teacher "
                "(trust=True in Python) if you know where it comes from"
            )
        self._data, self._options = data, ["--flex"] if foreign else []
        self._process: subprocess.Popen[bytes] | None = None
        facts = self._start()
        if (len(facts["inputs"]), len(facts["outputs"])) != (1, 1):
            raise DataError(
                f"has {len(facts['inputs'])} inputs and {len(facts['outputs'])} outputs, but must have one of each"
            )
        ((kind, self.input_shape),), ((result, shape),) = facts["inputs"], facts["outputs"]
        if (kind, result) != ("float32", "float32"):
            raise DataError(f"takes {kind} and gives {result}, but must take and give float32")
        self.size = int(np.prod(shape))
        if not self.size or 0 in self.input_shape:
            raise DataError(f"takes {self.input_shape} and gives {shape}, but must take and give numbers")

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """float32 `[clips, size]` for clips `[clips, ...]`, each of the input's size."""
        if self._process is None:
            self._start()
        data = self._exchange(np.ascontiguousarray(clips, "<f4").tobytes(), ROWS)
        if len(data) != 4 * self.size * len(clips):
            raise DataError(
                f"gives {len(data) // 4} values for {counted(len(clips), 'clip')}, but must give {self.size} for each"
            )
        return np.frombuffer(data, "<f4").reshape(len(clips), self.size).astype(np.float32)

    def _start(self) -> dict[str, Any]:
        # A session of its own: an interruption from the keyboard is the parent's alone.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "distill.tflite_worker", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
                "CUDA_VISIBLE_DEVICES": "-1",
            },
            start_new_session=True,
        )
        self._stop = weakref.finalize(self, _end, self._process, self._errors)
        facts: dict[str, Any] = json.loads(self._exchange(self._data, FACTS))
        return facts

    def _exchange(self, data: bytes, wanted: bytes) -> bytes:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(LIMIT_S, give_up)
        timer.daemon = True
        timer.start()
        try:
            send(process.stdin, FACTS, data)
            kind, result = receive(process.stdout)
        except (EOFError, BrokenPipeError) as error:
            late_reason = f"makes TensorFlow Lite work for more than {LIMIT_S:g} s: the file is damaged, or too large"
            reason = late_reason if late.is_set() else self._how_it_ended(process)
            self._end()
            raise DataError(reason) from error
        except BaseException:
            # Interrupted: its reply would be taken for the next one.
            self._end()
            raise
        finally:
            timer.cancel()
        if kind == REFUSED:
            raise DataError(f"cannot be run by TensorFlow Lite ({result.decode('utf-8', 'replace')})")
        if kind != wanted:
            self._end()
            raise DataError("makes TensorFlow Lite reply out of order: the file is damaged")
        return result

    def _how_it_ended(self, process: subprocess.Popen[bytes]) -> str:
        status = process.wait()
        if status < 0:
            names = {each.value: each.name for each in signal.Signals}
            return f"ends TensorFlow Lite by {names.get(-status, -status)}: the file is damaged"
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 1000))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"cannot be run: its process ended with status {status}: {lines[-1] if lines else 'no message'}"

    def _end(self) -> None:
        self._stop()
        self._process = None


def _end(process: subprocess.Popen[bytes], errors: Any) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
