"""Does the file say what the trained network says? Compared clip by clip and exit by exit."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnn_exit import policies
from bnn_exit.artifact import Artifact
from bnn_exit.errors import ExportError
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.policies.rule import forcing_thresholds
from bnn_exit.runtime.backends import BACKENDS

MIN_AGREEMENT = 0.97
TYPICAL_DIFFERENCE = 1e-3


def compare(
    model: MultiExitModel, artifact: Artifact, inputs: np.ndarray, log_mel: np.ndarray, *, backend: str
) -> dict[str, Any]:
    """Compare Keras with a backend on real clips.

    A pre-activation within rounding of zero may take the other sign, and the clip's probabilities then differ by more
    than rounding. So the bound is on the median difference and on the share of clips with the same top label, and the
    clips with a larger difference are counted.

    Args:
        model: the trained network.
        artifact: the file made from it.
        inputs: what the file takes, clip by clip: `[clips, frames, mels]` or `[clips, samples]`.
        log_mel: the same clips for Keras, `[clips, frames, mels]`.
        backend: a name in BACKENDS.

    Returns:
        `backend`, `clips`, `repeatable` (a second run of the first clip gave the same bits) and a list `exits` with
        `median_difference`, `max_difference` (of probabilities), `top1_agreement` and `flipped` (clips that differ by
        more than 1e-3).
    """
    runner = BACKENDS[backend](artifact, threads=1)
    expected = policies.softmax(model.logits(log_mel))
    exits = []
    repeatable = True
    for index in range(model.num_exits):
        thresholds = forcing_thresholds(index, exits=model.num_exits)
        found = np.stack([runner.run(clip, thresholds)[0] for clip in inputs])
        repeatable &= bool(np.array_equal(runner.run(inputs[0], thresholds)[0], found[0]))
        difference = np.abs(found - expected[:, index]).max(axis=-1)
        exits.append(
            {
                "median_difference": float(np.median(difference)),
                "max_difference": float(difference.max()),
                "top1_agreement": float(np.mean(found.argmax(-1) == expected[:, index].argmax(-1))),
                "flipped": int(np.sum(difference > TYPICAL_DIFFERENCE)),
            }
        )
    return {"backend": backend, "clips": len(inputs), "repeatable": repeatable, "exits": exits}


def require(report: dict[str, Any]) -> None:
    """Raise ExportError if a comparison is outside the bounds: the file is then not the network that was trained."""
    if not report["repeatable"]:
        raise ExportError(f"the {report['backend']} backend answers a clip differently the second time")
    for index, figures in enumerate(report["exits"]):
        if figures["median_difference"] > TYPICAL_DIFFERENCE or figures["top1_agreement"] < MIN_AGREEMENT:
            raise ExportError(
                f"exit {index + 1} of the file differs from the trained network: median difference "
                f"{figures['median_difference']:.2g} (at most {TYPICAL_DIFFERENCE}), same label for "
                f"{100 * figures['top1_agreement']:.1f} % of {report['clips']} clips "
                f"(at least {100 * MIN_AGREEMENT:.0f} %)"
            )
