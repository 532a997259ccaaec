"""Writes small TFLite files operator by operator, with the schema code of TFLite (not ours) and without TensorFlow."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

from bnn_exit.cost import Cost
from bnn_exit.model_file.metadata import METADATA_NAME, Metadata
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.model_file.reader import OUTPUTS
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.values import ValuesConfig

SCHEMA_VARIABLE = "BNN_EXIT_TFLITE_SCHEMA"
DTYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "complex64": 8, "int8": 9}
VERSIONS = {"FULLY_CONNECTED": 6, "BROADCAST_TO": 2}
"""Operators of which the first version lacks something that a test uses: a missing bias."""


@functools.cache
def schema() -> Any:
    """`schema_py_generated` as a file of its own: importing it by its full name would import TensorFlow.

    SCHEMA_VARIABLE in the environment names a copy of it, for Pythons that have no TensorFlow.
    """
    path = os.environ.get(SCHEMA_VARIABLE)
    if path is None:
        package = importlib.util.find_spec("tensorflow")
        if package is None:
            raise ModuleNotFoundError(f"tensorflow is not installed: give {SCHEMA_VARIABLE}", name="tensorflow")
        path = Path(package.submodule_search_locations[0], "lite/python/schema_py_generated.py")
    spec = importlib.util.spec_from_file_location("tflite_schema", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Graph:
    """One subgraph. Methods return indices of tensors."""

    def __init__(self, file: File, name: str) -> None:
        self._file = file
        self.table = schema().SubGraphT()
        self.table.name = name
        self.table.tensors, self.table.operators, self.table.inputs, self.table.outputs = [], [], [], []
        file.model.subgraphs.append(self.table)

    def tensor(self, shape: tuple[int, ...], dtype: str = "float32", *, buffer: int = 0, name: str = "") -> int:
        tensor = schema().TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), DTYPES[dtype], buffer
        tensor.name = name or f"t{len(self.table.tensors)}"
        self.table.tensors.append(tensor)
        return len(self.table.tensors) - 1

    def input(self, shape: tuple[int, ...], dtype: str = "float32", *, name: str = "") -> int:
        self.table.inputs.append(self.tensor(shape, dtype, name=name))
        return self.table.inputs[-1]

    def constant(self, values: Any, dtype: str = "float32") -> int:
        array = np.asarray(values, dtype)
        return self.tensor(array.shape, dtype, buffer=self._file.buffer(array.tobytes()))

    def operator(
        self,
        name: str,
        inputs: list[int],
        outputs: list[tuple[tuple[int, ...], str]],
        options: str | None = None,
        **settings: Any,
    ) -> list[int]:
        """`options` is the schema's class, such as "Conv2DOptions"; LCE's operators need none."""
        operator = schema().OperatorT()
        operator.inputs, operator.outputs = list(inputs), [self.tensor(shape, dtype) for shape, dtype in outputs]
        if name.startswith(("Lce", "Custom")):
            operator.opcodeIndex = self._file.code("CUSTOM", custom=name)
            if settings:
                operator.customOptions = list(flexbuffers.Dumps(settings))
        else:
            operator.opcodeIndex = self._file.code(name)
        if options is not None:
            operator.builtinOptionsType = getattr(schema().BuiltinOptions, options)
            operator.builtinOptions = getattr(schema(), f"{options}T")()
            for setting, value in settings.items():
                assert hasattr(operator.builtinOptions, setting), setting
                setattr(operator.builtinOptions, setting, value)
        self.table.operators.append(operator)
        return operator.outputs

    def outputs(self, indices: list[int]) -> None:
        self.table.outputs = list(indices)


class File:
    """A TFLite file in the making; `bytes()` ends it."""

    def __init__(self) -> None:
        self.model = schema().ModelT()
        self.model.version, self.model.description = 3, "made by a test"
        self.model.subgraphs, self.model.operatorCodes, self.model.metadata = [], [], []
        self.model.signatureDefs, self.model.buffers = [], [schema().BufferT()]
        self._codes: dict[tuple[str, str | None], int] = {}

    def graph(self, name: str = "main") -> Graph:
        return Graph(self, name)

    def buffer(self, data: bytes) -> int:
        buffer = schema().BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def code(self, name: str, *, custom: str | None = None) -> int:
        if (name, custom) not in self._codes:
            code = schema().OperatorCodeT()
            code.builtinCode = getattr(schema().BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version, code.customCode = VERSIONS.get(name, 1), custom
            self.model.operatorCodes.append(code)
            self._codes[name, custom] = len(self._codes)
        return self._codes[name, custom]

    def signature(self, inputs: dict[str, int], outputs: dict[str, int], *, name: str = "serving_default") -> None:
        signature = schema().SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = name, 0
        signature.inputs, signature.outputs = [], []
        for entries, named in ((signature.inputs, inputs), (signature.outputs, outputs)):
            for key, index in named.items():
                entry = schema().TensorMapT()
                entry.name, entry.tensorIndex = key, index
                entries.append(entry)
        self.model.signatureDefs.append(signature)

    def metadata(self, name: str, data: bytes) -> None:
        entry = schema().MetadataT()
        entry.name, entry.buffer = name, self.buffer(data)
        self.model.metadata.append(entry)

    def bytes(self) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


FEATURES = FeatureConfig(num_mels=4, fft_size=512)
CLIP_SAMPLES = 400 + 2 * 160
FRAMES = 3
VALUES = ValuesConfig(sample_rate_hz=50, channels=("acc_x", "acc_y"))
WINDOW_SAMPLES = 40
LABELS = ("yes", "no", "other")


def metadata(*, exits: int = 3, **changes: Any) -> Metadata:
    """Metadata that fit `adaptive_file`."""
    points = {
        name: OperatingPoint(
            name=name,
            thresholds=(threshold,) * (exits - 1),
            max_accuracy_drop=drop,
            accuracy=0.9,
            exit_shares=(1 / exits,) * exits,
            mean_cost={"binary_macs": 10.0, "float_macs": 5.0, "ops": 5.15625},
            sample_count=7,
        )
        for name, threshold, drop in (("full", 0.0, 0.0), ("balanced", 0.5, 0.005), ("fast", 2.0, 0.02))
    }
    values: dict[str, Any] = {
        "labels": LABELS,
        "input": "log_mel",
        "clip_samples": CLIP_SAMPLES,
        "features": FEATURES,
        "policy": "entropy",
        "exits": tuple(Cost(binary_macs=100 * k, float_macs=10 * k, bytes=1000 * k) for k in range(1, exits + 1)),
        "operating_points": points,
        "task": "made up",
        "model": {"name": "tiny"},
        "normalisation": "none",
        "licence": "CC0",
        "attribution": "nobody",
        "writer": "bnn_exit test",
    }
    if changes.get("input") == "values":
        values |= {"features": VALUES, "clip_samples": WINDOW_SAMPLES}
    return Metadata(**{**values, **changes})


def adaptive_file(
    *,
    exits: int = 3,
    input: str = "log_mel",
    meta: bytes | None = None,
    seed: int = 0,
    output_order: str = "psi",
    thresholds: int | None = None,
) -> bytes:
    """A file of nested IFs in the form that bnn_exit exports: every stage is one dense layer, and so is every head.

    `output_order` is the order of the main outputs, by first letter: (p)robabilities, (s)core, exit_(i)ndex.
    `thresholds` is how many the network takes, of which it reads exits - 1.
    """
    count = exits - 1 if thresholds is None else thresholds
    random = np.random.default_rng(seed)
    file = File()
    clip = {
        "log_mel": (1, FRAMES, FEATURES.num_mels, 1),
        "waveform": (1, CLIP_SAMPLES),
        "values": (1, WINDOW_SAMPLES, 1, len(VALUES.channels)),
    }[input]
    main = file.graph()
    source, limits = main.input(clip, name=input), main.input((count,), name="thresholds")
    width = int(np.prod(clip))
    found = _exit(file, main, source, limits, width=width, index=0, exits=exits, count=count, random=random)
    named = dict(zip(("probabilities", "exit_index", "score"), found, strict=True))
    letters = {"p": "probabilities", "s": "score", "i": "exit_index"}
    main.outputs([named[letters[letter]] for letter in output_order])
    file.signature({input: source, "thresholds": limits}, {name: named[name] for name in OUTPUTS})
    file.metadata(METADATA_NAME, meta if meta is not None else metadata(exits=exits, input=input).to_json())
    return file.bytes()


def _exit(
    file: File,
    graph: Graph,
    features: int,
    thresholds: int,
    *,
    width: int,
    index: int,
    exits: int,
    count: int,
    random: Any,
) -> list[int]:
    """This exit and, in branches, all deeper ones; the tensors (probabilities, exit_index, score)."""
    classes = len(LABELS)

    def dense(source: int, inputs: int, outputs: int, spread: float) -> int:
        weights = graph.constant(random.normal(0, spread, (outputs, inputs)))
        return graph.operator("FULLY_CONNECTED", [source, weights, -1], [((1, outputs), "float32")])[0]

    # Log-mel values are near -10 and waveforms near 0; both must leave the softmax undecided.
    reached = dense(features, width, 6, 0.3 / np.sqrt(width))
    (probabilities,) = graph.operator(
        "SOFTMAX", [dense(reached, 6, classes, 0.5)], [((1, classes), "float32")], "SoftmaxOptions", beta=1.0
    )
    floored = graph.operator("MAXIMUM", [probabilities, graph.constant(1e-38)], [((1, classes), "float32")])
    logarithm = graph.operator("LOG", floored, [((1, classes), "float32")])
    products = graph.operator("MUL", [probabilities, *logarithm], [((1, classes), "float32")], "MulOptions")
    total = graph.operator("SUM", [*products, graph.constant([1], "int32")], [((1,), "float32")], "ReducerOptions")
    (score,) = graph.operator("DIV", [*total, graph.constant(-np.log(classes))], [((1,), "float32")], "DivOptions")
    answer = [probabilities, graph.constant([index], "int32"), score]
    if index == exits - 1:
        return answer
    begin, size = graph.constant([index], "int32"), graph.constant([1], "int32")
    threshold = graph.operator("SLICE", [thresholds, begin, size], [((1,), "float32")])
    condition = graph.operator("LESS", [score, *threshold], [((1,), "bool")])
    condition = graph.operator("RESHAPE", [*condition, graph.constant(np.zeros(0), "int32")], [((), "bool")])
    number = len(file.model.subgraphs)
    leave = file.graph(f"leave{index}")
    shapes = [((1, classes), "float32"), ((1,), "int32"), ((1,), "float32")]
    passed = [leave.input(shape, dtype) for shape, dtype in shapes]
    leave.input((1, 6)), leave.input((count,))
    leave.outputs(passed)
    deeper = file.graph(f"deeper{index}")
    for shape, dtype in shapes:
        deeper.input(shape, dtype)
    found = _exit(
        file,
        deeper,
        deeper.input((1, 6)),
        deeper.input((count,)),
        width=6,
        index=index + 1,
        exits=exits,
        count=count,
        random=random,
    )
    # Straight from the constant: LCE corrupts memory if a branch returns a constant through a RESHAPE.
    deeper.outputs(found)
    return graph.operator(
        "IF",
        [*condition, *answer, reached, thresholds],
        shapes,
        "IfOptions",
        thenSubgraphIndex=number,
        elseSubgraphIndex=number + 1,
    )


def everything_file() -> bytes:
    """A small file with binary and float operators, bits in both layouts, an IF, a signature and metadata."""
    file = File()
    main = file.graph()
    source, threshold = main.input((1, 2, 2, 3), name="log_mel"), main.input((1,), name="thresholds")
    words = main.operator("LceQuantize", [source], [((1, 2, 2, 1), "int32")])
    filters = main.constant(np.arange(36).reshape(4, 3, 3, 1), "int32")
    numbers = main.constant([1, -1, 2, 0.5])
    (convolved,) = main.operator(
        "LceBconv2d",
        [*words, filters, numbers, numbers, -1],
        [((1, 2, 2, 4), "float32")],
        channels_in=3,
        dilation_height_factor=1,
        dilation_width_factor=1,
        fused_activation_function=1,
        pad_values=1,
        padding=0,
        stride_height=1,
        stride_width=1,
    )
    (convolved,) = main.operator("ADD", [convolved, numbers], [((1, 2, 2, 4), "float32")], "AddOptions")
    window = {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2}
    (pooled,) = main.operator("AVERAGE_POOL_2D", [convolved], [((1, 1, 1, 4), "float32")], "Pool2DOptions", **window)
    (flat,) = main.operator("RESHAPE", [pooled, main.constant([1, 4], "int32")], [((1, 4), "float32")])
    weights = main.constant(np.arange(16).reshape(4, 4))
    (flat,) = main.operator("FULLY_CONNECTED", [flat, weights, numbers], [((1, 4), "float32")])
    (total,) = main.operator("MEAN", [flat, main.constant([1], "int32")], [((1,), "float32")], "ReducerOptions")
    (condition,) = main.operator("LESS", [total, threshold], [((1,), "bool")])
    branches = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}
    main.outputs(main.operator("IF", [condition, flat], [((1, 4), "float32")], "IfOptions", **branches))
    for name, operator in (("leave", "NEG"), ("deeper", "EXP")):
        branch = file.graph(name)
        branch.outputs(branch.operator(operator, [branch.input((1, 4))], [((1, 4), "float32")]))
    file.signature({"log_mel": source, "thresholds": threshold}, {"probabilities": main.table.outputs[0]})
    file.metadata("note", b"hello")
    return file.bytes()
