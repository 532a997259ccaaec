"""What a network computes, by kind of operator: the work that a device's rates turn into time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bnn_exit.model_file import flatbuffer

KINDS = {
    "binary_macs": "multiply-accumulates of binary convolutions",
    "conv_macs": "multiply-accumulates of float convolutions",
    "depthwise_macs": "multiply-accumulates of depthwise convolutions",
    "dense_macs": "multiply-accumulates of dense layers",
    "values": "values that binary convolutions give: each goes through activation, normalisation and shortcut",
    "layers": "layers that multiply, each of which takes time to begin",
}
"""Kind of work -> what it counts, for one clip. Additions and pooling follow the layers that multiply, and are in their
rates."""

Work = Mapping[str, int]
"""Kind -> how much of it; every name in KINDS."""

_FLOATS = {"CONV_2D": "conv_macs", "DEPTHWISE_CONV_2D": "depthwise_macs", "FULLY_CONNECTED": "dense_macs"}


def none() -> dict[str, int]:
    """No work at all."""
    return dict.fromkeys(KINDS, 0)


def together(*parts: Work) -> dict[str, int]:
    """The sum of some work."""
    return {kind: sum(part[kind] for part in parts) for kind in KINDS}


def of_file(model: flatbuffer.Model, *, exits: int) -> tuple[Work, ...] | None:
    """The work of leaving at each exit of a model file, cumulative; None where its exits are not one inside the other.

    Args:
        model: the file; its main graph holds the first stage and head, the deeper branch of its IF the next ones.
        exits: how many it has.

    Example:
        >>> of_file(reader.read("model.tflite").model, exits=2)[0]["binary_macs"]
        29491200
    """
    found: list[Work] = []
    total, index = none(), 0
    while True:
        subgraph = model.subgraphs[index]
        total = together(total, _of_subgraph(subgraph))
        found.append(total)
        forks = [operator for operator in subgraph.operators if operator.name == "IF"]
        if not forks:
            break
        if len(forks) > 1:
            return None
        # The branch of a clip that leaves computes nothing.
        index = max(flatbuffer.branches(forks[0]), key=lambda branch: len(model.subgraphs[branch].operators))
    return tuple(found) if len(found) == exits else None


def _of_subgraph(subgraph: flatbuffer.Subgraph) -> Work:
    work = none()
    for operator in subgraph.operators:
        binary = operator.name == "LceBconv2d"
        if not binary and operator.name not in _FLOATS:
            continue
        output = subgraph.tensors[operator.outputs[0]].shape
        weights = subgraph.tensors[operator.inputs[1]].shape
        work["layers"] += 1
        if binary:
            filters, height, width, words = weights
            channels = int(operator.options["channels_in"])
            groups = math.ceil(channels / 32) // words  # a grouped filter holds the words of its own channels alone
            work["binary_macs"] += math.prod(output[:3]) * filters * height * width * channels // groups
            # A result that is packed again has words of 32 channels in its shape, but as many values.
            work["values"] += math.prod(output[:3]) * filters
        elif operator.name == "DEPTHWISE_CONV_2D":
            work["depthwise_macs"] += math.prod(output[:3]) * math.prod(weights)
        else:
            work[_FLOATS[operator.name]] += math.prod(output[:-1]) * math.prod(weights)
    return work
