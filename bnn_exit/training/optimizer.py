"""Optimisers that suit binary weights, the learning-rate schedule, and weight decay."""

from __future__ import annotations

import math

from bnn_exit._keras import keras, larq, tf
from bnn_exit.models.binary_ops import BINARY_PREFIX
from bnn_exit.settings.training import TrainConfig


def make_optimizer(config: TrainConfig) -> keras.optimizers.legacy.Optimizer:
    """The optimiser named in `config`; its learning rate is set before every step with `set_learning_rate`."""
    # Keras's legacy optimisers, because Larq's work with no others.
    adam = keras.optimizers.legacy.Adam(config.learning_rate)
    if config.optimizer == "adam":
        return adam
    # Bop has no learning rate: a sign flips when the running mean of its gradient (gamma) exceeds a threshold.
    bop = larq.optimizers.Bop(threshold=1e-7, gamma=1e-3)
    return larq.optimizers.CaseOptimizer((_is_binary_kernel, bop), default_optimizer=adam)


def set_learning_rate(optimizer: keras.optimizers.legacy.Optimizer, rate: float) -> None:
    """Set the rate of Adam, alone or inside a CaseOptimizer."""
    getattr(optimizer, "default", optimizer).learning_rate.assign(rate)


def learning_rate(step: int, *, total_steps: int, config: TrainConfig) -> float:
    """A linear rise over the warm-up, times half a cosine from the peak at step 0 to 0 at `total_steps`."""
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * step / total_steps))


def decay_kernels(variables: list[tf.Variable], *, amount: tf.Tensor) -> None:
    """Shrink the float kernels among `variables` by the share `amount`: not binary ones, scales, slopes or biases."""
    kernels = [
        variable
        for variable in variables
        if "kernel" in variable.name.rpartition("/")[2] and not _is_binary_kernel(variable)
    ]

    def shrink(strategy: tf.distribute.Strategy, amount: tf.Tensor) -> None:
        for kernel in kernels:
            strategy.extended.update(kernel, lambda copy, share: copy.assign_sub(share * copy), args=(amount,))

    # A replica may not change its copy of a variable by itself: all change theirs together.
    tf.distribute.get_replica_context().merge_call(shrink, args=(amount,))


def _is_binary_kernel(variable: object) -> bool:
    name = str(getattr(variable, "name", ""))
    # Networks that were made elsewhere have other names, but Larq marks what it quantizes.
    quantized = isinstance(variable, larq.quantized_variable.QuantizedVariable) and variable.precision == 1
    return "/kernel" in name and (BINARY_PREFIX in name or quantized)
