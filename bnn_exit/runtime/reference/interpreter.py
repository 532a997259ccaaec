"""Executes a file's own operators in plain NumPy: slow, obvious, and the judge of every faster backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer
from bnn_exit.model_file.flatbuffer import Operator
from bnn_exit.model_file.header import Tensor, is_allowed
from bnn_exit.model_file.tables import damaged
from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.reference import binary as reference_binary
from bnn_exit.runtime.reference import convolution as reference_convolution
from bnn_exit.runtime.reference import elementwise as reference_elementwise
from bnn_exit.runtime.reference import shape as reference_shape
from bnn_exit.runtime.reference.common import Array, Kernel

OPERATORS: dict[str, Kernel] = {
    **reference_binary.OPERATORS,
    **reference_convolution.OPERATORS,
    **reference_elementwise.OPERATORS,
    **reference_shape.OPERATORS,
}
"""Operator -> function(inputs, options, outputs): the arrays that it reads (None for an optional one that is not
given), its options, and the tensors that it writes. It returns one array an output."""

MAX_BYTES = 2**32
"""Of the values of one subgraph."""

Observer = Callable[[int, Operator, tuple[Array, ...]], None]
"""Called after each operator with the number of the subgraph, the operator and what it wrote."""


def lacking(model: flatbuffer.Model) -> list[str]:
    """The operators of a file that this backend does not have, by name."""
    used = {operator.name for subgraph in model.subgraphs for operator in subgraph.operators}
    return sorted(used - OPERATORS.keys() - {"IF"})


class Interpreter:
    """Runs the subgraphs of a file.

    Args:
        model: the network.

    Raises:
        ModelFileError: an operator that this interpreter lacks, a quantized tensor, or a step that reads what no
            step wrote.
    """

    def __init__(self, model: flatbuffer.Model) -> None:
        self._model = model
        for index in range(len(model.subgraphs)):
            self._check(index)
        self._constants = [[tensor.array() for tensor in subgraph.tensors] for subgraph in model.subgraphs]

    def run(
        self, inputs: Sequence[npt.ArrayLike], *, subgraph: int = 0, observe: Observer | None = None
    ) -> tuple[Array, ...]:
        """The outputs of a subgraph, in its own order, as arrays that nothing else refers to.

        Args:
            inputs: one array for each input of the subgraph, of its shape and element type.
            subgraph: number of the subgraph; 0 is the main one.
            observe: sees every step. Branches that are not taken have none.

        Raises:
            ModelFileError: inputs that do not fit, or an operator whose data make no sense.
        """
        # Overflow to infinity and division by zero are results like others, as in every other backend.
        with np.errstate(all="ignore"):
            return tuple(np.array(value) for value in self._run(subgraph, tuple(map(np.asarray, inputs)), observe))

    def _run(self, index: int, inputs: tuple[Array, ...], observe: Observer | None) -> tuple[Array, ...]:
        subgraph = self._model.subgraphs[index]
        values: list[Any] = list(self._constants[index])
        if len(inputs) != len(subgraph.inputs):
            raise ModelFileError(f"subgraph {index} takes {len(subgraph.inputs)} inputs, but got {len(inputs)}")
        for position, value in zip_strict(subgraph.inputs, inputs):
            mismatch = _mismatch(subgraph.tensors[position], value)
            if mismatch:
                raise ModelFileError(f"an input of subgraph {index} {mismatch}")
            values[position] = _read_only(value)
        taken = 0
        for operator in subgraph.operators:
            arguments = [None if position < 0 else values[position] for position in operator.inputs]
            results = self._step(index, operator, arguments, observe)
            if observe is not None:
                observe(index, operator, results)
            for position, value in zip_strict(operator.outputs, results):
                mismatch = _mismatch(subgraph.tensors[position], value)
                if mismatch:
                    raise damaged(f"an output of {operator.name} in subgraph {index} {mismatch}")
                values[position] = _read_only(value)
                taken += value.nbytes
            if taken > MAX_BYTES:
                raise ModelFileError(f"subgraph {index} needs more than {MAX_BYTES} bytes: export a smaller network")
        return tuple(values[position] for position in subgraph.outputs)

    def _step(
        self, index: int, operator: Operator, arguments: list[Any], observe: Observer | None
    ) -> tuple[Array, ...]:
        if operator.name == "IF":
            taken, skipped = flatbuffer.branches(operator)
            condition = np.ravel(arguments[0])
            if condition.dtype != np.bool_ or condition.size < 1:
                raise damaged(f"the condition of an IF in subgraph {index} is {condition.size} {condition.dtype}")
            branch = taken if condition[0] else skipped
            return self._run(branch, tuple(arguments[1:]), observe)
        tensors = self._model.subgraphs[index].tensors
        outputs = tuple(tensors[position] for position in operator.outputs)
        try:
            results = OPERATORS[operator.name](arguments, operator.options, outputs)
        except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise damaged(f"{operator.name} in subgraph {index} cannot be computed: {reason}") from error
        if len(results) != len(outputs):
            raise damaged(f"{operator.name} in subgraph {index} has {len(outputs)} outputs, but makes {len(results)}")
        return results

    def _check(self, index: int) -> None:
        subgraph = self._model.subgraphs[index]
        ready = set(subgraph.inputs)
        written = {position for operator in subgraph.operators for position in operator.outputs}
        for position, tensor in enumerate(subgraph.tensors):
            if tensor.quantized or tensor.variable:
                kind = "quantized" if tensor.quantized else "a variable"
                raise ModelFileError(
                    f"tensor {tensor.name!r} of subgraph {index} is {kind}, which the reference backend does not run"
                )
            # Without values a constant looks like a result; what an operator writes is a result.
            if tensor.array() is not None and (tensor.data is not None or position not in written):
                ready.add(position)
        for operator in subgraph.operators:
            if operator.name not in OPERATORS and operator.name != "IF":
                raise ModelFileError(
                    f"the reference backend lacks the operator {operator.name}, which subgraph {index} "
                    f"({subgraph.name or 'unnamed'}) uses: choose the lce backend, or export the model without it"
                )
            if operator.name == "IF" and -1 in operator.inputs:
                raise damaged(f"an IF in subgraph {index} lacks an input")
            if not ready.issuperset(position for position in operator.inputs if position >= 0):
                raise damaged(f"{operator.name} in subgraph {index} reads what no earlier step writes")
            if not ready.isdisjoint(operator.outputs) or len(set(operator.outputs)) < len(operator.outputs):
                raise damaged(f"{operator.name} in subgraph {index} writes what is already there")
            ready.update(operator.outputs)
        if not ready.issuperset(subgraph.outputs):
            raise damaged(f"an output of subgraph {index} is never written")


def _read_only(value: Array) -> Array:
    """The array, for reading alone: no operator may change a value of the network, nor one of the caller's."""
    view = np.asarray(value).view()  # a single number may be no array
    view.flags.writeable = False
    return view


def _mismatch(tensor: Tensor, value: Array) -> str | None:
    """How a value differs from what the file announces, or None if it does not."""
    dynamic = tensor.dynamic and is_allowed(value.shape)
    if value.dtype == tensor.dtype and (value.shape == tensor.shape or dynamic):
        return None
    return f"is {value.dtype} {list(value.shape)}, but must be {tensor.dtype} {list(tensor.shape)}"
