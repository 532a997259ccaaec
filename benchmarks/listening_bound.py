"""Is a bound on false accepts exceeded no more often than its confidence allows, where they come in groups?

    python benchmarks/listening_bound.py [--draws N]

Draws groups (speakers) of random length whose false accepts are Poisson, with rates that differ between groups (gamma
or lognormal), or in bursts, at every step of a path from strict to loose; the true rate of each step is known. Each
time the loosest step that passes is taken, by the package's test (`calibration.rates`), by one whose design effect is
that of the step alone, and by the exact Poisson test, which takes events for independent. A draw breaks the bound if
the true rate of the step is above the limit. Writes results/listening_bound.json; exits with 1 if the package's test
breaks the bound too often, but for the heaviest tail, which no test of so few groups can see.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from result_file import called

from bnn_exit import machine
from bnn_exit.calibration.rates import design_effect, passed, rate_tests
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.files import write_json
from bnn_exit.streams import poisson

RESULT = Path(__file__).parent / "results" / "listening_bound.json"
CONFIDENCE = 0.95
RATES = np.geomspace(0.05, 60, 50)
"""True rate of each step, as a multiple of the limit."""
KINDS = ("poisson", "gamma 1", "gamma 0.3", "lognormal 1", "bursts 2", "bursts 4", "lognormal 1.5")
HEAVIEST = "lognormal 1.5"
SIZES = ((280, 8.0), (100, 20.0), (30, 20.0), (100, 60.0))
"""Groups, and hours times the limit."""


def parser() -> argparse.ArgumentParser:
    text = __doc__.split("\n", 2)
    arguments = Parser(prog="python benchmarks/listening_bound.py", description=text[0], epilog=text[2])
    arguments.add_argument("--draws", type=positive_int, metavar="N", default=1000, help="of each kind and size")
    return arguments


def main(argv: list[str] | None = None) -> int:
    return run_command(lambda: _main(parser().parse_args(argv), called(__file__, argv)))


def _main(options: argparse.Namespace, command: str) -> int:
    rows = []
    for kind in KINDS:
        for groups, hours in SIZES:
            rows.append({"kind": kind, "groups": groups, "hours_times_limit": hours})
            rows[-1] |= simulate(kind, groups=groups, hours=hours, draws=options.draws)
            print(" ".join(str(value) for value in rows[-1].values()), flush=True)
    bars = judge(rows, draws=options.draws)
    result = {"question": __doc__.splitlines()[0], "command": command, **machine.provenance()}
    write_json(RESULT, {**result, "confidence": CONFIDENCE, "draws": options.draws, "rows": rows, "bars": bars})
    return int(not all(bar["reached"] for bar in bars))


def judge(rows: list[dict], *, draws: int) -> list[dict]:
    """The bar: 1 - confidence, and three standard errors of the draws, where the bound fails most often."""
    worst = max(row["broken"]["package"] for row in rows if row["kind"] != HEAVIEST)
    level = 1 - CONFIDENCE
    at_most = round(level + 3 * float(np.sqrt(level * CONFIDENCE / draws)), 6)
    what = "share of draws in which the true rate exceeds the limit"
    return [{"what": what, "value": worst, "at_most": at_most, "reached": worst <= at_most}]


def drawn(kind: str, *, groups: int, hours: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Counts [steps, groups], each step with the events of the one before, and hours [groups]; the limit is 1."""
    exposure = generator.uniform(0.3, 1.7, groups)
    exposure *= hours / exposure.sum()
    name, _, number = kind.partition(" ")
    value, size, burst = float(number or 0), np.ones(groups), 1.0
    if name == "gamma":
        size = generator.gamma(value, 1 / value, groups)
    elif name == "lognormal":
        size = np.exp(generator.normal(-(value**2) / 2, value, groups))
    elif name == "bursts":
        burst = value
    events = generator.poisson(np.diff(RATES, prepend=0.0)[:, None] * size * exposure / burst)
    # The events of a burst are all above a threshold, or none of them.
    events = events + generator.poisson((burst - 1) * events)
    return np.cumsum(events, axis=0), exposure


def simulate(kind: str, *, groups: int, hours: float, draws: int) -> dict:
    generator, rates = np.random.default_rng(0), {"package": [], "own_effect": [], "exact": []}
    for _ in range(draws):
        counts, exposure = drawn(kind, groups=groups, hours=hours, generator=generator)
        tests = rate_tests(counts, exposure, limit_per_hour=1.0, confidence=CONFIDENCE)
        rates["package"].append(_rate(passed(tests, confidence=CONFIDENCE)))
        effects = [design_effect(row, exposure) for row in counts]
        for name, by in (("own_effect", effects), ("exact", [1.0] * len(counts))):
            rates[name].append(_rate(_passed(counts, exposure, by)))
    return {
        "broken": {name: float(np.mean(np.array(found) > 1 + 1e-9)) for name, found in rates.items()},
        "mean_rate": {name: round(float(np.mean(found)), 4) for name, found in rates.items()},
        "nothing_passed": {name: float(np.mean(np.array(found) == 0)) for name, found in rates.items()},
    }


def _passed(counts: np.ndarray, exposure: np.ndarray, effects: list[float]) -> int:
    for step, (row, effect) in enumerate(zip(counts, effects, strict=True)):
        if poisson.p_value(row.sum() / effect, exposure.sum() / effect) > 1 - CONFIDENCE:
            return step
    return len(counts)


def _rate(steps: int) -> float:
    return float(RATES[steps - 1]) if steps else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
