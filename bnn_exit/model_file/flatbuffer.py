"""The network in a TFLite file as plain dataclasses, checked so far that no index in them is out of range."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bnn_exit.model_file import arity, header, schema
from bnn_exit.model_file.header import Signature, Values
from bnn_exit.model_file.options import builtin_options, custom_options
from bnn_exit.model_file.tables import FlatbufferTable, damaged, pick

MAX_STEPS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Operator:
    """One step of the network.

    Attributes:
        name: that of a builtin ("CONV_2D") or of a custom operator ("LceBconv2d").
        custom: it is not part of TFLite.
        inputs: indices of tensors; -1 stands for an optional input that is not given.
        outputs: indices of tensors.
        options: settings by name; enumerations as their names, such as padding "SAME".
    """

    name: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Subgraph(Values):
    """Operators in the order in which they run, and the tensors that they read and write."""

    operators: tuple[Operator, ...]


@dataclasses.dataclass(frozen=True)
class Model:
    """A whole file. Subgraph 0 is the main one; the others are the branches of its IF operators."""

    description: str
    subgraphs: tuple[Subgraph, ...]
    signatures: Mapping[str, Signature]
    metadata: Mapping[str, bytes] = dataclasses.field(repr=False)


def read(data: bytes) -> Model:
    """The network in the bytes of a TFLite file.

    Raises:
        ModelFileError: not a TFLite file, truncated, damaged, or with an index that leads nowhere.
    """
    root = header.root_of(data)
    buffers = header.buffers_of(root)
    codes = [_operator_code(table) for table in root.tables(1)]
    subgraphs = tuple(_subgraph(table, buffers, codes) for table in header.subgraphs_of(root))
    _check_branches(subgraphs)
    signatures = header.signatures_of(root)
    for signature in signatures.values():
        header.check_signature(signature, pick(subgraphs, signature.subgraph, "a subgraph"))
    return Model(root.text(3), subgraphs, signatures, header.metadata_of(root, buffers))


def _operator_code(table: FlatbufferTable) -> tuple[str, bool]:
    # Files from before 2020 hold the code in a single byte, the only field that old readers know.
    code = max(table.scalar(0, "int8", 0), table.scalar(3, "int32", 0))
    if code == schema.CUSTOM:
        # Operators go by their names from here on.
        name = table.text(1)
        if name in schema.OPERATOR_NAMES:
            raise damaged(f"a custom operator is called {name}, as a builtin one")
        return name, True
    if not 0 <= code < len(schema.OPERATOR_NAMES):
        return f"builtin operator {code}", False
    return schema.OPERATOR_NAMES[code], False


def _subgraph(table: FlatbufferTable, buffers: list[memoryview], codes: list[tuple[str, bool]]) -> Subgraph:
    values = header.values_of(table, buffers)
    operators = tuple(_operator(entry, codes) for entry in table.tables(3))
    for operator in operators:
        inputs = [index for index in operator.inputs if index != -1]
        header.check_indices(inputs, values.tensors, f"an input of {operator.name}")
        header.check_indices(operator.outputs, values.tensors, f"an output of {operator.name}")
        arity.check(operator.name, operator.options, len(operator.inputs), len(operator.outputs))
    return Subgraph(values.name, values.tensors, values.inputs, values.outputs, operators)


def _operator(table: FlatbufferTable, codes: list[tuple[str, bool]]) -> Operator:
    name, custom = pick(codes, table.scalar(0, "uint32", 0), "an operator code")
    options = custom_options(table, name) if custom else builtin_options(table, name)
    return Operator(name, custom, table.int32s(1), table.int32s(2), options)


def branches(operator: Operator) -> tuple[int, ...]:
    """The subgraphs that an operator may run."""
    if operator.name != "IF":
        return ()
    return operator.options["then_subgraph_index"], operator.options["else_subgraph_index"]


def _check_branches(subgraphs: tuple[Subgraph, ...]) -> None:
    """Branches must exist, must not call each other in a circle, and must not unfold into too many steps."""
    steps: dict[int, int | None] = {}

    def longest_run(index: int) -> int:
        if index in steps:
            known = steps[index]
            if known is None:
                raise damaged(f"subgraph {index} runs itself")
            return known
        steps[index] = None
        total = 0
        for operator in subgraphs[index].operators:
            choices = branches(operator)
            header.check_indices(choices, subgraphs, f"a branch of an IF in subgraph {index}")
            for choice in choices:
                target = subgraphs[choice]
                if (len(target.inputs) + 1, len(target.outputs)) != (len(operator.inputs), len(operator.outputs)):
                    raise damaged(f"an IF in subgraph {index} does not fit its branch, subgraph {choice}")
            total += 1 + max((longest_run(choice) for choice in choices), default=0)
        if total > MAX_STEPS:
            raise damaged(f"subgraph {index} unfolds into {total} steps")
        steps[index] = total
        return total

    for index in range(len(subgraphs)):
        longest_run(index)
