"""ARCHITECTURE.md names the layers of the code in their order, and paths that are there."""

import re

import pytest
import test_layers
from doc_pages import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def rows(heading):
    """The rows of the table under a heading, as lists of cells, without its head."""
    section = TEXT[TEXT.index(f"\n## {heading}\n") :].split("\n## ", 2)[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"][
        2:
    ]


def test_the_layers_stand_in_the_order_of_the_code():
    ground, *layers = rows("Layers")
    assert [re.fullmatch(r"`(\w+)`", cells[0])[1] for cells in layers] == list(test_layers.LAYERS)
    assert set(re.findall(r"`(\w+)`", ground[0])) <= test_layers.GROUND


def test_the_halves_are_those_of_the_code():
    halves = {cells[0].strip("`"): cells[1] for cells in rows("Layers")[1:]}
    training = {name for name, half in halves.items() if half == "training"}
    assert training == test_layers.TRAINING_ONLY & set(test_layers.LAYERS)
    assert all(halves[name] == "device" for name in test_layers.DEVICE)


def paths(cell):
    """Paths in code spans of a cell, without those that NAME is a part of."""
    return [path for path in re.findall(r"`([\w.]+(?:/[\w.]+)+)`", cell) if "NAME" not in path]


NATIVE = "bnn_exit/runtime/native"


@pytest.mark.parametrize("cells", rows("To add X, touch Y"), ids=lambda cells: re.search(r"\*\*(\w+)\*\*", cells[0])[1])
def test_an_addition_touches_what_is_there(cells):
    for cell in cells:
        for path in paths(cell):
            assert any((ROOT / folder / path).exists() for folder in ("", "bnn_exit", NATIVE)), path
        for path in re.findall(r"`([\w./]*NAME[\w./]*\.\w+)`", cell):
            folder = path.rpartition("/")[0]
            assert any((ROOT / above / folder).is_dir() for above in ("", "bnn_exit")), path
    for name in re.findall(r"`(_?[A-Z]{2,}[A-Z_]*)`", cells[2]):
        named = [ROOT / above / path for path in paths(cells[2]) + paths(cells[1]) for above in ("", "bnn_exit")]
        files = [path for path in named if path.suffix == ".py" and path.is_file()]
        assert any(re.search(rf"^{name}\b", path.read_text(encoding="utf-8"), re.M) for path in files), name


def test_every_kind_of_addition_has_a_row():
    kinds = {re.search(r"\*\*(\w+)\*\*", cells[0])[1] for cells in rows("To add X, touch Y")}
    assert kinds >= {"backbone", "head", "policy", "operator", "task", "recipe", "command"}
