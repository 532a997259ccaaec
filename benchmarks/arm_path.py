"""What does the whole path from a second of audio to a label cost on 64-bit Arm? Modelled: no board took part.

    python benchmarks/arm_path.py arabic-speech-commands-small [MODEL...] [--peer S M L [--wheel FILE]]

1. Instructions: front end and network, cross-compiled, classify a clip in an emulator that logs what it executes, and
   leave at an exit by thresholds that force it. The log is split where the network begins and ends each step of its
   plan. Instructions count as one whatever they do.
2. Cycles: each straight run of instructions that holds at least 0.02 % of the path is given to llvm-mca as a loop and
   weighted by how often it is executed; the rest takes the mean cycles an instruction of these. Every load hits the
   first cache, and every branch is predicted.
3. --peer: the same of int8 DS-CNNs in LiteRT with XNNPACK (arm_peers.py), with our front end with their features. Needs
   the extra train.

LCE is not counted: larq-compute-engine has no wheel for aarch64 Linux. aarch64_model.py has figures of its kernels.
Needs Debian's g++-aarch64-linux-gnu, qemu-user-static and llvm-19. Writes results/arm_path.json and exits with 1 if the
first model misses the bar.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

from arm_cycles import CORES, MODELLED_SHARE, cost, print_row
from arm_tools import COMPILER, EMULATOR, MCA, PROCESSOR, Block, Counter, Symbols, build, one_of, version
from result_file import called, report

import bnn_exit
from bnn_exit import machine
from bnn_exit.files import write_json
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.settings.features import FeatureConfig

HERE = Path(__file__).parent
RESULT = HERE / "results" / "arm_path.json"
BAR = 1.6e6
"""Instructions for a second of audio, front end and network, at exit 1."""
BINARY, COPY, IF = "LceBconv2d", "copy of a branch's results", "IF"
CALL, FRONT_END, REST = "check and copy of the clip", "front end", "copies of input and output, and the loop over steps"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a model file, or the name of one in the package")
    parser.add_argument("--peer", nargs="+", default=[], choices=("S", "M", "L"), help="sizes of DS-CNN to count, too")
    parser.add_argument("--wheel", type=Path, help="ai-edge-litert for aarch64 (default: pip downloads it)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        path = OurPath(Path(scratch))
        sessions = [bnn_exit.load(name, backend="native") for name in given.models]
        ends = [sorted({0, session.exits - 1}) for session in sessions]
        rows = [path.row(session, index) for session, exits in zip(sessions, ends) for index in exits]
        peers = []
        if given.peer:
            import arm_peers  # needs TensorFlow

            peers = arm_peers.Peers(Path(scratch), given.wheel).rows(given.peer, path.front_end(arm_peers.FEATURES))
    first = rows[0]
    figure = round(first["instructions"] / first["clip_seconds"])
    what = f"{first['model']}, exit 1: instructions for a second of audio, front end and network"
    bars = [{"what": what, "figure": float(figure), "bar": BAR, "met": figure <= BAR}]
    result = {
        "question": __doc__.splitlines()[0],
        "kind": "modelled: counted in an emulator and by llvm-mca, not measured on a board",
        "assumptions": f"Every load hits the first cache and every branch is predicted. Runs of instructions that hold "
        f"at least {MODELLED_SHARE:.2%} of a path are modelled, each as a loop of its own ('covered' is their share); "
        "the rest takes their mean cycles an instruction.",
        "emulator": PROCESSOR,
        "models_of_cores": CORES,
        "lce": "not counted: larq-compute-engine has no wheel for aarch64 Linux; aarch64_model.json has figures of its "
        "binary kernels",
        "command": called(__file__, argv),
        **machine.provenance({"compiler": version(COMPILER), "emulator": version(EMULATOR), "llvm-mca": version(MCA)}),
        "rows": rows,
        "peers_are": "int8 files of random weights, run by one thread with XNNPACK's kernels for the processor, each "
        "with our front end with its features, without what makes int8 of the log-mel",
        "peers": peers,
        "bars": bars,
    }
    write_json(RESULT, result)
    print(f"wrote {RESULT}")
    return report(bars)


class OurPath:
    """Counts and models front end and network.

    Args:
        folder: for the programs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (self._program,) = build(folder, HERE / "arm_path.c")
        self._counter = Counter(folder)
        self._symbols = Symbols(self._program)

    def row(self, session: bnn_exit.Session, index: int) -> dict[str, Any]:
        """The cost of a clip that leaves at exit `index`."""
        symbols, data = self._symbols, session.model_file.data
        call = f"{symbols.address('bnn_exit_classify'):x}"
        front_end = f"{symbols.address('bnn_exit::FrontEnd::compute'):x}"
        network = f"{symbols.address('bnn_exit::Network::infer'):x}"
        steps = symbols.indirect_calls("bnn_exit::Network::infer")
        begins, ends = {f"{step:x}+" for step in steps}, {f"{step + 4:x}" for step in steps}
        file = self._folder / "model.tflite"
        file.write_bytes(data)
        thresholds = [1000.0 * (each == index) for each in range(session.exits - 1)]
        segments = self._counter.segments(
            [self._program, "classify", file, *thresholds], markers=[call, front_end, network, *begins, *ends]
        )
        once = one_of(segments, call)
        executed = sum(segment.marker in begins for segment in once)
        named = iter(named_parts(NativeNetwork(data).plan, index, executed))
        parts: dict[str, list[tuple[str, list[Block]]]] = {}
        others = {call: CALL, front_end: FRONT_END}
        for segment in once:
            if segment.marker in begins:
                part, step = next(named)
                parts.setdefault(part, []).append((step, segment.blocks))
            else:
                part = others.get(segment.marker, REST)
                parts.setdefault(part, [(part, [])])[0][1].extend(segment.blocks)
        features = session.metadata.features
        row = {
            "model": session.model_file.path.stem,
            "exit": index + 1,
            "exits": session.exits,
            "clip_seconds": session.metadata.clip_samples / features.sample_rate_hz,
            **cost(parts, cores=CORES, folder=self._folder, symbols=symbols),
        }
        print_row(f"{row['model']}, exit {row['exit']}", row)
        return row

    def front_end(self, features: FeatureConfig) -> list[Block]:
        """What our front end executes for a second of audio with these features."""
        settings = [features.sample_rate_hz, features.window_samples, features.hop_samples, features.fft_size]
        settings += [features.num_mels, features.lower_hz, features.upper_hz, features.log_offset]
        marker = f"{self._symbols.address('bnn_exit::FrontEnd::compute'):x}"
        segments = self._counter.segments([self._program, "log_mel", *settings], markers=[marker])
        return [block for segment in one_of(segments, marker) for block in segment.blocks]


def path_to_exit(plan: str, index: int) -> list[str]:
    """The steps of an execution plan up to an exit. An IF executes its branch "then" at this exit and "else" before it,
    and then copies the results of the branch.
    """
    return _path(plan.splitlines(), index)


def _path(lines: list[str], index: int) -> list[str]:
    path = []
    while lines:
        line, *lines = lines
        path.append(line)
        if line.split()[0] == IF:
            (leave, go_on), lines = _branches(lines)
            path += [*(_path(go_on, index - 1) if index else _path(leave, 0)), COPY]
    return path


def _branches(lines: list[str]) -> tuple[list[list[str]], list[str]]:
    """The two branches of an IF, whose lines are indented, and the lines after them."""
    found = []
    for _ in ("then", "else"):
        inside = list(itertools.takewhile(lambda line: line.startswith("  "), lines[1:]))
        found.append([line[2:] for line in inside])
        lines = lines[1 + len(inside) :]
    return found, lines


def named_parts(plan: str, index: int, executed: int) -> list[tuple[str, str]]:
    """The part of the network that each step on the way to an exit belongs to, and the step's line in the plan.

    Args:
        executed: the number of steps that were.
    """
    found: list[tuple[str, str]] = []
    waiting: list[str] = []
    layers, heads = 0, 0

    def close(part: str) -> None:
        found.extend((part, line) for line in waiting)
        waiting.clear()

    for line in path_to_exit(plan, index):
        if BINARY in line:
            layers += 1
            close("stem" if layers == 1 else f"float steps before binary layer {layers}")
            found.append((f"binary layer {layers}", line))
        elif line.split()[0] == IF:
            heads += 1
            close(f"head {heads} and its decision")
        else:
            waiting.append(line)
    close(f"head {index + 1} and its decision")
    if len(found) != executed:
        raise SystemExit(f"error: the plan has {len(found)} steps on the way, but {executed} were executed")
    return found


if __name__ == "__main__":
    sys.exit(main())
