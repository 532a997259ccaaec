"""Text that comes from files (labels, names) as it is shown: escaped, so that it forges and breaks nothing."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

# Joiners that scripts such as Persian and Hindi need inside words; all other invisible characters are escaped.
_JOINERS = "\u200c\u200d"
# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def shown(value: object) -> str:
    """`value` on one line of a terminal: what is not printable (control characters, line ends, overrides of the writing
    direction, bytes of a file name that are no UTF-8) becomes an escape, all else stays as it is.

    Example:
        >>> shown("caf\\udce9\\n.wav")
        'caf\\\\xe9\\\\n.wav'
    """
    text = str(value)
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable() or letter in _JOINERS:
        return letter
    if "\udc80" <= letter <= "\udcff":  # how Python keeps a byte of a file name that it cannot decode
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def show(text: object, *, file: TextIO | None = None) -> None:
    """Print lines, each as `shown`: the one way for a command to print text that may hold names.

    Tabs stay too, which tables are made of. A name that is a part of a line goes through `shown` before.
    """
    lines = ("\t".join(map(shown, line.split("\t"))) for line in str(text).split("\n"))
    print("\n".join(lines), file=file or sys.stdout, flush=True)


def json_line(value: Any) -> str:
    """JSON on one line, in ASCII: any terminal and any encoding can take it. ValueError for NaN."""
    return json.dumps(value, allow_nan=False)


def escape_streams() -> None:
    """From now on a character that standard output or error cannot encode is printed as an escape."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def to_cell(text: str) -> str:
    """Text for a cell of a CSV file, with a quote before what a spreadsheet would compute."""
    return "'" + text if _is_formula(text) else text


def from_cell(cell: str) -> str:
    """The text that `to_cell` was given."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(text: str) -> bool:
    return text.lstrip("'").startswith(_FORMULA)
