"""Is a counted step at most 2 ns, whatever a file asks for? The limit of a run, 2^35 steps, is some ten seconds then.

    python benchmarks/operator_steps.py

Every operator at a size that can be timed, and the worst that a file can make of some: one channel, short rows, values
that lie far apart, filters far wider than the image, divisors that take long. Each on every instruction set that runs
here; processor time of one thread, the least of some runs. Writes results/operator_steps.json and exits with 1 if a
case takes longer, with a line for each. Subnormal numbers (below 1.2e-38), for which many processors have no fast way,
are measured, too, but not held to the bar.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from result_file import called

from bnn_exit import machine
from bnn_exit.files import write_json
from bnn_exit.runtime.native_backend import NativeNetwork, capabilities

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
from file_fixtures import single_operator  # noqa: E402
from operator_cases import as_arrays, floats, whole  # noqa: E402

RESULT = HERE / "results" / "operator_steps.json"
BAR_NS, RUNS = 2.0, 3
SUBNORMAL = "subnormal numbers"
SIZE = 2**18
"""Values of a case, about; the sides of its squares are a half or a quarter of the bits."""

# Operator, inputs (constants in tuples), outputs, class of the options, options. With `times` among these the operator
# is applied to its own result again.
Case = tuple[str, list[Any], list[Any], "str | None", dict[str, Any]]
SAME = {"padding": 0, "strideW": 1, "strideH": 1}
BINARY = {"padding": 0, "stride_width": 1, "stride_height": 1, "fused_activation_function": 0, "pad_values": 1}
ONE = "ABS NEG SIGN SQUARE FLOOR CEIL ROUND SQRT RSQRT RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 ELU HARD_SWISH LOGISTIC TANH"
ONE += " EXP LOG SIN COS ZEROS_LIKE LOG_SOFTMAX"
TWO = "ADD SUB MUL DIV FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM SQUARED_DIFFERENCE POW PRELU"
TRUTH = "LESS LESS_EQUAL GREATER GREATER_EQUAL EQUAL NOT_EQUAL"
OPTIONS = {name: f"{name.capitalize()}Options" for name in ("ADD", "SUB", "MUL", "DIV")}


def elementwise(size: int) -> Iterator[tuple[str, Case]]:
    values, others = floats(size) * 9, np.abs(floats(size, seed=1)) + 0.1
    huge = values.clip(-30, 30) * np.float32(1e37)
    for name in ONE.split():
        yield name, (name, [others if name in ("SQRT", "RSQRT", "LOG") else values], [((size,), "float32")], None, {})
    for name in ("SIN", "COS", "EXP", "TANH"):
        yield f"{name} of huge numbers", (name, [huge], [((size,), "float32")], None, {})
        yield f"{name} of tiny numbers", (name, [values * np.float32(1e-40)], [((size,), "float32")], None, {})
    for name in TWO.split():
        yield name, (name, [values, others], [((size,), "float32")], OPTIONS.get(name), {})
        short = [floats(size // 2, 1), floats(2)]
        yield f"{name} in short rows", (name, short, [((size // 2, 2), "float32")], OPTIONS.get(name), {})
    for name in ("DIV", "FLOOR_DIV", "FLOOR_MOD", "MUL"):
        long = [np.full(size, 2**62, np.int64), np.full(size, 3, np.int64)]
        yield f"{name} of whole numbers", (name, long, [((size,), "int64")], OPTIONS.get(name), {})
    slow = [np.full(size, 3e38, np.float32), np.full(size, 1e-44, np.float32)]
    yield "FLOOR_MOD far apart", ("FLOOR_MOD", slow, [((size,), "float32")], None, {})
    near_one = [np.full(size, 1.0000001, np.float32), np.full(size, 3e8, np.float32)]
    yield "POW near one", ("POW", near_one, [((size,), "float32")], None, {})
    for name in TRUTH.split():
        yield name, (name, [values, others], [((size,), "bool")], None, {})
    for name in ("LOGICAL_AND", "LOGICAL_OR"):
        yield name, (name, [values > 0, others > 1], [((size,), "bool")], None, {})
    yield "LOGICAL_NOT", ("LOGICAL_NOT", [values > 0], [((size,), "bool")], None, {})
    deep = (values > 0).reshape(2, 2, 2, 2, -1)
    yield "LOGICAL_NOT of five axes", ("LOGICAL_NOT", [deep], [(deep.shape, "bool")], None, {})
    yield "LEAKY_RELU", ("LEAKY_RELU", [values], [((size,), "float32")], "LeakyReluOptions", {"alpha": 0.3})
    yield "SOFTMAX", ("SOFTMAX", [values], [((size,), "float32")], "SoftmaxOptions", {"beta": 1.0})
    thin = values.reshape(-1, 1)
    yield "SOFTMAX of one", ("SOFTMAX", [thin], [(thin.shape, "float32")], "SoftmaxOptions", {"beta": 1.0})
    for name in ("SELECT", "SELECT_V2"):
        yield name, (name, [values > 0, values, others], [((size,), "float32")], None, {})
    yield "CAST", ("CAST", [values], [((size,), "int32")], "CastOptions", {"inDataType": 0, "outDataType": 2})
    half = values.astype(np.float16)
    yield "DEQUANTIZE", ("DEQUANTIZE", [half], [((size,), "float32")], None, {})


def moves(size: int) -> Iterator[tuple[str, Case]]:
    side = 2 ** (size.bit_length() // 2)
    flat, square, column = floats(size), floats(side, side), floats(size // 2, 2)
    yield "RESHAPE", ("RESHAPE", [flat, whole(side, -1)], [((side, size // side), "float32")], "ReshapeOptions", {})
    yield "SQUEEZE", ("SQUEEZE", [flat[None]], [((size,), "float32")], "SqueezeOptions", {})
    yield "EXPAND_DIMS", ("EXPAND_DIMS", [flat, whole(0)], [((1, size), "float32")], None, {})
    yield "TRANSPOSE", ("TRANSPOSE", [square, whole(1, 0)], [((side, side), "float32")], None, {})
    yield "TRANSPOSE of two", ("TRANSPOSE", [column, whole(1, 0)], [((2, size // 2), "float32")], None, {})
    pairs = [((size, 2), "float32")]
    yield "CONCATENATION", ("CONCATENATION", [flat[:, None]] * 2, pairs, "ConcatenationOptions", {"axis": 1})
    yield "PACK", ("PACK", [flat] * 2, pairs, "PackOptions", {"valuesCount": 2, "axis": 1})
    thin = [((size // 2, 1), "float32")] * 2
    yield "SPLIT", ("SPLIT", [whole(1), column], thin, "SplitOptions", {"numSplits": 2})
    yield "SPLIT_V", ("SPLIT_V", [column, whole(1, 1), whole(1)], thin, "SplitVOptions", {"numSplits": 2})
    yield "UNPACK", ("UNPACK", [column], [((size // 2,), "float32")] * 2, "UnpackOptions", {"num": 2, "axis": 1})
    anywhere = np.random.default_rng(0).permutation(size).astype(np.int32)
    yield "GATHER", ("GATHER", [flat, anywhere], [((size,), "float32")], "GatherOptions", {"axis": 0})
    yield "SLICE", ("SLICE", [column, whole(0, 1), whole(-1, 1)], [((size // 2, 1), "float32")], None, {})
    bounds = [whole(0), whole(size), whole(2)]
    yield "STRIDED_SLICE", ("STRIDED_SLICE", [flat, *bounds], [((size // 2,), "float32")], "StridedSliceOptions", {})
    margins = ([[0, 0], [1, 1]],)
    yield "PAD", ("PAD", [column, margins], [((size // 2, 4), "float32")], None, {})
    yield "PADV2", ("PADV2", [column, margins, (np.float32(2),)], [((size // 2, 4), "float32")], None, {})
    mirrored = [((size // 2, 4), "float32")]
    yield "MIRROR_PAD", ("MIRROR_PAD", [column, margins], mirrored, "MirrorPadOptions", {"mode": 0})
    yield "TILE", ("TILE", [column[:, :1], whole(1, 2)], [((size // 2, 2), "float32")], None, {})
    yield (
        "BROADCAST_TO",
        ("BROADCAST_TO", [column[:, :1], whole(size // 2, 2)], [((size // 2, 2), "float32")], None, {}),
    )
    image, none = square.reshape(1, side, side, 1), ([[0, 0], [0, 0]],)
    folded = (4, side // 2, side // 2, 1)
    yield "SPACE_TO_BATCH_ND", ("SPACE_TO_BATCH_ND", [image, whole(2, 2), none], [(folded, "float32")], None, {})
    unfolded = [image.reshape(folded), whole(2, 2), none]
    yield "BATCH_TO_SPACE_ND", ("BATCH_TO_SPACE_ND", unfolded, [(image.shape, "float32")], None, {})
    yield "SHAPE", ("SHAPE", [flat], [((1,), "int32")], "ShapeOptions", {"outType": 2})
    yield "FILL", ("FILL", [whole(size), np.float32(3)], [((size,), "float32")], None, {})
    yield "RANGE", ("RANGE", [np.int32(0), (np.int32(size),), (np.int32(1),)], [((size,), "int32")], None, {})
    for name in ("ARG_MAX", "ARG_MIN"):
        for axis in (0, 1):
            result = [((side,), "int32")]
            yield (
                f"{name} axis {axis}",
                (name, [square, whole(axis)], result, f"Arg{name[4:].capitalize()}Options", {"outputType": 2}),
            )


def sums(size: int) -> Iterator[tuple[str, Case]]:
    side = 2 ** (size.bit_length() // 2)
    square, column = floats(side, side), floats(size // 2, 2)
    for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"):
        dtype = "bool" if name in ("REDUCE_ANY", "REDUCE_ALL") else "float32"
        for note, values, axis, shape in (
            ("axis 0", square, 0, (side,)),
            ("axis 1", square, 1, (side,)),
            ("of two", column, 1, (size // 2,)),
        ):
            inputs = [values > 0 if dtype == "bool" else values, whole(axis)]
            yield f"{name} {note}", (name, inputs, [(shape, dtype)], "ReducerOptions", {})
    few = max(2, int(size ** (1 / 3)))
    for flipped in (False, True):
        inputs, settings = [floats(few, few), floats(few, few, seed=1)], {"adjX": flipped, "adjY": flipped}
        note = "BATCH_MATMUL flipped" if flipped else "BATCH_MATMUL"
        yield note, ("BATCH_MATMUL", inputs, [((few, few), "float32")], "BatchMatMulOptions", settings)
    thin = [floats(side, 1), floats(1, side)]
    yield "BATCH_MATMUL of one", ("BATCH_MATMUL", thin, [((side, side), "float32")], "BatchMatMulOptions", {})
    for length in (16, max(16, size // 16)):
        frames = floats(max(1, size // length), 1, length)
        bins = (frames.shape[0], 1, length // 2 + 1)
        yield f"RFFT2D of {length}", ("RFFT2D", [frames, whole(1, length)], [(bins, "complex64")], None, {})
    dense = [floats(1, side), (floats(side, side),), None]
    yield "FULLY_CONNECTED", ("FULLY_CONNECTED", dense, [((1, side), "float32")], "FullyConnectedOptions", {})
    dense = [floats(size, 1), (floats(1, 1),), None]
    yield "FULLY_CONNECTED of one", ("FULLY_CONNECTED", dense, [((size, 1), "float32")], "FullyConnectedOptions", {})


def windows(size: int) -> Iterator[tuple[str, Case]]:
    side = max(2, int(size**0.25))
    for channels in (1, 3, 16):
        image = floats(1, 2 * side, 2 * side, channels)
        shape = image.shape
        for filters in (1, 16):
            weights = (floats(filters, 3, 3, channels),)
            note = f"CONV_2D {channels} to {filters}"
            yield note, ("CONV_2D", [image, weights], [((*shape[:3], filters), "float32")], "Conv2DOptions", SAME)
        if channels > 1:
            weights = (floats(channels, 3, 3, 1),)
            note = f"CONV_2D {channels} groups"
            yield note, ("CONV_2D", [image, weights], [(shape, "float32")], "Conv2DOptions", SAME)
        for times in (1, 3, 4):
            weights = (floats(1, 3, 3, channels * times),)
            wide = [((*shape[:3], channels * times), "float32")]
            settings = {**SAME, "depthMultiplier": times}
            note = f"DEPTHWISE_CONV_2D {channels} x {times}"
            yield note, ("DEPTHWISE_CONV_2D", [image, weights], wide, "DepthwiseConv2DOptions", settings)
        for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            for kernel in (1, 3):
                settings = {**SAME, "filterWidth": kernel, "filterHeight": kernel}
                yield f"{name} {kernel} of {channels}", (name, [image], [(shape, "float32")], "Pool2DOptions", settings)
    far = {**SAME, "dilationWFactor": min(65535, size), "dilationHFactor": 1}
    narrow = [floats(1, 8, 2, 1), (floats(1, 8, 2, 1, seed=1),)]
    yield "CONV_2D far apart", ("CONV_2D", narrow, [((1, 8, 2, 1), "float32")], "Conv2DOptions", far)
    tall = {**SAME, "dilationHFactor": 9000, "dilationWFactor": 1}
    yield "CONV_2D far below", ("CONV_2D", narrow, [((1, 8, 2, 1), "float32")], "Conv2DOptions", tall)
    depthwise = [floats(1, 64, 2, 1), (floats(1, 9, 9, 1),)]
    shape = [((1, 64, 2, 1), "float32")]
    yield (
        "DEPTHWISE_CONV_2D far apart",
        ("DEPTHWISE_CONV_2D", depthwise, shape, "DepthwiseConv2DOptions", {**far, "dilationWFactor": 64}),
    )


def bits(size: int) -> Iterator[tuple[str, Case]]:
    side = max(2, int(size**0.25))
    for channels, filters, groups in ((1, 1, 1), (1, 64, 1), (33, 3, 1), (64, 64, 1), (64, 2, 2), (256, 64, 1)):
        words, taps = -(-channels // 32), -(-channels // groups // 32)
        image = np.zeros((1, 2 * side, 2 * side, words), np.int32)
        parts = [(np.zeros((filters, 3, 3, taps), np.int32),), (floats(filters),), (floats(filters),), None]
        settings = {**BINARY, "channels_in": channels, "dilation_width_factor": 1, "dilation_height_factor": 1}
        shape = [((*image.shape[:3], filters), "float32")]
        note = f"LceBconv2d {channels} to {filters}" + (f" in {groups} groups" if groups > 1 else "")
        yield note, ("LceBconv2d", [image, *parts], shape, None, settings)
        yield f"{note} zeros", ("LceBconv2d", [image, *parts], shape, None, {**settings, "pad_values": 0})
        thresholds = [*parts[:1], None, None, (np.zeros(filters, np.int32),)]
        packed = [((*image.shape[:3], -(-filters // 32)), "int32")]
        yield f"{note} packed", ("LceBconv2d", [image, *thresholds], packed, None, settings)
    for channels in (1, 33, 64):
        values, words = floats(1, 2 * side, 2 * side, channels), -(-channels // 32)
        packed = np.zeros((*values.shape[:3], words), np.int32)
        yield f"LceQuantize {channels}", ("LceQuantize", [values], [(packed.shape, "int32")], None, {})
        yield f"LceDequantize {channels}", ("LceDequantize", [packed], [(values.shape, "float32")], None, {})
        pool = {"padding": 0, "stride_width": 1, "stride_height": 1, "filter_width": 3, "filter_height": 3}
        yield f"LceBMaxPool2d {channels}", ("LceBMaxPool2d", [packed], [(packed.shape, "int32")], None, pool)


def small_images(size: int) -> Iterator[tuple[str, Case]]:
    """Images of one pixel, and rows of one: what begins anew with each costs most here."""
    one = (np.float32(0.5),)
    for note, shape in (("pixels", (size, 1, 1, 1)), ("two channels", (size // 2, 1, 1, 2)), ("rows", (1, size, 1, 1))):
        image, result = floats(*shape), [(shape, "float32")]
        for times in (1, 7):
            for name in ("ADD", "MUL"):
                settings = {"times": times}
                yield f"{name} of {note}, {times} times", (name, [image, one], result, OPTIONS[name], settings)
            for name in ("RELU", "RELU6"):
                yield f"{name} of {note}, {times} times", (name, [image], result, None, {"times": times})
        packed = np.zeros((*shape[:3], 1), np.int32)
        yield f"LceQuantize of {note}", ("LceQuantize", [image], [(packed.shape, "int32")], None, {})
        yield f"LceDequantize of {note}", ("LceDequantize", [packed], result, None, {})


def subnormal(size: int) -> Iterator[tuple[str, Case]]:
    tiny, result = floats(size) * np.float32(1e-39), [((size,), "float32")]
    for name in ("ADD", "MUL", "DIV", "SQUARED_DIFFERENCE"):
        yield f"{name} of {SUBNORMAL}", (name, [tiny, floats(size, seed=1)], result, OPTIONS.get(name), {})
    image = (floats(1, 64, 64, 16) * np.float32(1e-39)).reshape(1, 64, 64, 16)
    same = [(image.shape, "float32")]
    yield f"CONV_2D of {SUBNORMAL}", ("CONV_2D", [image, (floats(16, 3, 3, 16),)], same, "Conv2DOptions", SAME)
    weights = (floats(1, 3, 3, 16),)
    settings = {**SAME, "depthMultiplier": 1}
    name = "DEPTHWISE_CONV_2D"
    yield f"{name} of {SUBNORMAL}", (name, [image, weights], same, "DepthwiseConv2DOptions", settings)


def complex_parts(size: int) -> Iterator[tuple[str, Case]]:
    values = floats(size).astype(np.complex64) * np.complex64(1 + 2j)
    for name in ("REAL", "IMAG", "COMPLEX_ABS"):
        yield name, (name, [values], [((size,), "float32")], None, {})


def cases(size: int = SIZE) -> dict[str, Case]:
    """By name."""
    parts = (elementwise, moves, sums, windows, bits, small_images, complex_parts, subnormal)
    return {name: case for part in parts for name, case in part(size)}


def measure(case: Case, *, runs: int = RUNS) -> tuple[int, float]:
    """Steps of a run, and the processor time of each in nanoseconds."""
    operator, inputs, outputs, options, settings = case
    times = settings.get("times", 1)
    settings = {name: value for name, value in settings.items() if name != "times"}
    data, values = single_operator(operator, list(as_arrays(inputs)), outputs, options, times=times, **settings)
    network = NativeNetwork(data)
    for own, value in zip(network.inputs, values):
        own[...] = value
    network.run()
    best = float("inf")
    for _ in range(runs):
        start = time.thread_time()
        network.run()
        best = min(best, time.thread_time() - start)
    return network.operations, best / max(network.operations, 1) * 1e9


def main(arguments: list[str] | None = None, *, size: int = SIZE, result: Path = RESULT) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    rows: dict[str, dict[str, Any]] = {}
    for isa in capabilities()["isas"]:
        os.environ["BNN_EXIT_ISA"] = isa
        for name, case in cases(size).items():
            steps, nanoseconds = measure(case)
            rows.setdefault(name, {"steps": steps, "ns_a_step": {}})["ns_a_step"][isa] = round(nanoseconds, 3)
    slow = [
        f"{name} on {isa}: {nanoseconds:.2f} ns a step, more than {BAR_NS:g}"
        for name, row in rows.items()
        for isa, nanoseconds in row["ns_a_step"].items()
        # A call takes some time of its own.
        if nanoseconds > BAR_NS and SUBNORMAL not in name and row["steps"] * nanoseconds > 2e5
    ]
    write_json(
        result,
        {
            "question": __doc__.splitlines()[0],
            "command": called(__file__, None),
            **machine.provenance(),
            "load_average_after": os.getloadavg()[0],
            "bar_ns": BAR_NS,
            "values": size,
            "cases": rows,
        },
    )
    for line in slow:
        print(line)
    print(f"{len(rows)} cases, {len(slow)} slow results: {result}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
