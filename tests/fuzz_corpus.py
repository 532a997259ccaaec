"""Writes files for the fuzzers to start from: operators, random graphs, adaptive files, metadata, and exports.

    PYTHONPATH=.:tests python tests/fuzz_corpus.py FOLDER [MODEL.tflite ...]

FOLDER/corpus receives the files, FOLDER/base.tflite is what metadata are tried in (BNN_EXIT_FUZZ_BASE), and
FOLDER/words is libFuzzer's dictionary.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tiny_files
from binary_cases import convolution
from file_fixtures import single_operator
from fuzzing.graphs import random_graph
from operator_cases import CASES, as_arrays

from bnn_exit.model_file.listening_points import GateSettings, ListeningPoint

GRAPHS = 60
"""Random graphs, in which values are read twice, layers follow one another and branches share values."""
LOUD = ListeningPoint("loud", "fast", {"yes": 0.3, "no": 0.3}, hop_ms=20, span_ms=40, refractory_ms=20)
GATED = ListeningPoint("gated", "full", {"other": 0.4}, hop_ms=10, min_count=2, of_count=3, gate=GateSettings())
ROOM = 3400
"""Bytes of metadata in the base file, so that longer ones than its own can be tried."""


def operator_files() -> dict[str, bytes]:
    """A file for each operator, and for each on constants, which is done while the file is loaded."""
    files = {}
    for name, (operator, inputs, outputs, options, settings) in CASES.items():
        plain = "".join(letter if letter.isalnum() else "_" for letter in name)
        values = list(as_arrays(inputs))
        files[plain] = single_operator(operator, values, outputs, options, **settings)[0]
        constants = [value if value is None or isinstance(value, tuple) else (value,) for value in values]
        files[f"{plain}_constant"] = single_operator(operator, constants, outputs, options, **settings)[0]
    return files


def binary_files() -> dict[str, bytes]:
    """Binary convolutions of several shapes."""
    shapes = {
        "plain": {},
        "wide": {"channels": 96, "filters": 70},
        "grouped": {"channels": 128, "groups": 2, "filters": 32},
        "packed": {"channels": 64, "filters": 40, "bitpacked": True},
    }
    return {f"binary_{name}": convolution(tiny_files, **shape)[0] for name, shape in shapes.items()}


def listening_metadata() -> bytes:
    points = {point.name: point for point in (LOUD, GATED)}
    return tiny_files.metadata(listening_points=points).to_json()


def sources(models: Sequence[Path] = ()) -> dict[str, bytes]:
    """All of them by name, with the files of `models`."""
    files = {**operator_files(), **binary_files(), "everything": tiny_files.everything_file()}
    for name in ("log_mel", "waveform"):
        files[f"adaptive_{name}"] = tiny_files.adaptive_file(input=name)
    files["listening"] = tiny_files.adaptive_file(meta=listening_metadata())
    return {**files, **{path.stem: path.read_bytes() for path in models}}


def main() -> int:
    """Write the folder."""
    folder = Path(sys.argv[1])
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    files = sources([Path(argument) for argument in sys.argv[2:]])
    files |= {f"graph_{number}": random_graph(number).data for number in range(GRAPHS)}
    meta = tiny_files.metadata().to_json()
    files["metadata"], files["metadata_listening"] = meta, listening_metadata()
    for name, data in files.items():
        (corpus / name).write_bytes(data)
    (folder / "base.tflite").write_bytes(tiny_files.adaptive_file(meta=meta.ljust(ROOM)))
    words = ["TFL3", *sorted({case[0] for case in CASES.values()}), "LceQuantize", "LceDequantize", "LceBconv2d"]
    words += ["LceBMaxPool2d", "IF", "serving_default", "log_mel", "waveform", "thresholds", "probabilities"]
    words += [
        "channels_in",
        "stride_height",
        "padding",
        "pad_values",
        "operating_points",
        "listening_points",
        "refractory_ms",
        "features",
        "\\\\ud800\\\\udc00",
    ]
    numbers = [
        "".join(f"\\x{byte:02x}" for byte in np.int32(value).tobytes()) for value in (-1, 0, 1, 2**26, 2**31 - 1)
    ]
    (folder / "words").write_text("".join(f'"{word}"\n' for word in words + numbers))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
