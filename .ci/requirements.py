"""Prints what the package and some of its extras need, for `pip install -r`: python .ci/requirements.py train report

So the packages can be installed while the library of ours is compiled. Run by a Python with pip, whose TOML reader it
takes: Python has one from 3.11 on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pip._vendor import tomli

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """Of the package itself and of these extras."""
    project = tomli.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
