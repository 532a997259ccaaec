"""The DET curve as a picture: misses against false accepts an hour."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from bnn_exit.evaluation import plots
from bnn_exit.evaluation.stream_report import DetPoint


def det_plot(path: str | os.PathLike[str], curves: Mapping[str, Sequence[DetPoint]], *, title: str) -> None:
    """Draw curves of points from loose to strict, a dot where the shift is 0.

    Without labelled events there are no misses: the rate is drawn over the threshold.

    Args:
        path: the PNG.
        curves: name -> points; all with labelled events, or none.
        title: above the plot, with hours and words.
    """
    figure = plots.new_figure(width=7, height=5)
    axes = figure.add_subplot()
    misses = all(point.recall is not None for curve in curves.values() for point in curve)
    hours = max((point.false_accepts.hours for curve in curves.values() for point in curve), default=1.0)
    # Nothing seen is drawn at half an event: a logarithmic axis has no zero.
    least = 0.5 / hours
    for index, (name, curve) in enumerate(curves.items()):
        style = {"color": plots.COLOURS[index % len(plots.COLOURS)]}
        marker = plots.MARKERS[index % len(plots.MARKERS)]
        rates = np.array([max(point.false_accepts.per_hour, least) for point in curve])
        low = np.array([max(point.false_accepts.low, least / 2) for point in curve])
        high = np.array([point.false_accepts.high for point in curve])
        here = [place for place, point in enumerate(curve) if point.shift == 0]
        if misses:
            values = np.array([100 * (1 - (point.recall or 0.0)) for point in curve])
            axes.plot(rates, values, label=plots.drawn(name), **style)
            axes.scatter(rates[here], values[here], marker=marker, s=50, zorder=3, **style)
            axes.hlines(values[here], low[here], high[here], alpha=0.5, **style)
        else:
            thresholds = np.array([max(point.thresholds) for point in curve])
            axes.plot(thresholds, rates, label=plots.drawn(name), **style)
            axes.fill_between(thresholds, low, high, alpha=0.15, linewidth=0, **style)
            axes.scatter(thresholds[here], rates[here], marker=marker, s=50, zorder=3, **style)
    if misses:
        axes.set(xlabel="false accepts an hour", ylabel="misses (%)", xscale="log", ylim=(0, None))
    else:
        axes.set(xlabel="threshold", ylabel="false accepts an hour", yscale="log")
    axes.set(title=plots.drawn(title))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    plots.save(figure, path)
