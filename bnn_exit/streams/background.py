"""Which labels of a model are background: they make no event unless the user says so."""

from __future__ import annotations

from collections.abc import Sequence

from bnn_exit.errors import ArgumentError, one_of
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.model_file.metadata import Metadata

NAMES = ("silence", "unknown", "background", "noise", "_silence_", "_unknown_", "_background_", "_background_noise_")
"""Labels that are background by their name."""


def background_labels(metadata: Metadata, wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The background labels of a model: those named, else those of its rejection policy, else by their names.

    Args:
        metadata: of the model file.
        wanted: names; None leaves it to the file.

    Raises:
        ArgumentError: a name that the model lacks, or every label.
    """
    if wanted is not None:
        found = tuple(one_of("background label", label, metadata.labels) for label in wanted)
    elif numbers := metadata.policy_settings.get("background"):
        found = tuple(metadata.labels[int(number)] for number in numbers)
    else:
        found = tuple(label for label in metadata.labels if label in NAMES)
    if set(found) >= set(metadata.labels):
        raise ArgumentError("every label of the model is background, so that nothing could make an event")
    return found


def simple_point(
    metadata: Metadata,
    *,
    threshold: float,
    operating_point: str,
    name: str = "custom",
    hop_ms: float = 100.0,
    background: Sequence[str] | None = None,
) -> ListeningPoint:
    """A listening point with one threshold for every label that is no background, and usual settings else."""
    left_out = background_labels(metadata, background)
    labels = [label for label in metadata.labels if label not in left_out]
    return ListeningPoint(
        name, operating_point=operating_point, thresholds=dict.fromkeys(labels, threshold), hop_ms=hop_ms
    )
