"""The logits and costs of a run: from its files, or computed with TensorFlow."""

from __future__ import annotations

import sys

from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.display import show
from bnn_exit.errors import DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.runs.folder import RunFolder
from bnn_exit.text import counted

SPLIT = "validation"


def validation_logits(
    run: RunFolder,
    *,
    features: bool = False,
    data_dir: str | None = None,
    negatives: str | None = None,
    cache_dir: str | None = None,
) -> tuple[ExitLogits, ExitCosts]:
    """The logits of every exit for the validation clips, and the costs of the exits.

    If something is missing, both are computed from the run's weights and data with TensorFlow, and stored in the run.
    Otherwise no data is read; where it was given nevertheless, a line on stderr says so.

    Args:
        run: a finished run.
        features: the features of every exit are needed as well.
        data_dir: where the data is, if it has moved since the training.
        negatives: where its long recordings are, if they have moved.
        cache_dir: of downloads and features; None means the usual one.

    Raises:
        ArgumentError: the folder is no run.
        DataError: a file of the run is damaged, or the validation split has no clips.
    """
    run.require_folder()
    exit_logits, costs = run.exit_logits(SPLIT), run.costs()
    where = {"data_dir": data_dir, "negatives": negatives, "cache_dir": cache_dir}
    if exit_logits is None or costs is None or (features and not exit_logits.features):
        exit_logits, costs = _computed(run, features=features, where=where)
    elif unused := [f"--{name.replace('_', '-')}" for name, given in where.items() if given is not None]:
        show(
            f"note: {' and '.join(unused)}: no data is read, because {run} has the logits of its {SPLIT} split stored",
            file=sys.stderr,
        )
    if exit_logits.exits != len(costs.exits):
        raise DataError(
            f"the logits in {run} have {counted(exit_logits.exits, 'exit')}, but its costs.json has "
            f"{len(costs.exits)}: delete both, and they are computed again"
        )
    return exit_logits, costs


def _computed(run: RunFolder, *, features: bool, where: dict[str, str | None]) -> tuple[ExitLogits, ExitCosts]:
    what = "logits with features" if features else "logits"
    show(f"{run} has no cached {what}: running its network, with TensorFlow", file=sys.stderr)
    import audio_tasks
    from bnn_exit.training.calibrate import exit_logits_of

    model = run.network()
    task = audio_tasks.load_again(run.config.task, **where)
    exit_logits, costs = exit_logits_of(model, task, split=SPLIT, features=features), model.exit_costs()
    run.save_exit_logits(exit_logits)
    run.save_costs(costs)
    return exit_logits, costs
