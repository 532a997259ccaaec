"""The run folder: the files of one training, and how they are read and written.

config.json           task, features, model, augmentation and training settings
environment.json      packages, Python, machine, git revision, date and command
last.npz, best.npz    checkpoints, of the last step of a plan and phase of a scheme
history.json          loss and accuracy of each epoch, of that one
steps/                the same of earlier steps and phases
blocks.json           allocations of blocks that were compared, with `--blocks auto`
teacher_outputs/      soft labels of the teacher: a file for each view, or one for clips as recorded
exit_logits/          logits of every exit for a split; `answers/` in runs of earlier versions
costs.json            costs of the exits and of their heads
operating_points.json, model.tflite, audit.json, parity.json; only the first if the network is not binary
metrics.json, plots/  written by `python -m bnn_exit.evaluate`
model_truncated_N.tflite      written by `python -m bnn_exit.export --truncate N`
adapted.tflite, adapted.json  written by `python -m bnn_exit.adapt`
device.tflite, server.tflite, split.json  written by `python -m bnn_exit.split`
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_exit import machine, policies
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.errors import DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import expanded, read_json_object, write_bytes, write_json
from bnn_exit.model_file import reader
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.model_file.rewrite import with_points
from bnn_exit.settings.run import RunConfig, check_folder

if TYPE_CHECKING:
    from bnn_exit.conversion.to_lce import Export
    from bnn_exit.models.multi_exit import MultiExitModel
    from bnn_exit.training.block_allocation import Search

ENVIRONMENT, HISTORY, COSTS, POINTS = "environment.json", "history.json", "costs.json", "operating_points.json"
BEST = "best.npz"
BLOCKS = "blocks.json"
MODEL = "model.tflite"
EXIT_LOGITS, EARLIER_EXIT_LOGITS = "exit_logits", "answers"
_OWN = {
    *("config.json", ENVIRONMENT, HISTORY, COSTS, POINTS, BEST, "last.npz", BLOCKS, MODEL, "audit.json", "parity.json"),
    *("steps", "teacher_outputs", EXIT_LOGITS, EARLIER_EXIT_LOGITS, "metrics.json", "plots"),
}
"""What training and evaluation leave in the folder."""


class RunFolder:
    """One run. Files are read when asked for, and only `network` needs TensorFlow.

    Args:
        path: of the folder.
        advice: what to do about settings that cannot be read, at the end of the error.

    Example:
        >>> run = RunFolder("runs/words")
        >>> run.operating_points()["balanced"].thresholds
        (0.31, 0.12)
    """

    def __init__(self, path: str | os.PathLike[str], *, advice: str = "start the training again") -> None:
        self.path, self._advice = expanded(path), advice

    def __str__(self) -> str:
        return str(self.path)

    def require_folder(self) -> None:
        """ArgumentError if there is no such folder."""
        check_folder(self.path)

    def holds(self, path: Path) -> bool:
        """Whether `path` is what training or evaluation leaves here. What other commands make, they may make anew."""
        try:
            inside = path.resolve().relative_to(self.path.resolve())
        except ValueError:
            return False
        return not inside.parts or inside.parts[0] in _OWN

    def require(self, name: str) -> Path:
        """The path of a file that a finished run has; DataError if it is missing."""
        path = self.path / name
        if not path.is_file():
            raise DataError(f"{path} is missing: python -m bnn_exit.train --resume {self.path} finishes the run")
        return path

    # ---- settings

    @functools.cached_property
    def config(self) -> RunConfig:
        """The settings; ArgumentError if the folder is no run, DataError if they cannot be read."""
        return RunConfig.load(self.path, advice=self._advice)

    def save_config(self, config: RunConfig) -> None:
        """Write config.json, which makes a folder a run."""
        config.save(self.path)
        self.config = config

    def write_environment(self, *, command: str, seed: int) -> None:
        """Write environment.json, unless it is there: packages, machine, git revision, date and command."""
        write_environment(self.path, command=command, seed=seed)

    # ---- allocation of blocks

    def block_search(self) -> Search | None:
        """The allocations that were compared so far, or None if there is no such file; DataError if it is damaged."""
        from bnn_exit.training.block_allocation import Search

        path = self.path / BLOCKS
        try:
            return Search.from_dict(read_json_object(path))
        except FileNotFoundError:
            return None
        except Exception as error:  # the folder may come from elsewhere: whatever nonsense in it runs into
            raise DataError(
                f"{path} cannot be read ({error!r}): remove it, and the allocations are compared anew"
            ) from error

    def save_block_search(self, search: Search) -> None:
        """Write blocks.json."""
        write_json(self.path / BLOCKS, search.to_dict())

    # ---- network

    def network(self) -> MultiExitModel:
        """The network with its best weights, by TensorFlow; DataError if there are none."""
        from bnn_exit.models.multi_exit import build
        from bnn_exit.training import checkpoint

        task = self.config.task
        model = build(**self.config.model.to_dict(), num_classes=len(task.labels), input_shape=task.input_shape)
        checkpoint.load(self.require(BEST), variables=model.keras_model.weights)
        return model

    # ---- what calibration reads

    def exit_logits(self, split: str) -> ExitLogits | None:
        """Logits of every exit for a split, or None if missing; DataError if damaged."""
        for folder in (EXIT_LOGITS, EARLIER_EXIT_LOGITS):
            path = self.path / folder / f"{split}.npz"
            if path.is_file():
                return ExitLogits.load(path)
        return None

    def save_exit_logits(self, logits: ExitLogits) -> None:
        """Store the logits of a split."""
        logits.save(self.path / EXIT_LOGITS / f"{logits.split}.npz")

    def costs(self) -> ExitCosts | None:
        """Costs of the exits and their heads, or None if missing; DataError if damaged."""
        path = self.path / COSTS
        return ExitCosts.load(path) if path.is_file() else None

    def save_costs(self, costs: ExitCosts) -> None:
        """Write costs.json."""
        costs.save(self.path / COSTS)

    # ---- operating points

    def operating_points(self) -> dict[str, OperatingPoint]:
        """The operating points; none if there is no file of them. DataError if it is damaged."""
        path = self.path / POINTS
        try:
            return {name: OperatingPoint.from_dict(values) for name, values in read_json_object(path).items()}
        except FileNotFoundError:
            return {}
        except Exception as error:  # the folder may come from elsewhere: whatever nonsense in it runs into
            raise DataError(
                f"{path} cannot be read ({error}): python -m bnn_exit.train --resume {self.path} makes it again"
            ) from error

    def save_operating_points(self, points: Mapping[str, OperatingPoint]) -> None:
        """Write operating_points.json."""
        write_json(self.path / POINTS, {name: point.to_dict() for name, point in points.items()})

    def add_operating_points(self, points: Mapping[str, OperatingPoint]) -> list[Path]:
        """Add points, replacing those of the same names; the files that were written.

        In model.tflite, if there is one, only the metadata changes.

        Raises:
            ModelFileError: model.tflite is damaged, or has another number of exits.
            DataError: operating_points.json is damaged.
        """
        everything = {**self.operating_points(), **points}
        written = [self.path / POINTS]
        if self.model.is_file():
            write_bytes(self.model, with_points(self.model, points))
            written.append(self.model)
        self.save_operating_points(everything)
        return written

    # ---- model files

    @property
    def model(self) -> Path:
        """The run's own model file."""
        return self.path / MODEL

    def model_called(self, name: str) -> Path:
        """A model file beside the run's own, such as model_lean.tflite."""
        return self.path / f"model_{name}.tflite"

    def policy(self) -> dict[str, Any]:
        """The policy of model.tflite, as `Policy.to_dict` gives it; the default one if the run has no such file.

        Raises:
            ModelFileError: model.tflite is damaged.
        """
        if not self.model.is_file():
            return {"name": policies.DEFAULT}
        return reader.read(self.model).metadata.policy_dict

    def save_export(self, made: Export) -> None:
        """Write the audit, the parity and, last, the model file."""
        write_json(self.path / "audit.json", made.audit.to_dict())
        write_json(self.path / "parity.json", made.parity.reports)
        write_bytes(self.model, made.data)


def write_environment(folder: Path, *, command: str, seed: int) -> None:
    """Write environment.json into a folder of a training, unless it is there.

    It follows the settings: a folder without them is no run yet.
    """
    if not (folder / ENVIRONMENT).is_file():
        write_json(folder / ENVIRONMENT, {"command": command, **machine.provenance(), "seed": seed})
