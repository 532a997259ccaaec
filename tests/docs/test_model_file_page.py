"""The page on the format of model.tflite has every field that the readers know."""

import dataclasses
import re

from doc_pages import ROOT

from bnn_exit import policies
from bnn_exit.cost import Cost
from bnn_exit.model_file import metadata
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.settings.values import ValuesConfig

TEXT = (ROOT / "docs" / "reference" / "model-file.md").read_text(encoding="utf-8")


def fields(heading):
    """The names in the first column of the table under a heading."""
    table = TEXT[TEXT.index(f"\n{heading}\n") :].split("\n#", 2)[1]
    rows = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def names(kind):
    return {field.name for field in dataclasses.fields(kind)}


def test_the_tables_have_every_field_and_no_other():
    # The cost of a clip that skips is a part of the costs of the exits in Python.
    assert fields("## Metadata") == names(metadata.Metadata) | {"format", "skipped_cost"}
    assert fields("### features") == names(FeatureConfig) | names(ValuesConfig) | {"kind"}
    assert fields("### exits") == names(Cost)
    assert fields("### operating_points") == names(OperatingPoint)
    assert fields("### listening_points") == names(ListeningPoint)


def test_the_policies_that_learn_are_listed_with_what_they_learn():
    learned = {name: names(kind) for name, kind in policies.POLICIES.items() if dataclasses.fields(kind)}
    table = TEXT[TEXT.index("### policy_settings") :].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", table, flags=re.MULTILINE)
    listed = {name: set(re.findall(r"`(\w+)`", what)) for row, what in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == learned


def test_the_version_and_the_inputs_are_those_of_the_code():
    assert f"version of this format, today {metadata.FORMAT_VERSION}." in TEXT
    assert all(f"`{name}`" in TEXT for name in (*FeatureConfig.inputs, *ValuesConfig.inputs))
