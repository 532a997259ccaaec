"""The file that is changed, and the dice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bnn_exit.model_file import schema
from fuzzing.parts import TYPES, FileParts, GraphPart, OperatorPart, TensorPart

INTEGERS = (
    -(2**31),
    -65536,
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    31,
    32,
    33,
    63,
    64,
    65,
    255,
    65535,
    65536,
    2**20,
    2**26,
    2**31 - 1,
)


FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 3e38, -3e38, 1e-42, float("inf"), float("-inf"), float("nan"))


SMALL = (0, 1, 2, 3, 4, 5, 31, 32, 33, 64)


ITEM = {code: schema.NUMPY_TYPES[name].itemsize for name, code in TYPES.items() if name in schema.NUMPY_TYPES}


class Changer:
    """The file and the dice."""

    def __init__(self, file: FileParts, random: np.random.Generator) -> None:
        self.file, self.random = file, random

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def place(self, items: Sequence[Any]) -> int:
        return int(self.random.integers(len(items)))

    def graph(self) -> GraphPart:
        return self.one_of([graph for graph in self.file.graphs if graph.operators] or self.file.graphs)

    def operator(self) -> tuple[GraphPart, OperatorPart]:
        graph = self.graph()
        return graph, self.one_of(graph.operators)

    def tensor(self) -> tuple[GraphPart, TensorPart]:
        graph = self.graph()
        return graph, self.one_of(graph.tensors)

    def number(self, value: int = 0) -> int:
        if self.chance(0.3):
            return value + self.one_of([-1, 1, 1, 2])
        return self.one_of(SMALL) if self.chance(0.5) else self.one_of(INTEGERS)

    def name_of(self, operator: OperatorPart) -> str:
        code = self.file.codes[operator.code] if operator.code < len(self.file.codes) else (0, "")
        return code[1] if code[0] == schema.CUSTOM else schema.OPERATOR_NAMES[code[0] % len(schema.OPERATOR_NAMES)]


def dynamic(change: Changer) -> None:
    """Shapes of results are found out in a run."""
    for graph in change.file.graphs:
        for tensor in graph.tensors:
            if not tensor.buffer and tensor.shape:
                tensor.announced = [-1] * len(tensor.shape)
