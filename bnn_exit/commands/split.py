"""Cut the model of a run in two, for a device and a server: `python -m bnn_exit.split RUN --after 1`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnn_exit import machine, metrics, policies
from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.commands.validation_logits import SPLIT, validation_logits
from bnn_exit.display import show, shown
from bnn_exit.errors import ArgumentError, ExportError, ModelFileError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.files import expanded, write_bytes, write_json
from bnn_exit.model_file import reader
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.model_file.split import decode_half
from bnn_exit.offload.figures import SplitFigures, measure, table
from bnn_exit.offload.halves import DeviceHalf, ServerHalf
from bnn_exit.policies import Policy, rule
from bnn_exit.runs.folder import MODEL, RunFolder
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.session import Session

if TYPE_CHECKING:
    from bnn_exit.conversion.split import Halves

DEVICE, SERVER, FIGURES = "device.tflite", "server.tflite", "split.json"

EPILOG = """\
examples:
  python -m bnn_exit.split runs/words --after 1
  python -m bnn_exit.split runs/words --after 1 --bits 4              (fewer bytes, less exact)
  python -m bnn_exit.split runs/words --after 2 --raw --out pair      (nothing is lost; more bytes)

device.tflite has the stages and exits up to --after, and gives what the stages behind them need. It is an ordinary
model file too: alone it always answers by its last exit. server.tflite has the rest. Serve it with
  python -m bnn_exit.serve_model runs/words/server.tflite

What only binary layers read travels as bits, 1 for each feature, and nothing is lost. What shortcuts read travels as a
code of --bits for each number. The table shows its loss, on validation clips that all travel to the last exit, at every
point of split; split.json has it too.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.split",
        description="Cut the model file of a run in two: the first exits for a device, the rest for a server.",
        epilog=EPILOG,
    )
    arguments.add_argument("run", metavar="RUN", help="folder of a training run")
    arguments.add_argument(
        "--after",
        type=int,
        metavar="K",
        help="the last exit of the device, counted from 1: a later one answers more clips there and takes more of its "
        "time and memory",
    )
    arguments.add_argument(
        "--bits",
        type=int,
        default=8,
        metavar="B",
        help="for each number that shortcuts read, 2 to 8 (default: 8): fewer are smaller and less exact",
    )
    arguments.add_argument(
        "--raw", action="store_true", help="send those numbers as floats: nothing is lost, and 4 times the bytes"
    )
    arguments.add_argument("--out", metavar="DIR", help="folder of both files (default: RUN)")
    arguments.add_argument(
        "--clips", type=positive_int, default=500, metavar="N", help="validation clips to measure on (default: 500)"
    )
    arguments.add_argument("--data-dir", metavar="DIR", help="where the data is, if it has moved since the training")
    arguments.add_argument("--negatives", metavar="DIR", help="where the negatives are, if they have moved since then")
    arguments.add_argument("--cache-dir", metavar="DIR", help="cache of downloads and features (~/.cache/bnn_exit)")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    arguments = parser()
    options = arguments.parse_args(argv)
    if options.after is None:
        arguments.error("the following arguments are required: --after")
    if not 2 <= options.bits <= 8:
        raise ArgumentError(f"--bits is {options.bits}, but must be 2 to 8")
    if options.raw and options.bits != 8:
        raise ArgumentError(f"--bits is {options.bits}, but --raw sends floats: leave one of them out")
    run = RunFolder(options.run)
    run.require_folder()
    out = _folder(options.out, run)
    file = reader.read(run.require(MODEL))
    from bnn_exit.conversion.split import check_after, cut

    check_after(file, options.after, argument="--after")
    fitted = policies.from_dict(run.policy())
    data = {name: getattr(options, name) for name in ("data_dir", "negatives", "cache_dir")}
    logits, _ = validation_logits(run, **data)
    clips, truth = _clips(run, file, logits, most=options.clips, data=data)
    rows, chosen = [], None
    backend = "native" if native_backend.is_installed() else "reference"
    whole = Session(file, backend=backend)
    for after in range(1, len(file.metadata.exits)):
        points = _device_points(file, logits, fitted, after)
        halves = cut(file, after, bits=options.bits, raw=options.raw, operating_points=points)
        rows.append(_measured(whole, halves, clips, truth, out))
        chosen = halves if after == options.after else chosen
    assert chosen is not None
    write_bytes(out / DEVICE, chosen.device)
    write_bytes(out / SERVER, chosen.server)
    write_json(out / FIGURES, _report(file, rows, chosen, backend=backend))
    show(table(rows))
    show(_alternatives(file))
    show(f"\nwrote {shown(out / DEVICE)} and {shown(out / SERVER)}, split after exit {options.after}")
    return 0


def _folder(given: str | None, run: RunFolder) -> Path:
    if given is None:
        return run.path
    out = expanded(given) if given else None
    if out is None or out.is_file():
        raise ArgumentError(f"--out is {given!r}, but must name a folder, for {DEVICE} and {SERVER}")
    if run.holds(out) and out.resolve() != run.path.resolve():
        raise ArgumentError(f"--out is {given!r}, which belongs to the run, and that stays as it is: choose another")
    return out


def _clips(
    run: RunFolder, file: reader.ModelFile, logits: ExitLogits, *, most: int, data: dict[str, Any]
) -> tuple[list[Any], Any]:
    """Validation clips as the network takes them, and their labels."""
    import audio_tasks

    task = audio_tasks.load_again(run.config.task, **data)
    count = len(task.validation)
    chosen = np.linspace(0, count - 1, min(most, count)).astype(int)
    if file.metadata.input == "waveform":
        clips = list(task.validation.waveforms(chosen))
    else:
        clips = list(np.asarray(task.log_mel(SPLIT)[chosen]))
    return clips, logits.labels[chosen] if logits.labels is not None and len(logits.labels) == count else None


def _device_points(file: reader.ModelFile, logits: ExitLogits, policy: Policy, after: int) -> dict[str, OperatingPoint]:
    """The operating points of the whole file where exit `after` answers whatever reaches it, with figures of their
    own. None where the policy reads features: what it learned of them stands in the network alone."""
    if logits.labels is None or not policy.runs_heads:
        return {}
    scores, probabilities = policy.scores(logits)[:, :after], policy.probabilities(logits)[:, :after]
    points = {}
    for name, point in file.metadata.operating_points.items():
        thresholds = point.thresholds[: after - 1]
        exits = rule.exit_indices(scores, thresholds)
        points[name] = OperatingPoint(
            name=name,
            thresholds=thresholds,
            max_accuracy_drop=point.max_accuracy_drop,
            accuracy=metrics.accuracy(rule.predicted_labels(probabilities, exits), logits.truth),
            exit_shares=tuple(metrics.exit_shares(exits, exits=after).tolist()),
            mean_cost=metrics.mean_cost(exits, list(file.metadata.exits)[:after]),
            split=logits.split,
            sample_count=len(logits),
        )
    return points


def _measured(whole: Session, halves: Halves, clips: list[Any], truth: Any, out: Path) -> SplitFigures:
    device = DeviceHalf(decode_half(halves.device, role="device", place=out / DEVICE), backend=whole.backend)
    server = ServerHalf(decode_half(halves.server, role="server", place=out / SERVER), backend=whole.backend)
    try:
        return measure(whole, device, server, clips, labels=truth, float_bytes=4 * halves.captured)
    except ModelFileError as error:
        raise ExportError(str(error)) from error


def _alternatives(file: reader.ModelFile) -> str:
    """What would travel if all exits ran on the server."""
    what = "values" if file.metadata.takes_values else "log-mel"
    samples = "" if file.metadata.takes_values else f", or {2 * file.metadata.clip_samples:,d} of 16-bit samples"
    return f"all on the server: {_bytes_of_features(file):,d} bytes of {what}{samples}, for each clip"


def _bytes_of_features(file: reader.ModelFile) -> int:
    rows, columns = file.metadata.features.shape(file.metadata.clip_samples)
    return 4 * rows * columns


def _report(file: reader.ModelFile, rows: list[SplitFigures], chosen: Halves, *, backend: str) -> dict[str, Any]:
    return {
        "after": chosen.split.after,
        "identity": chosen.split.identity,
        "split": SPLIT,
        "backend": backend,
        "feature_bytes": _bytes_of_features(file),
        **({} if file.metadata.takes_values else {"waveform_bytes": 2 * file.metadata.clip_samples}),
        "points": [row.to_dict() for row in rows],
        "writer": f"bnn_exit {machine.version()}",
    }
