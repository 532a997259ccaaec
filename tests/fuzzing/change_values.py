"""Changes of shapes, element types, constants and buffers."""

from __future__ import annotations

import numpy as np

from bnn_exit.model_file import schema
from fuzzing.changer import FLOATS, ITEM, Changer, dynamic


def shape(change: Changer) -> None:
    _, tensor = change.tensor()
    kind = change.random.integers(6)
    if kind == 0 and len(tensor.shape) < 9:
        tensor.shape.insert(change.place([*tensor.shape, 0]), change.one_of([1, 1, 2, 0]))
    elif kind == 1 and tensor.shape:
        del tensor.shape[change.place(tensor.shape)]
    elif kind == 2:
        change.random.shuffle(tensor.shape)
    elif tensor.shape:
        axis = change.place(tensor.shape)
        tensor.shape[axis] = change.number(tensor.shape[axis])


def input_shape(change: Changer) -> None:
    """Another size of what comes in, with all results to be found out."""
    graph = change.graph()
    if not graph.inputs:
        return
    tensor = graph.tensors[change.one_of(graph.inputs) % len(graph.tensors)]
    if tensor.shape:
        axis = change.place(tensor.shape)
        tensor.shape[axis] = change.one_of([1, 2, 3, 5, 8, 17, 33, 0, 64, 4096, 2**31 - 1])
    dynamic(change)


def constant_shape(change: Changer) -> None:
    """A constant of another shape, with as many bytes as that needs."""
    graph = change.graph()
    found = [tensor for tensor in graph.tensors if 0 < tensor.buffer < len(change.file.buffers) and tensor.shape]
    if not found:
        return
    tensor = change.one_of(found)
    axis = change.place(tensor.shape)
    tensor.shape[axis] = max(0, min(change.number(tensor.shape[axis]), 70))
    size = int(np.prod([abs(size) for size in tensor.shape], dtype=object)) * ITEM.get(tensor.type, 4)
    if size < 1 << 18:
        data = change.file.buffers[tensor.buffer] or b"\0"
        tensor.buffer = change.file.buffer((data * (size // len(data) + 1))[:size])


def constant_value(change: Changer) -> None:
    """One number of a constant, often of those that say how: axes, margins, shapes."""
    graph = change.graph()
    found = [tensor for tensor in graph.tensors if 0 < tensor.buffer < len(change.file.buffers) and tensor.type in ITEM]
    small = [tensor for tensor in found if len(change.file.buffers[tensor.buffer]) <= 64]
    if not found:
        return
    tensor = change.one_of(small if small and change.chance(0.8) else found)
    dtype = schema.NUMPY_TYPES[schema.ELEMENT_TYPES[tensor.type]]
    data = change.file.buffers[tensor.buffer]
    values = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype).copy()
    if not values.size:
        return
    with np.errstate(all="ignore"):
        number = change.one_of(FLOATS) if dtype.kind in "fc" else change.number(int(values[0]))
        values[change.place(values)] = np.array(number).astype(dtype)
    tensor.buffer = change.file.buffer(values.tobytes())


def element_type(change: Changer) -> None:
    graph, tensor = change.tensor()
    new = change.one_of([*list(ITEM), 5, 0, 2, 6])
    if change.chance(0.5):
        tensor.type = new
        return
    old = tensor.type
    for other in graph.tensors:
        if other.type == old and not other.buffer:
            other.type = new


def flags(change: Changer) -> None:
    _, tensor = change.tensor()
    if change.chance(0.5):
        tensor.scales = [1.0] * change.one_of([1, 2])
    elif change.chance(0.7):
        tensor.variable = True
    else:
        tensor.name = change.one_of(["", "\u0007", "x" * 300, "%s%n", "\ud7ff"])


def buffers(change: Changer) -> None:
    _graph, tensor = change.tensor()
    kind = change.random.integers(5)
    if kind == 0:
        tensor.buffer = change.place(change.file.buffers)
    elif kind == 1:
        tensor.buffer = change.one_of([0, 0, len(change.file.buffers), 2**31])
    elif kind == 2:
        size = int(np.prod([min(abs(size), 1000) for size in tensor.shape], dtype=object)) * ITEM.get(tensor.type, 4)
        if size < 1 << 16:
            tensor.buffer = change.file.buffer(change.random.bytes(size))
    elif change.file.buffers:
        place = change.place(change.file.buffers)
        data = change.file.buffers[place]
        change.file.buffers[place] = (
            data[: len(data) // 2] if kind == 3 else data + b"\0" * change.one_of([1, 4, len(data)])
        )
