"""Training on several devices or machines through tf.distribute, with the result of one.

A strategy holds a copy of the network on each replica. Every batch is split over the replicas in equal parts, gradients
are summed, and BatchNorm takes its statistics from the whole batch. So the weights are those of one process but for
rounding, with one known difference: the moving variances lack Bessel's correction, n / (n - 1) for n values a channel.

A network and its objective are made within `Distribution.scope`; `fit` then does the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bnn_exit._keras import keras, larq, tf
from bnn_exit.errors import ArgumentError, BnnExitError, one_of
from bnn_exit.models.network import Network

STRATEGIES = ("mirrored", "multiworker")
_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


class Distribution:
    """The strategy that a network was made under, for the training loop.

    Args:
        strategy: TensorFlow's default one leaves everything as it is.

    Attributes:
        writes: whether this process is the one that writes files and reports.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self._strategy = strategy
        self._alone = not isinstance(
            strategy, (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)
        )
        self.writes = bool(strategy.extended.should_checkpoint)

    @classmethod
    def start(cls, name: str | None) -> Distribution:
        """The one called `name`; call it before anything else of TensorFlow.

        Args:
            name: "mirrored": all GPUs of this machine, or its logical CPUs if it has none. "multiworker": the machines
                that TF_CONFIG lists, each running the same command as a worker of its own; waits until all are there.
                None: this process alone.

        Raises:
            ArgumentError: an unknown name, or a TF_CONFIG that is missing or wrong.
            BnnExitError: the workers could not be joined.
        """
        if name is None:
            return cls(tf.distribute.get_strategy())
        if one_of("--distribute", name, STRATEGIES) == "mirrored":
            return cls(tf.distribute.MirroredStrategy())
        _check_cluster()
        try:
            return cls(tf.distribute.MultiWorkerMirroredStrategy())
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise BnnExitError(f"the workers in TF_CONFIG could not be joined: {_first_line(error)}") from error

    @classmethod
    def of(cls, network: Network) -> Distribution:
        """The distribution of a network; its BatchNorm layers are set to take the statistics of whole batches."""
        strategy = network.keras_model.distribute_strategy
        if strategy.num_replicas_in_sync > 1:
            for layer in network.keras_model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    # The fused kernel knows its own replica only.
                    layer.synchronized, layer.fused = True, False
        return cls(strategy)

    def __str__(self) -> str:
        """Text for a line about a run; empty for a single process."""
        return "" if self._alone else f", {self._strategy.num_replicas_in_sync} replicas"

    def check_batch(self, batch_size: int, *, clips: int | None = None) -> None:
        """ArgumentError if a batch, of all `clips` if they are fewer, cannot be split into a part for each replica."""
        replicas, few = self._strategy.num_replicas_in_sync, clips is not None and clips < batch_size
        size = clips if clips is not None and few else batch_size
        if size % replicas:
            parts = size // replicas if few else round(size / replicas)
            given = f"{size} (all training clips)" if few else str(size)
            raise ArgumentError(
                f"batch_size is {given}, but must be a multiple of the {replicas} replicas, such as "
                f"{max(1, parts) * replicas}"
            )

    def scope(self) -> contextlib.AbstractContextManager:
        """Where variables are made that a step changes."""
        return contextlib.nullcontext() if self._alone else self._strategy.scope()

    def epoch(self, dataset: Callable[[np.ndarray, int], tf.data.Dataset], order: np.ndarray, batch_size: int) -> Any:
        """An iterator of full batches; `dataset(order, size)` gives those of some clips."""
        if self._alone:
            return iter(dataset(order, batch_size))
        self.check_batch(batch_size)
        whole = order[: len(order) // batch_size * batch_size]

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            parts = whole.reshape(-1, context.num_input_pipelines, batch_size // context.num_input_pipelines)
            mine = parts[:, context.input_pipeline_id].ravel()
            # An endless dataset saves the check, at every step, whether all workers still have a batch.
            return dataset(mine, context.get_per_replica_batch_size(batch_size)).repeat()

        return iter(self._strategy.distribute_datasets_from_function(of_worker))

    def share(self, objective: Callable[..., Any]) -> Callable[..., Any]:
        """The objective of a part of a batch: its share of the mean over all, so that sums are the whole batch's."""
        replicas = self._strategy.num_replicas_in_sync
        if replicas == 1:
            return objective

        def part(*batch: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            loss, logits = objective(*batch)
            return loss / replicas, logits

        return part

    def step(self, step: Callable[..., tuple[tf.Tensor, tf.Tensor]]) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        """A step on every replica at once; `step` gives a share of the loss and an accuracy."""
        if self._alone:
            return step

        @tf.function
        def run(*batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
            loss, accuracy = self._strategy.run(step, args=batch)
            total = self._strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)
            return total, self._strategy.reduce(tf.distribute.ReduceOp.MEAN, accuracy, axis=None)

        return run

    def run(self, function: Callable[[], Any]) -> None:
        """Call `function`, which may change variables, on every replica."""
        if self._alone:
            function()
            return

        # What an optimiser returns is an operation, which cannot leave a graph.
        def silently() -> None:
            function()

        @tf.function
        def everywhere() -> None:
            self._strategy.run(silently)

        everywhere()

    def local(self, variables: Sequence[tf.Variable]) -> list[tf.Variable]:
        """The first copy here of each variable; to read a mean over all of them would need every worker."""
        if self._alone:
            return list(variables)
        # Larq wraps the variables of quantized kernels. (Any attribute of another variable may read the mean.)
        wrapped = larq.quantized_variable.QuantizedVariable
        plain = [variable.latent_variable if isinstance(variable, wrapped) else variable for variable in variables]
        return [self._strategy.experimental_local_results(variable)[0] for variable in plain]

    def wait(self) -> None:
        """Until every worker is here."""
        if not self._alone:
            self._strategy.reduce(tf.distribute.ReduceOp.SUM, self._strategy.run(lambda: tf.ones([])), axis=None)

    @contextlib.contextmanager
    def naming_lost_workers(self) -> Iterator[None]:
        """What TensorFlow raises when another worker is gone becomes one line."""
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
            if self._alone:
                raise
            raise BnnExitError("another worker is gone: start all of them again with --resume") from error


def _check_cluster() -> None:
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise ArgumentError(f"--distribute multiworker needs the environment variable TF_CONFIG, such as {_EXAMPLE}")
    try:
        values = json.loads(text)
        addresses, task = values["cluster"], values["task"]
        right = 0 <= task["index"] < len(addresses[task["type"]])
    except (json.JSONDecodeError, KeyError, TypeError):
        right = False
    if not right:
        raise ArgumentError(f"TF_CONFIG is {text!r}, but must list all workers and the index of this one: {_EXAMPLE}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
