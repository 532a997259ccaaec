"""The backend that runs a file with Larq Compute Engine, without the TensorFlow that its Python package imports."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import MissingPackageError, ModelFileError, missing_package
from bnn_exit.model_file.reader import ModelFile

_PACKAGE = "larq_compute_engine"
_MODULE = f"{_PACKAGE}.tflite.python.interpreter_wrapper_lite"


def is_installed() -> bool:
    """Whether LCE's compiled interpreter is installed; does not load it."""
    return _MODULE in sys.modules or _find() is not None


def _find() -> Path | None:
    # Only the folder of the top package is looked up: importing any part of it would import TensorFlow.
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(_PACKAGE)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for suffix in importlib.machinery.EXTENSION_SUFFIXES:
                file = Path(folder, "tflite", "python", f"interpreter_wrapper_lite{suffix}")
                if file.is_file():
                    return file
    return None


def _load() -> types.ModuleType:
    """LCE's extension module under its own name: it can be loaded once in a process, by us or by LCE's package."""
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    file = _find()
    if file is None:
        raise missing_package("larq-compute-engine", purpose="the lce backend", extra="lce")
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if spec is None or spec.loader is None:
        raise missing_package("larq-compute-engine", purpose="the lce backend", extra="lce")
    try:
        module = importlib.util.module_from_spec(spec)
        sys.modules[_MODULE] = module
        spec.loader.exec_module(module)
    except ImportError as error:
        sys.modules.pop(_MODULE, None)
        raise MissingPackageError(
            f"larq-compute-engine is installed but does not load on this machine ({error}): use the reference backend"
        ) from error
    return module


class LceBackend:
    """Runs a file with LCE's own kernels.

    Args:
        file: the file.
        threads: processor threads that one clip may use.

    Raises:
        MissingPackageError: LCE is not installed.
        ModelFileError: LCE cannot run the file.
    """

    def __init__(self, file: ModelFile, *, threads: int = 1) -> None:
        self._file = file
        _ = file.model  # a damaged file is an error here; in LCE it could end the process
        try:
            # The indirect kernels keep pointers from one call to the next and go wrong in the branches of an IF.
            self._interpreter: Any = _load().LiteInterpreter(
                file.data,
                threads,
                False,  # use_reference_bconv
                False,  # use_indirect_bgemm
                False,  # use_xnnpack
            )
        except RuntimeError as error:
            raise self._failure("load", error) from error

    @staticmethod
    def is_installed() -> bool:
        """Whether it can run here."""
        return is_installed()

    def infer(self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], int, float]:
        """Probabilities [classes], exit index and score of one log-mel [frames, mels] or waveform [samples]."""
        try:
            results = self._interpreter.predict(self._file.arguments(inputs, thresholds))
        except RuntimeError as error:
            raise self._failure("run", error) from error
        return self._file.unpack(results)

    def _failure(self, what: str, error: RuntimeError) -> ModelFileError:
        reason = " ".join(str(error).split())
        return ModelFileError(
            f"{self._file.path}: Larq Compute Engine cannot {what} this file ({reason}): export it again"
        )
