"""The guide of training schemes has every option with its default, as a user types it."""

import dataclasses
import json
import re

from doc_pages import ROOT

from bnn_exit.training import schemes

TEXT = (ROOT / "docs" / "guides" / "schemes.md").read_text(encoding="utf-8")


def typed(value):
    return value if isinstance(value, str) else json.dumps(value)


def test_every_option_has_a_row_with_its_default():
    table = TEXT[TEXT.index("| scheme | option |") :].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(.+?)` \| .+ \|$", table, flags=re.MULTILINE)
    assert len(rows) == table.count("\n") - 1
    made = [schemes.make(schemes.SchemeConfig(name)) for name in schemes.SCHEMES]
    known = [
        (name, field.name, typed(getattr(scheme, field.name)))
        for name, scheme in zip(schemes.SCHEMES, made, strict=True)
        for field in dataclasses.fields(scheme)
    ]
    assert sorted(rows) == sorted(known)
