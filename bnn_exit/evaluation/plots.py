"""The figures of an evaluation as PNG files. matplotlib is imported only when one is drawn."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bnn_exit import files
from bnn_exit.display import shown
from bnn_exit.errors import missing_package

# Okabe and Ito's colours are distinct for readers with colour blindness; shapes differ as well.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "*", "X")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "--", "oo")


def trade_off(
    path: str | os.PathLike[str],
    *,
    curve: npt.ArrayLike,
    exits: Sequence[tuple[float, float]],
    points: Mapping[str, tuple[float, float]],
    title: str,
) -> None:
    """Accuracy against average cost.

    Args:
        path: the PNG.
        curve: [steps, 2] of (mean ops as a share of the full network's, accuracy) as one threshold for all exits rises.
        exits: (cost share, accuracy) with every clip at that exit.
        points: operating point -> (cost share, accuracy).
        title: above the plot, with split and sample count.
    """
    figure = new_figure(width=7, height=5)
    axes = figure.add_subplot()
    line = 100 * np.asarray(curve, np.float64)
    axes.plot(line[:, 0], line[:, 1], color="0.5", label="one threshold for all exits, swept")
    places = 100 * np.asarray(exits, np.float64)
    axes.scatter(places[:, 0], places[:, 1], marker="|", s=160, color="black", label="every clip at one exit", zorder=3)
    for index, (x, y) in enumerate(places):
        # The last exit is at the right edge of the plot: its name goes to its left.
        side: dict[str, Any] = {"xytext": (6, -12)} if index + 1 < len(places) else {"xytext": (-6, -12), "ha": "right"}
        axes.annotate(f"exit {index + 1}", (x, y), textcoords="offset points", fontsize=8, **side)
    for index, (name, (x, y)) in enumerate(points.items()):
        style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
        axes.scatter(
            [100 * x], [100 * y], s=60, edgecolors="black", linewidths=0.5, label=drawn(name), zorder=4, **style
        )
    axes.set(title=drawn(title), xlabel="mean cost (ops, % of the full network)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    save(figure, path)


def exit_histogram(path: str | os.PathLike[str], *, shares: Mapping[str, Sequence[float]], title: str) -> None:
    """Share of clips that leave at each exit, a group of bars for each operating point; `shares`: name -> [exits]."""
    values = 100 * np.array(list(shares.values()), np.float64)
    points, exits = values.shape
    width = 0.8 / exits
    figure = new_figure(width=max(6.0, 0.5 * points * exits + 1.5), height=4.2)
    axes = figure.add_subplot()
    for k in range(exits):
        places = np.arange(points) + (k - (exits - 1) / 2) * width
        style = {"color": COLOURS[k % len(COLOURS)], "hatch": HATCHES[k % len(HATCHES)]}
        bars = axes.bar(places, values[:, k], width, label=f"exit {k + 1}", edgecolor="white", linewidth=0.5, **style)
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks(np.arange(points), list(map(drawn, shares)))
    axes.set(title=drawn(title), xlabel="operating point", ylabel="clips that leave here (%)", ylim=(0, 120))
    axes.legend(fontsize=8, ncols=min(exits, 6), loc="upper center")
    save(figure, path)


def confusion_matrix(path: str | os.PathLike[str], *, counts: npt.ArrayLike, labels: Sequence[str], title: str) -> None:
    """Rows are true labels; numbers are clips (zeros are left out), colours their percent of the row.

    A row of fewer clips than the mean row is coloured as if it had as many, so that one clip never looks like many.
    """
    matrix = np.asarray(counts, np.int64)
    sizes = matrix.sum(axis=1, keepdims=True)
    shares = 100 * matrix / np.maximum(np.maximum(sizes, sizes.mean()), 1)
    size = float(np.clip(0.28 * len(labels) + 2.2, 4.5, 30))
    figure = new_figure(width=size + 0.6, height=size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label("clips of the true label (%)")
    ticks, names = np.arange(len(labels)), list(map(drawn, labels))
    font = 9 if len(labels) <= 15 else 7
    axes.set_xticks(ticks, names, rotation=90, fontsize=font)
    axes.set_yticks(ticks, names, fontsize=font)
    for row, column in np.argwhere(matrix):
        shade = "white" if shares[row, column] > 50 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=shade, fontsize=font - 1)
    axes.set(title=drawn(title), xlabel="predicted label", ylabel="true label")
    save(figure, path)


def drawn(text: str) -> str:
    """Text that matplotlib draws as it is: between two dollars it would set a formula, or fail."""
    return shown(text).replace("$", r"\$")


def new_figure(*, width: float, height: float) -> Any:
    """An empty figure, of so many inches; MissingPackageError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_package("matplotlib", purpose="drawing plots", extra="train") from None
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure as a PNG in one step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with files.replacing(path) as file, warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the table has it in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        FigureCanvasAgg(figure).print_png(file)
