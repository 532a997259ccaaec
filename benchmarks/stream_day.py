"""Does a stream stay what it is for a day: the same memory at every hour, and the same events for every chunking?

    python benchmarks/stream_day.py MODEL --audio FILE... [--hours 24]

The files are played one after the other, again and again, until the hours are full. One stream gets them in chunks of
odd sizes, as a busy machine takes them from a microphone, and a second one in pieces of ten minutes. Their events must
be equal, and the resident memory of the process must be the same at every full hour. A model without a listening point
is given one, whose threshold is low so that there are many events. Writes results/stream_day.json; exits with 1 if the
events differ or the memory grows by more than a megabyte.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from result_file import called, report

import bnn_exit
from bnn_exit import ListeningPoint, Stream, machine
from bnn_exit.audio import wav
from bnn_exit.files import write_json
from bnn_exit.runtime.detector import Event
from bnn_exit.runtime.session import Session

RESULT = Path(__file__).parent / "results" / "stream_day.json"
ODD, WHOLE_S = 5000, 600
THRESHOLD = 0.6
GROWTH_KIB = 1024


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model file, or the name of one in the package")
    parser.add_argument("--audio", nargs="+", required=True, metavar="FILE", help="what is played")
    parser.add_argument("--hours", type=float, default=24.0, help="how long (default: 24)")
    given = parser.parse_args(argv)
    session = bnn_exit.load(given.model, backend="native")
    rate = session.metadata.features.sample_rate_hz
    audio = np.concatenate([wav.read(path, sample_rate_hz=rate) for path in given.audio])
    total = round(given.hours * 3600 * rate)
    odd = np.random.default_rng(0)
    events, memory, seconds = played(session, audio, total, lambda: int(odd.integers(1, ODD)))
    others, _, _ = played(session, audio, total, lambda: WHOLE_S * rate)
    growth = max(memory) - memory[0]
    bars: list[dict[str, Any]] = [
        {"what": "events that differ", "figure": differing(events, others), "bar": 0},
        {"what": "growth of the memory after the first hour, KiB", "figure": growth, "bar": GROWTH_KIB},
    ]
    for bar in bars:
        bar["met"] = bar["figure"] <= bar["bar"]
    result = {
        "question": __doc__.splitlines()[0],
        "command": called(__file__, argv),
        **machine.provenance(),
        "model": given.model,
        "hours": total / rate / 3600,
        "seconds_of_audio": len(audio) / rate,
        "events": len(events),
        "resident_kib_by_hour": memory,
        "times_real_time": total / rate / seconds,
        "share_of_core": seconds / (total / rate),
        "bars": bars,
    }
    write_json(RESULT, result)
    print(f"{len(events)} events in {result['hours']:.1f} hours, {result['times_real_time']:.0f} times real time")
    return report(bars)


def played(session: Session, audio: np.ndarray, total: int, size: Any) -> tuple[list[Event], list[int], float]:
    """The events of `total` samples, the resident memory in KiB at each full hour and at the end, and the seconds of
    processor time."""
    point = Stream(session).listening_point or everything(session)
    stream, hour = Stream(session, listening_point=point), 3600 * session.metadata.features.sample_rate_hz
    events, memory, taken = [], [], 0
    began = time.process_time()
    for chunk in chunks(audio, total, size):
        events += stream.push(chunk)
        if taken // hour != (taken := taken + len(chunk)) // hour:
            memory.append(resident_kib())
    return events, [*memory, resident_kib()], time.process_time() - began


def chunks(audio: np.ndarray, total: int, size: Any) -> Iterator[np.ndarray]:
    """Pieces of the audio, played round and round, `total` samples in all."""
    place = 0
    while total > 0:
        chunk = audio[place : place + min(size(), total)]
        place = (place + len(chunk)) % len(audio)
        total -= len(chunk)
        yield chunk


def everything(session: Session) -> ListeningPoint:
    """A point at which every label makes events."""
    name = "balanced" if "balanced" in session.operating_points else next(iter(session.operating_points))
    return ListeningPoint("any", operating_point=name, thresholds=dict.fromkeys(session.labels, THRESHOLD))


def differing(events: list[Event], others: list[Event]) -> int:
    """How many events the one list has and the other has not, field by field."""
    return len(set(events) ^ set(others)) + abs(len(events) - len(others))


def resident_kib() -> int:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/status has no VmRSS")


if __name__ == "__main__":
    raise SystemExit(main())
