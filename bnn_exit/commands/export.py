"""Export a run again: `python -m bnn_exit.export RUN`, for instance with the front end inside the file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bnn_exit import policies
from bnn_exit.calibration.operating_points import OperatingPoints, operating_points
from bnn_exit.command_line import Parser, run_command
from bnn_exit.commands import truncated
from bnn_exit.commands.output_file import output_file
from bnn_exit.commands.policy_options import add_policy_options, background_labels, with_background
from bnn_exit.commands.validation_logits import validation_logits
from bnn_exit.display import show
from bnn_exit.errors import one_of
from bnn_exit.files import write_bytes
from bnn_exit.policies import Sizes
from bnn_exit.runs.folder import POINTS, RunFolder

if TYPE_CHECKING:
    from bnn_exit.conversion.to_lce import Export

EPILOG = """\
examples:
  python -m bnn_exit.export runs/words --input waveform --out words_waveform.tflite
  python -m bnn_exit.export runs/words --policy rejection
  python -m bnn_exit.export runs/words --list
  python -m bnn_exit.export runs/words --truncate 1                    (a static file that ends at the first exit)
  python -m bnn_exit.export runs/words --truncate 1 --finetune 30

Training has already exported RUN/model.tflite. This command makes another file from the same weights and thresholds,
without the data set; --list shows every operator with its bits and bytes.

--truncate deletes the stages behind an exit and all other heads: every clip leaves there. Such a file pays where nearly
all clips leave early, or where the whole network does not fit. --finetune first trains the head a little more on the
data of the run; the weights of the run stay as they are. A table compares the files of the run, with their time on this
machine. Measure more with
  python -m bnn_exit.bench RUN/model_truncated_1.tflite              (on the board)
  python -m bnn_exit.evaluate RUN/model_truncated_1.tflite           (beside the accuracy on the test split)
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.export",
        description="Convert the best weights of a run into one file, and check that binary layers are binary.",
        epilog=EPILOG,
    )
    arguments.add_argument("run", metavar="RUN", help="folder of a training run")
    arguments.add_argument("--input", help="input of the file: log_mel (default) or waveform; of sensors values")
    add_policy_options(arguments, usual="that of RUN/model.tflite")
    truncated.add_options(arguments)
    arguments.add_argument(
        "--out",
        metavar="FILE",
        help="the file to write (default: RUN/model_INPUT.tflite, with --policy RUN/model_POLICY.tflite, with "
        "--truncate RUN/model_truncated_N.tflite)",
    )
    arguments.add_argument("--list", action="store_true", help="list every operator, not only each kind")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    background = background_labels(options.background, policy=options.policy)
    truncated.check_options(options)
    run = RunFolder(options.run)
    inputs = run.config.task.features.inputs
    options.input = one_of("--input", options.input or inputs[0], inputs)
    if options.truncate is None:
        made, path = _adaptive(run, options, background)
    else:
        made, path = truncated.make_truncated(run, options)
    write_bytes(path, made.data)
    show(made.audit.list() if options.list else made.audit.table())
    for note in made.parity.notes:
        show(f"warning: {note}", file=sys.stderr)
    show(f"wrote {path}")
    if options.truncate is not None:
        show(f"\n{truncated.comparison(run, path)}")
    return 0


def _adaptive(run: RunFolder, options: argparse.Namespace, background: tuple[str, ...]) -> tuple[Export, Path]:
    """The file with all exits, and where it goes."""
    from bnn_exit.conversion.to_lce import make

    path = output_file(options.out, run.model_called(options.policy or options.input), run=run)
    model = run.network()
    if options.policy is None:
        run.require(POINTS)
        points, policy = run.operating_points(), policies.from_dict(run.policy())
    else:
        points = _points_of_policy(run, options.policy, background)
        policy = points.policy
    return make(model, path, task=run.config.task, operating_points=points, input=options.input, policy=policy), path


def _points_of_policy(run: RunFolder, name: str, background: tuple[str, ...]) -> OperatingPoints:
    """The usual operating points under another policy, from the stored logits."""
    if (known := run.costs()) is not None:
        policies.POLICIES[name].check_exits(len(known.exits))
    exit_logits, costs = validation_logits(run, features=policies.POLICIES[name].needs_features)
    exit_logits = with_background(exit_logits, run.config.task.labels, policy=name, chosen=background)
    policy = policies.fit(name, exit_logits)
    spent = costs.with_policy(policy, Sizes.of(exit_logits))
    return operating_points(exit_logits, spent, policy=policy)
