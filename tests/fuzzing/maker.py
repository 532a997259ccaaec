"""A subgraph in the making: values with what they hold, and operators that are executed as they are added."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bnn_exit.errors import BnnExitError
from bnn_exit.model_file import schema
from bnn_exit.model_file.header import Tensor
from bnn_exit.runtime.reference.interpreter import OPERATORS
from fuzzing.flex import flexbuffer
from fuzzing.parts import TYPES, FileParts, GraphPart, OperatorPart, TensorPart

MOST_VALUES = 6000

"""Of one tensor; what is larger takes long and shows nothing more."""


SPECIAL = np.float32([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-42, -1e-42, 3e38, -3e38, 1e-30, 2**31, -1.5e9, 300, -1])


LCE_ENUMS = {"padding": schema.PADDINGS, "fused_activation_function": schema.ACTIVATIONS}


class Unfit(Exception):
    """Nothing there suits this operator; another one is tried."""


@dataclasses.dataclass
class Value:
    """A tensor of the graph in the making.

    Attributes:
        index: of the tensor.
        array: what it holds for the first inputs.
        constant: is in the file.
        channels: of bits in words of 32; 0 if they are none.
    """

    index: int
    array: Any
    constant: bool = False
    channels: int = 0


class Maker:
    """One subgraph in the making. Functions of random_operators.py add to it."""

    def __init__(
        self, file: FileParts, random: np.random.Generator, adders: Adders, *, style: str, depth: int = 0
    ) -> None:
        self.file, self.random, self.adders, self.style, self.depth = file, random, adders, style, depth
        self.graph = GraphPart(f"subgraph{len(file.graphs)}")
        file.graphs.append(self.graph)
        self.values: list[Value] = []

    # ---- chance

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def below(self, count: int) -> int:
        return int(self.random.integers(count))

    def between(self, least: int, most: int) -> int:
        return int(self.random.integers(least, most + 1))

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.below(len(choices))]

    def numbers(self, shape: Sequence[int], dtype: str) -> Any:
        """Values in the style of this graph: on a coarse grid, whose sums are exact, spread, or with special ones."""
        shape = tuple(shape)
        if dtype == "bool":
            return self.random.random(shape) < 0.5
        if dtype == "complex64":
            return np.stack([self.numbers(shape, "float32") for _ in range(2)], axis=-1).view(np.complex64)[..., 0]
        if dtype not in ("float32", "float64", "float16"):
            lowest = 0 if dtype == "uint8" else -9
            values = self.random.integers(lowest, 10, shape)
            if self.chance(0.1):
                info = np.iinfo(dtype)
                values = np.where(self.random.random(shape) < 0.2, self.one_of([info.min, info.max, 0]), values)
            return values.astype(dtype)
        if self.style == "spread":
            return self.random.normal(size=shape).astype(dtype) * np.dtype(dtype).type(self.one_of([1, 1, 1, 30, 0.01]))
        values = (self.random.integers(-12, 13, shape) / 4).astype(dtype)
        if self.style == "special" and dtype == "float32" and self.chance(0.5):
            values = np.where(self.random.random(shape) < 0.1, self.random.choice(SPECIAL, shape), values)
        return values.astype(dtype)

    # ---- values

    def tensor(self, array: Any, *, buffer: int = 0, dynamic: bool = False) -> int:
        shape, announced = list(array.shape), None
        if dynamic and shape:
            announced = [-1 if self.chance(0.5) else size for size in shape]
            shape = [1 if size == -1 else size for size in announced]
            announced = announced if -1 in announced else None
        name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(TensorPart(shape, TYPES[array.dtype.name], buffer, name, announced=announced))
        return len(self.graph.tensors) - 1

    def constant(self, values: Any, dtype: str | None = None, *, channels: int = 0) -> Value:
        array = np.asarray(values, dtype)
        value = Value(self.tensor(array, buffer=self.file.buffer(array.tobytes())), array, True, channels)
        if array.size and self.chance(0.1):
            self.values.append(value)  # others may read it, too
        return value

    def input(self, array: Any, *, channels: int = 0) -> Value:
        value = Value(self.tensor(array), array, channels=channels)
        self.graph.inputs.append(value.index)
        self.values.append(value)
        return value

    def fresh(self, shape: Sequence[int], dtype: str = "float32") -> Value:
        """A new input, or a constant: always in branches."""
        array = self.numbers(shape, dtype)
        if self.depth == 0 and len(self.graph.inputs) < 5 and self.chance(0.75) and array.size:
            return self.input(array)
        value = self.constant(array)
        if value not in self.values and self.chance(0.3):
            self.values.append(value)
        return value

    def pick(self, fits: Callable[[Value], bool]) -> Value:
        """A value that fits, often one of the last, so that chains form; Unfit if there is none."""
        found = [value for value in self.values if fits(value)]
        if not found:
            raise Unfit
        if self.chance(0.5):
            return found[-1]
        return self.one_of(found[-8:])

    def pick_type(self, *dtypes: str, rank: int = 0) -> Value:
        """A value of one of the types (of floats now and then a new one), with at least so many axes."""
        fits = lambda value: value.array.dtype.name in dtypes and value.array.ndim >= rank and not value.channels  # noqa: E731
        if self.chance(0.08) or not any(map(fits, self.values)):
            return self.fresh(self.shape(least_rank=rank), self.one_of(dtypes))
        return self.pick(fits)

    def shape(self, *, least_rank: int = 0) -> list[int]:
        rank = max(least_rank, self.one_of([0, 1, 1, 2, 2, 3, 4, 4, 4, 5]))
        return [self.one_of([1, 1, 2, 3, 4, 5, 7, 8]) for _ in range(rank)]

    def image(self) -> Value:
        """A float image [batch, height, width, channels]."""
        fits = lambda value: value.array.dtype == np.float32 and value.array.ndim == 4 and value.array.size  # noqa: E731
        if self.chance(0.1) or not any(map(fits, self.values)):
            channels = self.one_of([1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 33, 40, 64, 65, 96, 130])
            size = [self.one_of([1, 1, 1, 2, 3]), self.between(1, 7), self.between(1, 9), channels]
            while np.prod(size) > MOST_VALUES:
                size[1:3] = [1 + part // 2 for part in size[1:3]]
            return self.fresh(size)
        return self.pick(fits)

    def partner(self, value: Value) -> Value:
        """What goes together with a value under broadcasting: of its shape or of a part of it."""
        dtype, shape = value.array.dtype, value.array.shape
        same = [other for other in self.values if other.array.dtype == dtype and other.array.shape == shape]
        if self.chance(0.35) and same:
            return self.one_of(same)
        kind = self.below(5)
        other = list(shape)
        if kind == 0:
            other = [size if self.chance(0.6) else 1 for size in other]
        elif kind == 1:
            other = other[-1:]
        elif kind == 2:
            other = [1] * self.below(len(other) + 1)
        elif kind == 3:
            other = other[self.below(len(other) + 1) :]
        return self.fresh(other, dtype.name)

    # ---- operators

    def add(self, name: str, inputs: list[Value | None], outputs: list[Any], **options: Any) -> list[Value]:
        """One operator; `outputs` are element types, with a shape before where the result depends on the announced one.

        Options are by their names in the reference, enumerations as texts.
        """
        announced = tuple(
            Tensor(
                "",
                tuple(entry[0]) if isinstance(entry, tuple) else (),
                entry[1] if isinstance(entry, tuple) else entry,
                None,
            )
            for entry in outputs
        )
        with np.errstate(all="ignore"):
            try:
                results = OPERATORS[name]([value and value.array for value in inputs], options, announced)
            except (ArithmeticError, LookupError, TypeError, ValueError, BnnExitError) as error:
                raise Unfit from error
        if len(results) != len(outputs) or any(array.size > MOST_VALUES or array.ndim > 6 for array in results):
            raise Unfit
        found = []
        for array, tensor in zip(results, announced):
            if array.dtype.name != tensor.dtype:
                raise Unfit
        for array in results:
            dynamic = self.style == "dynamic" and name != "LceDequantize" and self.chance(0.3)
            found.append(Value(self.tensor(np.array(array), dynamic=dynamic), np.array(array)))
        self.write(name, inputs, found, options)
        return found

    def write(self, name: str, inputs: Sequence[Value | None], outputs: list[Value], options: dict[str, Any]) -> None:
        part = OperatorPart(
            self.file.code(name),
            [-1 if value is None else value.index for value in inputs],
            [value.index for value in outputs],
        )
        if name.startswith("Lce"):
            if options:
                plain = {key: LCE_ENUMS[key].index(v) if key in LCE_ENUMS else v for key, v in options.items()}
                part.custom = flexbuffer(list(plain.items()), width=self.one_of([4, 4, 4, 2, 8]))
        elif name in schema.OPTIONS_OF:
            part.table = schema.OPTIONS_OF[name]
            for field, _, kind, default in schema.OPTIONS[part.table]:
                value = options[field]
                part.options[field] = schema.ENUMS[kind].index(value) if kind in schema.ENUMS else value
                if part.options[field] == default and self.chance(0.5):
                    del part.options[field]
        self.graph.operators.append(part)
        self.values += outputs

    def end(self, outputs: list[Value]) -> None:
        self.graph.outputs = [value.index for value in outputs]

    def grow(self, count: int) -> None:
        """Add about so many operators."""
        weights = np.array([weight for weight, _ in self.adders])
        picks = iter(self.random.choice(len(self.adders), size=6 * count + 6, p=weights / weights.sum()))
        while len(self.graph.operators) < count:
            pick = next(picks, None)
            if pick is None:
                return
            with contextlib.suppress(Unfit):
                self.adders[pick][1](self)

    def choose_outputs(self) -> list[Value]:
        """Most of what nobody reads, and now and then anything else: inputs, constants, the same twice."""
        read = {index for operator in self.graph.operators for index in operator.inputs}
        written = [value for value in self.values if not value.constant and value.index not in self.graph.inputs]
        found = [value for value in written if value.index not in read and self.chance(0.9)]
        found += [value for value in written if value.index in read and self.chance(0.15)]
        if self.chance(0.1):
            found.append(self.one_of(self.values))
        if found and self.chance(0.05):
            found.append(self.one_of(found))
        self.random.shuffle(found)
        return found or [self.values[-1]]


Adders = Sequence[tuple[float, Callable[[Maker], Any]]]
"""How often, and what adds to a subgraph."""
