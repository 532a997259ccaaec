"""Stores a selected operating point in the run and its model file, or in a file of its own."""

from __future__ import annotations

from pathlib import Path

from bnn_exit.calibration.operating_points import operating_points
from bnn_exit.calibration.select import Selection
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file.operating_points import check_name
from bnn_exit.runs.folder import RunFolder


def store_selection(run: RunFolder, selection: Selection, exit_logits: ExitLogits) -> list[Path]:
    """Store a selected operating point; the files that were written.

    A file has one policy and one set of exits. A point of the policy and exits of RUN/model.tflite goes into it; any
    other needs a file of its own, RUN/model_NAME.tflite, with the default operating points for its policy and exits.

    Args:
        run: whose validation clips it was selected on.
        selection: of `select`.
        exit_logits: of all exits, which it was selected from.

    Raises:
        ArgumentError: a name that a file cannot have.
        DataError, ModelFileError, ExportError: a file of the run is missing or damaged, or cannot be made.
    """
    point = selection.point
    check_name("name", point.name)
    if len(selection.exits) == exit_logits.exits and selection.policy.to_dict() == run.policy():
        return run.add_operating_points({point.name: point})
    from bnn_exit.conversion.to_lce import export

    kept = exit_logits.select_exits(selection.exits)
    points = operating_points(kept, selection.costs, policy=selection.policy)
    model = run.network()
    if len(selection.exits) < model.num_exits:
        model = model.with_exits(selection.exits)
    path = run.model_called(point.name)
    everything = {**points, point.name: point}
    export(model, path, task=run.config.task, operating_points=everything, policy=selection.policy)
    return [path]
