"""A case for each builtin operator: what it takes and the shape of what it gives. Judged in several test files."""

import numpy as np


def floats(*shape, seed=0):
    """The same values for the same shape and seed, whatever was drawn before."""
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


def positive(*shape):
    return np.random.default_rng(shape).uniform(0.1, 3, shape).astype(np.float32)


def whole(*values, dtype=np.int32):
    return (np.array(values, dtype),)


A, B = floats(2, 3, 4), floats(2, 3, 4, seed=1)
ROW = floats(4)
INTS = np.random.default_rng(7).integers(-9, 9, (2, 3, 4)).astype(np.int32)
DIVISORS = np.where(np.random.default_rng(8).random((2, 3, 4)) < 0.5, -3, 2).astype(np.int32)
TRUTHS, OTHERS = (np.random.default_rng(seed).random((2, 3, 4)) < 0.5 for seed in (9, 10))
IMAGE = floats(2, 6, 5, 4)
SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3

# Name of the case -> operator, inputs (constants in tuples), outputs, class of the options, options.
CASES = {}


def case(operator, inputs, outputs, options=None, *, note="", **settings):
    if isinstance(outputs, tuple):
        outputs = [(outputs, "float32")]
    CASES[f"{operator} {note}".strip()] = (operator, inputs, outputs, options, settings)


for name in ("ADD", "SUB", "MUL", "DIV"):
    options = f"{name.capitalize()}Options"
    case(name, [A, positive(2, 3, 4)], A.shape, options)
    case(name, [A, positive(4)], A.shape, options, note="broadcast", fusedActivationFunction=RELU6)
    case(name, [floats(2, 1, 4), floats(3, 1)], (2, 3, 4), options, note="both", fusedActivationFunction=RELU)
    case(name, [INTS, DIVISORS], [(INTS.shape, "int32")], options, note="whole numbers")
for name in ("MAXIMUM", "MINIMUM"):
    case(name, [A, ROW], A.shape, "MaximumMinimumOptions")
case("SQUARED_DIFFERENCE", [A, B], A.shape, "SquaredDifferenceOptions")
case("FLOOR_DIV", [INTS, DIVISORS], [(INTS.shape, "int32")], "FloorDivOptions")
case("FLOOR_MOD", [INTS, DIVISORS], [(INTS.shape, "int32")], "FloorModOptions")
case("POW", [positive(2, 3), floats(2, 3)], (2, 3), "PowOptions")
for name in ("ABS", "NEG", "SQUARE", "FLOOR", "CEIL", "ROUND", "SIGN", "SIN", "COS", "TANH", "LOGISTIC", "EXP", "ELU"):
    case(name, [A * 3], A.shape)
for name in ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "HARD_SWISH", "ZEROS_LIKE"):
    case(name, [A * 4], A.shape)
for name in ("SQRT", "RSQRT", "LOG"):
    case(name, [positive(3, 4)], (3, 4))
case("LEAKY_RELU", [A], A.shape, "LeakyReluOptions", alpha=0.3)
case("PRELU", [IMAGE, (floats(1, 1, 4),)], IMAGE.shape)
for name in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"):
    case(name, [np.round(A), np.round(B)], [(A.shape, "bool")])
for name in ("LOGICAL_AND", "LOGICAL_OR"):
    case(name, [TRUTHS, OTHERS], [(A.shape, "bool")])
case("LOGICAL_NOT", [TRUTHS], [(A.shape, "bool")])
case("SELECT", [TRUTHS, A, B], A.shape)
case("SELECT", [np.array([True, False]), A, B], A.shape, note="rows")
case("SELECT_V2", [TRUTHS[:, :1], A, ROW], A.shape)
case("CAST", [A * 9], [(A.shape, "int32")], "CastOptions", note="to whole", inDataType=0, outDataType=2)
case("CAST", [INTS], A.shape, "CastOptions", note="to float", inDataType=2, outDataType=0)
case("CAST", [np.round(A)], [(A.shape, "bool")], "CastOptions", note="to truth", inDataType=0, outDataType=6)
case("CAST", [TRUTHS], A.shape, "CastOptions", note="from truth", inDataType=6, outDataType=0)
case("DEQUANTIZE", [(A.astype(np.float16),)], A.shape)

CONV = "Conv2DOptions"
for padding in (SAME, VALID):
    for stride, dilation, kernel in ((1, 1, 3), (2, 1, 3), (3, 1, 2), (1, 2, 2)):
        shape = tuple(
            -(-n // stride) if padding == SAME else (n - (kernel - 1) * dilation - 1) // stride + 1 for n in (6, 5)
        )
        settings = {"padding": padding, "strideW": stride, "strideH": stride}
        spread = {"dilationWFactor": dilation, "dilationHFactor": dilation}
        note = f"{'same' if padding == SAME else 'valid'} stride {stride} dilation {dilation} kernel {kernel}"
        parts = [(floats(7, kernel, kernel, 4),), (floats(7),)]
        case("CONV_2D", [IMAGE, *parts], (2, *shape, 7), CONV, note=note, **settings, **spread)
        parts = [(floats(1, kernel, kernel, 8),), (floats(8),)]
        case(
            "DEPTHWISE_CONV_2D",
            [IMAGE, *parts],
            (2, *shape, 8),
            "DepthwiseConv2DOptions",
            note=note,
            depthMultiplier=2,
            fusedActivationFunction=RELU,
            **settings,
            **spread,
        )
        if dilation == 1:
            for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
                window = {"filterWidth": kernel, "filterHeight": kernel, "fusedActivationFunction": RELU_N1_TO_1}
                case(name, [IMAGE], (2, *shape, 4), "Pool2DOptions", note=note, **settings, **window)
ONE = {"padding": VALID, "strideW": 1, "strideH": 1}
case("CONV_2D", [IMAGE, (floats(6, 1, 1, 2),), (floats(6),)], (2, 6, 5, 6), CONV, note="grouped", **ONE)
case("CONV_2D", [IMAGE, (floats(3, 2, 4, 4),), (floats(3),)], (2, 5, 2, 3), CONV, note="oblong", **ONE)
case(
    "AVERAGE_POOL_2D",
    [IMAGE],
    (2, 6, 5, 4),
    "Pool2DOptions",
    note="wider than the input",
    padding=SAME,
    strideW=1,
    strideH=1,
    filterWidth=9,
    filterHeight=2,
)
DENSE = "FullyConnectedOptions"
case("FULLY_CONNECTED", [floats(3, 8), (floats(5, 8),), (floats(5),)], (3, 5), DENSE, fusedActivationFunction=RELU6)
case("FULLY_CONNECTED", [A, (floats(5, 4),), None], (6, 5), DENSE, note="flattened")
case("FULLY_CONNECTED", [A, (floats(5, 4),), None], (2, 3, 5), DENSE, note="keeps", keepNumDims=True)
case("BATCH_MATMUL", [floats(2, 3, 4), floats(2, 4, 5)], (2, 3, 5), "BatchMatMulOptions")
case("BATCH_MATMUL", [floats(4, 3), floats(5, 4)], (3, 5), "BatchMatMulOptions", note="flipped", adjX=True, adjY=True)
for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"):
    case(name, [A, whole(1)], (2, 4), "ReducerOptions")
    case(name, [A, whole(-1, 0)], (1, 3, 1), "ReducerOptions", note="kept", keepDims=True)
for name in ("REDUCE_ANY", "REDUCE_ALL"):
    case(name, [TRUTHS, whole(2)], [((2, 3), "bool")], "ReducerOptions")
case("SOFTMAX", [A * 5], A.shape, "SoftmaxOptions", beta=1.0)
case("SOFTMAX", [floats(2, 5) * 50], (2, 5), "SoftmaxOptions", note="extreme, beta 2", beta=2.0)
case("LOG_SOFTMAX", [floats(2, 5)], (2, 5))

case("RESHAPE", [A, whole(4, -1)], (4, 6), "ReshapeOptions")
case("RESHAPE", [A], (6, 4), "ReshapeOptions", note="by option", newShape=[6, 4])
case("SQUEEZE", [floats(1, 3, 1)], (3,), "SqueezeOptions")
case("SQUEEZE", [floats(1, 3, 1)], (1, 3), "SqueezeOptions", note="one", squeezeDims=[-1])
case("EXPAND_DIMS", [A, whole(-2)], (2, 3, 1, 4))
case("TRANSPOSE", [A, whole(2, 0, 1)], (4, 2, 3))
case("CONCATENATION", [A, B, floats(2, 3, 1)], (2, 3, 9), "ConcatenationOptions", axis=-1)
case("SPLIT", [whole(2), A], [((2, 3, 2), "float32")] * 2, "SplitOptions", numSplits=2)
PARTS = [((2, 1, 4), "float32"), ((2, 2, 4), "float32")]
case("SPLIT_V", [A, whole(1, -1), whole(1)], PARTS, "SplitVOptions", numSplits=2)
case("PACK", [A, B], (2, 3, 2, 4), "PackOptions", valuesCount=2, axis=2)
case("UNPACK", [A], [((2, 4), "float32")] * 3, "UnpackOptions", num=3, axis=1)
case("GATHER", [A, whole(2, 0, 2, 1)], (2, 4, 4), "GatherOptions", axis=1)
case("SLICE", [A, whole(0, 1, 2), whole(-1, 2, 1)], (2, 2, 1))
STRIDED = "StridedSliceOptions"
case("STRIDED_SLICE", [A, whole(0, 1, 0), whole(2, 3, 4), whole(1, 1, 2)], (2, 2, 2), STRIDED)
MASKS = {"beginMask": 2, "endMask": 2, "shrinkAxisMask": 5}
case("STRIDED_SLICE", [A, whole(1, 9, -1), whole(2, 0, 0), whole(1, -1, 1)], (3,), STRIDED, note="masks", **MASKS)
MASKS = {"newAxisMask": 1, "ellipsisMask": 2}
case("STRIDED_SLICE", [A, whole(0, 0, 1), whole(0, 0, 2), whole(1, 1, 1)], (1, 2, 3, 1), STRIDED, note="axis", **MASKS)
case("PAD", [A, ([[1, 0], [0, 2], [1, 1]],)], (3, 5, 6))
case("PADV2", [A, ([[1, 0], [0, 2], [1, 1]],), (np.float32(-7),)], (3, 5, 6))
for mode, reach in ((0, "reflect"), (1, "symmetric")):
    case("MIRROR_PAD", [A, ([[1, 0], [0, 2], [1, 1]],)], (3, 5, 6), "MirrorPadOptions", note=reach, mode=mode)
case("SPACE_TO_BATCH_ND", [floats(1, 5, 4, 2), whole(2, 2), ([[0, 1], [0, 0]],)], (4, 3, 2, 2))
case("BATCH_TO_SPACE_ND", [floats(8, 3, 2, 2), whole(2, 2), ([[1, 0], [0, 1]],)], (2, 5, 3, 2))
case("SHAPE", [A], [((3,), "int32")], "ShapeOptions", outType=2)
case("TILE", [A, whole(2, 1, 3)], (4, 3, 12))
case("BROADCAST_TO", [ROW, whole(2, 3, 4)], (2, 3, 4))
case("FILL", [whole(2, 3), np.float32(4.5)], (2, 3))
case("RANGE", [np.int32(2), (np.int32(11),), (np.int32(3),)], [((3,), "int32")])
case("ARG_MAX", [A, whole(2)], [((2, 3), "int32")], "ArgMaxOptions", outputType=2)
case("ARG_MIN", [A, whole(1)], [((2, 4), "int64")], "ArgMinOptions", outputType=4)


def as_arrays(inputs):
    """Constants given as nested lists are whole numbers; a value that is not an array becomes one."""
    for value in inputs:
        if isinstance(value, tuple):
            yield (value[0] if hasattr(value[0], "dtype") else np.array(value[0], np.int32),)
        else:
            yield value if value is None else np.asarray(value)


# Operators that make no sense: operator, inputs, output, class of the options, options, pattern of both errors.
SENSELESS = [
    ("PAD", [A, ([[2**30, 0], [0, 0], [0, 0]],)], (3, 5, 6), None, {}, "PAD .*asks for an array"),
    ("PAD", [A, ([[-1, 0], [0, 0], [0, 0]],)], (1, 3, 4), None, {}, "must be at least 0"),
    ("TILE", [A, whole(2**20, 2**20, 1)], (4, 3, 12), None, {}, "TILE .*asks for an array"),
    ("FILL", [whole(2**30, 4), np.float32(1)], (2, 3), None, {}, "FILL .*asks for an array"),
    ("BROADCAST_TO", [ROW, whole(2**30, 4)], (2, 4), None, {}, "asks for an array"),
    ("GATHER", [A, whole(9)], (1, 3, 4), "GatherOptions", {}, "an index is outside the (2 )?values"),
    ("SLICE", [A, whole(0, 0, 0), whole(3, 1, 1)], (3, 1, 1), None, {}, r"\[0, 3\) is outside the 2 values"),
    ("RESHAPE", [A, whole(5, 5)], (5, 5), "ReshapeOptions", {}, "RESHAPE .*cannot be computed"),
    ("DIV", [INTS, INTS * 0], [(INTS.shape, "int32")], "DivOptions", {}, "divided by zero"),
    ("ADD", [A, B], A.shape, "AddOptions", {"fusedActivationFunction": 4}, "ADD .*cannot be computed"),
    ("ADD", [A, B], (2, 3), "AddOptions", {}, r"output of ADD .*is float32 \[2, 3, 4\], but must be"),
    ("CONV_2D", [IMAGE, (floats(1, 2, 2, 3),)], (2, 5, 4, 1), CONV, ONE, "4 channels do not fit filters of 3"),
    (
        "MAX_POOL_2D",
        [IMAGE],
        (2, 6, 5, 4),
        "Pool2DOptions",
        {**ONE, "filterWidth": 0, "filterHeight": 1},
        "filter 0, stride 1 and dilation 1 must be at least 1",
    ),
    (
        "CONV_2D",
        [IMAGE, (floats(1, 2, 2, 4),)],
        (2, 6, 5, 1),
        CONV,
        {"padding": SAME, "strideW": 1, "strideH": 1, "dilationWFactor": 2**30, "dilationHFactor": 2**30},
        "asks for an array",
    ),
]
