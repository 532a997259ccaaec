"""The notebook of examples/ runs from top to bottom, and what it says of its results holds."""

import json
import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def cells(notebook, kind):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_it_is_stored_without_outputs(notebook):
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(notebook, "code"))
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_it_runs_from_top_to_bottom(notebook, capsys):
    names = {"__name__": "__main__"}
    for number, cell in enumerate(cells(notebook, "code"), start=1):
        exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}, cell {number}", "exec"), names)
    predictions = names["predictions"]
    assert predictions["rain"].label == "rain" and predictions["fire"].label == "crackling_fire"
    # Two easy clips leave early, the hard one does not.
    assert [predictions[name].exit_index for name in ("rain", "fire", "clock")] == [0, 0, 1]
    assert predictions["clock"].score > 0.5
    difficulty = {name: row["difficulty"] for name, row in names["rows"].items()}
    assert max(difficulty, key=difficulty.get) == "clock" and all(0 <= each <= 1 for each in difficulty.values())
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("rain ") for line in lines) == 4 and "full      exits [2, 2, 2]" in lines


def test_its_links_lead_somewhere(notebook):
    text = "".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links and all((NOTEBOOK.parent / link).is_file() for link in links)
