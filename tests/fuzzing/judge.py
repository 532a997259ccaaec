"""The reference backend as the judge of the native library, for any file and any inputs.

Either both refuse a file or a run, or both give the same. What is not a sum of floats or a function of them must be the
same to the last bit, NaN and -0 included. For the rest ERROR is what one operator may be off by; what that may come to
at the outputs is found by running the reference again with such errors made on purpose.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from bnn_exit.errors import BnnExitError
from bnn_exit.model_file import flatbuffer
from bnn_exit.model_file.flatbuffer import Operator
from bnn_exit.runtime.reference import interpreter as reference
from bnn_exit.runtime.reference.interpreter import Interpreter
from fuzzing import case_server

ERROR = 2.0**-21
"""What one result of such an operator may be off by, as a share of what its sum is with all signs positive."""
LEAST_ERROR = 2.0**-142
"""The same where results are so small that float32 has fewer digits for them."""
SUMS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "AVERAGE_POOL_2D", "MEAN", "SUM", "RFFT2D"}
EXACT = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "SUM"}
"""Those that are exact while their sums are: the others divide, or turn."""
FUNCTIONS = {
    *("SOFTMAX", "LOG_SOFTMAX", "ELU", "HARD_SWISH", "LOGISTIC", "TANH", "EXP", "LOG", "SIN", "COS", "RSQRT", "POW"),
    *("COMPLEX_ABS", "REDUCE_PROD"),
}
PADDED = {"CONV_2D", "DEPTHWISE_CONV_2D"}
DRAWS = (8, 56)
"""Runs with errors made on purpose: first some, and more before a difference is believed."""
WILD = np.float32([np.nan, np.inf, -np.inf, 1e33, -1e33, 1, -1, 0])
"""What a sum may be that overflows in one order and not in another; little, if what is large cancels."""
GRID = 2.0**-8
"""Sums of products of multiples of it are exact while they are small: then no error is allowed."""

ONLY_REFERENCE = (
    r"is only known during a run",
    r"values of \w+ are not supported",
    r"a result of \w+ is not supported",
    r"which this library does not take",
    r"only transforms of one axis|is no power of two",
    r"must be a constant",
    r"the branches of an IF give results of different shapes",
    r"its length differs from what the file announces",
)
"""What the native library may refuse although the reference runs it."""


@dataclasses.dataclass
class Verdict:
    """`kind` is "same" or what is wrong; `text` says more."""

    kind: str
    text: str = ""

    @property
    def good(self) -> bool:
        return self.kind in GOOD


GOOD = {
    "same",
    "within the tolerance",
    "both refuse",
    "beyond a limit",
    "only the reference runs it",
    "too much for the reference",
}


class Thorough(Interpreter):
    """The reference that also computes the branches not taken, which the native library checks when it loads."""

    def _step(self, index: int, operator: Operator, arguments: list[Any], observe: Any) -> tuple[Any, ...]:
        if operator.name == "IF":
            for branch in flatbuffer.branches(operator):
                self._run(branch, tuple(arguments[1:]), observe)
        return super()._step(index, operator, arguments, observe)


class Erring(Interpreter):
    """The reference with errors of a size that the native library's sums and functions may have."""

    def __init__(self, model: flatbuffer.Model, seed: int) -> None:
        super().__init__(model)
        self._random = np.random.default_rng(seed)
        self._wild = self._random.choice(WILD, 2)  # only two in a draw: it may take the same one in several places

    def _step(self, index: int, operator: Operator, arguments: list[Any], observe: Any) -> tuple[Any, ...]:
        results = super()._step(index, operator, arguments, observe)
        if operator.name not in SUMS | FUNCTIONS or results[0].dtype.kind not in "fc":
            return results
        if operator.name in EXACT and _exact(arguments):
            return results
        result = results[0]
        scale = self._scale(index, operator, arguments, result)
        if result.dtype.kind == "c":
            parts = [self._shifted(part, scale) for part in (result.real, result.imag)]
            return (np.stack(parts, axis=-1).view(result.dtype)[..., 0],)
        return (self._shifted(result, scale),)

    def _shifted(self, result: Any, scale: Any) -> Any:
        with np.errstate(all="ignore"):
            error = ERROR * np.where(np.isfinite(scale), scale, 0) + LEAST_ERROR
            shifted = result + self._random.uniform(-1, 1, scale.shape) * error
        return np.where(np.isfinite(scale), shifted, self._random.choice(self._wild, scale.shape)).astype(result.dtype)

    def _scale(self, index: int, operator: Operator, arguments: list[Any], result: Any) -> Any:
        """What an error of a result is a share of; not finite where float32 may overflow on the way to it."""
        if operator.name == "LOG_SOFTMAX":
            return np.abs(result) + np.max(np.abs(arguments[0]), axis=-1, keepdims=True, initial=1) * 2.0**-28
        if operator.name not in SUMS:
            return np.where(np.isfinite(result), np.abs(result), 0)
        if operator.name in PADDED and not np.all(np.isfinite(arguments[1])):
            return np.full(result.shape, np.inf)  # padding is skipped, or it is a zero that makes NaN of such a weight
        plain = {**operator.options, "fused_activation_function": "NONE"}
        # What is not finite is so in any order.
        positive = [
            value
            if value is None or value.dtype.kind != "f"
            else np.where(np.isfinite(value), np.abs(value), 0).astype(value.dtype)  # a single one would become float64
            for value in arguments
        ]
        tensors = self._model.subgraphs[index].tensors
        outputs = tuple(tensors[position] for position in operator.outputs)
        scale = np.abs(reference.OPERATORS[operator.name](positive, plain, outputs)[0])
        with np.errstate(over="ignore"):
            if operator.name == "AVERAGE_POOL_2D":  # its sum may overflow, though the mean does not
                scale = scale * np.float32(operator.options["filter_height"] * operator.options["filter_width"])
        if operator.name == "RFFT2D":
            finite = np.all(np.isfinite(arguments[0]), axis=-1, keepdims=True)
            return np.where(finite, np.max(scale, axis=-1, keepdims=True), np.inf) + np.zeros(scale.shape)
        return scale


def _exact(arguments: Sequence[Any]) -> bool:
    """Whether every sum of products of these is exact in float32."""
    product = 1.0
    for value in arguments[:2]:
        if value is None or value.dtype.kind != "f":
            continue
        finite = value[np.isfinite(value)]
        if np.any(finite * 256 != np.round(finite * 256)):
            return False
        product *= float(np.max(np.abs(finite), initial=0)) * max(1.0, value.size**0.5)
    return product < 2.0**24 * GRID * GRID * 256


def judge(file: bytes, rounds: Sequence[Sequence[Any]], isa_results: Sequence[case_server.IsaResult]) -> list[Verdict]:
    """Compare each instruction set's isa_result to a file with the reference's."""
    try:
        model = flatbuffer.read(file)
        interpreter = Interpreter(model)
    except BnnExitError as error:
        loads = Verdict("only native loads it", str(error))
        return [loads if isa_result.status == case_server.OK else Verdict("both refuse") for isa_result in isa_results]
    limits = case_server.LIMIT, case_server.MEMORY
    expected: list[tuple[Any, ...] | BnnExitError] = []
    if not all(isa_result.status in limits for isa_result in isa_results):
        for inputs in rounds:
            try:
                expected.append(interpreter.run(inputs))
            except BnnExitError as error:
                expected.append(error)
    verdicts: list[Verdict] = []
    for position, isa_result in enumerate(isa_results):
        same = [k for k in range(position) if _alike(isa_results[k], isa_result)]
        if same:
            verdicts.append(verdicts[same[0]])
        elif isa_result.status in limits:
            verdicts.append(Verdict("beyond a limit"))
        else:
            verdicts.append(_judge(model, rounds, expected, isa_result))
    return verdicts


def _alike(a: case_server.IsaResult, b: case_server.IsaResult) -> bool:
    """Whether two instruction sets gave the same to the last bit."""
    return (a.status, a.text, len(a.rounds)) == (b.status, b.text, len(b.rounds)) and all(
        (x.status, x.text) == (y.status, y.text)
        and all(v.tobytes() == w.tobytes() for v, w in zip(x.outputs, y.outputs))
        for x, y in zip(a.rounds, b.rounds)
    )


def _judge(
    model: flatbuffer.Model, rounds: Sequence[Sequence[Any]], expected: Sequence[Any], isa_result: case_server.IsaResult
) -> Verdict:
    verdict = Verdict("same" if isa_result.status == case_server.OK else "both refuse")
    for index, inputs in enumerate(rounds):
        wanted = expected[index]
        loaded = isa_result.status == case_server.OK
        if loaded and index >= len(isa_result.rounds):
            return Verdict("the inputs are described differently", str(isa_result.inputs))
        found = isa_result.rounds[index] if loaded else isa_result
        status, text = found.status, found.text
        if isinstance(wanted, BnnExitError):
            if status == case_server.OK:
                return Verdict("only native runs it", str(wanted))
            continue
        if status != case_server.OK:
            return _only_reference(model, inputs, text)
        found = _compare(model, inputs, wanted, isa_result.rounds[index].outputs)
        if not found.good:
            return dataclasses.replace(found, text=f"{isa_result.isa}, run {index}: {found.text}")
        verdict = verdict if found.kind == "same" else found
    return verdict


def _only_reference(model: flatbuffer.Model, inputs: Sequence[Any], text: str) -> Verdict:
    try:
        Thorough(model).run(inputs)
    except BnnExitError:
        return Verdict("both refuse")
    if any(re.search(pattern, text) for pattern in ONLY_REFERENCE) or _takes_a_length_on_trust(model):
        return Verdict("only the reference runs it", text)
    return Verdict("only native refuses it", text)


def _takes_a_length_on_trust(model: flatbuffer.Model) -> bool:
    """Whether the native library plans with a length that only a run can tell: then it may refuse the rest."""
    return any(
        operator.name == "RANGE" and graph.tensors[operator.outputs[0]].dynamic and not _constant(graph, operator)
        for graph in model.subgraphs
        for operator in graph.operators
    )


def _constant(graph: flatbuffer.Subgraph, operator: Operator) -> bool:
    return all(graph.tensors[position].data is not None for position in operator.inputs)


def _compare(model: flatbuffer.Model, inputs: Sequence[Any], expected: Sequence[Any], found: Sequence[Any]) -> Verdict:
    described = [(value.dtype, value.shape) for value in expected], [(value.dtype, value.shape) for value in found]
    if described[0] != described[1]:
        return Verdict("the outputs are described differently", f"{described[0]} {described[1]}")
    expected, found = _real(expected), _real(found)
    doubtful = [_differs(a, b) for a, b in zip(expected, found)]
    if not any(np.any(where) for where in doubtful):
        return Verdict("same")
    least, most = [_wide(value) for value in expected], [_wide(value) for value in expected]
    odd = [np.zeros(value.shape, bool) for value in expected]  # NaN or a zero of the other sign is among the draws
    for count in DRAWS:
        for seed in range(count):
            try:
                drawn = _real(Erring(model, seed + 1000 * count).run(inputs))
            except BnnExitError:
                return Verdict("within the tolerance", "an error decides whether it can be computed")
            for k, value in enumerate(drawn):
                if value.shape != expected[k].shape:
                    return Verdict("within the tolerance", "an error decides the shape")
                wide = _wide(value)
                least[k], most[k] = np.fmin(least[k], wide), np.fmax(most[k], wide)
                odd[k] |= ~_differs(value, found[k]) | (np.isnan(wide) != np.isnan(_wide(expected[k])))
        bad = [
            where & ~odd[k] & ~_between(found[k], least[k], most[k], expected[k]) for k, where in enumerate(doubtful)
        ]
        if not any(np.any(where) for where in bad):
            return Verdict("within the tolerance")
    k = next(k for k, where in enumerate(bad) if np.any(where))
    place = tuple(int(axis[0]) for axis in np.nonzero(bad[k])) if bad[k].ndim else ()
    return Verdict(
        "the results differ",
        f"output {k} at {list(place)} is {found[k][place]!r}, but must be {expected[k][place]!r} "
        f"({int(np.sum(bad[k]))} of {bad[k].size} values)",
    )


def _real(values: Sequence[Any]) -> list[Any]:
    return [np.stack([value.real, value.imag]) if value.dtype.kind == "c" else value for value in values]


def _wide(value: Any) -> Any:
    return value.astype(np.float64)


def _differs(a: Any, b: Any) -> Any:
    """Where two arrays are not the same to the last bit; every NaN counts as the same."""
    if a.dtype.kind != "f":
        return np.asarray(a != b)
    same = (a == b) & (np.signbit(a) == np.signbit(b)) | (np.isnan(a) & np.isnan(b))
    return np.asarray(~same)


def _between(found: Any, least: Any, most: Any, expected: Any) -> Any:
    """Where a value lies in what errors made of it, or a little outside, since draws seldom reach the ends."""
    if np.all(least == most):
        return np.zeros(found.shape, bool)
    wide = _wide(found)
    with np.errstate(all="ignore"):
        margin = np.where(np.isfinite(most - least), most - least, 0)
        inside = (wide >= least - margin) & (wide <= most + margin) & (least < most)
    return inside
