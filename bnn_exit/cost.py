"""The cost of an exit, in the units of the binary-network literature."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from bnn_exit.errors import ArgumentError, one_of

BINARY_MACS_PER_OP = 64
"""Binary multiply-accumulates that count as one operation: the width of one machine word (Rastegari et al. 2016,
"XNOR-Net", section 4.1; Liu et al. 2018, "Bi-Real Net", section 4.3)."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Work and size of a piece of a network; a cumulative cost includes every stage and every head run before.

    Attributes:
        binary_macs: multiply-accumulates on one-bit values.
        float_macs: multiply-accumulates on floats.
        bytes: size of the weights in the exported file.
    """

    binary_macs: int
    float_macs: int
    bytes: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ArgumentError(f"{field.name} is {value!r}, but must be a whole number of at least 0")

    @property
    def ops(self) -> float:
        """float_macs + binary_macs / 64."""
        return self.float_macs + self.binary_macs / BINARY_MACS_PER_OP

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(
            binary_macs=self.binary_macs + other.binary_macs,
            float_macs=self.float_macs + other.float_macs,
            bytes=self.bytes + other.bytes,
        )

    def to_dict(self) -> dict[str, int]:
        """The three counts by name (`ops` follows from them)."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Cost:
        """The cost that `to_dict` wrote; ArgumentError on an unknown name or a value that is not a count."""
        names = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            one_of("name in a cost", name, names)
        try:
            return cls(**values)
        except TypeError as error:
            raise ArgumentError(f"a cost needs binary_macs and float_macs, but got {sorted(values)}") from error


class LeavingCosts(tuple[Cost, ...]):
    """The cost of leaving at each exit, the work of the policy included: a tuple, with what depends on the clip beside.

    Attributes:
        skipped: of a clip that a skip gate sends past the early heads to the last exit; None without such a gate.

    Example:
        >>> LeavingCosts([Cost(0, 10), Cost(0, 30), Cost(0, 50)], skipped=Cost(0, 40)).outcomes[3].float_macs
        40
    """

    skipped: Cost | None

    def __new__(cls, exits: Iterable[Cost], *, skipped: Cost | None = None) -> LeavingCosts:
        """See the class."""
        found = super().__new__(cls, exits)
        found.skipped = skipped
        return found

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (tuple(self),), {"skipped": self.skipped}

    @property
    def outcomes(self) -> tuple[Cost, ...]:
        """Of each way in which a clip may end, as `policies.rule.outcomes` numbers them."""
        return tuple(self) if self.skipped is None else (*self, self.skipped)

    @classmethod
    def of(cls, costs: Iterable[Cost]) -> LeavingCosts:
        """These costs; a plain list of them has no skip gate."""
        return costs if isinstance(costs, cls) else cls(costs)
