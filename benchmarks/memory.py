"""How much memory does it take to load and run a model file?

    python benchmarks/memory.py MODEL.tflite

The resident set, at its largest, of a fresh Python process that imports bnn_exit, loads the file on the native backend
and classifies one clip (NumPy included), stage by stage; and of the C example on the same file. Median of several
processes. Writes results/memory.json and exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from result_file import called

from bnn_exit import machine
from bnn_exit.audio import wav
from bnn_exit.files import write_json
from bnn_exit.runtime import capabilities, native_backend, session

RESULT = Path(__file__).parent / "results" / "memory.json"
NATIVE = Path(native_backend.__file__).parent / "native"
BARS_MB = {"python": 60.0, "c": 10.0}
PROCESSES = 5
STAGES = r"""
import sys
def peak():
    # Of this process alone: ru_maxrss would begin with that of the one which started it.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
print("interpreter", peak())
import numpy
print("numpy", peak())
import bnn_exit
from bnn_exit.runtime import session
print("bnn_exit", peak())
model = session.load(sys.argv[1], backend="native")
print("load", peak())
for _ in range(3):
    model.predict(numpy.random.default_rng(0).normal(0, 0.1, model.metadata.clip_samples))
print("run", peak())
"""


def python_stages(model: Path) -> dict[str, float]:
    """Largest resident set in MB after each stage."""
    done = subprocess.run([sys.executable, "-c", STAGES, model], capture_output=True, text=True, check=True)
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def build_example(folder: Path) -> Path:
    """The C example, linked with the library in use."""
    library = native_backend.find_library()
    command = ["cc", "-O2", "-I", NATIVE / "include", NATIVE / "examples" / "classify.c", library]
    subprocess.run([*map(str, command), f"-Wl,-rpath,{library.parent}", "-o", folder / "classify"], check=True)
    return folder / "classify"


# A child's largest resident set is never below that of the process it was forked from, so a small one must start it.
WATCH = r"""
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char** arguments) {
  int status;
  struct rusage usage;
  if (count < 2) return 2;
  if (!fork()) return execv(arguments[1], arguments + 1);
  wait4(-1, &status, 0, &usage);
  fprintf(stderr, "%ld\n", usage.ru_maxrss);
  return status != 0;
}
"""


def c_peak(watch: Path, *command: str | Path) -> float:
    """Largest resident set in MB of a program."""
    done = subprocess.run([watch, *command], capture_output=True, text=True, check=True)
    return float(done.stderr.split()[-1]) / 1024


def build_watch(folder: Path) -> Path:
    """The program that starts another and tells its largest resident set."""
    (folder / "watch.c").write_text(WATCH)
    subprocess.run(["cc", "-O2", folder / "watch.c", "-o", folder / "watch"], check=True)
    return folder / "watch"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    options = parser.parse_args()
    metadata = session.load(options.model, backend="native").metadata
    runs = [python_stages(options.model) for _ in range(PROCESSES)]
    stages = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.wav")
        samples = np.random.default_rng(0).normal(0, 0.1, metadata.clip_samples).clip(-1, 1).astype(np.float32)
        wav.write(clip, samples, sample_rate_hz=metadata.features.sample_rate_hz)
        watch, program = build_watch(Path(folder)), build_example(Path(folder))
        c = statistics.median(c_peak(watch, program, options.model, clip, "full") for _ in range(PROCESSES))
    found = {"python": stages["run"], "c": c}
    for name, bar in BARS_MB.items():
        print(f"{name:8s} {found[name]:6.1f} MB   bar {bar:.0f} MB   {'met' if found[name] < bar else 'MISSED'}")
    print({name: round(value, 1) for name, value in stages.items()})
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": called(__file__, None),
            **machine.provenance(),
            "isa": capabilities()["isa"],
            "model_bytes": options.model.stat().st_size,
            "processes": PROCESSES,
            "bars_mb": BARS_MB,
            "python_stages_mb": stages,
            "c_example_mb": c,
        },
    )
    return int(any(found[name] >= bar for name, bar in BARS_MB.items()))


if __name__ == "__main__":
    raise SystemExit(main())
