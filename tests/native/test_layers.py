"""The folders of the native library's core: each includes only those before it."""

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "bnn_exit" / "runtime" / "native"
CORE = NATIVE / "core"
FOLDERS = ("", "format", "audio", "ops", "graph", "classify", "stream", "api")
"""From the bottom up; "" is core/ itself, the ground floor."""

SOURCES = sorted(path for path in CORE.rglob("*") if path.suffix in (".cpp", ".h", ".inc"))


def folder(path):
    """The folder in core/ of a path relative to it."""
    return path.parts[0] if len(path.parts) > 1 else ""


def test_every_folder_has_its_place_in_the_order():
    assert {folder(path.relative_to(CORE)) for path in SOURCES} == set(FOLDERS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_a_file_includes_only_folders_before_its_own(path):
    below = FOLDERS[: FOLDERS.index(folder(path.relative_to(CORE))) + 1]
    for included in re.findall(r'^#include "(.+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
        if included in ("bnn_exit.h", "kernels/kernels.h"):
            continue
        assert ".." not in included and (CORE / included).is_file(), f"{included}: name it from core/ on"
        assert folder(Path(included)) in below, included


@pytest.mark.parametrize("path", sorted((NATIVE / "kernels").rglob("*.[ch]*")), ids=lambda path: path.name)
def test_the_kernels_include_nothing_of_the_core(path):
    for included in re.findall(r'^#include "(.+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
        assert (path.parent / included).resolve().is_relative_to(NATIVE / "kernels"), included
