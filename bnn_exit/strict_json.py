"""JSON that every reader reads alike: no name twice, no number that some cannot hold, no invisible characters.

`core/format/json_check.cpp` of the native library reads by the same rules; the tests run one corpus through both.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from bnn_exit.text import text_fault

MAX_BYTES = 1 << 22
"""Of a document."""
MAX_DEPTH = 32
"""Lists and objects in one another: the outermost value is at 0."""
MAX_MEMBERS = 1024
"""Of one object. Names are compared with one another."""
MAX_NUMBER = 64
"""Characters of one number."""


def loads(data: bytes) -> Any:
    """The value of a JSON document: RFC 8259 in UTF-8 without a byte-order mark, and within the limits above.

    Whole numbers (without point and exponent) must fit into 64 bits with a sign, others must be finite; texts and
    names hold what `bnn_exit.text` allows; no object has a name twice.

    Raises:
        ValueError: the first rule that is broken.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has {len(data)} bytes, but may have {MAX_BYTES}")
    value = parse(bytes(data).decode())
    _check(value, 0)
    return value


def parse(text: str) -> Any:
    """The value of a JSON text of any size, with any names in it: of a run folder, the cache, a plan.

    Raises:
        ValueError: no JSON, a name twice in an object, a number that `loads` refuses, too many lists in one another.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=_whole, parse_float=_real, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        ((name, _),) = Counter(name for name, _ in members).most_common(1)
        raise ValueError(f"{name!r} is there twice")
    return found


def _whole(digits: str) -> int:
    # Before they are converted: a million digits take a while.
    if len(digits) > MAX_NUMBER or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"the number {digits[:MAX_NUMBER]} does not fit into 64 bits")
    return int(digits)


def _real(digits: str) -> float:
    if len(digits) > MAX_NUMBER:
        raise ValueError(f"a number has {len(digits)} characters, but may have {MAX_NUMBER}")
    if not math.isfinite(float(digits)):
        raise ValueError(f"the number {digits} is too large")
    return float(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        fault = text_fault(value)
        if fault:
            raise ValueError(f"the text {value[:40]!r} {fault}")
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        if len(value) > MAX_MEMBERS:
            raise ValueError(f"an object has {len(value)} members, but may have {MAX_MEMBERS}")
        for name, member in value.items():
            _check(name, 0)
            _check(member, depth + 1)
