"""The backend of our own compiled library, with kernels for each instruction set. Needs only NumPy."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit.errors import INSTALL, ArgumentError, BnnExitError, MissingPackageError, ModelFileError
from bnn_exit.model_file.reader import ModelFile
from bnn_exit.settings.features import FeatureConfig

LIBRARY = "libbnn_exit_native.so"
_FOLDER = Path("bnn_exit", "runtime", "native")
_OK, _ARGUMENT = 0, 2
_ERROR_BYTES = 512
PLAIN_ISAS = ("portable", "scalar")
"""Instruction sets without vectors: correct everywhere, fast nowhere."""


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("rank", ctypes.c_int32),
        ("bytes", ctypes.c_size_t),
    )


class _Features(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_int32)
            for name in ("sample_rate_hz", "window_samples", "hop_samples", "fft_size", "num_mels")
        ),
        *((name, ctypes.c_double) for name in ("lower_hz", "upper_hz", "log_offset")),
    )


class _Settings(ctypes.Structure):
    _fields_ = (
        ("max_bytes", ctypes.c_uint64),
        ("max_operations", ctypes.c_uint64),
        ("threads", ctypes.c_int32),
    )


def find_library() -> Path | None:
    """Where the compiled library is; None if this installation has none."""
    folders = [Path(__file__).parent / "native"]
    if Path(__file__).parents[2].joinpath("pyproject.toml").is_file():
        # An editable installation keeps the sources where they are and the library among the installed packages. Any
        # other has a library of its own or none: that of another installation may be of another version.
        folders += [Path(entry or ".") / _FOLDER for entry in sys.path]
    return next((folder / LIBRARY for folder in folders if (folder / LIBRARY).is_file()), None)


@functools.cache
def _library() -> Any:
    path = find_library()
    if path is None:
        raise MissingPackageError(
            f"the native backend needs {LIBRARY}, which this installation lacks: "
            f"with a C++ compiler {INSTALL} builds it"
        )
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise MissingPackageError(
            f"the native library does not load on this machine ({error}): "
            f"{INSTALL} builds it anew, or use another backend"
        ) from error
    handle, text = ctypes.c_void_p, ctypes.c_char_p
    size, number = ctypes.c_size_t, ctypes.c_int32
    for name, result, arguments in (
        ("version", text, []),
        ("isa", text, []),
        ("isas", text, []),
        ("load", number, [text, size, ctypes.POINTER(_Settings), ctypes.POINTER(handle), text, size]),
        ("free", None, [handle]),
        ("input_count", number, [handle]),
        ("output_count", number, [handle]),
        ("input", number, [handle, number, ctypes.POINTER(_Tensor)]),
        ("output", number, [handle, number, ctypes.POINTER(_Tensor)]),
        ("bytes", ctypes.c_uint64, [handle]),
        ("operations", ctypes.c_uint64, [handle]),
        ("plan", text, [handle]),
        ("run", number, [handle, handle, handle, handle, size]),
        ("front_end_new", number, [ctypes.POINTER(_Features), ctypes.POINTER(handle), text, size]),
        ("front_end_free", None, [handle]),
        ("frames", size, [handle, size]),
        ("log_mel", number, [handle, handle, size, handle]),
    ):
        function = getattr(library, f"bnn_exit_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def is_installed() -> bool:
    """Whether the compiled library is installed and loads on this machine."""
    try:
        _library()
    except MissingPackageError:
        return False
    return True


def capabilities() -> dict[str, Any]:
    """What the native library can do here: `library` (path or None), `version`, `isa` in use, `isas` that run here,
    best first, and `optimised`: whether the one in use computes with vectors.

    The environment variable BNN_EXIT_ISA forces an instruction set, "scalar" for instance.
    """
    if not is_installed():
        return {"library": None, "version": None, "isa": None, "isas": [], "optimised": False}
    library = _library()
    isa = library.bnn_exit_isa().decode() or None  # BNN_EXIT_ISA may name one that this machine lacks
    return {
        "library": str(find_library()),
        "version": library.bnn_exit_version().decode(),
        "isa": isa,
        "isas": library.bnn_exit_isas().decode().split(),
        "optimised": isa is not None and isa not in PLAIN_ISAS,
    }


def _error(status: int, text: str) -> BnnExitError:
    return ArgumentError(text) if status == _ARGUMENT else ModelFileError(text)


class NativeNetwork:
    """Any TFLite file in the native library, with an array for each input and output of its main subgraph.

    Args:
        data: the file.
        max_bytes: memory that it may take, 0 for the library's default.
        max_operations: elementary steps of one run that it may ask for, 0 for the library's default.
        threads: that share the rows of large layers, the caller's included. Results do not depend on it.

    Raises:
        ModelFileError: the file is damaged, lacks an operator, or asks for too much.
        MissingPackageError: the library is not there.

    Attributes:
        inputs: the arrays that the next run reads; write into them.
        outputs: the arrays that a run writes; a later run changes them.
    """

    def __init__(self, data: bytes, *, max_bytes: int = 0, max_operations: int = 0, threads: int = 1) -> None:
        self._library = _library()
        self._handle = ctypes.c_void_p()
        self._message = ctypes.create_string_buffer(_ERROR_BYTES)
        settings = _Settings(max_bytes, max_operations, threads)
        self._check(
            self._library.bnn_exit_load(
                data, len(data), ctypes.byref(settings), ctypes.byref(self._handle), self._message, _ERROR_BYTES
            )
        )
        self.input_names, self.inputs = self._arrays("input")
        self.output_names, self.outputs = self._arrays("output")
        # The addresses never change, so a call hands over the same two lists every time.
        self._input_list = (ctypes.c_void_p * max(1, len(self.inputs)))(*(array.ctypes.data for array in self.inputs))
        self._output_list = (ctypes.c_void_p * max(1, len(self.outputs)))(
            *(array.ctypes.data for array in self.outputs)
        )
        self._arguments = (
            self._handle,
            ctypes.addressof(self._input_list),
            ctypes.addressof(self._output_list),
            ctypes.addressof(self._message),
            _ERROR_BYTES,
        )
        self._run = self._library.bnn_exit_run

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle:
            self._library.bnn_exit_free(handle)

    def _arrays(self, kind: str) -> tuple[tuple[str, ...], tuple[npt.NDArray[Any], ...]]:
        names, arrays = [], []
        for index in range(getattr(self._library, f"bnn_exit_{kind}_count")(self._handle)):
            tensor = _Tensor()
            self._check(getattr(self._library, f"bnn_exit_{kind}")(self._handle, index, ctypes.byref(tensor)))
            shape = tuple(tensor.shape[axis] for axis in range(tensor.rank))
            names.append(tensor.name.decode(errors="replace"))
            array = np.zeros(shape, np.dtype(tensor.type.decode()))
            if array.nbytes != tensor.bytes:
                raise ModelFileError(f"{kind} {names[-1]} has {tensor.bytes} bytes, but {array.nbytes} were expected")
            arrays.append(array)
        return tuple(names), tuple(arrays)

    def _check(self, status: int) -> None:
        if status != _OK:
            raise _error(status, self._message.value.decode(errors="replace"))

    @property
    def plan(self) -> str:
        """What the library made of the file: one line for each step, indented inside branches."""
        return self._library.bnn_exit_plan(self._handle).decode(errors="replace")

    @property
    def bytes(self) -> int:
        """Memory of the network beside the file itself."""
        return self._library.bnn_exit_bytes(self._handle)

    @property
    def operations(self) -> int:
        """Elementary steps of the longest run, of at most some 2 ns each."""
        return self._library.bnn_exit_operations(self._handle)

    def run(self) -> None:
        """Compute `outputs` from `inputs`.

        Raises:
            ModelFileError: an operator cannot compute with its values, or another thread runs this network.
        """
        status = self._run(*self._arguments)
        if status != _OK:
            self._check(status)

    def __call__(self, inputs: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
        """The outputs for inputs of the network's shapes and types, as arrays that nothing else refers to."""
        if len(inputs) != len(self.inputs):
            raise ArgumentError(f"inputs has {len(inputs)} arrays, but this network takes {len(self.inputs)}")
        for own, given in zip(self.inputs, inputs):
            array = np.asarray(given)
            if (array.shape, array.dtype) != (own.shape, own.dtype):
                raise ArgumentError(
                    f"inputs has {array.dtype} {list(array.shape)}, but must have {own.dtype} {list(own.shape)}"
                )
            own[...] = array
        self.run()
        return [array.copy() for array in self.outputs]


class _Locked:
    """Base of objects that only one thread at a time may use, `with self._lock`.

    A forked child has only the thread that forked. It gets new locks, because a lock that another thread of the parent
    held would never be released in it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locked_objects.add(self)


_locked_objects: weakref.WeakSet[_Locked] = weakref.WeakSet()


def _renew_locks() -> None:
    for each in list(_locked_objects):
        each._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class FrontEnd(_Locked):
    """The log-mel features of `bnn_exit.audio.logmel`, made by the native library.

    Args:
        features: the settings.

    Raises:
        ArgumentError: settings that break a rule.
        MissingPackageError: the library is not there.
    """

    def __init__(self, features: FeatureConfig) -> None:
        self._library = _library()
        self._features = features
        self._handle = ctypes.c_void_p()
        super().__init__()
        message = ctypes.create_string_buffer(_ERROR_BYTES)
        settings = _Features(**{field[0]: getattr(features, field[0]) for field in _Features._fields_})
        status = self._library.bnn_exit_front_end_new(
            ctypes.byref(settings), ctypes.byref(self._handle), message, _ERROR_BYTES
        )
        if status != _OK:
            raise _error(status, message.value.decode(errors="replace"))

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle:
            self._library.bnn_exit_front_end_free(handle)

    def log_mel(self, waveform: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The features [frames, num_mels] of a waveform [samples], as `bnn_exit.audio.logmel.log_mel` makes them.

        Raises:
            ArgumentError: as `waveform.check`, or shorter than one window.
        """
        from bnn_exit.audio.waveform import check  # loading a file needs no module for sound

        return self.of_samples(check(waveform))

    def of_samples(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """`log_mel` of samples that `waveform.check` gave."""
        samples = np.ascontiguousarray(samples)
        if samples.size < self._features.window_samples:
            raise ArgumentError(
                f"waveform has {samples.size} samples, but must have at least the window of "
                f"{self._features.window_samples}: lengthen it with fit_length"
            )
        result = np.empty((self._features.num_frames(samples.size), self._features.num_mels), np.float32)
        with self._lock:
            status = self._library.bnn_exit_log_mel(self._handle, samples.ctypes.data, samples.size, result.ctypes.data)
        if status != _OK:
            raise ModelFileError("this front end is running in another thread: make one for each thread")
        return result


class NativeBackend(_Locked):
    """Runs a file in the native library.

    Args:
        file: the file.
        threads: for one clip; small layers use one.

    Raises:
        ModelFileError: the file has an operator that this backend lacks, or asks for too much memory or work.
        MissingPackageError: the library is not there.
    """

    def __init__(self, file: ModelFile, *, threads: int = 1) -> None:
        self._file = file
        try:
            self.network = NativeNetwork(file.data, threads=threads)
        except ModelFileError as error:
            raise ModelFileError(f"{file.path}: {error}") from error
        # Views of the network's own arrays in the shapes that callers use.
        clip, thresholds = (self.network.inputs[file.inputs[name]] for name in (file.metadata.input, "thresholds"))
        self._clip, self._thresholds = (np.reshape(array, -1) for array in (clip, thresholds))
        self._probabilities, self._exit_index, self._score = (
            np.reshape(self.network.outputs[file.outputs[name]], -1)
            for name in ("probabilities", "exit_index", "score")
        )
        super().__init__()
        file.unpack(self.network.outputs)

    @staticmethod
    def is_installed() -> bool:
        """Whether it can run here."""
        return is_installed()

    def infer(self, inputs: npt.ArrayLike, thresholds: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], int, float]:
        """Probabilities [classes], exit index and score of one log-mel [frames, mels] or waveform [samples].

        Thread-safe: calls wait for each other.
        """
        with self._lock:
            self._clip[:] = np.asarray(inputs).reshape(-1)
            self._thresholds[:] = thresholds
            try:
                self.network.run()
            except ModelFileError as error:
                raise ModelFileError(f"{self._file.path}: {error}") from error
            probabilities, exit_index, score = self._probabilities.copy(), self._exit_index.item(), self._score.item()
        self._file.check_exit_index(exit_index)
        return probabilities, exit_index, score
