"""The figures of a model on recordings of any length, for tables, plots and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bnn_exit.cost import Cost
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.pairs import zip_strict
from bnn_exit.runtime.stream import GATED
from bnn_exit.streams import poisson
from bnn_exit.streams.counts import Counts, Truth, count, hours
from bnn_exit.streams.matching import TOLERANCE_S
from bnn_exit.streams.recorded import Listened
from bnn_exit.streams.replay import Replay, shifted
from bnn_exit.streams.windows import total_ops

CONFIDENCE = 0.95
"""Of the bounds of rates."""
ALL = "all"
"""In place of a label: all of them."""
PERCENTILES = (50, 90, 95, 100)
"""Of delays."""
SHIFTS = tuple(round(0.25 * step, 2) for step in range(-16, 25))
"""Of the thresholds of the DET curve, on the logit scale: 0 is the listening point itself."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """Events an hour.

    Attributes:
        count: events.
        hours: in which they were.
        per_hour: their rate.
        low, high: its exact 95 % bounds (Garwood 1936), two-sided. They hold for events that come independently of
            one another.
    """

    count: int
    hours: float
    per_hour: float
    low: float
    high: float

    @classmethod
    def of(cls, events: int, hours_: float) -> Rate | None:
        """So many events in so many hours; None for no time at all."""
        if hours_ <= 0:
            return None
        low, high = poisson.interval(events, confidence=CONFIDENCE)
        return cls(events, hours_, events / hours_, low / hours_, high / hours_)


@dataclasses.dataclass(frozen=True)
class LabelFigures:
    """Of one label, or of all together.

    Attributes:
        words, hits: labelled events, and those that were found.
        spoken, spoken_hits: the same for words that are only known from transcripts.
        false_accepts: all other events.
    """

    words: int
    hits: int
    spoken: int
    spoken_hits: int
    false_accepts: Rate


@dataclasses.dataclass(frozen=True)
class DetPoint:
    """The trade-off at other thresholds.

    Attributes:
        shift: of every threshold on the logit scale; 0 is the listening point.
        thresholds: least and largest threshold of a label.
        recall: share of the labelled events that are found; None without any.
        spoken_hits: events of words that are known from transcripts.
        false_accepts: their rate.
        delay_s: that 95 % of the hits do not exceed; None without hits.
    """

    shift: float
    thresholds: tuple[float, float]
    recall: float | None
    spoken_hits: int
    false_accepts: Rate
    delay_s: float | None


@dataclasses.dataclass(frozen=True)
class StreamReport:
    """The figures of a model on recordings.

    Attributes:
        files: the recordings.
        hours: of all, and hours_transcribed of what has a transcript.
        point: the listening point.
        operating_point: whose thresholds the exits used.
        backend: that ran the network.
        tolerance_s: how long after a word its event may come.
        labels: figures of each label that can make an event; "all" is their sum.
        transcribed, untranscribed: false accepts in the hours with a transcript and in the others; None for no time.
        delay_s: percentile -> seconds from the end of a word to its event; empty without hits.
        windows: how many there are.
        exit_shares: of all windows; gated_share did not run.
        ops_per_s: mean operations of the network for each second of audio, without the front end; relative_ops: of
            a window, as a share of exit 1's.
        share_of_core: processor time for each second of audio, front end and detector included, one thread.
        det: other thresholds, from loose to strict.
        provenance: date, revision, machine and versions.
        command: that made the report.
    """

    files: list[str]
    hours: float
    hours_transcribed: float
    point: ListeningPoint
    operating_point: str
    backend: str
    tolerance_s: float
    labels: dict[str, LabelFigures]
    transcribed: Rate | None
    untranscribed: Rate | None
    delay_s: dict[str, float]
    windows: int
    exit_shares: list[float]
    gated_share: float
    ops_per_s: float
    relative_ops: float
    share_of_core: float
    det: list[DetPoint]
    provenance: dict[str, Any]
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        provenance = values.pop("provenance")
        values["listening_point"] = values.pop("point").to_dict()
        for name in ("transcribed", "untranscribed"):
            values[name] = None if values[name] is None else dataclasses.asdict(values[name])
        values["labels"] = {label: dataclasses.asdict(figures) for label, figures in self.labels.items()}
        values["det"] = [{**dataclasses.asdict(each), "thresholds": list(each.thresholds)} for each in self.det]
        return {**values, "measured": True, "rate_confidence": CONFIDENCE, **provenance}


def stream_report(
    listened: Sequence[Listened],
    truths: Sequence[Truth],
    *,
    point: ListeningPoint,
    operating_point: str,
    labels: Sequence[str],
    costs: tuple[Cost, ...],
    backend: str,
    provenance: dict[str, Any],
    tolerance_s: float = TOLERANCE_S,
    command: str = "",
) -> StreamReport:
    """The figures of recordings that a stream has listened to.

    Args:
        listened: the recordings, with their windows and events.
        truths: what is known of each.
        point: that made the events.
        operating_point: that the exits used.
        labels: of the model.
        costs: of leaving at each exit.
        backend, provenance, command: for the record.
        tolerance_s: how long after a word its event may come.
    """
    own = [label for label in labels if label in point.thresholds]
    whole, known = hours(truths)
    counts = count([each.events for each in listened], truths, labels=own, tolerance_s=tolerance_s)
    exits = sum(each.windows.exit_counts(len(costs)) for each in listened)
    windows = sum(len(each.windows) for each in listened)
    gated = sum(int((each.windows.exit_indices == GATED).sum()) for each in listened)
    ops = total_ops(np.asarray(exits), costs)
    beside = counts.false - counts.false_accepts_transcribed
    return StreamReport(
        files=[each.name for each in listened],
        hours=whole,
        hours_transcribed=known,
        point=point,
        operating_point=operating_point,
        backend=backend,
        tolerance_s=tolerance_s,
        labels=_by_label(counts, own, whole),
        transcribed=Rate.of(counts.false_accepts_transcribed, known),
        untranscribed=Rate.of(beside, whole - known) if known else None,
        delay_s=delays(counts.delays_s),
        windows=windows,
        exit_shares=[float(value) / windows for value in np.asarray(exits)],
        gated_share=gated / windows,
        ops_per_s=ops / (3600 * whole),
        relative_ops=ops / windows / costs[0].ops,
        share_of_core=sum(each.cpu_s for each in listened) / (3600 * whole),
        det=det(listened, truths, point=point, labels=labels, tolerance_s=tolerance_s),
        provenance=provenance,
        command=command,
    )


def det(
    listened: Sequence[Listened],
    truths: Sequence[Truth],
    *,
    point: ListeningPoint,
    labels: Sequence[str],
    shifts: Sequence[float] = SHIFTS,
    tolerance_s: float = TOLERANCE_S,
) -> list[DetPoint]:
    """The trade-off of misses and false accepts, as all thresholds move together: a point for each shift."""
    whole, _ = hours(truths)
    own = [label for label in labels if label in point.thresholds]
    moved = [shifted(point, shift) for shift in shifts]
    # A recording at a time: the means of all of them may not fit into memory.
    found: list[list[Any]] = [[] for _ in moved]
    for each in listened:
        replay = Replay(each.windows, point, labels)
        for events, other in zip_strict(found, moved):
            events.append(replay.events(other))
    points = []
    for shift, other, events in zip_strict(shifts, moved, found):
        counts = count(events, truths, labels=own, tolerance_s=tolerance_s)
        rate = Rate.of(counts.false, whole)
        assert rate is not None  # a recording has a window at least
        spread = min(other.thresholds.values()), max(other.thresholds.values())
        delay = delays(counts.delays_s).get("95")
        points.append(DetPoint(shift, spread, counts.recall, sum(counts.spoken_hits.values()), rate, delay))
    return points


def delays(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles of delays, by "50" and so on: the least delay that at least so many percent do not exceed."""
    if not seconds:
        return {}
    ordered = np.sort(np.asarray(seconds))
    ranks = {name: max(1, int(np.ceil(name / 100 * len(ordered) - 1e-9))) for name in PERCENTILES}
    return {str(name): float(ordered[rank - 1]) for name, rank in ranks.items()}


def _by_label(counts: Counts, labels: Sequence[str], hours_: float) -> dict[str, LabelFigures]:
    found = {}
    for label in (*labels, None):
        tables = (counts.words, counts.hits, counts.spoken, counts.spoken_hits, counts.false_accepts)
        words, hits, spoken, spoken_found, false = (
            sum(table.values()) if label is None else table[label] for table in tables
        )
        rate = Rate.of(false, hours_)
        assert rate is not None
        found[ALL if label is None else label] = LabelFigures(words, hits, spoken, spoken_found, rate)
    return found
