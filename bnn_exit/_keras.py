"""The only door to TensorFlow: selects Keras 2, which Larq needs, before TensorFlow is loaded.

Every module of the training half imports `tf`, `keras` and `larq` from here.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator

import numpy as np

from bnn_exit.errors import BnnExitError, missing_package

# Read once by TensorFlow when it is imported; setting it later has no effect.
if "tensorflow" not in sys.modules:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    import tensorflow as tf
    import tf_keras as keras
    from tensorflow.lite.python import schema_py_generated as tflite_schema
    from tensorflow.python.autograph.core import config as autograph
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
except ImportError as error:
    raise missing_package("tensorflow", purpose="training or export", extra="train") from error

if tf.keras.Model is not keras.Model:
    raise BnnExitError(
        "TensorFlow is already loaded with Keras 3, which Larq cannot use: import bnn_exit before tensorflow, "
        "or set TF_USE_LEGACY_KERAS=1 in the environment"
    )

try:
    import larq
except ImportError as error:
    raise missing_package("larq", purpose="building binary networks", extra="train") from error

tf.get_logger().setLevel("ERROR")

# Keras and Larq need no rewriting by AutoGraph, which would take most of the time until the first step of a training.
# TensorFlow leaves `keras` out for that reason, but does not know Keras 2 under its new name.
autograph.CONVERSION_RULES = (*map(autograph.DoNotConvert, ("tf_keras", "larq")), *autograph.CONVERSION_RULES)

__all__ = [
    "convert_variables_to_constants_v2",
    "keras",
    "larq",
    "make_repeatable",
    "set_seed",
    "tf",
    "tflite_schema",
]


def set_seed(seed: int) -> None:
    """Seed every generator that new weights may draw from: Python's, NumPy's and TensorFlow's.

    Not `keras.utils.set_random_seed`: the generator that it installs fails on Python 3.12 (randint of a float).
    """
    random.seed(seed)
    np.random.seed(seed)
    tf.random.set_seed(seed)


def make_repeatable() -> None:
    """Have TensorFlow give the same bits every time, for the rest of the process; call it before the first step.

    `enable_op_determinism` alone does not: a sum of three gradients is added in whatever order its terms arrive. The
    arithmetic optimiser must not make such sums out of the sums of two that `MultiExitModel` asks for.
    """
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


@contextlib.contextmanager
def bfloat16_convolutions(wanted: bool) -> Iterator[None]:
    """Have graphs that run within compute their convolutions in bfloat16; afterwards in float32 again.

    Grappler casts their inputs; weights and their updates keep float32. Networks are validated and compared with their
    files outside, where a file computes in float32 too.
    """
    name = "auto_mixed_precision_onednn_bfloat16"
    tf.config.optimizer.set_experimental_options({name: wanted})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: False})
