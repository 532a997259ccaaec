"""The documentation builds without a warning, and its links lead somewhere."""

import os
import re
import subprocess
import sys

import pytest
from doc_pages import PAGES, ROOT, name

LINK = re.compile(r"\]\(([^)#\s]+)?(?:#([\w-]+))?\)")


def anchors(page):
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_within_the_repository_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.is_file() and path.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def test_it_builds_with_warnings_as_errors(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site" / "reference" / "bnn_exit" / "index.html").read_text(encoding="utf-8")
    for function in ("load", "build", "fit", "calibrate", "export"):
        assert re.search(rf'id="[\w.]*\.{function}"', reference), function
    assert "operating_point" in reference
    assert (tmp_path / "site" / "source" / "benchmarks" / "results" / "int8_peers.png").is_file()
