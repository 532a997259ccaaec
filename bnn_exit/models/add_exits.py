"""Exits for a classifier that was made elsewhere: a Larq or Keras model, Larq Zoo's included."""

from __future__ import annotations

import difflib
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

from bnn_exit._keras import keras, tf
from bnn_exit.errors import ArgumentError
from bnn_exit.models import profile, registry
from bnn_exit.models.calls import calls
from bnn_exit.models.exit_heads import exit_heads
from bnn_exit.models.multi_exit import MultiExitModel


def add_exits(
    keras_model: keras.Model, *, at: Sequence[str], head: str = "grid", num_classes: int | None = None
) -> MultiExitModel:
    """A network with an exit after each of the named layers, and the model's own classifier as the last exit.

    The model is cut at these layers into stages, each a Keras model from the features of the one before. The result has
    its weights, as a copy: training one does not change the other. The new heads have yet to be trained. Training and
    export need a model of log-mel `(frames, mels, 1)`; other inputs can be cut, counted and run in Keras. Losses of the
    model's own, such as weight decay by regularisers, are not used.

    Args:
        keras_model: functional or Sequential, with one input `[batch, height, width, channels]` of floats and fixed
            size. It ends in logits or a softmax `[batch, classes]`, or in features `[batch, height, width, channels]`
            (Larq Zoo's include_top=False). A softmax at the end is taken off: exits give logits.
        at: names of layers, in any order; `cut_points` lists the possible ones.
        head: a name in `bnn_exit.settings.model.HEADS`, for the exits that are added.
        num_classes: needed if the model ends in features; its last exit then gets a head, too.

    Raises:
        ArgumentError: a model of another form, an unknown name, a layer that something passes by (the message names the
            nearest ones to cut at), two cuts without work between them, or a layer whose cost cannot be counted.

    Warns:
        UserWarning: one line on quantized layers that LCE leaves in float (they are counted so), or runs slowly.
    """
    registry.head(head)
    if not isinstance(at, (list, tuple)) or not at:
        raise ArgumentError(f"at is {at!r}, but must be a list of at least one layer name")
    model = _logits_model(keras_model)
    classes = _num_classes(model, num_classes)
    cuts = _cuts(model)
    names = _in_order(model, cuts, at)
    if len(model.outputs[0].shape) == 4:
        end, classifier = model.outputs[0], None
    else:
        # The classifier of the last exit begins where the model last has a map of features.
        end = cuts[list(cuts)[-1]]
        classifier = keras.Model(end, model.outputs[0])
    stages = _stages([model.inputs[0], *(cuts[name] for name in names), end], ["its input", *names, "its classifier"])
    heads = exit_heads(head, stages, classes, first_is_first=False)
    return MultiExitModel(stages, [*heads[:-1], classifier or heads[-1]], foreign=True)


def cut_points(keras_model: keras.Model) -> list[str]:
    """Names of the layers that `add_exits` can put an exit after, in order of depth: what follows reads them alone."""
    return list(_cuts(_logits_model(keras_model)))


def _logits_model(model: keras.Model) -> keras.Model:
    """A copy of the model, weights included, without the softmax at its end."""
    if not isinstance(model, keras.Model) and any(base.__module__.startswith("keras.") for base in type(model).__mro__):
        raise ArgumentError(
            "keras_model is a Keras 3 model, but Larq needs Keras 2: build it with bnn_exit._keras.keras"
        )
    if not isinstance(model, keras.Model) or not model._is_graph_network:
        raise ArgumentError(
            f"keras_model is a {type(model).__name__}, but must be a functional or a built Sequential Keras model: "
            "one whose layers are known"
        )
    _check_ends(model)
    last = model.outputs[0].node.layer
    ending = _activation(last)
    if len(model.outputs[0].shape) == 2 and ending not in ("linear", "softmax"):
        raise ArgumentError(
            f"keras_model ends in {ending}, but exits need logits: let its last layer {last.name!r} end in a softmax "
            "or no activation"
        )
    try:
        # Keras warns of initialisers that are functions; the copy gets its weights anyway.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copy = keras.models.clone_model(model, clone_function=lambda layer: _copied(layer, linear=layer is last))
    except ArgumentError:
        raise
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ArgumentError(f"keras_model cannot be copied, because a layer's get_config is wrong: {reason}") from error
    for layer in model.layers:
        copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _check_ends(model: keras.Model) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ArgumentError(
            f"keras_model has {len(model.inputs)} inputs and {len(model.outputs)} outputs, but must have one of each"
        )
    source, result = model.inputs[0], model.outputs[0]
    if len(source.shape) != 4 or None in source.shape[1:] or not source.dtype.is_floating:
        raise ArgumentError(
            f"keras_model takes {source.dtype.name} {tuple(source.shape)}, but must take floats "
            "(batch, height, width, channels) of a fixed size"
        )
    if len(result.shape) not in (2, 4):
        raise ArgumentError(
            f"keras_model gives {tuple(result.shape)}, but must give (batch, classes), or features "
            "(batch, height, width, channels)"
        )


def _activation(layer: keras.layers.Layer) -> str:
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if isinstance(layer, keras.Model):
        return _activation(layer.outputs[0].node.layer)
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def _copied(layer: keras.layers.Layer, *, linear: bool) -> keras.layers.Layer:
    """A new layer with the same settings; `linear`: without its softmax."""
    if linear and _activation(layer) == "softmax":
        if isinstance(layer, keras.Model):
            raise ArgumentError(f"keras_model ends in the model {layer.name!r} with a softmax: let it give logits")
        if isinstance(layer, (keras.layers.Softmax, keras.layers.Activation)):
            return keras.layers.Activation("linear", name=layer.name)
        return type(layer).from_config({**layer.get_config(), "activation": "linear"})
    return type(layer).from_config(layer.get_config())


def _num_classes(model: keras.Model, given: int | None) -> int:
    shape = model.outputs[0].shape
    if len(shape) == 4:
        if given is None or given < 2:
            raise ArgumentError(
                f"num_classes is {given}, but must be at least 2: keras_model ends in features {tuple(shape)}"
            )
        return given
    if shape[1] is None or shape[1] < 2 or given not in (None, shape[1]):
        raise ArgumentError(
            f"num_classes is {given}, and keras_model ends in {shape[1]} classes: they must be the same and at least "
            "2; for others give the model without its classifier (Larq Zoo's include_top=False)"
        )
    return int(shape[1])


def _cuts(model: keras.Model) -> dict[str, Any]:
    """Layer -> its features, for each layer that cuts the model into two parts which share only its features."""
    nodes = calls(model)
    before: dict[int, set[int]] = {id(model.inputs[0]): set()}
    for node in nodes:
        reads = {id(source) for source in node.keras_inputs}
        known = reads.union(*(before[source] for source in reads))
        before |= {id(result): known for result in _results(node)}
    cuts = {}
    for node in nodes:
        results = _results(node)
        if len(results) != 1 or len(results[0].shape) != 4 or results[0] is model.outputs[0]:
            continue
        (features,) = results
        inside = before[id(features)]
        passed_by = any(
            id(source) in inside
            for later in nodes
            if later is not node and id(_results(later)[0]) not in inside
            for source in later.keras_inputs
        )
        # A layer that is called twice has no single position.
        if not passed_by and sum(other.layer is node.layer for other in nodes) == 1:
            cuts[node.layer.name] = features
    return cuts


def _results(node: Any) -> list[Any]:
    return tf.nest.flatten(node.outputs)


def _in_order(model: keras.Model, cuts: dict[str, Any], at: Sequence[str]) -> list[str]:
    order = [layer.name for layer in (node.layer for node in calls(model))]
    for name in at:
        if name in cuts:
            continue
        if name not in order:
            nearest = difflib.get_close_matches(str(name), list(cuts), n=1, cutoff=0.5) or list(cuts)[:1]
            raise ArgumentError(
                f"at has {name!r}, but keras_model has no such layer; nearest that can be cut at: "
                f"{', '.join(map(repr, nearest)) or 'none'} (bnn_exit.cut_points lists all {len(cuts)})"
            )
        place = order.index(name)
        earlier = [f"{cut!r} before it" for cut in cuts if order.index(cut) < place][-1:]
        later = [f"{cut!r} after it" for cut in cuts if order.index(cut) > place][:1]
        raise ArgumentError(
            f"at has {name!r}, but what follows this layer does not read its features alone: the nearest layers that "
            f"can be cut at are {' and '.join(earlier + later) or 'none'}"
        )
    if len(set(at)) != len(at):
        raise ArgumentError(f"at is {list(at)}, but must name each layer once")
    return sorted(at, key=order.index)


def _stages(points: list[Any], names: list[str]) -> list[keras.Model]:
    stages = []
    for index, (source, result) in enumerate(itertools.pairwise(points)):
        stage = None if source is result else keras.Model(source, result, name=f"stage_{index + 1}")
        if stage is None or profile.cost(stage).ops == 0:
            raise ArgumentError(
                f"at cuts where no convolution stands between {names[index]!r} and {names[index + 1]!r}: two exits "
                "would read the same features; leave one out"
            )
        stages.append(stage)
    return stages
