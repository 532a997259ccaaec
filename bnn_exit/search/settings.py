"""What all workers of a study agree on, and what study.json keeps of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from bnn_exit.calibration.operator_rates import OperatorRates
from bnn_exit.search.cost import Budget
from bnn_exit.search.record import Record
from bnn_exit.search.space import Candidate, Space
from bnn_exit.settings.recipes import Recipe

STUDY, PAGE, RECIPE = "study.json", "pareto.html", "recipe.json"
"""Files of a study folder."""

FORMAT_VERSION = 1
"""Of study.json."""

TRIALS = 30
"""How many networks are trained where neither their number nor a time is given."""


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """What all workers of a study agree on.

    Attributes:
        task: name of the task.
        options: of the task, without places of data.
        recipe: resolved for the task.
        space: of the candidates.
        budget: limits.
        rates: of the device.
        early_share, epochs, seed: as the options of these names.
    """

    task: str
    options: Mapping[str, Any]
    recipe: Recipe
    space: Space
    budget: Budget
    rates: OperatorRates
    early_share: float
    epochs: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "task": self.task,
            "options": dict(self.options),
            "recipe": self.recipe.to_dict(),
            "choices": {name: list(values) for name, values in self.space.choices.items()},
            "budget": dataclasses.asdict(self.budget),
            "rates": self.rates.to_dict(),
            **{name: getattr(self, name) for name in ("early_share", "epochs", "seed")},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSettings:
        """From `to_dict`."""
        recipe = Recipe.from_dict(values["recipe"])
        return cls(
            values["task"],
            values["options"],
            recipe,
            Space.of(recipe, values["choices"]),
            Budget(**values["budget"]),
            OperatorRates.from_dict(values["rates"]),
            **{name: values[name] for name in ("early_share", "epochs", "seed")},
        )

    def recipe_of(self, record: Record) -> dict[str, Any]:
        """The recipe with the settings of a trial, in full, as JSON values: for `train --recipe`."""
        candidate = Candidate.from_dict(record.settings)
        values = dataclasses.replace(
            self.recipe, model=candidate.model, features=candidate.features, scheme=candidate.scheme
        ).to_dict()
        del values["about"]
        about = (
            f"Found by a search under {self.budget}, trial {record.number}: {record.cost['mean_us']:.1f} us, "
            f"{record.cost['kb']:.0f} kB, {100 * float(record.accuracy or 0):.2f} % on validation after "
            f"{self.epochs} epochs."
        )
        return {"about": about, "default": values}

    def facts(self) -> dict[str, str]:
        """What -> text, for people."""
        rates = self.rates
        return {
            "Task": self.task,
            "Budget": str(self.budget),
            "Device": f"{rates.name}, {rates.backend}, {rates.threads} thread",
            "Times": f"predicted by kind of operator; {100 * rates.misfit:.1f} % from those measured at most",
            "Epochs of a trial": str(self.epochs),
            "Clips": "validation",
            "Seed": str(self.seed),
        }
