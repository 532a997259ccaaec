"""Device and server: benchmarks/results/offload_{link,load,faults}.json."""

from __future__ import annotations

from typing import Any

from figure_values.common import Figure, result, table, value


def links() -> str:
    """Mean time of a clip on every link, by each way to answer."""
    rows = []
    for row in result("offload_link")["rows"]:
        ways = row["ways"]
        splits = [name for name in ways if name.startswith("split ")]
        best = min(splits, key=lambda name: ways[name]["mean_ms"])
        schedulers = [ways[name]["mean_ms"] for name in ways if name.startswith("scheduler ")]
        rows.append(
            (
                f"{row['megabits']:g}",
                f"{row['round_trip_ms']:g}",
                _ms(ways["device"]["mean_ms"]),
                _ms(ways["server"]["mean_ms"]),
                f"{_ms(ways[best]['mean_ms'])} (after exit {best.removeprefix('split ')})",
                f"{_ms(min(schedulers))} to {_ms(max(schedulers))}",
            )
        )
    head = ("Mbit/s", "round trip ms", "device alone", "server alone", "best fixed split", "scheduler, any split")
    return table(head, rows)


def load() -> str:
    """Requests a second and their times by the number of clients."""
    rows = [
        (str(row["clients"]), f"{row['requests_per_s']:.0f}", _ms(row["p50_ms"]), _ms(row["p99_ms"]))
        for row in result("offload_load")["rows"]
    ]
    return table(("clients", "requests a second", "median ms", "p99 ms"), rows)


def held() -> str:
    """Requests a second that one process holds."""
    return f"{result('offload_load')['held_per_s']:.0f}"


def slower() -> str:
    """How much slower than the machine the device is modelled to be."""
    return f"{result('offload_link')['device_slower_by']:g}"


def faults() -> str:
    """What happened with every fault."""
    rows = [
        (row["fault"], f"{row['answered']} of {row['clips']}", str(row["wrong"]), f"{row['worst_ms']:.0f}")
        for row in result("offload_faults")["rows"]
    ]
    return table(("fault", "clips answered", "wrong", "longest ms"), rows)


def deadline() -> str:
    """Milliseconds within which a server had to answer."""
    return f"{result('offload_link')['deadline_ms']:g}"


def _ms(milliseconds: Any) -> str:
    return f"{milliseconds:.1f}"


FIGURES: dict[str, Figure] = {
    "offload_links": value(links),
    "offload_load": value(load),
    "offload_held": value(held),
    "offload_slower": value(slower),
    "offload_faults": value(faults),
    "offload_deadline": value(deadline),
}
