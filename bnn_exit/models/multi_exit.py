"""A network with exits: the stages of a backbone, a head after each, and the Keras model that trains them jointly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras, tf
from bnn_exit.calibration import operator_work
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError
from bnn_exit.models import half_precision, profile, registry
from bnn_exit.models.binary_ops import check_binary
from bnn_exit.models.exit_heads import exit_heads, reads_logits
from bnn_exit.models.foreign_layers import count_binary
from bnn_exit.models.gradient_scale import shared_gradient
from bnn_exit.models.hidden_layer import usual_units, with_hidden_layer
from bnn_exit.models.level import with_levels
from bnn_exit.models.network import Network
from bnn_exit.models.precision import with_precision
from bnn_exit.settings.model import ModelConfig


class MultiExitModel(Network):
    """Stages and heads that share one set of weights with `keras_model`.

    Attributes:
        stages: stage k maps the features of stage k-1 (the first: log-mel `[batch, frames, mels, 1]`) to its own. A
            stage may give more tensors after its features, which no head reads; the next one then takes all of them, in
            this order.
        heads: head k maps the features of stage k to logits `[batch, classes]`. Any but the first may have a second
            input: the logits of the exit before. Their gradient is stopped, so that no exit is trained for the next.
        chained: whether a head reads the logits of the exit before. Then every earlier head is always executed.
        features: what each stage gives, as inner tensors of `keras_model`.
        config: how it was built, or None for a network made elsewhere.
        num_binary_layers: how many layers LCE will compute on bits.

    Args:
        stages, heads, config: as above.
        foreign: the layers were made elsewhere: those that stay float are counted as float, not refused.
    """

    def __init__(
        self,
        stages: list[keras.Model],
        heads: list[keras.Model],
        *,
        config: ModelConfig | None = None,
        foreign: bool = False,
    ) -> None:
        if len(stages) != len(heads) or not stages:
            raise ArgumentError(
                f"a network with exits needs at least one stage, each with a head; got {len(stages)} "
                f"stages and {len(heads)} heads"
            )
        _check_inputs(heads)
        self.stages, self.heads, self.config, self._foreign = stages, heads, config, foreign
        self.chained = any(map(reads_logits, heads))
        source = keras.Input(stages[0].input_shape[1:], name="log_mel")
        carried = [source]
        logits: list[keras.KerasTensor] = []
        self.features: list[keras.KerasTensor] = []
        for index, (stage, head) in enumerate(zip(stages, heads, strict=True)):
            reached, *more = through(stage, carried)
            self.features.append(reached)
            # A tensor that three layers read gets its gradient as a sum of three, which TensorFlow adds in whatever
            # order they come; with the identity there are two sums of two, and a run can be repeated bit for bit.
            if config and config.boost:
                for_head, for_stage = shared_gradient(reached, deeper=len(stages) - 1 - index)
            else:
                for_head, for_stage = reached, tf.identity(reached)
            before = [tf.stop_gradient(logits[-1])] if reads_logits(head) else []
            logits.append(head([for_head, *before] if before else for_head))
            carried = [for_stage, *more]
        super().__init__(keras.Model(source, logits, name="multi_exit"))
        # A float layer that was meant to be binary would be found only in the size and speed of the exported file.
        if self.precision == "binary":
            self.num_binary_layers = (count_binary if foreign else check_binary)(self.keras_model)
        else:
            self.num_binary_layers = 0

    @property
    def precision(self) -> str:
        """A name in `precision.PRECISIONS`."""
        return self.config.precision if self.config else "binary"

    def with_exits(self, exit_indices: Sequence[int]) -> MultiExitModel:
        """The network with these exits only, without the stages after the last of them; it shares its weights with
        this.

        Stages between two of these exits become one, and the other heads are dropped. The outputs of these exits stay
        the same.

        Args:
            exit_indices: at least two exits, 0-based and rising. `bnn_exit.calibration.exit_subsets` finds the best.
                Of a chained network only the first ones, because the next head reads the logits of each.

        Raises:
            ArgumentError: fewer than two, not rising, out of range, or others than the first of a chained network.
        """
        chosen = list(exit_indices)
        if len(chosen) < 2 or chosen != sorted(set(chosen)) or chosen[0] < 0 or chosen[-1] >= self.num_exits:
            raise ArgumentError(
                f"exit_indices is {chosen}, but must be at least two of 0 to {self.num_exits - 1}, rising"
            )
        if self.chained and chosen != list(range(len(chosen))):
            raise ArgumentError(
                f"exit_indices is {chosen}, but heads of this network read the logits of the exit before, so they must "
                f"be the first ones, such as {list(range(len(chosen)))}"
            )
        stages, begin = [], 0
        for index in chosen:
            stages.append(_joined(self.stages[begin : index + 1], name=f"stages_{begin + 1}_to_{index + 1}"))
            begin = index + 1
        return MultiExitModel(
            stages, [self.heads[index] for index in chosen], config=self.config, foreign=self._foreign
        )

    def truncated(self, exit_index: int) -> MultiExitModel:
        """The network that ends at an exit: its stages so far and its head alone, sharing weights with this.

        It is static: it has one exit, which always answers, and neither thresholds nor the stages and heads that no
        longer matter (depth pruning: De Leon and Atienza 2022, "Depth Pruning with Auxiliary Networks for TinyML",
        arXiv 2204.10546, without training). The output of the exit stays the same.

        Args:
            exit_index: 0-based. An earlier exit is faster, smaller and usually less accurate; the last one gives the
                plain network without early exits.

        Raises:
            ArgumentError: no such exit, or one whose head reads the logits of the exit before.

        Example:
            >>> small = model.truncated(0)
            >>> small.num_exits
            1
        """
        if not 0 <= exit_index < self.num_exits:
            raise ArgumentError(f"exit_index is {exit_index}, but must be 0 to {self.num_exits - 1}")
        if reads_logits(self.heads[exit_index]):
            raise ArgumentError(
                f"exit_index is {exit_index}, but that head reads the logits of the exit before: only the first exit "
                "of such a network can stand alone"
            )
        stages = self.stages[: exit_index + 1]
        return MultiExitModel(
            [_joined(stages, name=f"stages_1_to_{exit_index + 1}")],
            [self.heads[exit_index]],
            config=self.config,
            foreign=self._foreign,
        )

    def with_hidden_layers(self, units: int | None = None) -> MultiExitModel:
        """The network with a hidden layer in every head but the last: it gives the same logits, up to rounding.

        A head that is linear in what it reads can learn little more where the stages stay as they are, as in `adapt`.
        Stages, the last head and all layers before the hidden ones are shared with this network.

        Args:
            units: of each hidden layer, at least two for each class; None: 64, and two for each class where that is
                more. More fit closer, and are slower and larger.

        Raises:
            ArgumentError: too few units.

        Example:
            >>> wide = model.with_hidden_layers()
            >>> history = bnn_exit.adapt(wide, log_mel, views=2, epochs=2)
        """
        units = usual_units(self.num_classes) if units is None else units
        heads = [*(with_hidden_layer(head, units) for head in self.heads[:-1]), self.heads[-1]]
        return MultiExitModel(self.stages, heads, config=self.config, foreign=self._foreign)

    def round_for_file(self) -> None:
        """Round the dense kernels of the heads to half precision, as the file holds them.

        Only a binary network becomes a file; another one keeps its weights.
        """
        if self.precision == "binary":
            for head in self.heads:
                half_precision.round_dense_kernels(head)

    def costs(self) -> tuple[Cost, ...]:
        """The cost of leaving at each exit: its stages so far and every head that was run."""
        total, costs = Cost(0, 0), []
        for stage, head in zip(self.stages, self.head_costs(), strict=True):
            total = total + profile.cost(stage) + head
            costs.append(total)
        return tuple(costs)

    def work(self) -> tuple[operator_work.Work, ...]:
        """What leaving at each exit takes, cumulative, by kind of operator."""
        total, found = operator_work.none(), []
        for stage, head in zip(self.stages, self.heads, strict=True):
            total = operator_work.together(total, profile.work(stage), profile.work(head))
            found.append(total)
        return tuple(found)

    def exit_costs(self) -> ExitCosts:
        """The costs of the exits and of their heads."""
        return ExitCosts(self.costs(), self.head_costs(), chained=self.chained)

    def head_costs(self) -> tuple[Cost, ...]:
        """The cost of each head alone: what an exit adds, whether or not clips leave at it."""
        return tuple(profile.cost(head) for head in self.heads)


def _check_input(shape: tuple[int, ...], *, levels: str) -> None:
    if len(shape) == 3 and shape[1] == 1 and shape[0] >= 32 and shape[2] >= 1:
        if levels != "kept":
            raise ArgumentError(f"levels is {levels!r}, but values have no level as sound has: use 'kept'")
    elif len(shape) != 3 or shape[2] != 1 or min(shape[:2]) < 32:
        raise ArgumentError(
            f"input_shape is {shape}, but must be (frames, mels, 1) with at least 32 frames and 32 mels, or "
            "(samples, 1, channels) with at least 32 samples"
        )


def _check_inputs(heads: Sequence[keras.Model]) -> None:
    for index, head in enumerate(heads):
        most = 2 if index else 1
        if len(head.inputs) > most:
            raise ArgumentError(
                f"head {index + 1} has {len(head.inputs)} inputs, but must have the features of its stage and, unless "
                "it is the first, at most the logits of the exit before"
            )


def _joined(stages: Sequence[keras.Model], *, name: str) -> keras.Model:
    """One model that runs them all."""
    if len(stages) == 1:
        return stages[0]
    sources = carried = [keras.Input(source.shape[1:]) for source in stages[0].inputs]
    for stage in stages:
        carried = through(stage, carried)
    return keras.Model(_alone(sources), _alone(carried), name=name)


def through(stage: keras.Model, carried: Sequence[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """What a stage gives for what the one before gave: its features, then the tensors that the next one takes as well.

    Args:
        stage: of any number of inputs and outputs.
        carried: as many tensors as it has inputs.
    """
    given = stage(_alone(carried))
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _alone(tensors: Sequence[keras.KerasTensor]) -> Any:
    """One tensor as itself, several as a list: a Keras model of one input or output then has no list of shapes."""
    return tensors[0] if len(tensors) == 1 else list(tensors)


def build(
    backbone: str = "quicknet",
    *,
    num_classes: int,
    input_shape: tuple[int, int, int],
    size: str = "base",
    head: str = "grid",
    precision: str = "binary",
    levels: str = "kept",
    boost: float = 0.0,
    blocks: Sequence[int] = (),
    channels: Sequence[int] = (),
    halving: Sequence[bool] = (),
    stem_channels: int = 0,
) -> MultiExitModel:
    """A new network with an exit after every stage.

    Args:
        backbone: a name in BACKBONES.
        num_classes: at least 2.
        input_shape: as `task.input_shape`: (frames, mels, 1), at least 32 frames and 32 mels; or of values (samples, 1,
            channels), at least 32 samples, whose convolutions are one-dimensional.
        size: "small", "base" or "large"; larger is more accurate and slower. QuickNet also has "medium", between small
            and base, and for coarse features "tiny", of the fewest bytes, and "deep", with more blocks than base;
            both have "micro" for values of sensors.
        head: a name in HEADS: "grid" keeps coarse position, "pooled" is the smallest, "strided" has no convolution
            across channels, "auxiliary" does the most work, "cascaded" is "grid" and also reads the logits of the exit
            before, "early_view" is "strided" with a clone of the first exit's kernel in the last one.
        precision: "binary", "real_weights" (binary activations) or "float", the full-precision twin. Weights have one
            order and shape in all three; only a binary network can be exported.
        levels: "kept", or "normalised": the network brings every clip to one level first, and so recognises clips up
            to 40 dB quieter than those of the training split. Features with a `log_offset` of 1e-10 suit it best.
        boost: 0 is off; above it, up to 1, each exit adds this part of the logits of the exit before to its own, as in
            boosting, and the gradient of each stage is a mean over later exits (Yu et al. 2023; 0.5 there). Larger
            trusts earlier exits more. Any head can be boosted.
        blocks: of each stage, one number of at least 1 for each, such as (2, 3, 4); empty: those of the size. More are
            more accurate and slower.
        channels: of each stage; empty: those of the size. With blocks of the same length there may be any number of
            stages from 2 on. More are more accurate and slower, multiples of 64 the fastest for what they compute.
        halving: for each stage, whether it starts by halving time and frequency, which is faster and less accurate.
        stem_channels: of the first convolution, a divisor of the first stage's channels; 0: those of the size. More
            are more accurate and slower.

    Raises:
        ArgumentError: an unknown name, a boost out of range, blocks for another number of stages, too few classes, an
            input too small to halve in every stage, or a layer that is declared binary and is not.
    """
    config = ModelConfig(
        backbone=backbone,
        size=size,
        head=head,
        precision=precision,
        levels=levels,
        boost=boost,
        blocks=tuple(blocks),
        channels=tuple(channels),
        halving=tuple(halving),
        stem_channels=stem_channels,
    )
    if num_classes < 2:
        raise ArgumentError(f"num_classes is {num_classes}, but a classifier needs at least 2")
    _check_input(tuple(input_shape), levels=levels)
    binary = registry.backbone(backbone)(tuple(input_shape), size=size, blocks=config.blocks, **config.own_stages)
    rebuilt: dict[keras.layers.Layer, keras.layers.Layer] = {}
    stages = [with_precision(stage, precision, rebuilt=rebuilt) for stage in binary]
    stages[0] = with_levels(stages[0], levels)
    return MultiExitModel(stages, exit_heads(head, stages, num_classes, boost=boost), config=config)
