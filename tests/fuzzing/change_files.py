"""Changes of what is around the operators: subgraphs, signatures, metadata, codes."""

from __future__ import annotations

import copy
import json
from typing import Any

from bnn_exit.model_file import schema
from fuzzing.changer import Changer
from fuzzing.parts import CODES

ODD_JSON = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    1e300,
    0.5,
    "",
    "x",
    "\u0000",
    "\u001b[31m",
    "\ud83d\ude00",
    [],
    [1],
    ["a", "a"],
    {},
    {"a": 1},
)


def subgraphs(change: Changer) -> None:
    file = change.file
    ifs = [operator for graph in file.graphs for operator in graph.operators if change.name_of(operator) == "IF"]
    kind = change.random.integers(5)
    if ifs and kind < 3:
        operator = change.one_of(ifs)
        name = change.one_of(["then_subgraph_index", "else_subgraph_index"])
        operator.options[name] = change.one_of([*range(len(file.graphs)), -1, len(file.graphs), 2**31 - 1])
    elif kind == 3 and len(file.graphs) > 1:
        del file.graphs[change.place(file.graphs)]
    else:
        file.graphs.insert(change.place([*file.graphs, 0]), copy.deepcopy(change.one_of(file.graphs)))


def ports(change: Changer) -> None:
    """Signatures: names, places and subgraphs."""
    file = change.file
    if not file.signatures:
        file.signatures.append(("serving_default", 0, [], []))
    place = change.place(file.signatures)
    name, graph, ins, outs = copy.deepcopy(file.signatures[place])
    kind, entries = change.random.integers(6), change.one_of([ins, outs])
    if kind == 0:
        graph = change.one_of([0, 1, len(file.graphs), 2**31])
    elif kind == 1:
        name = change.one_of(["", "serving_default", "other"])
        file.signatures.append((name, graph, ins, outs))
        return
    elif entries and kind == 2:
        del entries[change.place(entries)]
    elif entries and kind == 3:
        entries.append(change.one_of(entries))
    elif entries:
        other = change.place(entries)
        key, index = entries[other]
        entries[other] = (
            change.one_of([key, "log_mel", "waveform", "score", "", "x"]),
            change.one_of([index, 0, 1, 2**31, index + 1]),
        )
    file.signatures[place] = (name, graph, ins, outs)


def metadata(change: Changer) -> None:
    """JSON with another value, without a key, with a key twice, or with another text altogether."""
    file = change.file
    if not file.metadata:
        return
    place = change.place(file.metadata)
    name, index = file.metadata[place]
    if change.chance(0.08):
        file.metadata.append((name, change.one_of([index, 0, len(file.buffers)])))
        return
    if index >= len(file.buffers):
        return
    try:
        content = json.loads(file.buffers[index])
    except ValueError:
        return
    text = json.dumps(_changed_json(change, content))
    if change.chance(0.15):
        key = change.one_of([*content, "x"]) if isinstance(content, dict) else "x"
        text = text.replace(
            "{", "{" + json.dumps(key) + ": " + json.dumps(change.one_of(ODD_JSON)) + ", ", change.one_of([1, 2])
        )
    if change.chance(0.1):
        spot = change.place(text)
        text = (
            text[:spot]
            + change.one_of(["", " ", ",", "]", "}", "[" * 300, "\\u0000", "\\ud800", "1e999", "-0", "NaN", "\x01"])
            + text[spot:]
        )
    file.metadata[place] = (name, file.buffer(text.encode("utf-8", "surrogatepass")))


def _changed_json(change: Changer, content: Any) -> Any:
    """A copy in which one value somewhere is another."""
    if isinstance(content, dict) and content and change.chance(0.9):
        content, key = dict(content), change.one_of(list(content))
        if change.chance(0.12):
            del content[key]
        elif change.chance(0.05):
            content[change.one_of(["x", "labels", ""])] = content.pop(key)
        else:
            content[key] = _changed_json(change, content[key])
        return content
    if isinstance(content, list) and content and change.chance(0.8):
        content, place = list(content), change.place(content)
        if change.chance(0.2):
            content.append(content[place])
        elif change.chance(0.2):
            del content[place]
        else:
            content[place] = _changed_json(change, content[place])
        return content
    if isinstance(content, (int, float)) and not isinstance(content, bool) and change.chance(0.6):
        return change.one_of([content + 1, -content, content * 2, content / 2, 0, 1, 2, 3, 1e-9, 1e9])
    return change.one_of(ODD_JSON)


def form(change: Changer) -> None:
    """What is around: alignment, version, codes."""
    file = change.file
    kind = change.random.integers(4)
    if kind == 0:
        file.alignment = change.one_of([1, 2, 4])
    elif kind == 1 and change.chance(0.3):
        file.version = change.one_of([0, 2, 4])
    elif file.codes:
        place = change.place(file.codes)
        code, name = file.codes[place]
        file.codes[place] = change.one_of(
            [(schema.CUSTOM, name or schema.OPERATOR_NAMES[code % 150]), (code, "EXP"), (149, ""), (CODES["ADD"], "")]
        )
