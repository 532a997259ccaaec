"""`train --blocks`: the blocks of each stage, given or found by short trainings."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bnn_exit.display import show
from bnn_exit.errors import ArgumentError
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runs.options import given
from bnn_exit.settings.allocation import AllocationConfig
from bnn_exit.settings.model import MOST_BLOCKS, ModelConfig
from bnn_exit.settings.run import RunConfig
from bnn_exit.text import counted

if TYPE_CHECKING:
    from bnn_exit.training.block_allocation import Search

AUTO = "auto"
_OPTIONS = ("probes", "probe_epochs", "probe_clips")


def with_blocks(model: ModelConfig, words: Sequence[str] | None) -> ModelConfig:
    """The settings with the blocks that the words of `--blocks` give, checked; with `auto` those of the size.

    Raises:
        ArgumentError: not one whole number for each stage; the message says how many stages there are.
    """
    from bnn_exit.models import registry

    if words is None:
        if model.blocks:
            registry.allocation(model.backbone, model.size, model.blocks, **model.own_stages)
        return model
    given_stages = model.blocks if model.channels else ()
    own = registry.allocation(model.backbone, model.size, given_stages, **model.own_stages)
    if list(words) == [AUTO]:
        return dataclasses.replace(model, blocks=())
    blocks = tuple(int(word) for word in words if word.isdecimal() and len(word) < 4)
    if len(blocks) != len(words) or len(words) != len(own) or not all(1 <= count <= MOST_BLOCKS for count in blocks):
        raise ArgumentError(
            f"--blocks is {' '.join(words)!r}, but must be auto or {len(own)} whole numbers from 1 to {MOST_BLOCKS}, "
            f"one for each stage of {model.backbone} {model.size}, whose own are {' '.join(map(str, own))}"
        )
    return dataclasses.replace(model, blocks=blocks)


def settings(options: argparse.Namespace) -> AllocationConfig | None:
    """How the blocks are searched for, by the options; None if they are not.

    Raises:
        ArgumentError: an option of the search without --blocks auto.
    """
    chosen = {name.removeprefix("probe_"): value for name, value in given(options, *_OPTIONS).items()}
    if options.blocks != [AUTO]:
        for name in given(options, *_OPTIONS):
            raise ArgumentError(f"--{name.replace('_', '-')} needs --blocks auto: give both, or leave it out")
        return None
    return AllocationConfig(**chosen)


def check_distributed(searches: bool, distribute: str | None) -> None:
    """ArgumentError if blocks are to be searched for over several devices."""
    if searches and distribute is not None:
        raise ArgumentError(
            f"--distribute is {distribute!r}, but --blocks auto trains its probes in this process alone: find the "
            "blocks without it, and give them as --blocks"
        )


def prepared(run: RunFolder, config: RunConfig, task: Any, teacher: Any) -> Search | None:
    """The search that a run has yet to do or to finish: its candidates, checked; None if its blocks are known.

    Raises:
        ArgumentError: a candidate does not fit the plan or the teacher of the run.
        DataError: blocks.json is damaged.
    """
    if config.allocation is None or not config.searches_blocks:
        return None
    from bnn_exit.models import registry
    from bnn_exit.training.block_allocation import Search, candidates
    from bnn_exit.training.probe import network_with
    from distill.trainer import check_steps

    stored = run.block_search()
    if stored is not None:
        return stored
    model = config.model
    found = candidates(
        registry.allocation(model.backbone, model.size),
        ops=lambda blocks: network_with(blocks, model, task).costs()[-1].ops,
        most=config.allocation.probes,
    )
    for blocks in found:
        check_steps(_with(config, blocks), task, teacher)
    return Search(found)


def finish(run: RunFolder, config: RunConfig, task: Any, search: Search) -> RunConfig:
    """Train the probes that are missing, store each, and write the best allocation into the run's settings."""
    from bnn_exit.training.probe import probe

    assert config.allocation is not None
    how = config.allocation
    if len(search.candidates) == 1:
        show("blocks of the stages: none can be moved without more ops", file=sys.stderr)
        return _saved(run, _with(config, search.candidates[0]))
    show(
        f"blocks of the stages: {len(search.candidates)} allocations, {len(search.probes)} of them compared already; "
        f"each is trained for {counted(how.epochs, 'epoch')} on at most {counted(how.clips, 'clip')}",
        file=sys.stderr,
    )

    def store(so_far: Search) -> None:
        run.save_block_search(so_far)
        show(f"  {len(so_far.probes)} of {len(so_far.candidates)}: {_line(so_far.probes[-1])}", file=sys.stderr)

    search = search.finished(
        lambda blocks: probe(
            blocks, model=config.model, task=task, training=config.training, augment=config.augment, allocation=how
        ),
        after_each=store,
    )
    show(f"chosen: {_line(search.best)}", file=sys.stderr)
    return _saved(run, _with(config, search.best.blocks))


def _saved(run: RunFolder, config: RunConfig) -> RunConfig:
    run.save_config(config)
    return config


def _with(config: RunConfig, blocks: tuple[int, ...]) -> RunConfig:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, blocks=blocks))


def _line(probe: Any) -> str:
    exits = " ".join(f"{100 * value:.2f}" for value in probe.accuracy)
    return (
        f"blocks {' '.join(map(str, probe.blocks))}, {probe.ops / 1e6:.2f} million ops, validation accuracy of the "
        f"exits {exits} %, mean {100 * probe.score:.2f} %"
    )
