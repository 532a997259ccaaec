"""From a trained network to the one file `model.tflite`, checked before it takes its place."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnn_exit import machine, policies
from bnn_exit._keras import tf
from bnn_exit.conversion import flatbuffer_edit, graph, parity
from bnn_exit.conversion.audit import Audit, audit, require_computed_outputs
from bnn_exit.errors import ArgumentError, ExportError, missing_package, one_of
from bnn_exit.files import write_bytes
from bnn_exit.model_file import flatbuffer, reader
from bnn_exit.model_file.metadata import METADATA_NAME, Metadata
from bnn_exit.model_file.operating_points import OperatingPoint, OperatingPoints
from bnn_exit.model_file.reader import OUTPUTS
from bnn_exit.models.heads import flat_over_grid
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.policies import Policy, Sizes
from bnn_exit.settings.values import ValuesConfig
from bnn_exit.task import TaskInfo
from bnn_exit.text import counted

_LEVEL = "every clip to one level"


def export(
    model: MultiExitModel,
    path: str | Path,
    *,
    task: TaskInfo,
    operating_points: Mapping[str, OperatingPoint],
    input: str | None = None,
    policy: Policy | None = None,
) -> Audit:
    """Write `model` as one file that LCE and the other backends run, stopping at the exit that is taken.

    Every installed backend is compared with the network before the file is written. A warning is given if no backend of
    a board runs it.

    Args:
        model: trained.
        path: of the file; replaced in one step once every check has passed.
        task: labels, clip length, features, licence and attribution go into the file. Its validation clips,
            or made ones where it has none at hand, are compared.
        operating_points: from `calibrate`; may be empty. Those of fewer exits make a file without the others.
        input: "log_mel" (smaller and faster where the device computes features anyway) or "waveform", which puts the
            front end into the file; of sensors "values". None: the first of those that the task's features allow.
        policy: fitted, the one that the operating points were chosen for; None takes theirs, if known, or the
            default. Class means of floats may make the file twice as large: a value for each class and feature.

    Returns:
        The audit: every operator of the file with its bits and bytes.

    Raises:
        ArgumentError: an unknown `input`, labels, features or a policy that do not fit the network or the operating
            points, or a network that is not binary.
        ExportError: LCE refused the network, a binary layer went float, or the outputs of the file differ from those of
            the network.
    """
    made = make(model, path, task=task, operating_points=operating_points, input=input, policy=policy)
    for note in made.parity.notes:
        warnings.warn(note, stacklevel=2)
    write_bytes(path, made.data)
    return made.audit


@dataclass(frozen=True)
class Export:
    """A file that passed every check.

    Attributes:
        data: its bytes.
        audit: every operator with its bits and bytes.
        parity: how each backend compares with the network.
    """

    data: bytes
    audit: Audit
    parity: parity.Parity


def make(
    model: MultiExitModel,
    path: str | Path,
    *,
    task: TaskInfo,
    operating_points: Mapping[str, OperatingPoint],
    input: str | None = None,
    policy: Policy | None = None,
) -> Export:
    """The file that `export` would write, checked; arguments and errors as there. Nothing is written to `path`."""
    input = one_of("input", input or task.features.inputs[0], task.features.inputs)
    require_binary(model.precision)
    if len(task.labels) != model.num_classes:
        raise ArgumentError(f"labels has {len(task.labels)} names, but the network has {model.num_classes} classes")
    shape = task.features.input_shape(task.clip_samples)
    if model.input_shape != shape:
        raise ArgumentError(
            f"the network takes {model.input_shape}, but the file would give it the task's features {shape}: only a "
            "network of this shape becomes a file"
        )
    if isinstance(operating_points, OperatingPoints):
        if policy is not None and policy != operating_points.policy:
            raise ArgumentError(
                f"policy is {policy.name}, but the operating points were chosen for {operating_points.policy.name}"
                f"{', fitted otherwise' if policy.name == operating_points.policy.name else ''}: leave it out"
            )
        policy = operating_points.policy
        if operating_points.exits is not None:
            model = model.with_exits(operating_points.exits)
    chosen = policy or policies.fit(policies.DEFAULT)
    data = convert(model, task=task, operating_points=operating_points, input=input, policy=chosen)
    parsed = flatbuffer.read(data)
    require_computed_outputs(parsed)
    report = audit(parsed, size=len(data))
    sizes = _sizes(model, chosen)
    own = [macs for index in range(model.num_exits - 1) if (macs := chosen.cost(index, sizes).binary_macs)]
    report.require_binary(
        layers=model.num_binary_layers + len(own), binary_macs=model.costs()[-1].binary_macs + sum(own)
    )
    file = reader.decode(data, place=Path(path))
    return Export(data, report, parity.check(model, file, task, policy=chosen))


def require_binary(precision: str) -> None:
    """ArgumentError unless networks of this precision become files; to be checked before anything takes long."""
    if precision != "binary":
        raise ArgumentError(f"the network's precision is {precision!r}, but only a binary one becomes a file")


def convert(
    model: MultiExitModel,
    *,
    task: TaskInfo,
    operating_points: Mapping[str, OperatingPoint],
    input: str,
    policy: Policy | None = None,
) -> bytes:
    """The bytes of the file; arguments as `export`."""
    chosen = policy or policies.fit(policies.DEFAULT)
    if not chosen.fits(exits=model.num_exits, classes=model.num_classes):
        raise ArgumentError(
            f"policy {chosen.name} was fitted for another network than this one of "
            f"{counted(model.num_exits, 'exit')} and {model.num_classes} classes: fit it on exit logits of this one"
        )
    tensors, inputs, outputs = graph.adaptive_graph(
        model, features=task.features, input=input, clip_samples=task.clip_samples, policy=chosen
    )
    metadata = Metadata(
        labels=tuple(task.labels),
        input=input,
        clip_samples=task.clip_samples,
        features=task.features,
        policy=chosen.name,
        exits=model.exit_costs().with_policy(chosen, _sizes(model, chosen)),
        operating_points=dict(operating_points),
        task=task.name,
        model=model.config.to_dict() if model.config else {},
        normalisation=_normalisation(model, task),
        licence=task.licence,
        attribution=task.attribution,
        writer=f"bnn_exit {machine.version()}",
        policy_settings=_settings(chosen),
    )
    return flatbuffer_edit.add_signature(
        _lce_flatbuffer(tensors, inputs, outputs),
        inputs=(input, "thresholds"),
        outputs=tuple(OUTPUTS),
        metadata={METADATA_NAME: metadata.to_json()},
    )


def _normalisation(model: MultiExitModel, task: TaskInfo) -> str:
    of_each = "channel" if isinstance(task.features, ValuesConfig) else "mel band"
    standardised = [f"mean and variance of each {of_each}"] if model.standardises else []
    steps = [*([_LEVEL] if model.normalises_level else []), *standardised]
    return f"{', then '.join(steps)}, first in the network" if steps else "none"


def _sizes(model: MultiExitModel, policy: Policy) -> Sizes:
    """What the work of a policy depends on."""
    flat = [flat_over_grid(reached) for reached in model.features] if policy.needs_features else []
    return Sizes(model.num_classes, tuple(int(each.shape[-1]) for each in flat))


def _settings(policy: Policy) -> dict[str, Any]:
    """What the policy learned, for the metadata. Means of features stand in the network alone: they are too many."""
    if not policy.runs_heads:
        return {}
    return {name: value for name, value in policy.to_dict().items() if name != "name"}


def _lce_flatbuffer(tensors: tf.Graph, inputs: list[tf.Tensor], outputs: list[tf.Tensor]) -> bytes:
    """LCE's converter on a graph. The GraphDef door, because the SavedModel one fails on what branches capture."""
    try:
        from larq_compute_engine.mlir.python.converter import convert_graphdef_to_tflite_flatbuffer
    except ImportError as error:
        raise missing_package("larq-compute-engine", purpose="export", extra="train") from error

    try:
        data = convert_graphdef_to_tflite_flatbuffer(
            tensors.as_graph_def().SerializeToString(),
            [tensor.op.name for tensor in inputs],
            ["DT_FLOAT"] * len(inputs),
            [tensor.shape.as_list() for tensor in inputs],
            [tensor.op.name for tensor in outputs],
            False,  # no integer quantisation
            "arm",
            None,
        )
    except Exception as error:  # the converter raises whatever its MLIR passes met
        raise ExportError(f"Larq Compute Engine could not convert the network: {error}") from error
    return bytes(data)
