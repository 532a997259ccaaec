"""The file that a command writes about a run: `--out`, checked before the work."""

from __future__ import annotations

from pathlib import Path

from bnn_exit.errors import ArgumentError
from bnn_exit.files import expanded
from bnn_exit.runs.folder import RunFolder


def output_file(given: str | None, usual: Path, *, run: RunFolder, figures: bool = False) -> Path:
    """Where a model file or a page goes.

    Args:
        given: the value of --out; None: none was given.
        usual: the path without --out.
        run: whose files stay as they are.
        figures: whether a JSON file of the same name goes beside it.

    Raises:
        ArgumentError: an empty name, a folder, or a file that belongs to the run.
    """
    if given is None:
        return usual
    if not given:
        raise ArgumentError("--out is '', but must name a file")
    out = expanded(given)
    if out.is_dir():
        raise ArgumentError(f"--out is {str(out)!r}, but that is a folder: give a file such as {out / usual.name}")
    if figures and out.suffix.lower() == ".json":
        raise ArgumentError(f"--out is {given!r}, but must not end in .json: the figures go there")
    for path in (out, out.with_suffix(".json")) if figures else (out,):
        if run.holds(path):
            raise ArgumentError(
                f"--out is {given!r}, which would overwrite {path.name} of the run, and that stays as it is: choose "
                "another name"
            )
    return out
