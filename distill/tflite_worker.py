"""A process that runs one TFLite file: `teachers.tflite` starts it, because a damaged file may end TensorFlow Lite.

It reads messages from standard input and replies to each on standard output: a file, then batches of clips. A message
is its length in 8 bytes, a letter for its kind, and its bytes. It ends when its input does, as with its parent.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import os
import struct
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

FACTS, ROWS, REFUSED = b"f", b"r", b"e"
"""Kinds of messages: JSON about a file, float32 values, text on what is wrong."""

_HEAD = struct.Struct("<Qc")


def send(stream: IO[bytes], kind: bytes, data: bytes) -> None:
    """Write a message."""
    stream.write(_HEAD.pack(len(data), kind))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """The next message: kind and bytes. EOFError if there is none."""
    size, kind = _HEAD.unpack(_exactly(stream, _HEAD.size))
    return kind, _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _load() -> Any:
    """TensorFlow Lite's compiled interpreter without the rest of TensorFlow, which takes seconds to load.

    With the argument `--flex` all of it, for files that call TensorFlow's own operations.
    """
    module = "tensorflow.lite.python.interpreter_wrapper._pywrap_tensorflow_interpreter_wrapper"
    if "--flex" in sys.argv:
        from bnn_exit._keras import tf

        tf.lite.Interpreter  # noqa: B018  # loads what it needs
        return importlib.import_module(module)
    found = importlib.util.find_spec("tensorflow")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder, *module.split(".")[1:])
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = file.with_name(file.name + suffix)
            spec = importlib.util.spec_from_file_location(module, path) if path.is_file() else None
            if spec and spec.loader:
                loaded = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(loaded)
                return loaded
    raise ImportError("TensorFlow has no interpreter for TFLite files: pip install 'tensorflow>=2.16,<2.17'")


def _open(data: bytes) -> tuple[dict[str, Any], Callable[[np.ndarray], np.ndarray]]:
    # As `tf.lite.Interpreter(model_content=data)` does: 1 stands for the usual operators, with XNNPACK.
    interpreter = _load().CreateWrapperFromBuffer(data, 1, [], [], False, False)
    interpreter.AllocateTensors()
    inputs, outputs = interpreter.InputIndices(), interpreter.OutputIndices()

    def described(tensors: Iterable[int]) -> list[Any]:
        return [
            [np.dtype(interpreter.TensorType(each, 0)).name, [int(size) for size in interpreter.TensorSize(each, 0)]]
            for each in tensors
        ]

    facts = {"inputs": described(inputs), "outputs": described(outputs)}

    # The interpreter points into the file's bytes: they stay as long as it is asked.
    def ask(clips: np.ndarray, *, _file: bytes = data) -> np.ndarray:
        rows = []
        for clip in clips:
            interpreter.SetTensor(inputs[0], clip.reshape(facts["inputs"][0][1]))
            interpreter.Invoke()
            rows.append(interpreter.GetTensor(outputs[0], 0).reshape(-1))
        return np.stack(rows)

    return facts, ask


def main() -> None:
    """Reply until the input ends."""
    # What TensorFlow prints must not come between the messages.
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    facts: dict[str, Any] = {}
    ask = None
    while True:
        try:
            _, data = receive(source)
        except EOFError:
            return
        try:
            if ask is None:
                facts, ask = _open(data)
                send(target, FACTS, json.dumps(facts).encode())
            else:
                size = int(np.prod(facts["inputs"][0][1]))
                send(target, ROWS, ask(np.frombuffer(data, np.float32).reshape(-1, size)).astype("<f4").tobytes())
        except Exception as error:
            send(target, REFUSED, " ".join(f"{type(error).__name__}: {error}".split())[:300].encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
