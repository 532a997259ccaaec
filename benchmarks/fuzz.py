"""Do random graphs or changed files make the native library crash, hang, take more than its limits or err?

    python benchmarks/fuzz.py --files 30000 --graphs 20000
    python benchmarks/fuzz.py --only file-123-ADD --only graph-7        these again, with their findings
    python benchmarks/fuzz.py --coverage --files 3000 --graphs 3000     lines of core/ and kernels/ that no case runs

Each case is tried on every instruction set of the machine by three programs: with sanitizers and values in shared
memory, with sanitizers and each value in memory of its own, and without sanitizers, where steps are timed. A case that
subnormal numbers alone make slow, which bnn_exit.h announces, is told apart. The reference judges all results. Findings
are kept in WORK/findings; an interrupted call resumes.
Needs clang++ (for coverage llvm-profdata and llvm-cov, too), cmake and ninja. Writes results/fuzz.json.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from result_file import called

from bnn_exit import machine
from bnn_exit.files import write_json
from bnn_exit.runtime import capabilities

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))
import fuzz_corpus  # noqa: E402
from fuzzing import case_server, cases  # noqa: E402

NATIVE = case_server.SOURCE
MODELS = sorted((HERE.parent / "bnn_exit" / "pretrained").glob("*.tflite"))
COPIES = 6
"""Of each real model and each adaptive file among those that are changed: operators and layers have a file each."""
EVERY = 20
"""Cases between two notes of the progress."""
KEPT = 20
"""Files of each kind of finding."""
ENVIRONMENT = {"ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=30000)
    parser.add_argument("--graphs", type=int, default=20000)
    parser.add_argument("--first", type=int, default=1_000_000, help="number of the first case")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--build", type=Path, default=Path("build/fuzz"), help="folder of the programs")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz-work"), help="folder of progress and findings")
    parser.add_argument("--plain", action="store_true", help="without the programs with sanitizers")
    parser.add_argument("--only", action="append", default=[], metavar="CASE")
    parser.add_argument("--coverage", action="store_true")
    options = parser.parse_args()
    programs = build(options)
    if options.only:
        return try_only(options, programs)
    work = options.work / hashlib.sha256(json.dumps(identity(options)).encode()).hexdigest()[:12]
    (work / "findings").mkdir(parents=True, exist_ok=True)
    if options.coverage:
        os.environ["LLVM_PROFILE_FILE"] = str(work.resolve() / "%4m.profraw")
    seconds = run(options, programs, work)
    if options.coverage:
        return uncovered(options, work)
    return report(options, work, seconds)


def build(options: argparse.Namespace) -> dict[str, Path]:
    """The programs by name."""
    options.build.mkdir(parents=True, exist_ok=True)
    compiler = shutil.which("clang++") or "g++"
    if options.plain:
        return {"plain": case_server.build(options.build, compiler)}
    folder = options.build / ("coverage" if options.coverage else "sanitized")
    settings = [f"-DCMAKE_CXX_COMPILER={compiler}", f"-DBNN_EXIT_COVERAGE={'ON' if options.coverage else 'OFF'}"]
    subprocess.run(["cmake", "-S", NATIVE / "fuzz", "-B", folder, "-G", "Ninja", *settings], check=True)
    subprocess.run(["ninja", "-C", folder, "case_server", "case_server_separate"], check=True)
    checked = {"shared": folder / "case_server", "separate": folder / "case_server_separate"}
    return checked if options.coverage else {**checked, "plain": case_server.build(options.build, compiler)}


def identity(options: argparse.Namespace) -> list[Any]:
    """What results depend on: another revision of the library or of the fuzzers begins anew."""
    sources = [*NATIVE.rglob("*.cpp"), *NATIVE.rglob("*.h"), *(HERE.parent / "tests").glob("*.py")]
    sources += (HERE.parent / "bnn_exit").rglob("*.py")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()
    return [digest, options.files, options.graphs, options.first, options.plain, options.coverage, options.processes]


# ---- cases


def sources() -> dict[str, bytes]:
    files = fuzz_corpus.sources(MODELS)
    often = [name for name in files if name.startswith("adaptive")] + [path.stem for path in MODELS]
    return {**files, **{f"{name}_{copy}": files[name] for name in often for copy in range(COPIES)}}


def numbered(options: argparse.Namespace, index: int, files: dict[str, bytes]) -> cases.Case:
    """The case of that index: graphs and files in turn, as their shares are."""
    total = options.files + options.graphs
    is_graph = index * options.graphs // total != (index + 1) * options.graphs // total
    number = options.first + index
    return cases.graph_case(number) if is_graph else cases.file_case(number, files)


def started(programs: dict[str, Path]) -> dict[str, case_server.CaseServer]:
    return {name: case_server.CaseServer(path, ENVIRONMENT) for name, path in programs.items()}


def try_only(options: argparse.Namespace, programs: dict[str, Path]) -> int:
    natives, files, found = started(programs), sources(), 0
    options.work.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        kind, number = name.split("-")[:2]
        case = cases.graph_case(int(number)) if kind == "graph" else cases.file_case(int(number), files)
        outcome = cases.try_case(case, natives)
        path = options.work / f"{case.name}.tflite"
        path.write_bytes(case.file)
        speed = f"{outcome.ns_a_step:.2f} ns a step"
        if outcome.subnormal_ns_a_step:
            speed += f" ({outcome.subnormal_ns_a_step:.2f} with subnormal numbers)"
        print(f"{path}: {outcome.verdicts}, {speed}, {outcome.peak_bytes} bytes")
        for finding in outcome.findings:
            print(f"  {finding.kind}: {finding.text}")
        found += bool(outcome.findings)
    return int(found > 0)


# ---- workers


def run(options: argparse.Namespace, programs: dict[str, Path], work: Path) -> float:
    """Try all cases; seconds that it took, those of earlier calls included."""
    before, begin = read(work / "seconds", 0.0), time.monotonic()
    context = multiprocessing.get_context("spawn")
    workers = {
        k: context.Process(target=work_through, args=(options, programs, work, k)) for k in range(options.processes)
    }
    for worker in workers.values():
        worker.start()
    total, told = options.files + options.graphs, 0.0
    while workers:
        time.sleep(1)
        write_json(work / "seconds", before + time.monotonic() - begin)
        for k, worker in list(workers.items()):
            if worker.is_alive():
                continue
            del workers[k]
            if worker.exitcode:  # the case at hand ended the judge itself
                note_death(options, work, k, worker.exitcode)
                workers[k] = context.Process(target=work_through, args=(options, programs, work, k))
                workers[k].start()
        if time.monotonic() - told > 30 or not workers:
            told = time.monotonic()
            states = [read(work / f"worker-{k}", new_state()) for k in range(options.processes)]
            done, found = sum(s["done"] for s in states), sum(sum(s["findings"].values()) for s in states)
            print(f"{done} of {total} cases, {found} findings, {told - begin + before:.0f} s", flush=True)
    return before + time.monotonic() - begin


def new_state() -> dict[str, Any]:
    return {
        "done": 0,
        "cases": {},
        "verdicts": {},
        "findings": {},
        "kept": [],
        "ns_a_step": [0.0, ""],
        "subnormal_ns_a_step": [0.0, ""],
        "peak_bytes": [0, ""],
    }


def read(path: Path, missing: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else missing


def work_through(options: argparse.Namespace, programs: dict[str, Path], work: Path, k: int) -> None:
    """The cases of one worker: every `processes`-th, from where it was."""
    state, files, natives = read(work / f"worker-{k}", new_state()), sources(), started(programs)
    indices = range(k, options.files + options.graphs, options.processes)
    for index in indices[state["done"] :]:
        (work / f"at-{k}").write_text(str(index))
        case = numbered(options, index, files)
        keep(work, state, case, cases.try_case(case, natives))
        if state["done"] % EVERY == 0 or state["done"] == len(indices):
            write_json(work / f"worker-{k}", state)
    write_json(work / f"worker-{k}", state)
    for native in natives.values():
        native.close()


def keep(work: Path, state: dict[str, Any], case: cases.Case, outcome: cases.Outcome) -> None:
    state["done"] += 1
    kind = case.name.split("-")[0]
    state["cases"][kind] = state["cases"].get(kind, 0) + 1
    for verdict, count in outcome.verdicts.items():
        state["verdicts"][verdict] = state["verdicts"].get(verdict, 0) + count
    for name in ("ns_a_step", "subnormal_ns_a_step", "peak_bytes"):
        value = getattr(outcome, name)
        if value > state[name][0]:
            state[name] = [value, case.name]
    for finding in outcome.findings[:3]:
        state["findings"][finding.kind] = state["findings"].get(finding.kind, 0) + 1
        if state["findings"][finding.kind] <= KEPT:
            state["kept"].append([case.name, finding.kind, finding.text])
            (work / "findings" / f"{case.name}.tflite").write_bytes(case.file)
            with (work / "findings" / "README").open("a") as stream:
                stream.write(f"{case.name}.tflite  {finding.kind}: {finding.text}\n")


def note_death(options: argparse.Namespace, work: Path, k: int, status: int) -> None:
    """Count the case that ended a worker as a finding, and continue with the next one."""
    state, index = read(work / f"worker-{k}", new_state()), int((work / f"at-{k}").read_text())
    case = numbered(options, index, sources())
    outcome = cases.Outcome([cases.Finding("the judge died", f"status {status}")])
    keep(work, state, case, outcome)
    state["done"] = (index - k) // options.processes + 1
    write_json(work / f"worker-{k}", state)


# ---- results


def report(options: argparse.Namespace, work: Path, seconds: float) -> int:
    states = [read(work / f"worker-{k}", new_state()) for k in range(options.processes)]
    total = {
        name: dict(sum((collections.Counter(state[name]) for state in states), collections.Counter()).most_common())
        for name in ("cases", "verdicts", "findings")
    }
    slowest, subnormal, largest = (
        max(state[name] for state in states) for name in ("ns_a_step", "subnormal_ns_a_step", "peak_bytes")
    )
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, None),
        **machine.provenance(),
        "compiler": version_of(shutil.which("clang++") or "g++"),
        "isas": capabilities()["isas"],
        "programs": ["without sanitizers"]
        if options.plain
        else ["sanitizers, shared memory", "sanitizers, each value in memory of its own", "without sanitizers"],
        "limits": {"max_bytes": cases.MAX_BYTES, "max_operations": cases.MAX_OPERATIONS},
        "seconds": round(seconds),
        "cases": total["cases"],
        "verdicts": total["verdicts"],
        "findings": total["findings"],
        "slowest_step": {"ns": round(slowest[0], 3), "case": slowest[1], "hang_beyond_ns": cases.NS_A_STEP},
        "slowest_step_of_subnormal_numbers": {"ns": round(subnormal[0], 3), "case": subnormal[1]},
        "most_memory_to_load": {"bytes_beside_the_file": largest[0], "case": largest[1]},
    }
    path = HERE / "results" / "fuzz.json"
    write_json(path, result)
    for name in ("cases", "verdicts", "findings"):
        print(f"{name}: {total[name]}")
    print(f"slowest step {slowest[0]:.2f} ns ({slowest[1]}), most memory {largest[0]} bytes ({largest[1]})")
    print(f"slowest step of subnormal numbers {subnormal[0]:.2f} ns ({subnormal[1]})")
    print(f"wrote {path}")
    return int(bool(total["findings"]))


def version_of(program: str) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def uncovered(options: argparse.Namespace, work: Path) -> int:
    """Print the lines that no case ran; instruction sets of other machines are not compiled, so not counted."""
    program = options.build / "coverage" / "case_server"
    merged = work / "all.profdata"
    profiles = sorted(work.glob("*.profraw"))
    subprocess.run(["llvm-profdata", "merge", "-sparse", *profiles, "-o", merged], check=True)
    programs = [program, "-object", f"{program}_separate"]
    export = ["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}", *programs]
    lines = subprocess.run(export, check=True, capture_output=True, text=True).stdout.splitlines()
    totals = {"core": [0, 0], "kernels": [0, 0]}
    for path, counts in sorted(line_counts(lines).items()):
        if path.is_relative_to(NATIVE / "core"):
            part = "core"
        elif path.is_relative_to(NATIVE / "kernels"):
            part = "kernels"
        else:
            continue
        missed = sorted(line for line, count in counts.items() if not count)
        totals[part][0] += len(counts) - len(missed)
        totals[part][1] += len(counts)
        share, lines_missed = 1 - len(missed) / len(counts), ", ".join(ranges(missed)) or "none"
        print(f"{path.relative_to(NATIVE)}: {share:.1%}, missed {lines_missed}")
    for part, (ran, count) in totals.items():
        print(f"{part}: {ran / count:.2%} of {count} lines")
    return int(any(ran < 0.95 * count for ran, count in totals.values()))


def line_counts(lines: list[str]) -> dict[Path, dict[int, int]]:
    """File -> line -> how often it ran, from llvm-cov's lcov."""
    found: dict[Path, dict[int, int]] = collections.defaultdict(dict)
    path = Path()
    for line in lines:
        name, _, rest = line.partition(":")
        if name == "SF":
            path = Path(rest).resolve()
        elif name == "DA":
            number, count = map(int, rest.split(",")[:2])
            found[path][number] = max(count, found[path].get(number, 0))
    return found


def ranges(numbers: list[int]) -> Iterator[str]:
    first = last = None
    for number in [*numbers, None]:
        if last is not None and number == last + 1:
            last = number
            continue
        if last is not None:
            yield str(first) if first == last else f"{first}-{last}"
        first = last = number


if __name__ == "__main__":
    raise SystemExit(main())
