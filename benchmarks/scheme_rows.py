"""The rows of `schemes.py`: every training scheme and gate on one backbone, with what its paper claims."""

from __future__ import annotations

import dataclasses
from typing import Any

BASE = {"task": "speech_commands", "recipe": "fast", "size": "base", "bfloat16": True}
"""Options of every row: the words, the base network, the epochs of the fast recipe."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a paper says of a scheme, as a comparison of two rows of the table.

    Attributes:
        text: the claim.
        figure: what is compared: "first", "mean" or "last" accuracy of the exits, "balanced" ops, or "equal" ops: the
            least at one accuracy for all, a point below the last exit of the row joint.
        against: name of the other row.
        better: 1 if the claim is that the figure is larger here, -1 if smaller, 0 if not smaller.
    """

    text: str
    figure: str
    against: str
    better: int


@dataclasses.dataclass(frozen=True)
class Row:
    """One scheme or gate.

    Attributes:
        name: of the row, and with -seedN of its run folder and result.
        title: what the table calls it.
        options: of `bnn_exit.train` beside BASE: name -> value, a list for one that is repeated.
        claims: of its paper.
        like: name of the row whose runs it measures in its own way, and trains none; None: it trains its own.
        policy: that its thresholds go with; None: that of the run's file.
        truncate: exit, 1-based, at which the network ends; 0: it does not.
    """

    name: str
    title: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    like: str | None = None
    policy: str | None = None
    truncate: int = 0

    def words(self, seed: int) -> list[str]:
        """The options as words of a command line."""
        found = []
        for name, value in {**BASE, **self.options, "seed": seed}.items():
            for each in value if isinstance(value, list) else [value]:
                found += [f"--{name.replace('_', '-')}", *([] if each is True else [str(each)])]
        return found


_ROWS = (
    Row("joint", "joint (BranchyNet), equal weights"),
    Row(
        "joint-early",
        "joint, weights 1, 0.5, 0.3",
        {"scheme": "joint", "scheme_option": ["weights=[1,0.5,0.3]"]},
        (Claim("more weight on early branches makes the network more accurate (about 1 point)", "mean", "joint", 1),),
    ),
    Row(
        "joint-ramp",
        "joint, ramp (Shallow-Deep Networks)",
        {"scheme": "joint", "scheme_option": ["ramp=true"]},
        (Claim("the last exit is as accurate as with equal weights", "last", "joint", 0),),
    ),
    Row(
        "two-stage",
        "two stages, labels filtered (MESS)",
        {"scheme": "two_stage"},
        (
            Claim("the last exit is not harmed (59.90 against 58.33 % end to end)", "last", "joint", 1),
            Claim("early exits are more accurate than on a backbone that knew of none", "first", "zero-time-waste", 1),
        ),
    ),
    Row(
        "two-stage-soft",
        "two stages, soft labels filtered",
        {"scheme": "two_stage", "scheme_option": ["filter=soft"]},
        (Claim("filtering helps shallow exits by 0.4 to 1.8 points", "first", "two-stage-unfiltered", 1),),
    ),
    Row(
        "two-stage-unfiltered",
        "two stages, nothing filtered",
        {"scheme": "two_stage", "scheme_option": ["filter=none"]},
    ),
    Row(
        "cascade",
        "cascade with commitment (QuickNets)",
        {"scheme": "cascade"},
        (Claim("inference costs less than after training end to end", "equal", "joint", -1),),
    ),
    Row(
        "boosted",
        "boosted (BoostNet)",
        {"scheme": "boosted"},
        (
            Claim("the first exit gains about 0.7 points", "first", "joint", 1),
            Claim("the last exit gains about 0.3 points", "last", "joint", 1),
        ),
    ),
    Row(
        "self-distilled",
        "self-distilled (spectral adaptive inference)",
        {"scheme": "self_distilled"},
        (Claim("exits are more accurate at a lower budget", "equal", "joint", -1),),
    ),
    Row(
        "early-view",
        "early view (T-RecX)",
        {"scheme": "early_view"},
        (Claim("the last exit gains 0.6 to 2.9 points by the early view", "last", "no-early-view", 1),),
    ),
    Row("no-early-view", "the same head, filters never copied", {"scheme": "early_view", "scheme_option": ["until=0"]}),
    Row(
        "cached",
        "cached (layer caching), exits without labels",
        {"scheme": "cached"},
        (Claim("up to 58 % fewer operations at little or no loss", "equal", "joint", -1),),
    ),
    Row(
        "zero-time-waste",
        "Zero Time Waste: cascaded heads, ensemble",
        {"scheme": "zero_time_waste"},
        (Claim("costs less at equal accuracy than exits that do not know each other", "equal", "joint", -1),),
    ),
    Row(
        "skip-gate",
        "joint with a skip gate (exit prediction)",
        like="joint",
        policy="skip_gate",
        claims=(Claim("hard clips that skip the exits save computation", "balanced", "joint", -1),),
    ),
    Row(
        "glance",
        "glance first (every second frame)",
        {"backbone": "glance"},
        (Claim("a first look saves a fifth of the time at equal accuracy", "equal", "joint", -1),),
    ),
    Row(
        "blocks-auto",
        "joint, blocks allocated by probes",
        {"blocks": "auto"},
        (Claim("allocation makes the network more accurate at an equal budget", "mean", "joint", 1),),
    ),
    Row("truncated-1", "static, ends at exit 1 (depth pruning)", like="joint", truncate=1),
    Row("truncated-2", "static, ends at exit 2", like="joint", truncate=2),
)

ROWS = {row.name: row for row in _ROWS}
