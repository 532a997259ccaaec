import html.parser
import re

import numpy as np

from bnn_exit import difficulty
from bnn_exit.difficulty import page

EVIL = '<script>alert("1")</script>&\'.wav'


class Reader(html.parser.HTMLParser):
    """Text of cells, tags that are opened and not closed, and addresses."""

    EMPTY = ("meta", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.addresses, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def summary(*, labelled=True, clips=30):
    random = np.random.default_rng(0)
    outputs = random.dirichlet([0.3] * 3, (clips, 2))
    found = difficulty.Summary(["a", EVIL, "c"], exits=2, labelled=labelled, keep=5)
    found.add(
        difficulty.from_probabilities(
            outputs,
            outputs.min(axis=-1),
            thresholds=[0.1],
            labels=random.integers(0, 3, clips) if labelled else None,
            names=[f"{index}{EVIL}" for index in range(clips)],
            class_names=found.class_names,
        )
    )
    return found


def test_the_page_is_whole_needs_no_network_and_escapes_names():
    given = summary()
    text = page.page(given, model=EVIL, point=EVIL)
    read = Reader(text)
    assert read.open == [] and read.addresses == [] and read.tags.count("script") == 1
    assert "http" not in text and "alert(" not in text.replace("alert(&quot;1&quot;)", "")
    for row in given.hardest:
        assert row["path"] in read.cells and f"{row['difficulty']:.4f}" in read.cells
    assert {each.name for each in given.classes()} <= set(read.cells)
    assert f"Difficulty of {given.clips} clips" in text
    assert {each.name for each in given.suspects()} <= set(read.cells) and given.suspects()
    assert "color-scheme: light dark" in text


def test_columns_of_numbers_sort_as_numbers():
    text = page.page(summary(), model="m", point="p")
    kinds = {name: kind for kind, name in re.findall(r'aria-sort="none"([^>]*)><button>([^<]+)</button>', text)}
    assert kinds["difficulty"] == ' class="number"' and kinds["class"] == ""
    assert kinds["clip"] == ' class="path"'


def test_without_labels_there_are_no_sections_that_need_them():
    text = page.page(summary(labelled=False), model="m", point="p")
    assert "Overthinking" not in text and "Labels that look wrong" not in text and "accuracy" not in text
    assert "Without labels the last exit decides the class of a clip." in text
    Reader(text)
