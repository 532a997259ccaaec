"""Does `python -m bnn_exit.difficulty` take any number of files with the same memory, and how fast is it?

    python benchmarks/difficulty_scale.py RUN --data-dir DIR [--clips 1000 10000 100000]

Runs the command on lists that repeat the test clips, with --csv, --html and labels from folders, each in a process of
its own, and measures its peak memory and its time. Writes results/difficulty_scale.json.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bnn_exit
from bnn_exit import machine
from bnn_exit.evaluate import load_task, read_config

RESULT = Path(__file__).parent / "results" / "difficulty_scale.json"
BAR_MB = 10
"""By how much the peak may grow from the least to the largest number of clips."""

CHILD = """
import json, resource, sys
from bnn_exit.difficulty.__main__ import main
status = main(sys.argv[1:])
use = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"status": status, "peak_mb": use.ru_maxrss / 1024, "cpu_seconds": use.ru_utime + use.ru_stime}))
"""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path, metavar="RUN")
    arguments.add_argument("--data-dir", required=True)
    arguments.add_argument("--clips", type=int, nargs="+", default=[1000, 10_000, 100_000])
    options = arguments.parse_args()
    task = load_task(read_config(options.run), data_dir=options.data_dir)
    paths = [str(Path(options.data_dir).resolve() / name) for name in task.test.ids]
    rows = [measured(options.run / "model.tflite", paths, clips) for clips in options.clips]
    growth = max(row["peak_mb"] for row in rows) - rows[0]["peak_mb"]
    print(f"{'met ' if growth <= BAR_MB else 'FAIL'} peak memory grows by {growth:.1f} MB <= {BAR_MB} MB")
    RESULT.write_text(
        json.dumps(
            {
                "question": __doc__.splitlines()[0],
                "command": "python benchmarks/difficulty_scale.py RUN --data-dir DIR",
                "run": options.run.name,
                "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                "machine": machine.describe(),
                "versions": machine.versions(),
                "task": task.name,
                "split": "test, repeated",
                "files": "Ogg Vorbis of one second",
                "backend": bnn_exit.load(options.run / "model.tflite").backend,
                "load": "low priority beside other work, so CPU seconds say more than elapsed ones",
                "rows": rows,
                "bars": [
                    {
                        "what": "growth of peak memory, MB",
                        "figure": growth,
                        "bar": f"<= {BAR_MB}",
                        "met": growth <= BAR_MB,
                    }
                ],
            },
            indent=2,
        )
        + "\n"
    )
    return 0


def measured(model, paths, clips):
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "list.txt")
        with listed.open("w") as file:
            file.writelines(f"{path}\n" for path in itertools.islice(itertools.cycle(paths), clips))
        csv, html = Path(folder, "difficulty.csv"), Path(folder, "difficulty.html")
        command = [sys.executable, "-c", CHILD, str(model), str(listed), "--labels", "folders"]
        begin = time.perf_counter()
        done = subprocess.run(
            [*command, "--csv", str(csv), "--html", str(html)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        seconds = time.perf_counter() - begin
        with csv.open() as file:
            written = sum(1 for _ in file) - 1
        sizes = {"csv_mb": csv.stat().st_size / 1e6, "html_kb": html.stat().st_size / 1e3}
    child = json.loads(done.stdout.splitlines()[-1])
    if child.pop("status") or written != clips:
        raise SystemExit(f"{written} of {clips} rows were written: {done.stderr[-500:]}")
    row = {"clips": clips, **child, **sizes, "seconds": seconds}
    row |= {"clips_per_cpu_second": clips / row["cpu_seconds"], "clips_per_second": clips / seconds}
    print({name: round(value, 1) for name, value in row.items()}, flush=True)
    return row


if __name__ == "__main__":
    raise SystemExit(main())
