"""The backend of the NumPy interpreter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import ModelFileError
from bnn_exit.model_file.reader import ModelFile
from bnn_exit.runtime.reference.interpreter import Interpreter


class ReferenceBackend:
    """Runs a file's operators in NumPy: needs nothing else and judges the other backends.

    Args:
        file: the file.
        threads: ignored; NumPy decides on its own.

    Raises:
        ModelFileError: the file has an operator that this backend lacks.
    """

    def __init__(self, file: ModelFile, *, threads: int = 1) -> None:
        self._file = file
        try:
            self.interpreter = Interpreter(file.model)
        except ModelFileError as error:
            raise ModelFileError(f"{file.path}: {error}") from error

    @staticmethod
    def is_installed() -> bool:
        """Always."""
        return True

    def infer(self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], int, float]:
        """Probabilities [classes], exit index and score of one log-mel [frames, mels] or waveform [samples]."""
        try:
            results = self.interpreter.run(self._file.arguments(inputs, thresholds))
        except ModelFileError as error:
            raise ModelFileError(f"{self._file.path}: {error}") from error
        return self._file.unpack(results)
