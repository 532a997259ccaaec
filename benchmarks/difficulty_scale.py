"""Does `python -m bnn_exit.difficulty` take any number of files with the same memory, and how fast is it?

    python benchmarks/difficulty_scale.py RUN --data-dir DIR [--clips 1000 10000 100000]

Runs the command on lists that repeat the test clips, with --csv, --html, labels from folders and one worker, each in a
process of its own, and measures its peak memory and its time. Writes results/difficulty_scale.json and exits with 1 if
the memory grows by more than the bar.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from result_file import called

import audio_tasks
import bnn_exit
from bnn_exit import machine
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.errors import ArgumentError, BnnExitError
from bnn_exit.files import write_json
from bnn_exit.runs.folder import RunFolder

RESULT = Path(__file__).parent / "results" / "difficulty_scale.json"
BAR_MB = 10
"""By how much the peak may grow from the least number of clips."""

CHILD = """
import json, resource, sys
from bnn_exit.commands.difficulty import main
status = main(sys.argv[1:])
use = resource.getrusage(resource.RUSAGE_SELF)
# VmHWM is of this process alone: ru_maxrss would begin with that of the one which started it.
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
print(json.dumps({"status": status, "peak_mb": peak, "cpu_seconds": use.ru_utime + use.ru_stime}))
"""


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/difficulty_scale.py", description=text[0], epilog=text[2])
    arguments.add_argument("run", type=Path, metavar="RUN", help="folder of a trained network")
    arguments.add_argument("--data-dir", metavar="DIR", required=True, help="where the data is")
    arguments.add_argument(
        "--clips", type=positive_int, metavar="N", nargs="+", default=[1000, 10_000, 100_000], help="how many clips"
    )
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    if len(set(options.clips)) < 2:
        raise ArgumentError(f"--clips is {options.clips[0]}, but must be two numbers or more, to see memory grow")
    task = audio_tasks.load_again(RunFolder(options.run).config.task, data_dir=options.data_dir)
    session = bnn_exit.load(options.run / "model.tflite")
    paths = [str(Path(options.data_dir).resolve() / name) for name in task.test.ids]
    load = {"load_average": os.getloadavg()[0], "nice": os.nice(0)}
    rows = [measured(options.run / "model.tflite", paths, clips) for clips in options.clips]
    bars = judge(rows)
    write_json(
        RESULT,
        {
            "question": __doc__.splitlines()[0],
            "command": command,
            "run": options.run.name,
            **machine.provenance(),
            "task": task.name,
            "split": "test, repeated",
            "files": "Ogg Vorbis of one second",
            "backend": session.backend,
            **load,
            "rows": rows,
            "bars": bars,
        },
    )
    return int(not all(bar["met"] for bar in bars))


def judge(rows):
    """The bar: how far the highest peak is above that of the least number of clips."""
    growth = max(row["peak_mb"] for row in rows) - min(rows, key=lambda row: row["clips"])["peak_mb"]
    met = growth <= BAR_MB
    print(f"{'met ' if met else 'FAIL'} peak memory grows by {growth:.1f} MB <= {BAR_MB} MB")
    return [{"what": "growth of peak memory, MB", "figure": growth, "bar": f"<= {BAR_MB}", "met": met}]


def measured(model, paths, clips):
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "list.txt")
        with listed.open("w") as file:
            file.writelines(f"{path}\n" for path in itertools.islice(itertools.cycle(paths), clips))
        csv, html = Path(folder, "difficulty.csv"), Path(folder, "difficulty.html")
        command = [sys.executable, "-c", CHILD, str(model), str(listed), "--labels", "folders", "--workers", "1"]
        begin = time.perf_counter()
        done = subprocess.run(
            [*command, "--csv", str(csv), "--html", str(html)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        seconds = time.perf_counter() - begin
        child = json.loads(done.stdout.splitlines()[-1])
        if child.pop("status"):
            raise BnnExitError(f"the command failed on {clips} clips: {done.stderr.strip().splitlines()[-1]}")
        with csv.open() as file:
            written = sum(1 for _ in file) - 1
        if written != clips:
            raise BnnExitError(f"{written} rows were written for {clips} clips")
        sizes = {"csv_mb": csv.stat().st_size / 1e6, "html_kb": html.stat().st_size / 1e3}
    row = {"clips": clips, **child, **sizes, "seconds": seconds}
    row |= {"clips_per_cpu_second": clips / row["cpu_seconds"], "clips_per_second": clips / seconds}
    print({name: round(value, 1) for name, value in row.items()}, flush=True)
    return row


if __name__ == "__main__":
    raise SystemExit(main())
