"""What is really in a converted file: every operator with its bits and bytes, and whether binary layers are binary."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from bnn_exit.errors import ExportError
from bnn_exit.model_file import flatbuffer, header

BINARY_CONVOLUTION = "LceBconv2d"
_FLOATS = {"float32": 32, "float16": 16}
_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


@dataclasses.dataclass(frozen=True)
class AuditedOperator:
    """One operator of the file.

    Attributes:
        subgraph: 0 is the main graph; each branch of an `IF` is another.
        name: TFLite's or LCE's name.
        bits: of its weights: 1 for a packed binary convolution, 32 for floats, 16 for those in half precision (of
            DEQUANTIZE); 0 where it has no constants.
        bytes: of its constants.
        binary_macs: multiply-accumulates of a binary convolution, else 0.
        output_shape: of its first output.
    """

    subgraph: int
    name: str
    bits: int
    bytes: int
    binary_macs: int
    output_shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Audit:
    """Every operator of a file, and its size in bytes."""

    operators: tuple[AuditedOperator, ...]
    size: int

    @property
    def binary_layers(self) -> int:
        """How many operators compute on bits."""
        return sum(operator.name == BINARY_CONVOLUTION for operator in self.operators)

    @property
    def binary_macs(self) -> int:
        """Multiply-accumulates of all binary convolutions, each once."""
        return sum(operator.binary_macs for operator in self.operators)

    def require_binary(self, *, layers: int, binary_macs: int) -> None:
        """Raise ExportError unless the file holds `layers` binary convolutions of `binary_macs` together."""
        if self.binary_layers != layers or self.binary_macs != binary_macs:
            floats = [
                f"{operator.name} of {operator.bytes} bytes in subgraph {operator.subgraph}"
                for operator in self.operators
                if operator.bits == 32 and operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
            ]
            raise ExportError(
                f"the network declares {layers} binary layers with {binary_macs} MACs, but the converted file has "
                f"{self.binary_layers} with {self.binary_macs}: the others went float; float layers are: "
                f"{'; '.join(floats) or 'none'}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON values: size, totals and the operators."""
        return {
            "size": self.size,
            "binary_layers": self.binary_layers,
            "binary_macs": self.binary_macs,
            "operators": [
                {**dataclasses.asdict(operator), "output_shape": list(operator.output_shape)}
                for operator in self.operators
            ],
        }

    def list(self) -> str:
        """A line an operator."""
        lines = [f"{'subgraph':>8s} {'operator':20s} {'bits':>4s} {'bytes':>9s} {'binary MACs':>12s}  output"]
        for item in self.operators:
            shape = "x".join(map(str, item.output_shape))
            bits = item.bits or "-"
            lines.append(
                f"{item.subgraph:8d} {item.name:20s} {bits:>4} {item.bytes:9,d} {item.binary_macs:12,d}  {shape}"
            )
        return "\n".join(lines)

    def table(self) -> str:
        """A line an operator kind: how many, bits, bytes."""
        kinds: dict[tuple[str, int], list[int]] = {}
        for operator in self.operators:
            entry = kinds.setdefault((operator.name, operator.bits), [0, 0])
            entry[0] += 1
            entry[1] += operator.bytes
        lines = [f"{'operator':20s} {'bits':>4s} {'count':>5s} {'bytes':>9s}"]
        for (name, bits), (count, size) in sorted(kinds.items(), key=lambda item: -item[1][1]):
            lines.append(f"{name:20s} {bits or '-':>4} {count:5d} {size:9,d}")
        return "\n".join([*lines, f"{'file':20s} {'':4s} {'':5s} {self.size:9,d}"])


def require_computed_outputs(model: flatbuffer.Model) -> None:
    """Raise ExportError if a branch returns a reshaped constant: LCE 0.16 then frees memory that is not its own."""
    for index, subgraph in enumerate(model.subgraphs[1:], start=1):
        for operator in subgraph.operators:
            reshaped = operator.name in _RESHAPES and subgraph.tensors[operator.inputs[0]].data is not None
            if reshaped and set(operator.outputs) & set(subgraph.outputs):
                raise ExportError(
                    f"subgraph {index} returns a constant through {operator.name}, which LCE cannot free: "
                    "return the constant itself"
                )


def audit(model: flatbuffer.Model, *, size: int) -> Audit:
    """The audit of a parsed file of `size` bytes."""
    operators = []
    for index, subgraph in enumerate(model.subgraphs):
        for operator in subgraph.operators:
            constants = [
                subgraph.tensors[tensor]
                for tensor in operator.inputs
                if tensor >= 0 and subgraph.tensors[tensor].data is not None
            ]
            output = subgraph.tensors[operator.outputs[0]].shape if operator.outputs else ()
            binary = operator.name == BINARY_CONVOLUTION
            macs = 0
            if binary:
                filters, height, width, words = subgraph.tensors[operator.inputs[1]].shape
                channels = int(operator.options["channels_in"])
                groups = math.ceil(channels / 32) // words  # a grouped filter holds the words of its own channels alone
                macs = math.prod(output[:3]) * filters * height * width * channels // groups
            operators.append(
                AuditedOperator(
                    subgraph=index,
                    name=operator.name,
                    bits=_bits(binary, constants),
                    bytes=sum(len(tensor.data or b"") for tensor in constants),
                    binary_macs=macs,
                    output_shape=tuple(output),
                )
            )
    return Audit(tuple(operators), size)


def _bits(binary: bool, constants: list[header.Tensor]) -> int:
    if binary:
        return 1
    return max((_FLOATS.get(tensor.dtype, 0) for tensor in constants), default=0)
