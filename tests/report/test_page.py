import base64
import dataclasses
import html.parser
import json
import re
import sys

import numpy as np
import pytest
from report_source import made_source

from bnn_exit import metrics
from bnn_exit.errors import ArgumentError, DataError, MissingPackageError
from bnn_exit.report import hard_clips
from bnn_exit.report import page as pages
from bnn_exit.report.contents import DOUBTFUL, HARDEST, OVERTHOUGHT, contents
from bnn_exit.report.reliability import reliability

pytest.importorskip("bokeh", reason="bokeh is not installed: pip install '.[report]'")
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "a & b <b>",
    "$$x$$",
)


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def held(text):
    """What the page embeds."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_holds_every_score_bit_by_bit():
    source = made_source()
    clips = held(pages.page(source))["clips"]
    assert unpacked(clips["truth"], "<u2").tolist() == source.labels.tolist()
    for k in range(3):
        assert unpacked(clips["scores"][k], "<f4").tobytes() == source.scores[:, k].tobytes()
        assert unpacked(clips["predicted"][k], "<u2").tolist() == source.probabilities[:, k].argmax(-1).tolist()


def test_the_page_holds_the_measured_figures():
    source = made_source()
    found = held(pages.page(source))
    assert found["labels"] == source.report.labels
    for k, row in enumerate(found["exits"]):
        measured = source.report.exits[k]
        assert (row["accuracy"], row["ops"]) == (measured.accuracy, source.costs[k].ops)
        assert row["time_us"] == measured.time_us.mean
        assert row["front_end_us"] == measured.front_end_us.mean
        assert row["whole_us"] == measured.whole_us.mean == pytest.approx(row["front_end_us"] + row["time_us"])
        assert found["reliability"][k]["error"] == reliability(source.probabilities[:, k], source.labels).error
        assert sum(found["reliability"][k]["counts"]) == 120
    for name, row in found["points"].items():
        measured = source.report.operating_points[name]
        assert row == {
            "thresholds": measured.thresholds,
            "accuracy": measured.accuracy,
            "ops": measured.mean_cost["ops"],
            "front_end_us": measured.front_end_us.mean,
            "time_us": measured.time_us.mean,
            "whole_us": measured.whole_us.mean,
        }


def test_times_that_were_not_measured_apart_are_null():
    inside = held(pages.page(made_source(has_front_end=False)))
    for row in [*inside["exits"], *inside["points"].values()]:
        assert row["front_end_us"] is None and row["whole_us"] == row["time_us"] > 0
    # A report of an earlier version: the network alone was timed.
    source = made_source()
    report = dataclasses.replace(
        source.report,
        exits=[dataclasses.replace(row, front_end_us=None, whole_us=None) for row in source.report.exits],
    )
    earlier = held(pages.page(dataclasses.replace(source, report=report)))
    assert [row["whole_us"] for row in earlier["exits"]] == [None] * 3
    assert all(row["time_us"] > 0 for row in earlier["exits"])


def test_classes_are_ordered_by_difficulty_with_what_they_are_taken_for():
    source = made_source(classes=4)
    rows = contents(source, budget=0)["classes"]
    difficulty = hard_clips.find(source.probabilities, source.labels).difficulty
    assert [row["difficulty"] for row in rows] == sorted((row["difficulty"] for row in rows), reverse=True)
    last = source.probabilities[:, -1].argmax(-1)
    matrix = metrics.confusion_matrix(last, source.labels, num_classes=4)
    for row in rows:
        index = source.report.labels.index(row["label"])
        own = source.labels == index
        assert row["clips"] == own.sum()
        assert row["difficulty"] == pytest.approx(difficulty[own].mean())
        assert row["accuracy"] == pytest.approx(np.mean(last[own] == index))
        wrong = {label: matrix[index, k] for k, label in enumerate(source.report.labels) if k != index}
        assert wrong.get(row["confused_with"], 0) == max(wrong.values())
        assert (row["confused_with"] is None) == (max(wrong.values()) == 0)


def test_a_class_without_clips_has_no_row():
    source = made_source(classes=4)
    report = dataclasses.replace(source.report, labels=[*source.report.labels, "never"])
    wider = np.concatenate([source.probabilities, np.zeros((120, 3, 1), np.float32)], axis=-1)
    rows = contents(dataclasses.replace(source, report=report, probabilities=wider), budget=0)["classes"]
    assert "never" not in [row["label"] for row in rows] and len(rows) == 4


def test_the_lists_hold_clips_with_picture_and_sound():
    source = made_source(clips=400)
    found = contents(source, budget=4_000_000)
    lists = {row["name"]: row for row in found["lists"]}
    assert list(lists) == [HARDEST, OVERTHOUGHT, DOUBTFUL]
    assert len(lists[HARDEST]["clips"]) == 8 and lists[HARDEST]["found"] is None
    right = source.probabilities.argmax(-1) == source.labels[:, None]
    assert lists[OVERTHOUGHT]["found"] == np.sum(right[:, :-1].any(axis=1) & ~right[:, -1]) > 0
    for clip in lists[HARDEST]["clips"]:
        shown = found["gallery"][clip]
        assert shown["name"] == f"clip {clip}" and shown["label"] == source.labels[clip]
        assert shown["predicted"] == source.probabilities[clip].argmax(-1).tolist()
        assert shown["picture"].startswith("data:image/png") and shown["sound"].startswith("data:audio/wav")


def test_sounds_that_find_no_room_are_left_out_last_ranks_first():
    source = made_source(clips=400)
    everything = contents(source, budget=4_000_000)["gallery"]
    one = len(next(iter(everything.values()))["sound"])
    pictures = sum(len(entry["picture"]) for entry in everything.values())
    found = contents(source, budget=pictures + 3 * one)
    with_sound = [clip for clip, entry in found["gallery"].items() if entry["sound"]]
    firsts = [row["clips"][0] for row in found["lists"] if row["clips"]]
    assert len(with_sound) == 3 and set(firsts) <= set(with_sound)


@pytest.mark.parametrize(("clips", "seconds"), [(2400, 5.0), (10_000, 1.0)])
def test_the_page_stays_below_ten_megabytes(clips, seconds):
    text = pages.page(made_source(clips=clips, classes=40, exits=4, seconds=seconds))
    assert len(text.encode()) < 10_000_000


def test_nothing_is_fetched():
    text = pages.page(made_source())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none';") and "http" not in policy

    found = []

    class Links(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.extend(value for name, value in attributes if name in ("src", "href"))

    Links().feed(text)
    assert found == ["data:,", "#thresholds"]


def test_text_from_data_is_escaped():
    source = made_source(labels=HOSTILE, name="<i>clip</i>")
    source = dataclasses.replace(source, report=dataclasses.replace(source.report, task="<u>task</u> & more"))
    text = pages.page(source)
    for piece in (*HOSTILE[:3], "<i>clip</i>", "<u>task</u>"):
        assert piece not in text
    assert "<h1>&lt;u&gt;task&lt;/u&gt; &amp; more: test split</h1>" in text
    assert held(text)["labels"] == list(HOSTILE)


def test_the_head_tells_how_it_was_measured():
    report = made_source().report
    found = pages.facts(report, {"Thresholds": "chosen on 7 clips of the validation split"})
    assert found["Clips"] == "120" and found["Files left out"] == "none"
    assert found["Thresholds"] == "chosen on 7 clips of the validation split"
    assert (found["Backend"], found["Machine"]) == ("none, 1 thread", "no processor, nowhere")
    part = dataclasses.replace(report, split_count=5000, skipped_files={"truncated": 2, "empty": 1})
    assert pages.facts(part, {})["Clips"] == "120 of 5,000, evenly spread"
    assert pages.facts(part, {})["Files left out"] == "2 truncated, 1 empty"


def test_a_network_of_one_exit_has_a_page():
    found = held(pages.page(made_source(exits=1)))
    assert len(found["exits"]) == 1 and found["points"]["balanced"]["thresholds"] == []


def test_exits_that_say_nan_are_refused():
    source = made_source()
    scores = source.scores.copy()
    scores[[4, 9], 1] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinity for 2 of 120 clips \(first: clip 4\): the network diverged"):
        dataclasses.replace(source, scores=scores)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["only one"]}, r"names \[1\].* do not fit probabilities \(120, 3, 5\)"),
        ({"labels": np.zeros(3, int)}, r"labels \[3\].* do not fit"),
        (
            {"report": dataclasses.replace(made_source().report, labels=["a", "b"])},
            "labels has 2 names, but the exits have 5 classes",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ArgumentError, match=message):
        dataclasses.replace(made_source(), **changes)


def test_without_bokeh_the_command_that_brings_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh.resources", None)
    with pytest.raises(MissingPackageError, match=r"the report needs the package bokeh: pip install '\.\[report\]'"):
        pages.page(made_source())
