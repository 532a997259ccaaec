"""The options of the exit policy that train, export and calibrate share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from bnn_exit import policies
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.policies.rejection import Rejection
from bnn_exit.task import background_of


def add_policy_options(arguments: Any, *, usual: str) -> None:
    """Add `--policy` and `--background`; `usual` says which policy is taken without them."""
    arguments.add_argument(
        "--policy",
        metavar="NAME",
        help=f"{', '.join(policies.POLICIES)} (default: {usual}); class means need features, which "
        "TensorFlow computes; means of floats make a larger file; with rejection, early exits answer with background "
        "alone",
    )
    arguments.add_argument(
        "--background",
        metavar="LABEL,...",
        help="labels that are background: to the policy rejection, and labels that make no event in a stream (default: "
        "those called unknown, silence, background or noise)",
    )


def background_labels(text: str | None, *, policy: str | None) -> tuple[str, ...]:
    """The labels of `--background`, and a check of the name of the policy; empty if the option was not given.

    Raises:
        ArgumentError: an unknown policy, or labels for another one than rejection.
    """
    if policy is not None:
        one_of("--policy", policy, policies.POLICIES)
    if text is None:
        return ()
    if policy != Rejection.name:
        raise ArgumentError(f"--background is {text!r}, but goes with --policy {Rejection.name} alone")
    return tuple(text.split(","))


def check_background(labels: Sequence[str], *, policy: str | None, chosen: Sequence[str]) -> None:
    """DataError or ArgumentError, before anything takes long, if a policy finds no background among `labels`."""
    if policy == Rejection.name and not background_of(labels, chosen):
        raise DataError(
            f"policy {policy} needs a class that is background, and none of the {len(labels)} labels is called unknown "
            "or silence: name it with --background LABEL, or train a network that knows one with --negatives DIR"
        )


def with_background(
    exit_logits: ExitLogits, labels: Sequence[str], *, policy: str | None, chosen: Sequence[str]
) -> ExitLogits:
    """The logits with the numbers of the background classes, which the policy rejection reads from them."""
    if policy != Rejection.name:
        return exit_logits
    check_background(labels, policy=policy, chosen=chosen)
    return dataclasses.replace(exit_logits, background=background_of(labels, chosen))
