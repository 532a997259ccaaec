"""The measurement of operators runs and covers them all; what it finds is the benchmark's own business."""

import json
import sys
from pathlib import Path

import pytest

from bnn_exit.model_file import arity
from bnn_exit.runtime import native_backend

pytestmark = pytest.mark.skipif(not native_backend.is_installed(), reason="the native library is not built")


@pytest.fixture
def operator_steps(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import operator_steps

    yield operator_steps
    sys.modules.pop("operator_steps")


def test_every_operator_is_measured(operator_steps):
    assert {operator for operator, *_ in operator_steps.cases(2**8).values()} == set(arity.ARITY) - {"IF"}


def test_a_slow_case_is_a_line_and_status_1(operator_steps, monkeypatch, tmp_path, capsys):
    few = {name: case for name, case in operator_steps.cases(2**8).items() if name in ("ADD", "TRANSPOSE")}
    monkeypatch.setattr(operator_steps, "cases", lambda size: few)
    monkeypatch.setenv("BNN_EXIT_ISA", "auto")
    for nanoseconds, status in ((0.5, 0), (1e6, 1)):
        monkeypatch.setattr(operator_steps, "measure", lambda case, ns=nanoseconds: (1000, ns))
        result = tmp_path / "result.json"
        assert operator_steps.main([], result=result) == status
        assert set(json.loads(result.read_text())["cases"]) == {"ADD", "TRANSPOSE"}
        assert ("ADD on " in capsys.readouterr().out) == bool(status)


def test_a_case_is_timed(operator_steps):
    steps, nanoseconds = operator_steps.measure(operator_steps.cases(2**8)["ADD"], runs=1)
    assert steps > 2**8 and nanoseconds >= 0
