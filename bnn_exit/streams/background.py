"""Which labels of a model are background: they make no event unless the user says so."""

from __future__ import annotations

from collections.abc import Sequence

from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.model_file.metadata import Metadata
from bnn_exit.task import background_of


def background_labels(metadata: Metadata, wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The background labels of a model: those named, else those of its rejection policy, else by their names.

    Args:
        metadata: of the model file.
        wanted: names; None leaves it to the file.

    Raises:
        ArgumentError: a name that the model lacks, or every label.
    """
    numbers = background_of(metadata.labels, wanted or ())
    if wanted is None and "background" in metadata.policy_settings:
        numbers = tuple(map(int, metadata.policy_settings["background"]))
    return tuple(metadata.labels[number] for number in numbers)


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
