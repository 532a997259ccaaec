"""What MkDocs does beside its plugins: files outside of docs/ that pages link to, and the places of public names.

Pages link to results, headers and plans where they lie in the repository, so that the links work in a checkout. The
site has a copy of these files in source/.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)")
NAME = re.compile(r"^::: (bnn_exit|distill)\.(\w+)$", re.MULTILINE)


def outside(page: str, target: str) -> str | None:
    """The path in the repository of a link that leaves docs/, else None. `page` is a path in docs/."""
    path = PurePosixPath(os.path.normpath(PurePosixPath("docs", page).parent / target))
    return None if path.parts[0] == "docs" else path.as_posix()


def on_files(files: Files, config: Any) -> Files:
    """Add the files that pages link to."""
    wanted = set()
    for file in files.documentation_pages():
        for _, target in LINK.findall(file.content_string):
            wanted.add(outside(file.src_uri, target))
    for path in sorted(wanted - {None}):
        if not (ROOT / path).is_file():
            raise SystemExit(f"error: a page links to {path}, which does not exist")
        files.append(File.generated(config, f"source/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links to the copies, and `::: bnn_exit.load` to where the lazy package finds it."""

    def link(found: re.Match[str]) -> str:
        path = outside(page.file.src_uri, found[2])
        if path is None:
            return found[0]
        return found[1] + os.path.relpath(f"source/{path}", PurePosixPath(page.file.src_uri).parent)

    def place(found: re.Match[str]) -> str:
        package = importlib.import_module(found[1])
        module = getattr(package, "_NAMES", {}).get(found[2])
        return f"::: {module}.{found[2]}" if module else found[0]

    sys.path.insert(0, str(ROOT))
    try:
        return NAME.sub(place, LINK.sub(link, markdown))
    finally:
        sys.path.remove(str(ROOT))
