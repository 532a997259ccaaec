"""The names and numbers of the file format stand in Python and in C++: entry by entry they are the same."""

import re
from pathlib import Path

from bnn_exit.model_file import metadata, reader, schema

FORMAT = Path(__file__).parents[2] / "bnn_exit" / "runtime" / "native" / "core" / "format"
CLASSIFY = FORMAT.parent / "classify"
KINDS = {
    "kInt32": "int32",
    "kInt8": "int8",
    "kBool": "bool",
    "kFloat32": "float32",
    "kList": "int32s",
    "kPadding": "padding",
    "kActivation": "activation",
    "kMirrorMode": "mirror_mode",
}


def array(file, name):
    """The values of a constant array in a C++ source, as text."""
    return re.search(rf"\b{name}\[\w*\] = \{{(.*?)\}};", (FORMAT / file).read_text(), re.DOTALL)[1]


def test_operators():
    assert tuple(re.findall(r'"(\w+)"', array("schema.cpp", "kOperators"))) == schema.OPERATOR_NAMES
    custom = re.search(r"kCustom = (\d+);", (FORMAT / "schema.h").read_text())[1]
    assert int(custom) == schema.CUSTOM


def test_element_types():
    assert tuple(re.findall(r'"(\w+)"', array("schema.cpp", "kTypeNames"))) == schema.ELEMENT_TYPES
    listed = re.search(r"enum class Type : uint8_t \{(.*?)\}", (FORMAT / "schema.h").read_text(), re.DOTALL)[1]
    assert tuple(re.findall(r"\w+", listed.replace("boolean", "bool"))) == schema.ELEMENT_TYPES
    sizes = map(int, array("schema.cpp", "kTypeSizes").split(","))
    assert dict(zip(schema.ELEMENT_TYPES, sizes, strict=True)) == {
        name: schema.NUMPY_TYPES[name].itemsize if name in schema.NUMPY_TYPES else 0 for name in schema.ELEMENT_TYPES
    }


def test_options_and_their_defaults():
    rows = re.findall(r'\{(\d+), "(\w+)", (\d+), (\w+), ([\d.]+)\}', array("options.cpp", "kFields"))
    found = [(int(table), name, int(slot), KINDS[kind], float(default)) for table, name, slot, kind, default in rows]
    assert found == [
        (table, name, slot, kind, 0.0 if default == () else float(default))
        for table, fields in schema.OPTIONS.items()
        for name, slot, kind, default in fields
    ]


def test_the_options_of_each_operator():
    rows = re.findall(r'\{"(\w+)", (\d+)\}', (FORMAT / "options.cpp").read_text())
    assert {name: int(table) for name, table in rows} == schema.OPTIONS_OF
    assert len(rows) == len(schema.OPTIONS_OF)


def test_the_sizes_of_enumerations():
    source = (FORMAT / "options.cpp").read_text()
    for kind, names in (("Padding", "PADDINGS"), ("Activation", "ACTIVATIONS"), ("MirrorMode", "MIRROR_MODES")):
        count = re.search(rf"case k{kind}: return checked\(options\.number<int8_t>\(field\.slot, 0\), (\d+),", source)[
            1
        ]
        assert int(count) == len(getattr(schema, names)), kind


def test_the_format_version_of_the_metadata():
    found = re.search(r"kFormat = (\d+);", (FORMAT / "metadata.cpp").read_text())[1]
    assert int(found) == metadata.FORMAT_VERSION


def test_the_outputs_of_a_model_file():
    found = re.findall(r'output\("(\w+)", Type::(\w+),', (CLASSIFY / "classifier.cpp").read_text())
    assert dict(found) == reader.OUTPUTS
