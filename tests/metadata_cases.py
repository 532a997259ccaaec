"""Metadata of a model file as text, each with its verdict: what every reader must accept and what it must refuse.

All are made of one good document, whose network takes waveforms and has three exits and three classes, and of the same
for values.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import tiny_files

GOOD: dict[str, Any] = json.loads(tiny_files.metadata(input="waveform").to_json())
VALUES: dict[str, Any] = tiny_files.VALUES.to_dict()
OTHERS: tuple[Any, ...] = (None, True, 0, -1, 1.5, "", "text", [], {}, [1], {"a": 1})
"""A value of every kind, to be put where one of another kind belongs."""

Case = tuple[str, bytes, bool]


def with_metadata(file: bytes, document: bytes) -> bytes:
    """The file with another document in place of GOOD: behind its end, where offsets may lead as well."""
    place = file.index(encoded(GOOD)) - 4
    offsets = [at for at in range(0, place, 4) if int.from_bytes(file[at : at + 4], "little") == place - at]
    (field,) = offsets
    start = len(file) + -len(file) % 4
    moved = file[:field] + (start - field).to_bytes(4, "little") + file[field + 4 :]
    return moved.ljust(start, b"\0") + len(document).to_bytes(4, "little") + document


def encoded(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode()


def cases() -> Iterator[Case]:
    yield "good", encoded(GOOD), True
    for family in (
        *(numbers, texts, syntax, limits, repeated, top_level, labels, points, costs, features, values, policies),
        *(skip_gates, listening_points),
    ):
        for name, document, right in family():
            yield f"{family.__name__}: {name}", document, right


def raw(value: bytes | str) -> bytes:
    """GOOD with some text of JSON as a member of its free part."""
    data = value.encode() if isinstance(value, str) else value
    return encoded({**GOOD, "model": "VALUE"}).replace(b'"VALUE"', b'{"free": ' + data + b"}")


def edited(*path: str | int, value: Any) -> bytes:
    """GOOD with another value at a place."""
    values = copy.deepcopy(GOOD)
    inner: Any = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return encoded(values)


def without(*path: str | int) -> bytes:
    """GOOD without the member at a place."""
    values = copy.deepcopy(GOOD)
    inner: Any = values
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return encoded(values)


def numbers() -> Iterator[Case]:
    right = "0 -0 1 -1 10 0.5 -0.0 1e5 1E+5 1e-5 0e0 1.5e300 1e-999 1.7976931348623157e308 9223372036854775807"
    right += " -9223372036854775808 0." + "1" * 62
    wrong = (
        "01 -01 00 +1 .5 1. 1.e5 1e 1e+ 1e1.5 - -- --1 -a 0x10 1_000 1,5 NaN nan Infinity -Infinity inf 1e999 -1e999"
    )
    wrong += (
        " 1.8e308 9223372036854775808 -9223372036854775809 1" + "0" * 400 + " 0." + "1" * 63 + " \u0661 1e\u0661 1f"
    )
    for text in right.split():
        yield text, raw(text), True
    for text in [*wrong.split(), "1 2", "1e 5", "- 1"]:
        yield text, raw(text), False


def texts() -> Iterator[Case]:
    right = ['"', "\\", "/", " ", "a", "\u00a0", "\u00e9", "\u0646\u0639\u0645", "\u4f60", "\U0001f600", "a\u200cb"]
    refused = [*range(0x20), 0x7F, 0x80, 0x85, 0x9F, 0x61C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202E]
    refused += [0x2060, 0x2064, 0x2066, 0x2069, 0x206F, 0xFEFF, 0xFFF9, 0xFFFB]
    for text, is_right in [*((text, True) for text in right), *((chr(code), False) for code in refused)]:
        for written in sorted({json.dumps(text), json.dumps(text, ensure_ascii=False), f'"{text}"'}):
            grammar = is_right and not (len(written) == 3 and text in '"\\')
            name = ascii(written)
            yield f"{name} as a value", raw(written), grammar
            yield f"{name} in a list in a list", raw(f"[[{written}]]"), grammar
            yield f"{name} as a name", raw(f"{{{written}: 1}}"), grammar
            yield f"{name} as a label", encoded(GOOD).replace(b'"yes"', written.encode()), grammar
    for written in (
        *(r'"\x41"', r'"\u12"', r'"\u12g4"', r'"\u+123"', r'"\u 123"', r'"\U00000041"', r'"\a"', r'"\0"', '"\\'),
        *(r'"\ud800"', r'"\udc00"', r'"\ud800A"', r'"\ud800\u0041"', r'"\ud800\ud800\udc00"', r'"\udfff\ud800"'),
        *('"', '"a', "'a'", "a", '"a"b', '"a" "b"'),
    ):
        yield written, raw(written), False
    for written in (r'"\ud83d\ude00"', r'"\uD83D\uDE00"', r'"\u00E9"', r'"\/"'):
        yield written, raw(written), True
    for broken in (
        *(b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xf0\x80\x80\x80", b"\xed\xa0\x80"),
        *(b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3", b"\xc3("),
    ):
        yield f"bytes {broken!r}", raw(b'"' + broken + b'"'), False
        yield f"bytes {broken!r} at the end", encoded(GOOD) + broken, False


def syntax() -> Iterator[Case]:
    good = encoded(GOOD)
    for text in ("[]", "{}", "[1, 2]", '{"a": [{}]}', "true", "false", "null", "[true,false,null]", " [ 1 ,\t2\r\n] "):
        yield text, raw(text), True
    for text in (
        *("[1,]", "[,1]", "[1 2]", "[,]", "[1,,2]", "[1", "1]", "[1}", "[}", "]", "[", "{", "}"),
        *(
            '{"a":1,}',
            '{,"a":1}',
            '{"a" 1}',
            '{"a":}',
            '{"a"}',
            "{a:1}",
            "{1:1}",
            '{"a":1 "b":2}',
            '{"a"::1}',
            '{"a":1]',
        ),
        *("True", "None", "nul", "tru", "truefalse", "undefined", "NULL", "", " ", "//", "/* */ 1", "1 // one", "# 1"),
        *("[\v1]", "[\f1]", "[\u00a01]", "[\ufeff1]", "[1\0]", "\0"),
    ):
        yield ascii(text), raw(text), False
    yield from (
        ("spaces around", b" \t\r\n" + good + b"\n ", True),
        ("nothing", b"", False),
        ("spaces", b"  ", False),
        ("a byte-order mark", b"\xef\xbb\xbf" + good, False),
        ("UTF-16", good.decode().encode("utf-16"), False),
        ("UTF-16 without a mark", good.decode().encode("utf-16-le"), False),
        ("UTF-32", good.decode().encode("utf-32-be"), False),
        ("twice", good + good, False),
        ("with a comma", good + b",", False),
        ("with a bracket", good + b"}", False),
        ("with a NUL", good + b"\0", False),
        ("with a text", good + b' "a"', False),
        ("cut", good[:-1], False),
        ("a list", b"[" + good + b"]", False),
        ("a text", json.dumps(good.decode()).encode(), False),
        *((f"only {text}", text.encode(), False) for text in ("1", "null", "{}", "[]", '""')),
    )


def limits() -> Iterator[Case]:
    good = encoded(GOOD)
    # The whole is at 0, "model" at 1, its member at 2.
    for depth, right in ((30, True), (31, False), (32, False), (100_000, False)):
        yield f"{depth} lists", raw("[" * depth + "1" + "]" * depth), right
        yield f"{depth} objects", raw('{"a":' * depth + "1" + "}" * depth), right
    yield "31 lists, empty", raw("[" * 31 + "]" * 31), True
    yield "unclosed lists", raw("[" * 100_000), False
    for members, right in ((1024, True), (1025, False)):
        yield f"{members} members", raw(json.dumps({str(index): 0 for index in range(members)})), right
    for size, right in ((2**22, True), (2**22 + 1, False)):
        yield f"{size} bytes", good.ljust(size), right


def repeated() -> Iterator[Case]:
    good = encoded(GOOD)
    for name in GOOD:
        yield f"{name} again", good[:-1] + b', "%s": %s}' % (name.encode(), encoded(GOOD[name])), False
    yield "labels under another spelling", good[:-1] + rb', "\u006cabels": ["a", "b", "c"]}', False
    for text in ('{"a": 1, "a": 1}', '{"a": 1, "b": 2, "a": 3}', '[[{"": 1, "": 2}]]', r'{"\u0041": 1, "A": 2}'):
        yield text, raw(text), False
    for text in ('{"a": 1, "A": 1}', '[{"a": 1}, {"a": 1}]', '{"a": {"a": 1}}'):
        yield text, raw(text), True
    yield "thresholds again", good.replace(b'"thresholds":', b'"thresholds": [0.1, 0.1], "thresholds":', 1), False
    yield "fft_size again", good.replace(b'"fft_size":', b'"fft_size": 512, "fft_size":', 1), False
    yield "an operating point again", good.replace(b'"balanced": {', b'"full": {', 1), False


def top_level() -> Iterator[Case]:
    free = {
        "model": (dict,),
        **dict.fromkeys(("policy", "task", "normalisation", "licence", "attribution", "writer"), (str,)),
    }
    for name in GOOD:
        yield f"no {name}", without(name), name == "policy_settings"
        if name in ("labels", "exits", "features", "operating_points", "clip_samples"):
            continue
        for other in OTHERS:
            right = isinstance(other, free.get(name, ())) or (name == "policy_settings" and other == {})
            yield f"{name} {other!r}", edited(name, value=other), right
    yield "a name that nobody knows", edited("new", value=[1]), True
    for value in (2, 0, -5, 10**18, "1", "log_mel"):
        yield f"format {value!r}", edited("format", value=value), False
    yield "format 1.0", encoded(GOOD).replace(b'"format": 1,', b'"format": 1.0,'), False
    yield "format 1e0", encoded(GOOD).replace(b'"format": 1,', b'"format": 1e0,'), False
    for value in (*OTHERS, 720.0, 2**26 + 1, 2**40):
        yield f"clip_samples {value!r}", edited("clip_samples", value=value), False


def labels() -> Iterator[Case]:
    for value in (
        *OTHERS,
        *([], ["yes"], ["yes", "no", "yes"], ["yes", "no", ""], ["", "", ""], ["yes", "no", 3], ["yes", "no", None]),
        *(["yes", "no", ["other"]], ["yes", "no", True], [["yes", "no", "other"]], {"yes": 0, "no": 1, "other": 2}),
    ):
        yield repr(value), edited("labels", value=value), False
    yield "spelled differently", encoded(GOOD).replace(b'"no"', rb'"\u0079es"'), False
    yield "of other letters", edited("labels", value=["\u0646\u0639\u0645", "\u4e0d", "\U0001f937"]), True
    yield "with spaces", edited("labels", value=["yes", "yes ", " "]), True


def points() -> Iterator[Case]:
    for value in OTHERS:
        yield f"operating_points {value!r}", edited("operating_points", value=value), value == {}
        yield f"a point {value!r}", edited("operating_points", "fast", value=value), False
    optional = ("split", "sample_count", "confidence")
    for name in GOOD["operating_points"]["fast"]:
        yield f"no {name}", without("operating_points", "fast", name), name in optional
    right = {
        "max_accuracy_drop": lambda value: type(value) in (int, float),
        "accuracy": lambda value: type(value) in (int, float),
        "mean_cost": lambda value: isinstance(value, dict),
        "split": lambda value: isinstance(value, str),
        "sample_count": lambda value: type(value) is int,
        "confidence": lambda value: value is None or type(value) in (int, float),
    }
    for name in (*GOOD["operating_points"]["fast"], "confidence"):
        for value in OTHERS:
            is_right = right.get(name, lambda value: False)(value)
            yield f"{name} {value!r}", edited("operating_points", "fast", name, value=value), is_right
    yield "a value that nobody knows", edited("operating_points", "fast", "speed", value=1), False
    yield "a cost that is a text", edited("operating_points", "fast", "mean_cost", value={"ops": "1"}), False
    yield "under another name", edited("operating_points", "slow", value=GOOD["operating_points"]["fast"]), False
    for text, is_right in (
        *((text, True) for text in ("[0, 0]", "[-0, -0.0]", "[0.5, 1000]", "[1e-60, 3.4e38]", "[5, 1e0]")),
        *((text, False) for text in ('["x", 0]', '["0.5", 0]', "[null, 0]", "[true, 0]", "[[0], 0]", "[[0, 0]]")),
        *((text, False) for text in ("[-1, 0]", "[-1e-9, 0]", "[1e39, 0]", "[0]", "[0, 0, 0]", "[]", '"00"')),
    ):
        document = encoded(GOOD).replace(b'"thresholds": [2.0, 2.0]', b'"thresholds": ' + text.encode())
        yield f"thresholds {text}", document, is_right
    for value, is_right in (([1, 0, 0], True), ([1, 0], False), ([1, 0, 0, 0], False), ([1, 0, "0"], False)):
        yield f"exit_shares {value}", edited("operating_points", "fast", "exit_shares", value=value), is_right


def costs() -> Iterator[Case]:
    for value in OTHERS:
        yield f"exits {value!r}", edited("exits", value=value), False
        yield f"a cost {value!r}", edited("exits", 1, value=value), False
        for name in ("binary_macs", "float_macs", "bytes"):
            yield f"{name} {value!r}", edited("exits", 1, name, value=value), type(value) is int and value >= 0
    for name in ("binary_macs", "float_macs", "bytes"):
        yield f"no {name}", without("exits", 1, name), name == "bytes"
        yield f"{name} of 63 bits", edited("exits", 1, name, value=2**63 - 1), True
        yield f"{name} 1.0", edited("exits", 1, name, value=1.0), False
    yield "a value that nobody knows", edited("exits", 1, "ops", value=1), False
    yield "one exit more", edited("exits", value=[*GOOD["exits"], GOOD["exits"][0]]), False


def features() -> Iterator[Case]:
    def settings(**changes: Any) -> bytes:
        return edited("features", value={**GOOD["features"], **changes})

    for value in OTHERS:
        yield f"features {value!r}", edited("features", value=value), False
    for name in GOOD["features"]:
        yield f"no {name}", without("features", name), False
        for value in (None, True, "16", [16], {}, 1e308, -1e308, 10**18):
            # Most are out of range, and all are of the wrong kind or size for a count; only an offset may be huge.
            yield f"{name} {value!r}", settings(**{name: value}), name == "log_offset" and value in (1e308, 10**18)
    yield "a setting that nobody knows", settings(mels=4), False
    low = {"upper_hz": 400, "window_ms": 100}
    for right, changes in (
        *((True, {"sample_rate_hz": rate, **low, "fft_size": 32768}) for rate in (1000, 192000)),
        *((False, {"sample_rate_hz": rate, **low, "fft_size": 32768}) for rate in (999, 192001, 0, -16000, 16000.0)),
        *((True, {"fft_size": size}) for size in (512, 1024, 2**20)),
        *((False, {"fft_size": size}) for size in (0, 1, -512, 256, 511, 513, 2**21, 2**31, 2**32, 2**34, 512.0)),
        *((True, {"num_mels": mels}) for mels in (1, 4096)),
        *((False, {"num_mels": mels}) for mels in (0, -1, 4097, 2**32 + 4, 4.0)),
        (True, {"num_mels": 31, "fft_size": 2**20}),
        (False, {"num_mels": 32, "fft_size": 2**20}),
        # 16 samples a millisecond, rounded to the nearest whole number and halves to even ones.
        *((True, {"hop_ms": hop}) for hop in (0.04, 65536, 65536.03125)),
        *((False, {"hop_ms": hop}) for hop in (0.03125, 0.03, 0, -10, 65536.04, 1e9)),
        *((True, {"window_ms": window, "fft_size": 2**20}) for window in (0.1, 65536, 65536.03125)),
        *((False, {"window_ms": window, "fft_size": 2**20}) for window in (0.09, 0, -25, 65536.04, 1e9)),
        *((True, {"lower_hz": lower}) for lower in (0, 7799.9)),
        *((False, {"lower_hz": lower}) for lower in (-1e-9, 7800, 7801)),
        *((True, {"upper_hz": upper}) for upper in (60.1, 8000)),
        *((False, {"upper_hz": upper}) for upper in (60, 8000.1)),
        *((True, {"log_offset": offset}) for offset in (5e-324, 1, 1e300)),
        *((False, {"log_offset": offset}) for offset in (0, -1e-6)),
    ):
        yield repr(changes), settings(**changes), right


def values() -> Iterator[Case]:
    good = {**GOOD, "input": "values", "clip_samples": tiny_files.WINDOW_SAMPLES, "features": VALUES}

    def settings(**changes: Any) -> bytes:
        return encoded({**good, "features": {**VALUES, **changes}})

    yield "good", encoded(good), True
    for name in ("waveform", "log_mel", "Values", ""):
        yield f"input {name!r}", encoded({**good, "input": name}), False
    yield "input values of sound", encoded({**GOOD, "input": "values"}), False
    for name in ("sample_rate_hz", "channels"):
        yield f"no {name}", encoded({**good, "features": {key: VALUES[key] for key in VALUES if key != name}}), False
    for other in OTHERS:
        yield f"kind {other!r}", settings(kind=other), False
        yield f"channels {other!r}", settings(channels=other), False
        if other != 1.5:
            yield f"sample_rate_hz {other!r}", settings(sample_rate_hz=other), False
    yield "a setting that nobody knows", settings(fft_size=512), False
    for rate in (0.001, 1, 12.5, 50, 1e6):
        yield f"sample_rate_hz {rate}", settings(sample_rate_hz=rate), True
    for rate in (0, -1, 1e6 + 1, 1e308):
        yield f"sample_rate_hz {rate}", settings(sample_rate_hz=rate), False
    yield "channels of other letters", settings(channels=["\u0646", "\u4e0d"]), True
    for channels in (["a", "a"], ["a", ""], ["a", 1], ["a", None], [["a"], "b"], ["a", "b\u200b"]):
        yield f"channels {channels!r}", settings(channels=channels), False
    # A network of two channels takes no three.
    yield "three channels", settings(channels=["a", "b", "c"]), False
    yield "another length", encoded({**good, "clip_samples": tiny_files.WINDOW_SAMPLES + 1}), False
    yield "too many channels", settings(channels=[str(number) for number in range(4097)]), False
    yield "the kind of a log-mel", edited("features", value={**GOOD["features"], "kind": "log_mel"}), True


def policies() -> Iterator[Case]:
    means = [[[1, 2]] * 3] * 2
    for right, policy, settings in (
        (True, "scaled_margin", {"temperatures": [1, 2.5, 0.5]}),
        (True, "scaled_entropy", {"temperatures": [1, 1, 1e-300]}),
        (True, "ensemble", {"weights": [[1], [1, 2]], "biases": [[0, 0, 0]] * 2}),
        (True, "commitment", {"weights": [[1, 2, 3, 4]] * 2, "biases": [0, -1.5]}),
        (True, "class_means", {"means": means, "spreads": [[1, 1, 1]] * 2}),
        (True, "class_means_1bit", {"means": means, "spreads": [[1, 1, 1]] * 2}),
        (True, "rejection", {"background": [1]}),
        (True, "rejection", {"background": [0, 2]}),
        (True, "of tomorrow", {}),
        (False, "of tomorrow", {"temperatures": [1, 1, 1]}),
        (False, "scaled_of_tomorrow", {"temperatures": [1, 1, 1]}),
        (False, "margin", {"temperatures": [1, 1, 1]}),
        *(
            (False, "scaled_margin", {"temperatures": value})
            for value in (
                [1, 1],
                [1] * 4,
                [1, 1, 0],
                [1, 1, -1],
                [[], [], []],
                [[1], [1], [1]],
                [1, 1, "1"],
                [1, 1, True],
                1,
            )
        ),
        *(
            (False, "rejection", {"background": value})
            for value in ([], [0, 1, 2], [3], [-1], [1, 0], [1, 1], [1.0], [1.5], ["1"], [True], [[1]], 1, None)
        ),
        (False, "rejection", {"background": [1], "temperatures": [1, 1, 1]}),
        (False, "rejection", {"classes": [1]}),
        (False, "margin", {"background": [1]}),
        (False, "scaled_margin", {"temperatures": [1, 1, 1], "means": []}),
        (False, "ensemble", {"weights": [[1], [1, 2]]}),
        (False, "ensemble", {"weights": [[1, 2], [1]], "biases": [[0, 0, 0]] * 2}),
        (False, "ensemble", {"weights": [[1], [1, 2]], "biases": [[0, 0]] * 2}),
        (False, "ensemble", {"weights": [[1], [1, "2"]], "biases": [[0, 0, 0]] * 2}),
        (False, "commitment", {"weights": [[1, 2, 3, 4]] * 2}),
        (False, "commitment", {"weights": [[1, 2, 3, 4]] * 2, "biases": [0]}),
        (False, "commitment", {"weights": [[1, 2, 3, 4]] * 2, "biases": [[0], [0]]}),
        (False, "commitment", {"weights": [[1, 2, 3]] * 2, "biases": [0, 0]}),
        (False, "commitment", {"weights": [[1, 2, 3, 4]], "biases": [0, 0]}),
        # A skip gate goes with a cost and thresholds of its own: see `skip_gates`.
        (False, "skip_gate", {"weights": [1, 2], "bias": [0.5]}),
        (False, "class_means", {"means": means[:1], "spreads": [[1, 1, 1]] * 2}),
        (False, "class_means", {"means": means, "spreads": [[1, 1, 1]]}),
        (False, "class_means", {"means": [[[1, None]] * 3] * 2, "spreads": [[1, 1, 1]] * 2}),
    ):
        yield f"{policy} {settings}", encoded({**GOOD, "policy": policy, "policy_settings": settings}), right


COST: dict[str, Any] = {"binary_macs": 64, "float_macs": 3, "bytes": 5}


def gated(*, count: int = 3, **changes: Any) -> bytes:
    """GOOD with a skip gate: one more threshold, `count` in all, and the cost of a clip that skips."""
    points = copy.deepcopy(GOOD["operating_points"])
    for point in points.values():
        point["thresholds"] = [0.5] * count
        point["skipped_share"] = 0.25
    learned = {"weights": [1, -2.5], "bias": [0.5]}
    values = {"policy": "skip_gate", "policy_settings": learned, "skipped_cost": COST, "operating_points": points}
    return encoded({**GOOD, **values, **changes})


def skip_gates() -> Iterator[Case]:
    yield "a gate", gated(), True
    yield "what it learned stands in the network alone", gated(policy_settings={}), True
    yield "a share that is not known", gated().replace(b'"skipped_share": 0.25', b'"skipped_share": null'), True
    yield "a share that is a text", gated().replace(b'"skipped_share": 0.25', b'"skipped_share": "0.25"'), False
    for count in (0, 1, 2, 4):
        yield f"{count} thresholds", gated(count=count), False
    yield "as many thresholds without a gate", gated(policy="margin", policy_settings={}), False
    yield "a cost without a gate", encoded({**GOOD, "skipped_cost": COST}), False
    yield "a gate without a cost", gated().replace(b'"skipped_cost"', b'"skipped_cast"'), False
    for cost in (None, 1, [], {}, {**COST, "float_macs": -1}, {**COST, "other": 1}, {"binary_macs": 1}):
        yield f"the cost {cost}", gated(skipped_cost=cost), False
    for settings in (
        {"weights": [], "bias": [0]},
        {"weights": [1], "bias": []},
        {"weights": [1], "bias": [1, 2]},
        {"weights": [[1]], "bias": [0]},
        {"weights": [1], "bias": [[0]]},
        {"weights": ["1"], "bias": [0]},
        {"weights": [None], "bias": [0]},
        {"weights": 1, "bias": [0]},
        {"weights": [1], "bias": 0},
        {"weights": [1]},
        {"bias": [0]},
        {"weights": [1], "bias": [0], "eta": [1]},
        {"weights": [1], "biases": [0]},
    ):
        yield f"settings {settings}", gated(policy_settings=settings), False


LISTENING: dict[str, Any] = {
    "name": "quiet",
    "operating_point": "fast",
    "thresholds": {"yes": 0.6, "no": 1},
    "hop_ms": 100.0,
    "span_ms": 500,
    "release": 0.5,
    "min_count": 2,
    "of_count": 3,
    "refractory_ms": 1000.0,
    "gate": {"margin_db": 9.0, "rise_db_per_s": 1.0, "hang_over_ms": 1000.0},
    "figures": {"recall": 0.9, "split": "validation"},
}


def listening_points() -> Iterator[Case]:
    def settings(**changes: Any) -> bytes:
        return encoded({**GOOD, "listening_points": {"quiet": {**LISTENING, **changes}}})

    def gate(**changes: Any) -> bytes:
        return settings(gate={**LISTENING["gate"], **changes})

    yield "one", settings(), True
    yield "none", encoded({**GOOD, "listening_points": {}}), True
    yield "under another name", encoded({**GOOD, "listening_points": {"loud": LISTENING}}), False
    for value in OTHERS:
        yield f"listening_points {value!r}", encoded({**GOOD, "listening_points": value}), value == {}
        yield f"a point {value!r}", encoded({**GOOD, "listening_points": {"quiet": value}}), False
    for name in LISTENING:
        document = encoded(
            {**GOOD, "listening_points": {"quiet": {key: LISTENING[key] for key in LISTENING if key != name}}}
        )
        yield f"no {name}", document, False
    yield "a name that nobody knows", settings(hop=1), False
    right = {"release": (0, 1), "gate": (None,), "figures": ({}, {"a": 1}), "min_count": (), "of_count": ()}
    right |= {"hop_ms": (1, 1.5), "span_ms": (1, 1.5), "refractory_ms": (0, 1, 1.5)}
    for name in LISTENING:
        for value in OTHERS:
            # Not `in`: True == 1.
            good = any(type(value) is type(each) and value == each for each in right.get(name, ()))
            yield f"{name} {value!r}", settings(**{name: value}), good
    for name in LISTENING["gate"]:
        lowest = {"margin_db": (0, 1, 1.5), "rise_db_per_s": (1, 1.5), "hang_over_ms": (0, 1, 1.5)}[name]
        for value in OTHERS:
            good = any(type(value) is type(each) and value == each for each in lowest)
            yield f"{name} {value!r}", gate(**{name: value}), good
        without_it = {key: value for key, value in LISTENING["gate"].items() if key != name}
        yield f"a gate without {name}", settings(gate=without_it), False
    yield "a gate with a name that nobody knows", gate(floor=1), False
    for is_right, changes in (
        (False, {"operating_point": "fats"}),
        *((True, {"score": each}) for each in ("probability", "against_background")),
        *((False, {"score": each}) for each in ("against background", "", *OTHERS)),
        (False, {"score": "against_background", "thresholds": {"yes": 0.5, "no": 0.5, "other": 0.5}}),
        (True, {"score": "probability", "thresholds": {"yes": 0.5, "no": 0.5, "other": 0.5}}),
        *((True, {"thresholds": each}) for each in ({"yes": 1e-300}, {"yes": 1.0}, {"other": 0.5})),
        *((False, {"thresholds": each}) for each in ({"maybe": 0.5}, {"yes": 0}, {"yes": -0.1}, {"yes": 1.0001})),
        *((False, {"thresholds": each}) for each in ({"yes": "1"}, {"yes": True}, {"yes": None}, {"yes": [0.5]})),
        *((True, {"hop_ms": each, "span_ms": 60000}) for each in (60, 60000)),
        *((False, {"hop_ms": each, "span_ms": 60000}) for each in (59, 60000.1, 0, -1)),
        (True, {"hop_ms": 1, "span_ms": 1000.4}),
        (False, {"hop_ms": 1, "span_ms": 1000.5}),
        (False, {"span_ms": 60000.1}),
        (False, {"hop_ms": 5e-324}),
        (False, {"release": 1.01}),
        *((False, {"release": each}) for each in (-1e-9, 1.01)),
        *((True, {"min_count": least, "of_count": most}) for least, most in ((1, 1), (1000, 1000), (1, 1000))),
        *((False, {"min_count": least, "of_count": most}) for least, most in ((2, 1), (0, 1), (1, 1001), (-1, 3))),
        (False, {"min_count": 1.0}),
        (False, {"of_count": 2**40}),
        *((True, {"refractory_ms": each}) for each in (3600000, {"yes": 0, "no": 500.5})),
        *((False, {"refractory_ms": each}) for each in (3600001, -1, {"yes": 1}, {"yes": 1, "no": 1, "other": 1})),
        *(
            (False, {"refractory_ms": each})
            for each in ({"yes": 1, "no": -1}, {"yes": 1, "no": "1"}, {"yes": 1, "on": 1})
        ),
        *((True, {"figures": each}) for each in ({}, {"a": -1.5, "b": "text", "c": ""})),
        *((False, {"figures": each}) for each in ({"a": None}, {"a": True}, {"a": [1]}, {"a": {}})),
    ):
        yield repr(changes), settings(**changes), is_right
    for is_right, changes in (
        *((True, each) for each in ({"margin_db": 100}, {"rise_db_per_s": 1e-9}, {"rise_db_per_s": 100})),
        (True, {"hang_over_ms": 60000}),
        *((False, each) for each in ({"margin_db": 100.1}, {"rise_db_per_s": 100.1}, {"hang_over_ms": 60001})),
    ):
        yield repr(changes), gate(**changes), is_right
