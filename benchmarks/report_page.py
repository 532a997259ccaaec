"""How fast does the report of a run open, and how large is it?

    python benchmarks/report_page.py RUN [--data-dir DIR]

Makes the page of the run's test split with `bnn_exit.report` and opens it in Chromium without a window, each time in a
browser that was started for it: milliseconds from asking for the page until every chart in sight is drawn. Then how
long the charts take to follow a slider, and the loading once more with the processor slowed down four times, as phones
are.
Needs the extras `report` and `test`, and Debian's chromium and chromium-driver. Writes results/report_page.json and
exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from result_file import called

from bnn_exit import files, machine
from bnn_exit.commands.measured_model import SplitOptions
from bnn_exit.commands.report import source_of
from bnn_exit.report.page import page, plotting_library

RESULT = Path(__file__).parent / "results" / "report_page.json"
BARS = {"load_ms": 2000.0, "bytes": 10_000_000}
BROWSERS = 7
PHONE_SLOWDOWN = 4

READY = """
const done = arguments[0], root = document.documentElement;
const look = () => (root.dataset.ready ? done(Number(root.dataset.ready)) : setTimeout(look, 20));
look();
"""
SLIDE = """
const done = arguments[0], slider = document.getElementById("slider-0"), taken = [];
const step = () => {
  if (taken.length === 30) return done(taken);
  slider.value = 0.03 * (1 + taken.length);
  const begin = performance.now();
  slider.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => setTimeout(() => { taken.push(performance.now() - begin); step(); }));
};
step();
"""


def browser() -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1200,900"):
        options.add_argument(f"--{switch}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def opened(path: Path, *, slowdown: int = 1, slide: bool = False) -> tuple[float, list[float]]:
    """Milliseconds until the page is drawn, in a fresh browser, and until the charts have followed a slider."""
    window = browser()
    try:
        time.sleep(2)  # what a browser does after it has started is not the page's
        window.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        window.get(path.as_uri())
        return window.execute_async_script(READY), window.execute_async_script(SLIDE) if slide else []
    finally:
        window.quit()


def spread(values: list[float]) -> dict[str, float]:
    return {"minimum": min(values), "median": statistics.median(values), "maximum": max(values)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--data-dir", metavar="DIR")
    options = parser.parse_args()
    source = source_of(SplitOptions(options.run, data_dir=options.data_dir))
    begin = time.perf_counter()
    text = page(source)
    made_s = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        runs = [opened(path, slide=True) for _ in range(BROWSERS)]
        phone = [opened(path, slowdown=PHONE_SLOWDOWN)[0] for _ in range(3)]
        version = os.popen("chromium --version").read().strip()
    clips, exits, classes = source.probabilities.shape
    result = {
        "question": (__doc__ or "").splitlines()[0],
        "clips": clips,
        "exits": exits,
        "classes": classes,
        "task": source.report.task,
        "split": source.report.split,
        "bytes": len(text.encode()),
        "bytes_of_library": len(plotting_library().encode()),
        "made_s": made_s,
        "load_ms": spread([load for load, _ in runs]),
        "slider_ms": spread([value for _, steps in runs for value in steps]),
        f"load_ms_at_{PHONE_SLOWDOWN}_times_slower": spread(phone),
        "browsers": BROWSERS,
        "bars": BARS,
        "load_average": os.getloadavg()[0],
        "nice": os.nice(0),
        **machine.provenance({"bokeh": importlib.metadata.version("bokeh"), "chromium": version}),
        "command": called(__file__, None),
    }
    files.write_json(RESULT, result)
    print(f"{clips} clips, {result['bytes'] / 1e6:.2f} MB, drawn after {result['load_ms']['median']:.0f} ms")
    return int(result["load_ms"]["median"] > BARS["load_ms"] or result["bytes"] > BARS["bytes"])


if __name__ == "__main__":
    raise SystemExit(main())
