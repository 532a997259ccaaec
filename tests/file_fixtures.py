"""Fixtures of the tests that write small files and run them."""

import numpy as np
import pytest
import tiny_files

from bnn_exit.errors import MissingPackageError
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime import lce
from bnn_exit.runtime.reference.interpreter import Interpreter


@pytest.fixture(scope="session")
def tiny():
    return tiny_files


@pytest.fixture(scope="session")
def lce_run():
    """Run a file on LCE: the independent judge of the reference backend."""
    try:
        wrapper = lce._load()
    except MissingPackageError as error:
        pytest.skip(str(error))

    def run(data: bytes, inputs: list, *, reference_kernels: bool = False, indirect: bool = False) -> list[np.ndarray]:
        interpreter = wrapper.LiteInterpreter(data, 1, reference_kernels, indirect, False)
        return [np.array(value) for value in interpreter.predict([np.asarray(value, order="C") for value in inputs])]

    return run


@pytest.fixture(scope="session")
def reference_run():
    def run(data: bytes, inputs: list) -> tuple[np.ndarray, ...]:
        return Interpreter(flatbuffer.read(data)).run(inputs)

    return run


def single_operator(name, inputs, outputs, options=None, *, times=1, **settings):
    """A file of one operator and the values for its inputs; constants are marked by a tuple around the array.

    `times` it is applied, to its own result in place of the first input.
    """
    file = tiny_files.File()
    graph = file.graph()
    indices = []
    for value in inputs:
        if value is None:
            indices.append(-1)
        elif isinstance(value, tuple):
            indices.append(graph.constant(value[0], value[0].dtype.name))
        else:
            indices.append(graph.input(value.shape, value.dtype.name))
    results = graph.operator(name, indices, outputs, options, **settings)
    for _ in range(times - 1):
        results = graph.operator(name, [results[0], *indices[1:]], outputs, options, **settings)
    graph.outputs(results)
    return file.bytes(), [value for value in inputs if isinstance(value, np.ndarray)]


@pytest.fixture(scope="session")
def single():
    return single_operator
