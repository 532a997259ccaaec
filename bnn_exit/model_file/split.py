"""The halves of a model file: what `device.tflite` and `server.tflite` say of each other and of what travels.

Both carry it as the metadata entry `bnn_exit_split`, JSON.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from bnn_exit import strict_json
from bnn_exit.errors import ArgumentError, BnnExitError, ModelFileError, describe_os_error, one_of
from bnn_exit.files import expanded
from bnn_exit.model_file import header
from bnn_exit.model_file.metadata import Metadata
from bnn_exit.model_file.reader import OUTPUTS, SIGNATURE, SPLIT_NAME
from bnn_exit.policies import rule

FORMAT_VERSION = 1
ROLES = ("device", "server")
CODES = ("bits", "linear", "float")
"""How a tensor travels: as the bits that it holds, as a linear code of few bits for each value, or as it is."""
MAX_TRAVELLERS = 64
MAX_TRAVEL_VALUES = 2**22
"""Values in one tensor that travels, 16 MB of floats: a server holds several at once."""


@dataclasses.dataclass(frozen=True)
class Traveller:
    """A tensor that goes from the device to the server.

    Attributes:
        name: of an output of the device's file and of an input of the server's.
        shape: of the tensor; of bits, each 32 channels are one number.
        code: a name in CODES.
        bits: for each value of a linear code, 2 to 8: fewer are smaller and less exact. 1 for "bits", 32 for "float".
    """

    name: str
    shape: tuple[int, ...]
    code: str
    bits: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"travel_[0-9]{1,2}", self.name):
            raise ArgumentError(f"name is {self.name!r}, but must be travel_0, travel_1 and so on")
        one_of("code", self.code, CODES)
        if not all(_is_count(size) for size in self.shape) or self.values > MAX_TRAVEL_VALUES:
            raise ArgumentError(f"shape is {list(self.shape)}, but must be of 1 to {MAX_TRAVEL_VALUES} values")
        allowed = {"bits": (1,), "float": (32,), "linear": range(2, 9)}[self.code]
        if not _is_count(self.bits) or self.bits not in allowed:
            raise ArgumentError(f"bits is {self.bits!r}, but must be {allowed[0]} to {allowed[-1]} for {self.code}")

    @property
    def values(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> str:
        """Element type of the tensor in both files."""
        return "int32" if self.code == "bits" else "float32"

    @property
    def packed_bytes(self) -> int:
        """Bytes of its values in the packet, before compression."""
        return 4 * self.values if self.code != "linear" else self.bits * math.ceil(self.values / 8)


@dataclasses.dataclass(frozen=True)
class Split:
    """How a model file was cut in two.

    Attributes:
        role: "device" or "server".
        identity: SHA-256 of the whole file and of how it was cut; both halves have the same.
        after: the last exit of the device, counted from 1.
        travels: what goes from the one to the other.
        whole: the metadata of the whole file: its labels, operating points, and costs of all exits.
    """

    role: str
    identity: str
    after: int
    travels: tuple[Traveller, ...]
    whole: Metadata

    def __post_init__(self) -> None:
        one_of("role", self.role, ROLES)
        if not isinstance(self.identity, str) or not re.fullmatch(r"[0-9a-f]{64}", self.identity):
            raise ArgumentError(f"identity is {self.identity!r}, but must be 64 digits of base 16")
        if not _is_count(self.after) or self.after >= self.exits:
            raise ArgumentError(f"after is {self.after!r}, but must be 1 to {self.exits - 1}")
        names = [each.name for each in self.travels]
        if not 1 <= len(names) <= MAX_TRAVELLERS or len(set(names)) != len(names):
            raise ArgumentError(f"travels has the names {names}, but must have 1 to {MAX_TRAVELLERS}, each once")

    @property
    def exits(self) -> int:
        """How many the whole network has."""
        return len(self.whole.exits)

    @property
    def is_exact(self) -> bool:
        """Whether nothing is lost on the way, so that both halves give the same as the whole file."""
        return all(each.code != "linear" for each in self.travels)

    @property
    def packed_bytes(self) -> int:
        """Bytes of the values that travel, before compression."""
        return sum(each.packed_bytes for each in self.travels)

    def to_json(self) -> bytes:
        """UTF-8 JSON with its format version."""
        values = {
            "format": FORMAT_VERSION,
            "role": self.role,
            "identity": self.identity,
            "after": self.after,
            "travels": [{**dataclasses.asdict(each), "shape": list(each.shape)} for each in self.travels],
            "whole": json.loads(self.whole.to_json()),
        }
        return json.dumps(values, allow_nan=False, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Split:
        """What `to_json` wrote.

        Raises:
            ModelFileError: not such JSON, a newer format, or a value that breaks a rule.
        """
        try:
            values = strict_json.loads(data)
            if values["format"] != FORMAT_VERSION:
                raise ArgumentError(f"format is {values['format']!r}, but this bnn_exit reads {FORMAT_VERSION}")
            return cls(
                role=values["role"],
                identity=values["identity"],
                after=values["after"],
                travels=tuple(
                    Traveller(each["name"], tuple(each["shape"]), each["code"], each["bits"])
                    for each in values["travels"]
                ),
                whole=Metadata.from_json(json.dumps(values["whole"], ensure_ascii=False).encode()),
            )
        except (BnnExitError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelFileError(f"the {SPLIT_NAME} metadata is not usable: {error}: split the run again") from error


@dataclasses.dataclass(frozen=True)
class HalfFile:
    """One half, read and checked.

    Attributes:
        path: where it was read from.
        data: the file.
        split: how it was cut.
        inputs, outputs: name -> position among those of the main subgraph.
    """

    path: Path
    data: bytes = dataclasses.field(repr=False)
    split: Split
    inputs: dict[str, int]
    outputs: dict[str, int]


def read_half(path: str | os.PathLike[str], *, role: str) -> HalfFile:
    """Read one half of a split file.

    Args:
        path: the file.
        role: "device" or "server": which half it must be.

    Raises:
        ModelFileError: missing, damaged, the other half, a file that is not split, or one whose network does not fit
            its metadata.
    """
    place = expanded(path)
    try:
        data = place.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the {role}'s half: {describe_os_error(error)}") from error
    return decode_half(data, role=role, place=place)


def decode_half(data: bytes, *, role: str, place: Path) -> HalfFile:
    """The half with these bytes, checked as `read_half` checks it; errors call it `place`, which is not read."""
    try:
        return _half(place, data, role)
    except ModelFileError as error:
        raise ModelFileError(f"{place}: {error}") from error


def require_same(device: Split, server: Split) -> None:
    """ModelFileError unless two halves come from one split of one file."""
    if device.identity != server.identity:
        raise ModelFileError(
            f"the device's half is of {device.identity[:12]} and the server's of {server.identity[:12]}: they do not "
            "belong together; give both files that one python -m bnn_exit.split wrote"
        )


def _half(place: Path, data: bytes, role: str) -> HalfFile:
    found = header.read(data)
    if SPLIT_NAME not in found.metadata:
        raise ModelFileError("this file is no half of a split one: python -m bnn_exit.split RUN --after 1 makes both")
    split = Split.from_json(found.metadata[SPLIT_NAME])
    if split.role != role:
        raise ModelFileError(f"this is the {split.role}'s half, but the {role}'s is needed: {role}.tflite beside it")
    whole, travels = split.whole, {each.name: (each.dtype, each.shape) for each in split.travels}
    outputs: dict[str, tuple[str, tuple[int, ...]]] = {
        name: (dtype, (1, len(whole.labels)) if name == "probabilities" else (1,)) for name, dtype in OUTPUTS.items()
    }
    inputs: dict[str, tuple[str, tuple[int, ...]]] = {}
    if role == "device":
        outputs.update(travels)
        inputs = {whole.input: ("float32", (1, *whole.input_shape)), "thresholds": ("float32", (split.after - 1,))}
    else:
        inputs = {**travels, "thresholds": ("float32", (rule.num_thresholds(split.exits),))}
    signature = found.signatures.get(SIGNATURE)
    if signature is None or signature.subgraph != 0:
        raise ModelFileError(f"the signature {SIGNATURE} of the main subgraph is missing: split the run again")
    main = found.main
    return HalfFile(
        place,
        data,
        split,
        _positions("input", inputs, signature.inputs, main.inputs, main),
        _positions("output", outputs, signature.outputs, main.outputs, main),
    )


def _positions(kind: str, wanted: Any, named: Any, listed: tuple[int, ...], main: header.Values) -> dict[str, int]:
    found = {}
    for name, (dtype, shape) in wanted.items():
        if named.get(name) not in listed:
            raise ModelFileError(f"the signature {SIGNATURE} has no {kind} {name}: split the run again")
        tensor = main.tensors[named[name]]
        if (tensor.dtype, tensor.shape) != (dtype, shape):
            raise ModelFileError(
                f"{kind} {name} is {tensor.dtype} {list(tensor.shape)}, but the metadata has {dtype} {list(shape)}"
            )
        found[name] = listed.index(named[name])
    if sorted(found.values()) != list(range(len(listed))):
        raise ModelFileError(f"the network has {len(listed)} {kind}s, but must have exactly {', '.join(found)}")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
