"""The cost of each exit, for a subset of the exits and with the work of the policy."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bnn_exit.cost import Cost, LeavingCosts
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.files import read_json_object, write_json
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import Policy, Sizes


@dataclasses.dataclass(frozen=True)
class ExitCosts:
    """Costs of a network with exits.

    Attributes:
        exits: of leaving at each exit: its stages so far and every head that was run.
        heads: of each head alone.
        chained: heads read the logits of the exit before, so that every earlier head is always executed: also where
            the policy reads features in place of heads, and that of an exit which is left out.
    """

    exits: tuple[Cost, ...]
    heads: tuple[Cost, ...]
    chained: bool = False

    def __post_init__(self) -> None:
        if len(self.exits) != len(self.heads) or not self.exits:
            raise ArgumentError(f"there are {len(self.exits)} costs of exits, but {len(self.heads)} costs of heads")
        self._stages()

    def _stages(self) -> list[Cost]:
        before = [Cost(0, 0), *self.exits]
        return [_less(_less(exit, past), head) for past, exit, head in zip(before, self.exits, self.heads)]

    def select_exits(self, subset: Sequence[int]) -> ExitCosts:
        """Costs without the other exits, whose heads are not executed, and without stages after the last exit.

        In a chained network the heads of the others are executed all the same.
        """
        total, exits = Cost(0, 0), []
        for index, (stage, head) in enumerate(zip_strict(self._stages(), self.heads)):
            total = total + stage
            if self.chained or index in subset:
                total = total + head
            if index in subset:
                exits.append(total)
        return ExitCosts(tuple(exits), tuple(self.heads[index] for index in subset), chained=self.chained)

    def with_policy(self, policy: Policy, sizes: Sizes) -> LeavingCosts:
        """Costs with the work of the policy included; the last exit needs no decision.

        With a policy that reads features in place of logits, the heads of earlier exits are not executed, unless they
        are chained. A skip gate is paid by every clip; one that it sends past the early heads pays neither them nor
        their scores, so the cost then depends on the clip (`LeavingCosts.skipped`).

        Raises:
            ArgumentError: a skip gate, but a head reads the logits of the one before, or there are too few exits.
        """
        policy.check_exits(len(self.exits))
        if policy.skips() and self.chained:
            raise ArgumentError(
                f"policy is {policy.name}, which leaves out early heads, but in this network later heads read their "
                "logits: choose another policy"
            )
        last, gate = len(self.exits) - 1, policy.gate_cost(sizes)
        total = skipped = gate
        costs = []
        for index, (stage, head) in enumerate(zip_strict(self._stages(), self.heads)):
            total, skipped = total + stage, skipped + stage
            if index == last or self.chained or policy.runs_heads:
                total = total + head
            if index < last:
                total = total + policy.cost(index, sizes)
            costs.append(total)
        return LeavingCosts(costs, skipped=skipped + self.heads[last] if policy.skips() else None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them as JSON."""
        write_json(
            path,
            {
                "exits": [cost.to_dict() for cost in self.exits],
                "heads": [cost.to_dict() for cost in self.heads],
                "chained": self.chained,
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ExitCosts:
        """The costs that `save` wrote; DataError if the file is missing or damaged."""
        try:
            values: Mapping[str, Any] = read_json_object(path)
            exits, heads = (tuple(Cost.from_dict(each) for each in values[name]) for name in ("exits", "heads"))
            chained = values.get("chained", False)  # earlier versions had no chained networks
            if not isinstance(chained, bool):
                raise ValueError(f"chained is {chained!r}, but must be true or false")
            return cls(exits, heads, chained=chained)
        except FileNotFoundError as error:
            raise DataError(f"no such file: {str(Path(path))!r}") from error
        except Exception as error:  # whatever nonsense in it runs into
            raise DataError(f"{str(Path(path))!r} does not hold costs of exits: {error}") from error


def _less(whole: Cost, part: Cost) -> Cost:
    names = [field.name for field in dataclasses.fields(Cost)]
    return Cost(**{name: getattr(whole, name) - getattr(part, name) for name in names})
