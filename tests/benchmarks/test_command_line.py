"""What a result says about the call that made it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import result_file


@pytest.mark.parametrize("given", ["--data-dir /a/b", "--data-dir=/a/b"])
def test_a_call_is_told_without_the_places_of_this_machine(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    words = ["/runs/one", "runs/two", *given.split(), "--every", "5"]
    expected = "python benchmarks/x.py one runs/two --data-dir DIR --every 5"
    assert result_file.called("/there/benchmarks/x.py", words) == expected
    monkeypatch.setattr(sys, "argv", ["x.py", *words])
    assert result_file.called("/there/benchmarks/x.py", None) == expected
