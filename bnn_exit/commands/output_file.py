"""The files that a command writes where the user says, checked before the work."""

from __future__ import annotations

from pathlib import Path

from bnn_exit.errors import ArgumentError
from bnn_exit.files import expanded
from bnn_exit.runs.folder import RunFolder
from bnn_exit.settings.run import CONFIG


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
        keep_runs("--out", given, path, run=run)
    return out


def keep_runs(option: str, given: str, path: Path, *, run: RunFolder | None = None) -> None:
    """ArgumentError if `path` belongs to a run, which stays as it is.

    Args:
        option: with which the user named it.
        given: the option's value.
        path: what would be written.
        run: of the command; None: it has none. A run in whose folder `path` lies stays as it is in any case.
    """
    runs = [RunFolder(folder) for folder in path.resolve().parents[:2] if (folder / CONFIG).is_file()]
    if any(each.holds(path) for each in ([] if run is None else [run]) + runs):
        raise ArgumentError(
            f"{option} is {given!r}, which would overwrite {path.name} of the run, and that stays as it is: choose "
            "another name"
        )
