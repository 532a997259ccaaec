"""Stages and heads as one TensorFlow graph in which stages after the exit taken are not executed.

The graph nests one `tf.cond` in another, each deciding on the score of its exit. LCE turns a `tf.cond` into TFLite's
`IF`, whose branches are subgraphs of their own, so a branch that is not taken is not executed. Two things make that
work: every stage is frozen first, so its weights are constants; and a branch wraps the features it captures in
    `tf.identity`, so that the
constants of the stage stay inside the branch, where LCE can fold and bit-pack them.

With a skip gate each early head stands in a `tf.cond` of its own, inside the branch of its stage: the weights are there
once, and a clip that the gate sends on executes the stage without the head. Its score is then above every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnn_exit._keras import convert_variables_to_constants_v2, keras, tf
from bnn_exit.conversion import log_mel as tf_ops
from bnn_exit.conversion import scores
from bnn_exit.models.exit_heads import reads_logits
from bnn_exit.models.heads import flat_over_grid
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.policies import Policy, rule
from bnn_exit.settings.values import Features, sound_features

_NEVER = 3.0e38
"""A score above every threshold: of an exit whose head was not executed."""


@dataclass(frozen=True)
class _Frozen:
    """A model as a graph whose weights are constants."""

    graph_def: tf.compat.v1.GraphDef
    sources: tuple[str, ...]
    results: tuple[str, ...]

    def __call__(self, *inputs: tf.Tensor) -> list[tf.Tensor]:
        input_map = dict(zip(self.sources, inputs, strict=True))
        return tf.graph_util.import_graph_def(self.graph_def, input_map, return_elements=list(self.results))


def _freeze(model: keras.Model) -> _Frozen:
    specs = [tf.TensorSpec([1, *source.shape[1:]], tf.float32) for source in model.inputs]
    concrete = tf.function(lambda *inputs: model([*inputs], training=False)).get_concrete_function(*specs)
    frozen = convert_variables_to_constants_v2(concrete)
    sources, results = (tuple(tensor.name for tensor in tensors) for tensors in (frozen.inputs, frozen.outputs))
    return _Frozen(frozen.graph.as_graph_def(), sources, results)


def adaptive_graph(
    model: MultiExitModel, *, features: Features, input: str, clip_samples: int, policy: Policy
) -> tuple[tf.Graph, list[tf.Tensor], list[tf.Tensor]]:
    """The graph of the adaptive file with its inputs and outputs.

    Args:
        model: the trained network.
        features: used if the front end goes inside.
        input: what the file takes, one of `features.inputs`; with "waveform" the front end goes inside.
        clip_samples: samples of a clip.
        policy: fitted; gives probabilities and scores.

    Returns:
        (graph, inputs, outputs): inputs are the features `[1, *input_shape]` or waveform `[1, samples]`, and thresholds
        `[exits - 1]`, or `[exits]` with a skip gate; outputs are those in `reader.OUTPUTS`: `[1, classes]`, `[1]` int32
        and `[1]`.
    """
    stages, heads = [_freeze(stage) for stage in model.stages], [_freeze(head) for head in model.heads]
    last = model.num_exits - 1

    def asked(
        stage: int, reached: tf.Tensor, memory: tuple[tf.Tensor, ...], before: tuple[tf.Tensor, ...]
    ) -> tuple[scores.ExitOutput, list[tf.Tensor]]:
        decides_on_logits = policy.runs_heads or stage == last
        logits: list[tf.Tensor] = []
        # A policy that reads features does not need the head, but in a chained network the next head does.
        if decides_on_logits or model.chained:
            logits = heads[stage](reached, *(before if reads_logits(model.heads[stage]) else ()))
        values = logits[0] if decides_on_logits else flat_over_grid(reached)
        return scores.exit_output(policy, stage, values, memory, is_last=stage == last), logits

    def unless_skipped(
        stage: int, reached: tf.Tensor, thresholds: tf.Tensor, memory: tuple[tf.Tensor, ...]
    ) -> scores.ExitOutput:
        def skipped() -> tuple[tf.Tensor, ...]:
            return tf.zeros([1, model.num_classes]), tf.constant([_NEVER], tf.float32)

        def executed() -> tuple[tf.Tensor, ...]:
            output, _ = asked(stage, tf.identity(reached), memory, ())
            return tf.identity(output.probabilities()), tf.identity(output.score)

        probabilities, score = tf.cond(tf.reshape(memory[0] < thresholds[last], []), skipped, executed)
        return scores.ExitOutput(lambda: probabilities, score, memory)

    def run_from(
        stage: int,
        carried: list[tf.Tensor],
        thresholds: tf.Tensor,
        memory: tuple[tf.Tensor, ...],
        before: tuple[tf.Tensor, ...],
    ) -> tuple[tf.Tensor, ...]:
        reached, *more = stages[stage](*carried)
        if policy.skips() and stage == 0:
            memory = (scores.gate_score(policy, flat_over_grid(reached)),)
        logits: list[tf.Tensor] = []
        if policy.skips() and stage < last:
            output = unless_skipped(stage, reached, thresholds, memory)
        else:
            output, logits = asked(stage, reached, memory, before)

        def taken() -> tuple[tf.Tensor, ...]:
            return tuple(map(tf.identity, (output.probabilities(), tf.constant([stage], tf.int32), output.score)))

        if stage == last:
            return taken()
        return tf.cond(
            tf.reshape(output.score < thresholds[stage], []),
            taken,
            lambda: run_from(
                stage + 1,
                [*map(tf.identity, (reached, *more))],
                tf.identity(thresholds),
                tuple(map(tf.identity, output.memory)),
                tuple(map(tf.identity, logits if model.chained else ())),
            ),
        )

    def run(source: tf.Tensor, thresholds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        taken = tf_ops.log_mel(source, sound_features(features))[..., None] if input == "waveform" else source
        return run_from(0, [taken], thresholds, (), ())

    shape = [1, clip_samples] if input == "waveform" else [1, *model.input_shape]
    concrete = tf.function(run, autograph=False).get_concrete_function(
        tf.TensorSpec(shape, tf.float32, name=input),
        tf.TensorSpec([rule.num_thresholds(model.num_exits, skips=policy.skips())], tf.float32, name="thresholds"),
    )
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return frozen.graph, frozen.inputs, frozen.outputs
