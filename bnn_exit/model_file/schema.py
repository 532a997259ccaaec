"""The parts of the TFLite file format that have names: operators, element types and the options of operators.

From the public schema of TensorFlow Lite (`schema.fbs`, version 3), without the options that no operator of ours reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FILE_IDENTIFIER = b"TFL3"

_NAMES = (
    "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR "
    "FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC "
    "LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH "
    "SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER "
    "BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE "
    "BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM "
    "ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE "
    "TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK "
    "LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL "
    "FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL "
    "REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND "
    "HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM "
    "BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS "
    "HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE "
    "ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU "
    "DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 "
    "UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT"
)
OPERATOR_NAMES = tuple(_NAMES.split())
"""Builtin operators by code."""

CUSTOM = OPERATOR_NAMES.index("CUSTOM")

ELEMENT_TYPES = (
    *("float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64"),
    *("complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4"),
)
"""Element types by code."""

NUMPY_TYPES = {name: np.dtype(name) for name in ELEMENT_TYPES if name not in ("string", "resource", "variant", "int4")}
"""Element types whose values lie in the file as NumPy holds them."""

PADDINGS = ("SAME", "VALID")
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
MIRROR_MODES = ("REFLECT", "SYMMETRIC")
ENUMS: dict[str, tuple[str, ...]] = {
    "padding": PADDINGS,
    "activation": ACTIVATIONS,
    "element_type": ELEMENT_TYPES,
    "mirror_mode": MIRROR_MODES,
}

Field = tuple[str, int, str, Any]
"""Name, slot in the table, kind ("int32", "float32", "bool", "int32s" or a key of ENUMS), default."""

_ACTIVATION = "fused_activation_function"
_WINDOW: tuple[Field, ...] = (
    ("padding", 0, "padding", 0),
    ("stride_width", 1, "int32", 0),
    ("stride_height", 2, "int32", 0),
)

# Numbered as in the union BuiltinOptions. Names follow LCE's spelling, so binary and float layers share their code.
OPTIONS: dict[int, tuple[Field, ...]] = {
    1: (  # Conv2DOptions
        *_WINDOW,
        (_ACTIVATION, 3, "activation", 0),
        ("dilation_width_factor", 4, "int32", 1),
        ("dilation_height_factor", 5, "int32", 1),
    ),
    2: (  # DepthwiseConv2DOptions
        *_WINDOW,
        (_ACTIVATION, 4, "activation", 0),
        ("dilation_width_factor", 5, "int32", 1),
        ("dilation_height_factor", 6, "int32", 1),
    ),
    5: (  # Pool2DOptions
        *_WINDOW,
        ("filter_width", 3, "int32", 0),
        ("filter_height", 4, "int32", 0),
        (_ACTIVATION, 5, "activation", 0),
    ),
    8: (  # FullyConnectedOptions
        (_ACTIVATION, 0, "activation", 0),
        ("weights_format", 1, "int8", 0),
        ("keep_num_dims", 2, "bool", False),
    ),
    9: (("beta", 0, "float32", 0.0),),  # SoftmaxOptions
    10: (("axis", 0, "int32", 0), (_ACTIVATION, 1, "activation", 0)),  # ConcatenationOptions
    11: ((_ACTIVATION, 0, "activation", 0),),  # AddOptions
    17: (("new_shape", 0, "int32s", ()),),  # ReshapeOptions
    21: ((_ACTIVATION, 0, "activation", 0),),  # MulOptions
    23: (("axis", 0, "int32", 0), ("batch_dims", 1, "int32", 0)),  # GatherOptions
    27: (("keep_dims", 0, "bool", False),),  # ReducerOptions
    28: ((_ACTIVATION, 0, "activation", 0),),  # SubOptions
    29: ((_ACTIVATION, 0, "activation", 0),),  # DivOptions
    30: (("squeeze_dims", 0, "int32s", ()),),  # SqueezeOptions
    32: (  # StridedSliceOptions
        ("begin_mask", 0, "int32", 0),
        ("end_mask", 1, "int32", 0),
        ("ellipsis_mask", 2, "int32", 0),
        ("new_axis_mask", 3, "int32", 0),
        ("shrink_axis_mask", 4, "int32", 0),
        ("offset", 5, "bool", False),
    ),
    35: (("num_splits", 0, "int32", 0),),  # SplitOptions
    59: (("values_count", 0, "int32", 0), ("axis", 1, "int32", 0)),  # PackOptions
    64: (("num", 0, "int32", 0), ("axis", 1, "int32", 0)),  # UnpackOptions
    75: (("alpha", 0, "float32", 0.0),),  # LeakyReluOptions
    77: (("mode", 0, "mirror_mode", 0),),  # MirrorPadOptions
    79: (("num_splits", 0, "int32", 0),),  # SplitVOptions
    92: (("then_subgraph_index", 0, "int32", 0), ("else_subgraph_index", 1, "int32", 0)),  # IfOptions
    101: (("adj_x", 0, "bool", False), ("adj_y", 1, "bool", False)),  # BatchMatMulOptions
}

OPTIONS_OF = {
    **{"CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "AVERAGE_POOL_2D": 5, "MAX_POOL_2D": 5, "FULLY_CONNECTED": 8},
    **{"SOFTMAX": 9, "CONCATENATION": 10, "ADD": 11, "RESHAPE": 17, "MUL": 21, "GATHER": 23, "SUB": 28, "DIV": 29},
    **{name: 27 for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")},
    **{"SQUEEZE": 30, "STRIDED_SLICE": 32, "SPLIT": 35, "PACK": 59, "UNPACK": 64, "LEAKY_RELU": 75},
    **{"MIRROR_PAD": 77, "SPLIT_V": 79, "IF": 92, "BATCH_MATMUL": 101},
}
"""Operator -> number of its options. A file may leave the options of an operator out: then the defaults hold."""
