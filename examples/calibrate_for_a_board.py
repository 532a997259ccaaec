"""Choose thresholds for a time budget on a board. NumPy is enough.

    python examples/calibrate_for_a_board.py                     # made-up logits and times
    python examples/calibrate_for_a_board.py --run runs/words --device board.json --max-mean-us 700

`runs/words` is the folder of a training. `board.json` is what this command printed on the board:
`python -m bnn_exit.bench model.tflite clips/*.wav --json > board.json`.
The command `python -m bnn_exit.calibrate` does the same, and stores the operating point.
"""

from __future__ import annotations

import argparse

import numpy as np

from bnn_exit.calibration.constraints import Constraints, InfeasibleError
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.select import select
from bnn_exit.cost import Cost
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.runs.folder import RunFolder


def made_up_network() -> tuple[ExitLogits, ExitCosts]:
    """Logits of three exits for 1,000 clips, and what each exit costs. Deeper exits are more accurate."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 1000)
    depth = np.array([3.0, 4.0, 5.0])[:, None]
    logits = rng.normal(0, 1, (1000, 3, 10)) + depth * np.eye(10)[labels][:, None]
    costs = ExitCosts(
        exits=tuple(Cost(binary_macs=40_000_000 * k, float_macs=600_000 * k) for k in (1, 2, 3)),
        heads=(Cost(0, 10_000),) * 3,
    )
    return ExitLogits(logits, labels, split="validation"), costs


def made_up_board() -> DeviceProfile:
    """Times of a board that does not exist, one for each exit."""
    return DeviceProfile(name="made up", mean_us=(400, 800, 1200), worst_us=(450, 900, 1350), backend="native")


def main() -> None:
    """Print the operating point that loses the least accuracy within the time."""
    parser = argparse.ArgumentParser(description="Choose thresholds for a time budget on a board.")
    parser.add_argument("--run", help="folder of a training (default: made-up logits of three exits)")
    parser.add_argument("--device", help="what bnn_exit.bench --json printed on the board (default: made-up times)")
    parser.add_argument("--max-mean-us", type=float, default=600.0, help="microseconds of the average clip")
    options = parser.parse_args()

    if options.run is None:
        exit_logits, costs = made_up_network()
    else:
        run = RunFolder(options.run)
        exit_logits, costs = run.exit_logits("validation"), run.costs()
        if exit_logits is None or costs is None:
            parser.error(f"{options.run} has no cached logits: python -m bnn_exit.calibrate {options.run} makes them")
    board = made_up_board() if options.device is None else DeviceProfile.load(options.device)

    # One limit, so what is minimised is the accuracy lost. Of several limits the first matters most.
    constraints = Constraints({"max_mean_us": options.max_mean_us}, device=board)
    try:
        selection = select(exit_logits, costs, constraints, name="board")
    except InfeasibleError as error:
        raise SystemExit(f"error: {error}") from error

    point = selection.point
    mean_us = np.dot(point.exit_shares, board.mean_us)
    print(f"board        {board.name}")
    print(f"thresholds   {' '.join(f'{value:g}' for value in point.thresholds)}")
    print(f"exit shares  {' '.join(f'{share:.3f}' for share in point.exit_shares)}")
    print(f"mean us      {mean_us:.1f}")
    print(f"accuracy     {point.accuracy:.4f}")
    print(f"lost         {selection.accuracy_drop:.4f}")


if __name__ == "__main__":
    main()
