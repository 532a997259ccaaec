"""One case of fuzzing, from its number to what was found: a random graph or a changed file, tried and judged.

Cases are the same for the same number. A crash, a hang, a violation of the interface's contract or a disagreement with
the reference is a finding, never an exception.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit.errors import BnnExitError
from bnn_exit.model_file import flatbuffer, metadata, reader, schema
from fuzzing import case_server, judge
from fuzzing.case_server import CLASSIFIER, FLUSH, FORK, MISUSE, TWO_THREADS, CaseServer
from fuzzing.changes import changed
from fuzzing.graphs import random_graph
from fuzzing.maker import SPECIAL

MAX_BYTES = 1 << 24
MAX_OPERATIONS = {"sanitized": 1 << 21, "plain": 1 << 26}
NS_A_STEP = 2.0
"""What is slower, by the file's own count, is a hang in the making; measured where there are at least MANY_STEPS."""
NS_A_SUBNORMAL_STEP = 5 * NS_A_STEP
"""Where subnormal numbers (below 1.2e-38) alone are what is slow: bnn_exit.h says so."""
MANY_STEPS = 100_000
TRIES = 4
"""Further ones, before a time is believed."""
NS_TO_LOAD = 2e9
ROOM_TO_LOAD = 4 << 20
"""Bytes beside `max_bytes` and twice the file that loading may take."""
REFERENCE_SECONDS = 10
"""Of the processor, for one case: what takes longer is counted, but not judged."""
MOST_INPUTS = 1 << 19
"""Values; what asks for more is loaded, but not run."""


@dataclasses.dataclass
class Case:
    name: str
    file: bytes
    rounds: list[list[Any]]
    threads: int
    flags: int


@dataclasses.dataclass
class Finding:
    kind: str
    text: str


@dataclasses.dataclass
class Outcome:
    """What a case gave: findings, verdicts by kind, the slowest step and the most memory beside the file.

    Where subnormal numbers alone make it slow, which the library's header announces, `subnormal_ns_a_step` is the
    slowest step with them and `ns_a_step` the one without.
    """

    findings: list[Finding] = dataclasses.field(default_factory=list)
    verdicts: dict[str, int] = dataclasses.field(default_factory=dict)
    ns_a_step: float = 0.0
    subnormal_ns_a_step: float = 0.0
    peak_bytes: int = 0

    def count(self, kind: str) -> None:
        self.verdicts[kind] = self.verdicts.get(kind, 0) + 1


def graph_case(number: int) -> Case:
    """A random valid graph."""
    graph = random_graph(number)
    return Case(f"graph-{number}", graph.data, graph.inputs, *_manner(number))


def file_case(number: int, sources: Mapping[str, bytes]) -> Case:
    """A changed file: every other one from a random graph, the others from files that are given."""
    random = np.random.default_rng([number, 1])
    if random.random() < 0.5:
        name, data = "graph", random_graph(10**9 + number).data
    else:
        name = list(sources)[int(random.integers(len(sources)))]
        data = sources[name]
    data = changed(data, number)
    threads, flags = _manner(number)
    try:
        model = flatbuffer.read(data)
        flags |= CLASSIFIER if metadata.METADATA_NAME in model.metadata else 0
        rounds = _inputs(model, random)
    except BnnExitError:
        rounds = []
    return Case(f"file-{number}-{name}", data, rounds, threads, flags)


def _manner(number: int) -> tuple[int, int]:
    """Threads and flags: a fork now and then, two threads on one network, one to three threads of its own."""
    flags = (FORK if number % 50 == 7 else 0) | (TWO_THREADS if number % 20 == 3 else 0)
    flags |= MISUSE if number % 100 == 11 else 0
    return (1, 1, 1, 2, 1, 1, 3)[number % 7], flags


def _inputs(model: flatbuffer.Model, random: np.random.Generator) -> list[list[Any]]:
    tensors = [model.subgraphs[0].tensors[index] for index in model.subgraphs[0].inputs]
    sizes = [int(np.prod(tensor.shape, dtype=object)) for tensor in tensors]
    if sum(sizes) > MOST_INPUTS or any(max(tensor.shape, default=0) > MOST_INPUTS for tensor in tensors):
        return []
    special = random.random() < 0.2
    rounds = []
    for _ in range(2):
        inputs = []
        for tensor in tensors:
            if tensor.dtype not in schema.NUMPY_TYPES:
                return []
            values: Any = random.integers(0 if tensor.dtype[0] == "u" else -9, 10, tensor.shape)
            if tensor.dtype.startswith(("float", "complex")):
                values = values / 4
                if special:
                    values = np.where(random.random(tensor.shape) < 0.1, random.choice(SPECIAL, tensor.shape), values)
            with np.errstate(all="ignore"):
                inputs.append(np.asarray(values > 0 if tensor.dtype == "bool" else values).astype(tensor.dtype))
        rounds.append(inputs)
    return rounds


class _TooLong(Exception):
    pass


def _judged(case: Case, isa_results: Sequence[case_server.IsaResult]) -> list[judge.Verdict]:
    def stop(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, REFERENCE_SECONDS)
    try:
        return judge.judge(case.file, case.rounds, isa_results)
    except (_TooLong, MemoryError, RecursionError):
        return [judge.Verdict("too much for the reference") for _ in isa_results]
    except Exception as error:  # its errors are BnnExitError: this is a finding, too
        return [judge.Verdict("an error of the reference", repr(error)) for _ in isa_results]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_case(case: Case, programs: Mapping[str, CaseServer]) -> Outcome:
    """Ask each program: one called "plain" has no sanitizers and is timed, the others watch memory."""
    outcome = Outcome()
    for name, native in programs.items():
        plain = name.startswith("plain")
        try:
            case_result = _execute(native, case, plain)
        except case_server.ServerDied as error:
            outcome.findings.append(Finding("crash or hang", f"{name}: {error}"))
            outcome.count("crash or hang")
            continue
        outcome.findings += [Finding("contract violation", f"{name}: {what}") for what in case_result.violations]
        shown = set()
        for isa_result, verdict in zip(case_result.isas, _judged(case, case_result.isas)):
            outcome.count(verdict.kind)
            if not verdict.good and verdict.kind not in shown:
                shown.add(verdict.kind)
                outcome.findings.append(Finding(verdict.kind, f"{name}, {isa_result.isa}: {verdict.text}"))
        if plain:
            outcome.findings += _timed(native, case, case_result, outcome)
        else:
            _weigh(case, case_result, outcome)
        if case_result.classifier is not None:
            _judge_classifier(case, case_result.classifier, outcome)
    return outcome


def _execute(native: CaseServer, case: Case, plain: bool) -> case_server.CaseResult:
    most = MAX_OPERATIONS["plain" if plain else "sanitized"]
    return native.execute(
        case.file, case.rounds, max_bytes=MAX_BYTES, max_operations=most, threads=case.threads, flags=case.flags
    )


def _steps(case_result: case_server.CaseResult) -> dict[str, float]:
    """Nanoseconds a step of each instruction set's fastest run."""
    return {
        isa_result.isa: min(found.ns for found in isa_result.rounds) / isa_result.operations
        for isa_result in case_result.isas
        if isa_result.rounds and isa_result.operations >= MANY_STEPS
    }


def _timed(native: CaseServer, case: Case, case_result: case_server.CaseResult, outcome: Outcome) -> list[Finding]:
    """What is too slow; believed only if it is so again, for others use the machine, too.

    Steps that are fast once subnormal numbers are taken as zero may take as long as the header says.
    """
    steps, load = _steps(case_result), {found.isa: found.load_ns for found in case_result.isas}
    try:
        for _ in range(TRIES):
            if _most(steps) <= NS_A_STEP and _most(load) <= NS_TO_LOAD:
                break
            again = _execute_alone(native, case)
            steps = _least(steps, _steps(again))
            load = _least(load, {found.isa: found.load_ns for found in again.isas})
        if NS_A_STEP < _most(steps) <= NS_A_SUBNORMAL_STEP:
            flushed = steps
            for _ in range(TRIES):
                flushed = _least(flushed, _steps(_execute_alone(native, case, FLUSH)))
            if _most(flushed) <= NS_A_STEP:
                outcome.subnormal_ns_a_step, steps = _most(steps), flushed
    except case_server.ServerDied as error:
        return [Finding("crash or hang", f"timed again: {error}")]
    outcome.ns_a_step = _most(steps)
    findings = [Finding("slow steps", f"{isa}: {value:.1f} ns") for isa, value in steps.items() if value > NS_A_STEP]
    findings += [Finding("slow to load", f"{isa}: {ns / 1e9:.1f} s") for isa, ns in load.items() if ns > NS_TO_LOAD]
    return findings[:1]


def _execute_alone(native: CaseServer, case: Case, flags: int = 0) -> case_server.CaseResult:
    return _execute(native, dataclasses.replace(case, flags=flags, threads=1), True)


def _most(of_isas: Mapping[str, float]) -> float:
    return max(of_isas.values(), default=0.0)


def _least(known: Mapping[str, float], again: Mapping[str, float]) -> dict[str, float]:
    return {isa: min(value, again.get(isa, value)) for isa, value in known.items()}


def _weigh(case: Case, case_result: case_server.CaseResult, outcome: Outcome) -> None:
    most = max((isa_result.peak_bytes for isa_result in case_result.isas), default=0)
    outcome.peak_bytes = max(outcome.peak_bytes, most - len(case.file))
    if most > MAX_BYTES + 2 * len(case.file) + ROOM_TO_LOAD:
        outcome.findings.append(Finding("memory beyond the limit", f"{most} bytes with a limit of {MAX_BYTES}"))


def _judge_classifier(case: Case, found: tuple[int, str], outcome: Outcome) -> None:
    """The package's reader and the library's classifier take the same files."""
    status, text = found
    if status in (case_server.LIMIT, case_server.MEMORY):
        return
    try:
        reader.decode(case.file, place=Path("file"))
    except BnnExitError as error:
        if status == case_server.OK:
            outcome.findings.append(Finding("only native reads the metadata", str(error)))
        return
    except Exception as error:  # a traceback for a file is what this is about
        outcome.findings.append(Finding("an error of the reader", repr(error)))
        return
    loads = any(verdict in outcome.verdicts for verdict in ("same", "within the tolerance"))
    if status != case_server.OK and loads:
        outcome.findings.append(Finding("only native refuses the metadata", text))
