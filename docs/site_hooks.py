"""What MkDocs does beside its plugins: files outside of docs/ that pages link to, and the places of public names.

Pages link to results, headers and plans where they lie in the repository, so that the links work in a checkout. The
site has a copy of these files in source/. Two pages of the site, in ABOVE, lie outside of docs/.
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
ABOVE = {"architecture.md": "ARCHITECTURE.md", "examples.md": "examples/README.md"}
"""Page of the site -> the file of the repository that it is."""
LINK = re.compile(r"(\]\()(?!\w+:)([^)#\s]+)")
NAME = re.compile(r"^::: (bnn_exit|distill)\.(\w+)$", re.MULTILINE)


def target_of(page: str, target: str) -> str:
    """The path in the repository of what a page of the site links to."""
    path = PurePosixPath(ABOVE.get(page, f"docs/{page}"))
    return os.path.normpath(path.parent / target)


def copy_of(path: str) -> str:
    """Where the site has a file of the repository: MkDocs makes pages of Markdown, and leaves Python out."""
    return f"source/{path}.txt" if path.endswith((".md", ".py")) else f"source/{path}"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages above docs/, and the files that pages link to."""
    for page, path in ABOVE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    wanted = set()
    for file in files.documentation_pages():
        for _, target in LINK.findall(file.content_string):
            wanted.add(target_of(file.src_uri, target))
    for path in sorted(path for path in wanted if not path.startswith("docs/") and path not in ABOVE.values()):
        if not (ROOT / path).is_file():
            raise SystemExit(f"error: a page links to {path}, which does not exist")
        files.append(File.generated(config, copy_of(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links to the copies, and `::: bnn_exit.load` to where the lazy package finds it."""
    pages = {path: name for name, path in ABOVE.items()}

    def link(found: re.Match[str]) -> str:
        path = target_of(page.file.src_uri, found[2])
        place = path[len("docs/") :] if path.startswith("docs/") else pages.get(path, copy_of(path))
        return found[1] + os.path.relpath(place, PurePosixPath(page.file.src_uri).parent)

    def place(found: re.Match[str]) -> str:
        package = importlib.import_module(found[1])
        module = getattr(package, "_NAMES", {}).get(found[2])
        return f"::: {module}.{found[2]}" if module else found[0]

    sys.path.insert(0, str(ROOT))
    try:
        return NAME.sub(place, LINK.sub(link, markdown))
    finally:
        sys.path.remove(str(ROOT))
