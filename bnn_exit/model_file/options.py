"""The settings of an operator by name, with enumerations as names, from either place where a file stores them."""

from __future__ import annotations

from typing import Any

from bnn_exit.model_file import flexbuffer, schema
from bnn_exit.model_file.tables import FlatbufferTable, damaged, pick

_OPTIONS_TYPE, _OPTIONS, _CUSTOM_OPTIONS = 3, 4, 5


def builtin_options(operator: FlatbufferTable, name: str) -> dict[str, Any]:
    """The options of a builtin operator; those that the file leaves out have the schema's defaults."""
    number = schema.OPTIONS_OF.get(name)
    if number is None:
        return {}
    options = operator.table(_OPTIONS)
    if options is not None and operator.scalar(_OPTIONS_TYPE, "uint8", 0) != number:
        raise damaged(f"an operator {name} has the options of another")
    values: dict[str, Any] = {}
    for field, slot, kind, default in schema.OPTIONS[number]:
        if kind == "int32s":
            values[field] = options.int32s(slot) if options else default
        elif kind in schema.ENUMS:
            index = options.scalar(slot, "int8", default) if options else default
            values[field] = pick(schema.ENUMS[kind], index, f"{field} of {name}")
        else:
            values[field] = options.scalar(slot, kind, default) if options else default
    return values


def custom_options(operator: FlatbufferTable, name: str) -> dict[str, Any]:
    """The options of one of LCE's operators; of other custom operators nothing is known."""
    data = bytes(operator.read_bytes(_CUSTOM_OPTIONS))
    if not data or not name.startswith("Lce"):
        return {}
    # Texts are no settings of these: an operator that needs a number in their place lacks it. LCE reads each of them as
    # a whole number, whatever its stored type.
    values: dict[str, Any] = {
        field: int(value) if isinstance(value, float) and value.is_integer() else value
        for field, value in flexbuffer.read_map(data).items()
        if isinstance(value, (bool, int, float))
    }
    for field, names in (("padding", schema.PADDINGS), ("fused_activation_function", schema.ACTIVATIONS)):
        if field in values:
            values[field] = pick(names, values[field], f"{field} of {name}")
    return values
