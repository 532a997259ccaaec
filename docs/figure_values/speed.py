"""Speed, memory and the int8 peers: benchmarks/results/{network_speed,native_calls,memory,int8_peers,...}.json."""

from __future__ import annotations

import re
from typing import Any

from figure_values.common import NOT_YET, Figure, percent, result, table, value

ISAS = {"avx512_vpopcnt": "AVX-512 VPOPCNT", "avx2": "AVX2", "scalar": "no vectors"}
LCE_FASTEST = "lce indirect, xnnpack"
"""Of LCE's settings, for files without branches."""
PLAIN = {
    "quicknet deep": "QuickNet `deep` without exits, coarse features, median",
    "residual, random weights": "residual network of 170 M binary MACs, median",
}
ADAPTIVE = {
    "balanced": "the words file, mean at `balanced`",
    "exit 3 of 3 forced": "the same file, every clip to the last exit, mean",
}
PEERS = (
    ("bnn_exit `tiny`, every clip at exit 1", "ours", "words-tiny", "exit 1"),
    ("bnn_exit `tiny`, `balanced`", "ours", "words-tiny", "balanced"),
    ("bnn_exit, recipe `compact`, every clip at exit 1", "ours", "words-compact", "exit 1"),
    ("bnn_exit, recipe `compact`, `balanced`", "ours", "words-compact", "balanced"),
    ("bnn_exit, recipe `compact`, `accurate`", "ours", "words-compact", "accurate"),
    ("int8 DS-CNN S", "int8", "ds-cnn-S-mel10", "LiteRT"),
    ("int8 DS-CNN M", "int8", "ds-cnn-M-mel10", "LiteRT"),
    ("int8 DS-CNN L", "int8", "ds-cnn-L-mel10", "LiteRT"),
)
SHORT = (1, 3, 5, 6, 7)
"""Rows of PEERS for the README."""


def networks() -> str:
    """Microseconds of whole networks on each instruction set, beside LCE; with the front end and the bound of the
    processor's ports where these were taken."""
    speed, rows = result("network_speed"), []
    kinds = (
        (
            PLAIN,
            "median_us",
            LCE_FASTEST,
            {name: graph["contestants"] for name, graph in speed["plain_graphs"].items()},
        ),
        (ADAPTIVE, "mean_us", "lce default", speed["adaptive_file"]),
    )
    for titles, statistic, lce, tables in kinds:
        for name, title in titles.items():
            found = [tables[name][each] for each in (*ISAS, lce)]
            rows.append((title, *(f"{each[statistic]:.1f}" for each in found)))
            if all("whole" in each for each in found):
                for part, what in (("front_end", "its front end"), ("whole", "front end + network")):
                    rows.append((f"- {what}", *(f"{each[part][statistic]:.1f}" for each in found)))
            if any("times_bound" in each for each in found):
                shown = (f"{each['times_bound']:.2f}" if "times_bound" in each else "" for each in found)
                rows.append(("- network, as a multiple of the bound", *shown))
    return table(("network, us", *ISAS.values(), "LCE"), rows)


def peers(chosen: tuple[int, ...] = tuple(range(len(PEERS)))) -> str:
    """Size, accuracy and time beside int8 networks; front end and network together where they were timed so."""
    rows = []
    head = ["network", "file KB", "test accuracy %", "front end, mean us", "network, mean us", "both, mean us"]
    for title, side, network, setting in (PEERS[index] for index in chosen):
        file = result("int8_peers")[side][network]
        figures = file["settings"][setting]
        times = [_front_end(file, figures), figures["network"]]
        times += [figures["whole"]] if "whole" in figures else []
        cells = (f"{file['bytes'] / 1000:.0f}", percent(figures["accuracy"]))
        rows.append([title, *cells, *(f"{each['mean']:.1f}" for each in times)])
    width = min(map(len, rows))
    return table(head[:width], [row[:width] for row in rows])


def _front_end(file: dict[str, Any], figures: dict[str, Any]) -> dict[str, float]:
    """Times of the front end right before a network; in results of earlier versions apart from it."""
    found: dict[str, float] = figures.get("front_end", file["front_end"]["native"])
    return found


def peer_shares(by: str = "bars") -> str:
    """The least and the most of a peer's time that one of our files as accurate takes; of `whole_path`, of both."""
    if by not in result("int8_peers"):
        return NOT_YET
    found = (re.search(r"(\d\.\d+) of the time", bar["figure"]) for bar in result("int8_peers")[by])
    shares = [float(each[1]) for each in found if each]
    return f"{min(shares):.2f} to {max(shares):.2f}"


def front_ends() -> str:
    """Times of the front ends of all networks that are compared."""
    values = result("int8_peers")
    times = [
        _front_end(each, figures)["mean"]
        for side in ("ours", "int8")
        for each in values[side].values()
        for figures in each["settings"].values()
    ]
    return f"{min(times):.0f} to {max(times):.0f} us"


def whole_paths() -> str:
    """Mean time from samples to label of the words files."""
    rows = result("whole_path")["rows"]
    return " and ".join(f"{rows[f'words-{name}']['mean_us']:.1f} us (`{name}`)" for name in ("tiny", "compact"))


def layer_shares() -> str:
    """Instructions of our binary layers on aarch64, as a share of LCE's."""
    layers = result("aarch64_model")["instructions_per_layer"]
    shares = [layer[output]["of_lce_best"] for layer in layers for output in ("bitpacked", "float")]
    return f"{min(shares):.2f} to {max(shares):.2f}"


def inner_loops() -> str:
    """MACs in a cycle of the inner loop on Arm cores, as a share of LCE's."""
    rows = []
    for core, loop in result("aarch64_model")["inner_loop"]["macs_per_cycle"].items():
        rows.append((core.title().replace("n1", "N1"), f"{loop['times_lce']['128 channels and more']:.2f}"))
    return table(("core", "MACs per cycle, as a share of LCE's"), rows)


def arm_paths() -> str:
    """Instructions and modelled cycles of front end and network on Arm cores, ours and int8."""
    values, rows = result("arm_path"), []
    cores = tuple(values["models_of_cores"])
    own = [row for row in values["rows"] if row["model"] == values["rows"][0]["model"]]
    for row in own:
        counts = dict.fromkeys(cores, row["instructions"])
        rows.append((f"bnn_exit, exit {row['exit']} of {row['exits']}", *_millions(counts, row["cycles"])))
    for peer in dict.fromkeys(row["peer"] for row in values["peers"]):
        runs = [row for row in values["peers"] if row["peer"] == peer]
        counts = {row["emulator"]: row["instructions"] for row in runs}
        cycles = {core: figure for row in runs for core, figure in row["cycles"].items()}
        rows.append((peer, *_millions(counts, cycles)))
    return table(("instructions / cycles, millions", *(core.title() for core in cores)), rows)


def _millions(counts: dict[str, int], cycles: dict[str, int]) -> list[str]:
    return [f"{counts[core] / 1e6:.2f} / {cycles[core] / 1e6:.2f}" for core in counts]


def arm_exit_1() -> str:
    """The bar of the path to exit 1, whether it is met, and what the parts of the path take, in millions."""
    found = result("arm_path")
    (bar,), row = found["bars"], found["rows"][0]
    parts = "; ".join(f"{part['part']} {part['instructions'] / 1e6:.2f}" for part in row["parts"])
    return (
        f"{bar['figure'] / 1e6:.2f} (bar {bar['bar'] / 1e6:.1f}, {'met' if bar['met'] else 'missed'}), of which {parts}"
    )


FIGURES: dict[str, Figure] = {
    "arm_exit_1": value(arm_exit_1),
    "network_speed": value(networks),
    "front_end_us": value(lambda: f"{result('native_calls')['times']['front end, one second'][0]:.1f} us"),
    "call_us": value(lambda: f"{result('native_calls')['backend_run_adds_us']:.1f} us"),
    "memory_python": value(lambda: f"{result('memory')['python_stages_mb']['run']:.0f} MB"),
    "memory_c": value(lambda: f"{result('memory')['c_example_mb']:.0f} MB"),
    "peers": value(peers),
    "peers_short": value(lambda: peers(SHORT)),
    "peer_shares": value(peer_shares),
    "peer_whole_shares": value(lambda: peer_shares("whole_path")),
    "peer_front_ends": value(front_ends),
    "whole_path": value(whole_paths),
    "layer_shares": value(layer_shares),
    "inner_loops": value(inner_loops),
    "arm_paths": value(arm_paths),
    "arm32_times": value(lambda: f"{result('arm32')['times_the_least']['32-bit, portable']:.2f}"),
}
