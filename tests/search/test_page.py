"""The page of a study: every trained trial is a point, names are escaped, axes have round numbers."""

import re

from bnn_exit.search.cost import Budget
from bnn_exit.search.page import _ticks, page
from bnn_exit.search.record import DONE, OVER, STOPPED, Record
from bnn_exit.search.space import Candidate
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.scheme import SchemeConfig

MODEL = ModelConfig(blocks=(1, 2), channels=(64, 64), halving=(False, True), stem_channels=8)
SETTINGS = Candidate(MODEL, FeatureConfig(), SchemeConfig()).to_dict()
RECORDS = [
    Record(0, DONE, SETTINGS, {"mean_us": 50, "kb": 60}, {}, 0.91, 48.0, (0.7, 0.3)),
    Record(1, DONE, SETTINGS, {"mean_us": 60, "kb": 70}, {}, 0.90, 61.0, (0.6, 0.4)),
    Record(2, STOPPED, SETTINGS, {"mean_us": 70, "kb": 80}, {"1": 0.2}, reason="20.00 % after epoch 1 of 4"),
    Record(3, OVER, SETTINGS, {"mean_us": 700, "kb": 80}),
]


def test_trials_are_points_and_rows():
    text = page(RECORDS, Budget(max_mean_us=80), title="a <study>", facts={"Task": "words & sounds"})
    assert "a &lt;study&gt;" in text and "words &amp; sounds" in text and "<study>" not in text
    titles = re.findall(r'<circle class="([^"]*)"[^>]*><title>(trial \d: [^;]*);', text)
    assert titles == [("trial best", "trial 0: 91.00 %, 48.0 us, 60 kB"), ("trial", "trial 1: 90.00 %, 61.0 us, 70 kB")]
    assert "budget: 80 us" in text
    body = text.split("<tbody>")[1]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row)[:6] for row in body.split("<tr>")[1:]]
    assert rows == [
        ["0 (best)", "done", "91.00", "48.0", "60", "70 30"],
        ["1", "done", "90.00", "61.0", "70", "60 40"],
        ["2", "stopped", "", "70.0", "80", ""],
    ]
    assert "1 over budget" in text and "20.00 % after epoch 1 of 4" in text


def test_a_study_without_trials_has_a_page():
    assert "No trial was trained to the end yet" in page([], Budget(max_kb=1), title="new", facts={})
    assert "circle class" in page(RECORDS[:1], Budget(max_kb=100), title="one", facts={})


def test_axes_have_round_numbers():
    assert _ticks([52.0, 154.0]) == [50, 75, 100, 125, 150]
    assert _ticks([90.0]) == [86, 87, 88, 89, 90, 91, 92, 93, 94]
