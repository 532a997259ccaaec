"""What the recipes of the package set: bnn_exit/settings/recipes/*.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from figure_values.common import Figure, value

RECIPES = Path(__file__).resolve().parents[2] / "bnn_exit" / "settings" / "recipes"


def with_negatives() -> dict[str, Any]:
    """The settings that negatives change, which every recipe has from `standard`."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RECIPES.glob("*.json")}
    own = [name for name, recipe in found.items() if "with_negatives" in recipe]
    if own != ["standard"] or any(
        recipe.get("like") != "standard" for name, recipe in found.items() if name not in own
    ):
        raise SystemExit("error: recipes differ in the section with_negatives, but the guide shows one")
    return found["standard"]["with_negatives"]


def augmentation() -> str:
    """What a stream needs, a line each."""
    augment = with_negatives()["augment"]
    low, high = augment["background_snr_db"]
    parts, behind, rooms = (
        f"{100 * augment[name]:.0f} %"
        for name in ("partial_share", "background_probability", "reverberation_probability")
    )
    lines = [
        "Windows of the training split are cut anew in each epoch. Those of validation and test stay where they are.",
        f"{parts} of them hold at most a third of a word instead, at the edge or as a piece: these are `unknown` too.",
        f"A clip is moved by up to {augment['time_shift_ms']:.0f} ms, because a stream is cut at any place.",
        f"Behind {behind} of the clips another recording sounds, {low:.0f} to {high:.0f} dB below the word.",
        f"{rooms} of the clips sound as in a room. The rooms are made by an image-source model, with reverberation "
        "times of 0.1 to 0.6 s.",
        f"Each clip goes through a filter of up to {augment['filter_db']:.0f} dB, as of another microphone.",
    ]
    return "\n\n" + "\n".join(f"- {line}" for line in lines) + "\n\n"


FIGURES: dict[str, Figure] = {"recipe_negatives": value(augmentation)}
