"""The tests of what runs on a board, with NumPy alone: PYTHONPATH=tests python -m pytest -p device_half tests

Nothing but NumPy and what the tests themselves are made of can be imported, whatever is installed, and there is no
compiler. A test that asks for more is of the training half: it is skipped, with the name of what it asked for. No list
is kept: a test belongs to the device half if it passes there.
"""

from __future__ import annotations

import builtins
import shutil
import sys
from pathlib import Path

import pytest

ABSENT = {
    *("tensorflow", "tf_keras", "keras", "larq", "larq_compute_engine", "larq_zoo", "tensorflow_io", "soundfile"),
    *("h5py", "librosa", "scipy", "matplotlib", "bokeh", "selenium", "tqdm", "apache_beam", "espeakng_loader"),
    *("sounddevice", "wyoming", "grpc", "mlserver", "uvicorn"),
}


OPTIONAL = {"tqdm", "larq_compute_engine"}
"""Looked for, but done without: not why a test fails."""


COMPILERS = {"cc", "gcc", "c++", "g++", "clang++", "cmake"}


class Hidden:
    """A finder that hides the packages of the training half, and remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        package = name.partition(".")[0]
        if package in ABSENT:
            self.asked |= {package} - OPTIONAL
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def skip(self, *, module: bool = False) -> None:
        """Skip the test that failed, or the whole file, if it asked for a hidden package; otherwise return."""
        if self.asked:
            pytest.skip(f"{', '.join(sorted(self.asked))} is no part of the device half", allow_module_level=module)


hidden = Hidden()
sys.meta_path.insert(0, hidden)

if sys.version_info < (3, 10):
    # Tests may say zip(strict=True), which Python 3.9 lacks; what they test may not (test_structure.py).
    _zip = builtins.zip
    builtins.zip = lambda *items, strict=False: _zip(*items)

_which = shutil.which
shutil.which = lambda name, *more, **options: None if name in COMPILERS else _which(name, *more, **options)


class Module(pytest.Module):
    """A file of tests."""

    def collect(self):
        hidden.asked.clear()
        try:
            return super().collect()
        except self.CollectError:
            hidden.skip(module=True)
            raise


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Module:
    return Module.from_parent(parent, path=module_path)


def pytest_runtest_logstart() -> None:
    hidden.asked.clear()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo) -> None:
    if call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
        try:
            hidden.skip()
        except pytest.skip.Exception:
            call.excinfo = pytest.ExceptionInfo.from_current()
