"""The space of a search: from choices to settings and back."""

import pytest

import audio_tasks
from bnn_exit.errors import ArgumentError
from bnn_exit.models.multi_exit import build
from bnn_exit.search.space import CHOICES, Candidate, Space, parsed
from bnn_exit.settings import recipes

RECIPE = recipes.load("standard", task="speech_commands", tasks=audio_tasks.TASKS)
CHOSEN = {
    **{"stages": 3, "blocks_1": 2, "blocks_2": 1, "blocks_3": 4, "channels_1": 64, "channels_2": 128, "channels_3": 64},
    **{"halving_2": True, "halving_3": False, "backbone": "quicknet", "head": "pooled", "stem_channels": 8},
    **{"scheme": "joint", "hop_ms": 20.0, "num_mels": 40},
}


def test_a_candidate_is_what_was_chosen():
    space = Space.of(RECIPE, {})
    candidate = space.candidate(lambda name, choices: CHOSEN[name])
    model = candidate.model
    assert model.blocks == (2, 1, 4) and model.halving == (False, True, False) and model.stem_channels == 8
    assert model.channels == (64, 128, 128)  # never fewer than before
    assert model.levels == "normalised"  # the recipe's
    # A longer hop has a longer window, and a transform that holds it.
    assert (candidate.features.window_ms, candidate.features.fft_size) == (40, 1024)
    assert Candidate.from_dict(candidate.to_dict()) == candidate


def test_choices_that_make_a_candidate_are_found_again():
    space = Space.of(RECIPE, {})
    chosen = {**CHOSEN, "channels_3": 128}
    candidate = space.candidate(lambda name, choices: chosen[name])
    assert space.choices_of(candidate) == chosen
    assert Space.of(RECIPE, {"hop_ms": [10]}).choices_of(candidate) is None


def test_the_own_network_of_a_recipe_is_the_network_of_its_size():
    space = Space.of(RECIPE, {})
    own = space.own()
    written = build(**own.model.to_dict(), num_classes=3, input_shape=(98, 64, 1))
    assert written.costs() == build(**RECIPE.model.to_dict(), num_classes=3, input_shape=(98, 64, 1)).costs()
    assert space.candidate(lambda name, choices: space.choices_of(own)[name]) == own


def test_the_smallest_are_of_every_backbone_head_and_halving():
    found = list(Space.of(RECIPE, {}).smallest())
    assert len(found) == 2 * 2 * 2
    assert {candidate.model.blocks for candidate in found} == {(1, 1)}
    assert {candidate.features.hop_ms for candidate in found} == {25}
    assert {candidate.model.halving[1] for candidate in found} == {False, True}


def test_choices_from_the_command_line():
    assert parsed(["hop_ms=20", "backbone=quicknet,glance", "halving=true"]) == {
        **{"hop_ms": [20], "backbone": ["quicknet", "glance"], "halving": [True]}
    }
    assert Space.of(RECIPE, parsed(["blocks=2,3,2"])).choices == {**CHOICES, "blocks": (2, 3)}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("block=2", "--choose is 'block', but must be one of .*; did you mean 'blocks'"),
        ("blocks", "--choose is 'blocks', but must be NAME=VALUE,VALUE,..."),
        ("blocks=0", "--choose blocks is 0, but must be a whole number from 1 to 100"),
        ("stages=1", "--choose stages is 1, but must be a whole number from 2 to 8"),
        ("head=grit", "--choose head is 'grit', but must be one of .*; did you mean 'grid'"),
        ("halving=1", "--choose halving is 1, but must be true or false"),
        ("hop_ms=fast", "--choose hop_ms is 'fast', but must be a number from 1 to 1000"),
    ],
)
def test_choices_that_cannot_be(pair, message):
    with pytest.raises(ArgumentError, match=message):
        Space.of(RECIPE, parsed([pair]))
