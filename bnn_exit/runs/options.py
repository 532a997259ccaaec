"""Options that all training commands share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Any

from bnn_exit.command_line import positive_int
from bnn_exit.errors import ArgumentError
from bnn_exit.settings.features import FeatureConfig
from bnn_exit.task import TaskOption

RECIPE = "default: the recipe's"
"""In the help of an option that the recipe decides if it is not given."""


def add_data_options(
    arguments: argparse.ArgumentParser, *, tasks: Iterable[str], flags: Mapping[str, TaskOption]
) -> None:
    """Add the options of the data: the names of the tasks, and the flags that tasks declare."""
    data = arguments.add_argument_group("data")
    data.add_argument("--task", metavar="NAME", help=f"{', '.join(tasks)} (default: synthetic)")
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder or archive with the data; only speech_commands can download its own"
    )
    for name, flag in flags.items():
        data.add_argument(
            f"--{name.replace('_', '-')}",
            action="append" if flag.repeated else "store",
            type=flag.kind,
            metavar=flag.form,
            help=flag.about,
        )
    data.add_argument(
        "--negatives",
        metavar="DIR",
        help="long recordings without the classes, for the class unknown: speech and noise, as a stream has them; in "
        "folders train, validation and test, or split by recording",
    )
    data.add_argument(
        "--negatives-share",
        type=float,
        metavar="SHARE",
        help="of the clips of each split that are cut from the negatives, above 0 and below 1 (default: 0.3)",
    )
    data.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="any other option of the task; repeatable"
    )
    data.add_argument(
        "--feature",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the log-mel features, such as hop_ms=20 or num_mels=40: coarser is faster, finer more "
        "accurate; repeatable (bnn_exit.FeatureConfig lists them)",
    )
    data.add_argument("--cache-dir", metavar="DIR", help="cache of downloads and features (~/.cache/bnn_exit)")


def add_training_options(training: Any) -> None:
    """Add the options of a training; the recipe gives what is left out."""
    training.add_argument(
        "--epochs", type=positive_int, help=f"passes over the data: more is more accurate, slower ({RECIPE})"
    )
    training.add_argument(
        "--batch-size",
        type=positive_int,
        help=f"clips a step: fewer make more steps of an epoch, often more accurate, and slower ({RECIPE})",
    )
    training.add_argument(
        "--learning-rate",
        type=float,
        help=f"peak of the cosine schedule: higher learns more in few epochs, until it fails to learn ({RECIPE})",
    )
    training.add_argument(
        "--bfloat16",
        action="store_const",
        const=True,
        help="compute convolutions in bfloat16, which rounds gradients: faster on processors that have it "
        "(AVX512-BF16, AMX)",
    )
    training.add_argument("--seed", type=int, help=f"of weights, order and augmentation ({RECIPE}, 0)")


def data_options(options: argparse.Namespace, flags: Iterable[str]) -> dict[str, Any]:
    """The given task options, as arguments of `audio_tasks.load`."""
    return {
        "data_dir": options.data_dir,
        "cache_dir": options.cache_dir,
        **given(options, "negatives", "negatives_share", *flags),
        **pairs("--option", options.option),
    }


def feature_options(options: argparse.Namespace, usual: FeatureConfig) -> FeatureConfig:
    """The log-mel settings: the defaults with the given changes."""
    return FeatureConfig.from_dict({**usual.to_dict(), **pairs("--feature", options.feature)})


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The named options that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def check_unchanged(
    options: argparse.Namespace, arguments: argparse.ArgumentParser, *, free: tuple[str, ...], kind: str = "training"
) -> None:
    """ArgumentError for an option that cannot change in what is resumed: all except --resume and those `free`."""
    free = ("resume", "data_dir", "cache_dir", *free)
    usual = arguments.parse_args([])
    for name, value in vars(options).items():
        if name not in free and value != getattr(usual, name):
            raise ArgumentError(f"--{name.replace('_', '-')} cannot change in a {kind} that is resumed: leave it out")


def pairs(name: str, pairs: list[str]) -> dict[str, Any]:
    """The values of a repeated NAME=VALUE option; what is no JSON is text."""
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ArgumentError(f"{name} is {pair!r}, but must be NAME=VALUE")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return values
