import types

import numpy as np
import pytest

from bnn_exit.listening.clips import RecentSound
from bnn_exit.listening.listener import Listener
from bnn_exit.listening.signal_watch import SignalWatch
from bnn_exit.listening.source import Chunk
from bnn_exit.listening.tally import Tally


class FakeStream:
    """A window for each chunk, whose first sample says what it is: the exit, or an event above 10."""

    def __init__(self):
        self.calls = []

    def windows(self, samples):
        self.calls.append(("windows", len(samples)))
        value = int(samples[0]) if len(samples) else -1
        event = types.SimpleNamespace(label=f"label {value - 10}") if value >= 10 else None
        exit_index = 0 if event else value
        return [types.SimpleNamespace(exit_index=exit_index, event=event)] if len(samples) else []

    def reset(self, *, lost_samples=0):
        self.calls.append(("reset", lost_samples))


@pytest.fixture
def heard():
    """A listener with what it was given and told."""
    found = types.SimpleNamespace(stream=FakeStream(), told=[], windows=[], events=[])
    found.tally = Tally(rate_hz=1000, exits=2, hop_ms=100)
    found.recent = RecentSound(rate_hz=1000, seconds=5)
    ticks = iter(np.arange(100) / 10)
    found.listener = Listener(
        found.stream,
        tally=found.tally,
        tell=found.told.append,
        on_window=found.windows.append,
        on_event=found.events.append,
        watch=SignalWatch(rate_hz=1000),
        recent=found.recent,
        cpu_clock=lambda: next(ticks),
    )
    return found


def chunk(value, *, size=100, **more):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, size).astype(np.float32)
    samples[0] = value
    return Chunk(samples, **more)


def test_windows_and_events_are_counted(heard):
    heard.listener.run([chunk(0), chunk(1), chunk(1), chunk(-1), chunk(12), chunk(12), chunk(13)])
    assert heard.tally.to_dict() == {
        "hours": 0.7 / 3600,
        "events": {"label 2": 2, "label 3": 1},
        "windows": 7,
        "hop_ms": 100,
        "exit_shares": [4 / 7, 2 / 7],
        "gated_share": 1 / 7,
        "core_share": pytest.approx(0.7 / 0.7),
        "lost_samples": 0,
        "gaps": 0,
    }
    assert [event.label for event in heard.events] == ["label 2", "label 2", "label 3"]
    assert len(heard.windows) == 7 and heard.told == []
    assert heard.tally.text().splitlines() == [
        "listened for 0.0002 h: 3 events (15428.6 an hour)",
        "  2\tlabel 2",
        "  1\tlabel 3",
        "7 windows, one each 100 ms: exit 1 57.1 %, exit 2 28.6 %, not run 14.3 %",
        "100.00 % of a core",
    ]


def test_nothing_at_all_has_figures_too(heard):
    heard.listener.run([])
    assert heard.tally.text() == "listened for 0.0000 h: 0 events"
    assert heard.tally.to_dict()["core_share"] is heard.tally.to_dict()["exit_shares"][0] is None


def test_the_stream_begins_again_after_a_gap(heard):
    heard.listener.run([chunk(0), chunk(1, lost=30, gap=True), Chunk(np.zeros(0, np.float32)), chunk(1, gap=True)])
    assert heard.stream.calls == [
        ("windows", 100), ("reset", 30), ("windows", 100), ("windows", 0), ("reset", 0), ("windows", 100),
    ]  # fmt: skip
    assert (heard.tally.lost, heard.tally.gaps, heard.tally.samples) == (30, 2, 300)
    assert heard.told == ["30 samples were lost: recognition begins again after the gap"]
    assert heard.tally.text().endswith("30 samples (0.03 s) lost in 2 gaps")
    assert len(heard.recent.between(0, 10)) == 100


def test_gaps_are_told_again_after_some_time(heard):
    chunks = [chunk(0, gap=True), chunk(0, size=9899), chunk(0, gap=True), chunk(0, lost=5, gap=True)]
    heard.listener.run([*chunks, chunk(0, size=10_000), chunk(0, lost=1, gap=True)])
    assert heard.told == [
        "samples were lost, it is unknown how many: recognition begins again after the gap",
        "5 samples were lost: recognition begins again after the gap",
        "1 sample was lost: recognition begins again after the gap",
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_left_out(heard, bad):
    heard.listener.run([chunk(0), chunk(bad), chunk(bad), chunk(1)])
    assert [call for call in heard.stream.calls if call[0] == "reset"] == [("reset", 100)] * 2
    assert (heard.tally.lost, heard.tally.gaps, heard.tally.samples) == (200, 2, 200)
    assert heard.told == ["samples that are NaN or infinite are left out: check the driver of the microphone"]


def test_a_dead_microphone_is_told(heard):
    heard.listener.run([Chunk(np.zeros(5000, np.float32))])
    assert len(heard.told) == 1 and heard.told[0].startswith("only zeros for 5 s")
