"""What does it cost to listen all day, in instructions for a second of audio on 64-bit Arm?

    python benchmarks/stream_cost.py arabic-speech-commands-small --speech DIR/*.ogg [--operating-point fast]

Front end, network and detector of `examples/listen.c`, cross-compiled, in an emulator that logs what it executes:
instructions count as one whatever they do, and no time is measured. Loading is left out: a run over a second more of
audio is compared with one without it.

1. The instructions of a second in which every window leaves at exit k, for each k, and of a quiet second with the gate
   shut, by thresholds that force it.
2. The exits that the windows of all the speech take, on this machine, and what a second of it costs therefore.
3. As a check, some seconds of the speech itself, counted.

A window is taken every 100 ms. Needs Debian's g++-aarch64-linux-gnu and qemu-user-static, and the package soundfile.
Writes results/stream_cost.json, one row for each model and operating point, and exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from arm_tools import COMPILER, EMULATOR, NATIVE, PROCESSOR, Counter, build, version
from result_file import called, report

import bnn_exit
from bnn_exit import GateSettings, ListeningPoint, machine
from bnn_exit.audio import wav
from bnn_exit.files import write_json
from bnn_exit.model_file import rewrite
from bnn_exit.model_file.operating_points import OperatingPoint

HERE = Path(__file__).parent
RESULT = HERE / "results" / "stream_cost.json"
HOP_MS = 100
LEAD_S, COUNTED_S = 2, 2
"""Seconds that are left out, and that are counted."""
BARS = {"speech": 25e6, "quiet": 5e6}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model file, or the name of one in the package")
    parser.add_argument("--speech", nargs="+", required=True, metavar="FILE", help="read speech")
    parser.add_argument("--operating-point", help="default: the listening point's, or balanced")
    given = parser.parse_args(argv)
    session = bnn_exit.load(given.model, backend="native")
    own = bnn_exit.Stream(session).listening_point
    name = given.operating_point or (own.operating_point if own else "balanced")
    rate = session.metadata.features.sample_rate_hz
    speech = [wav.read(path, sample_rate_hz=rate) for path in given.speech]
    with tempfile.TemporaryDirectory() as scratch:
        counter = Listening(Path(scratch), session, name, rate)
        noise = np.random.default_rng(0).normal(0, 3e-4, rate * (LEAD_S + COUNTED_S))
        by_exit = [counter.second(noise, f"exit{index}")[0] for index in range(session.exits)]
        quiet, gated = counter.second(noise, "gated")
        checks = [counter.second(clip[len(clip) // 2 :], "speech") for clip in speech]
    exits = Tally(session, name, speech)
    cost = float(np.dot(exits.shares, by_exit))
    entry = {
        "model": session.model_file.path.stem,
        "operating_point": name,
        "windows_per_second": 1000 / HOP_MS,
        "instructions_per_second_by_exit": by_exit,
        "quiet": {"instructions_per_second": quiet, "windows": gated},
        "speech": {
            "seconds": round(sum(map(len, speech)) / rate, 1),
            "windows": exits.count,
            "exit_shares": [round(share, 4) for share in exits.shares],
            "instructions_per_second": round(cost),
        },
        "counted_speech": [{"instructions_per_second": count, "windows": windows} for count, windows in checks],
    }
    bars = [
        bar("read speech", cost, BARS["speech"]),
        bar("quiet noise with the gate", quiet, BARS["quiet"]),
    ]
    write(entry | {"bars": bars}, called(__file__, argv))
    return report(bars)


def bar(what: str, figure: float, most: float) -> dict[str, Any]:
    return {"what": f"{what}: instructions a second", "figure": float(figure), "bar": most, "met": figure <= most}


def write(entry: Mapping[str, Any], command: str) -> None:
    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    same = ("model", "operating_point")
    rows = [row for row in rows if any(row[key] != entry[key] for key in same)]
    tools = {"compiler": version(COMPILER), "emulator": version(EMULATOR)}
    result = {
        "question": "instructions for a second of audio on 64-bit Arm, front end and network at 10 windows a second",
        "kind": f"counted in an emulator ({PROCESSOR}), not measured on a board",
        "rows": [*rows, {**entry, "command": command, **machine.provenance(tools)}],
    }
    write_json(RESULT, result)
    print(f"wrote {RESULT}")


class Tally:
    """The exits that the windows of recordings take: `shares` of all exits, of `count` windows."""

    def __init__(self, session: bnn_exit.Session, name: str, speech: list[Any]) -> None:
        found = np.zeros(session.exits)
        for clip in speech:
            stream = bnn_exit.Stream(session, hop_ms=HOP_MS, operating_point=name, gate=False)
            for window in stream.windows(clip):
                found[window.exit_index] += 1
        self.count = int(found.sum())
        self.shares = found / self.count


class Listening:
    """Counts the instructions of `listen` for seconds of audio.

    Args:
        folder: for the programs, and a copy of the model with a listening point for each way to run it: "exit0", ...
            force an exit, "gated" has a gate, and "speech" has the operating point `name`.
    """

    def __init__(self, folder: Path, session: bnn_exit.Session, name: str, rate: int) -> None:
        self._folder, self._rate = folder, rate
        (self._listen,) = build(folder, NATIVE / "examples" / "listen.c")
        self._counter = Counter(folder)
        self._model = folder / "model.tflite"
        points = {f"exit{index}": forced(session, index) for index in range(session.exits)}
        listening = {
            each: ListeningPoint(
                each,
                operating_point=each if each in points else name,
                thresholds=dict.fromkeys(session.labels, 0.9),
                hop_ms=HOP_MS,
                gate=GateSettings() if each == "gated" else None,
            )
            for each in (*points, "gated", "speech")
        }
        self._model.write_bytes(rewrite.with_points(session.model_file.path, points, listening_points=listening))

    def second(self, samples: Any, point: str) -> tuple[int, list[int]]:
        """Instructions of a second, and the windows that left at each exit; the last number is that of closed gates."""
        ends = (LEAD_S * self._rate, (LEAD_S + COUNTED_S) * self._rate)
        (before, early), (after, late) = (self._run(samples[:end], point) for end in ends)
        windows = [of_late - of_early for of_late, of_early in zip(late, early, strict=True)]
        print(
            f"{point}: {(after - before) / COUNTED_S / 1e6:.2f} M instructions a second, windows {windows}", flush=True
        )
        return round((after - before) / COUNTED_S), windows

    def _run(self, samples: Any, point: str) -> tuple[int, list[int]]:
        audio = self._folder / "audio.raw"
        audio.write_bytes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        command = [self._listen, self._model, "--listening-point", point]
        count, done = self._counter.total(command, source=audio)
        exits = re.findall(r"(?:exit \d+|gate closed): (\d+)", done.stderr.splitlines()[-1])
        return count, [int(number) for number in exits]


def forced(session: bnn_exit.Session, index: int) -> OperatingPoint:
    """An operating point at which every clip leaves at that exit."""
    thresholds = [0.0] * (session.exits - 1)
    if index < session.exits - 1:
        thresholds[index] = 1000.0
    shares = tuple(float(each == index) for each in range(session.exits))
    return OperatingPoint(
        name=f"exit{index}",
        thresholds=tuple(thresholds),
        max_accuracy_drop=1.0,
        accuracy=0.0,
        exit_shares=shares,
        mean_cost={"binary_macs": 0.0, "float_macs": 0.0, "ops": 0.0},
        sample_count=1,
    )


if __name__ == "__main__":
    sys.exit(main())
