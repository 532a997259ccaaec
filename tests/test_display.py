"""Text from files: shown on one line in any encoding, and never a formula."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit import files
from bnn_exit.command_line import run_command
from bnn_exit.display import from_cell, json_line, show, shown, to_cell
from bnn_exit.errors import DataError

HOSTILE = "\x1b]0;title\x07\x1b[31mred\r\nforged\tline\u202egpj\u2066\x9b\x7f\udce9\ud800\u2028"


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_any_text_is_shown_on_one_printable_line(text: str) -> None:
    found = shown(text).replace("\u200c", "").replace("\u200d", "")
    assert found.isprintable()
    found.encode()
    if text.isprintable():
        assert shown(text) == text


def test_what_is_shown_can_be_recognised() -> None:
    assert shown("日本 é \u0645\u06cc\u200c\u062e") == "日本 é \u0645\u06cc\u200c\u062e"
    assert shown("caf\udce9\n\x1b[0m\u202e\ud800") == r"caf\xe9\n\x1b[0m\u202e\ud800"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_a_command_prints_hostile_text_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {
        name: io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for name in ("stdout", "stderr")
    }
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)

    def main() -> None:
        show(f"{shown(HOSTILE)}\t日本\nnext")
        show(json_line({"label": HOSTILE}))
        raise DataError(f"{HOSTILE} is no file")

    assert run_command(main) == 1
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams.values())  # type: ignore[attr-defined]
    lines = out.splitlines()
    assert len(lines) == 3 and lines[1] == "next"
    assert json.loads(lines[2]) == {"label": HOSTILE}
    assert len(err.splitlines()) == 1 and err.startswith("error: ")
    assert all(line.replace("\t", "").isprintable() for line in (*lines, err.rstrip("\n")))


@given(st.text())
def test_a_cell_is_no_formula_and_comes_back(text: str) -> None:
    cell = to_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert from_cell(cell) == text
    assert to_cell("=1+1") == "'=1+1" and to_cell("clip.wav") == "clip.wav"


def test_json_files_keep_names_that_are_no_utf8(tmp_path: object) -> None:
    path = f"{tmp_path}/a.json"
    files.write_json(path, {"name": "caf\udce9", "label": "日本\ud800"})
    assert files.read_json(path) == {"name": "caf\udce9", "label": "日本\ud800"}
