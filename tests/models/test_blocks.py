"""The blocks of each stage can be given, for every backbone."""

import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.models import registry
from bnn_exit.models.multi_exit import build
from bnn_exit.settings.model import BACKBONES, MOST_BLOCKS, ModelConfig

SHAPE = (98, 64, 1)


def blocks_of(stage):
    return sum(layer.name.startswith("binary_s") for layer in stage.layers)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_takes_the_blocks_of_each_stage(backbone):
    own = registry.allocation(backbone, "base")
    usual = build(backbone, num_classes=3, input_shape=SHAPE)
    assert tuple(map(blocks_of, usual.stages)) == own
    other = (own[0] + 1, 1, *own[2:])
    model = build(backbone, num_classes=3, input_shape=SHAPE, blocks=list(other))
    assert tuple(map(blocks_of, model.stages)) == other == model.config.blocks
    assert model.costs()[0].ops > usual.costs()[0].ops
    # What is written can be read, and builds the same.
    again = build(**model.config.to_dict(), num_classes=3, input_shape=SHAPE)
    assert again.costs() == model.costs()


def test_the_blocks_of_a_size_are_those_that_it_has_without_them():
    own = registry.allocation("quicknet", "base")
    given = build(num_classes=3, input_shape=SHAPE, blocks=own)
    assert given.costs() == build(num_classes=3, input_shape=SHAPE).costs()


def test_settings_of_earlier_versions_have_no_blocks():
    earlier = {"backbone": "quicknet", "size": "base", "head": "grid", "precision": "binary", "levels": "kept"}
    assert ModelConfig.from_dict(earlier).blocks == ()


@pytest.mark.parametrize(
    "blocks", [(0, 3, 3), (2, -1, 3), (2, 3, 2.5), (2, 3, True), ("2", "3", "3"), (2, 3, MOST_BLOCKS + 1), "233", 2]
)
def test_blocks_are_whole_numbers(blocks):
    with pytest.raises(ArgumentError, match=r"blocks is .*, but must be a whole number from 1 to 100 for each stage"):
        ModelConfig(blocks=blocks)


@pytest.mark.parametrize(("blocks", "precision"), [((2, 3), "binary"), ((2, 3, 3, 3), "float")])
def test_there_is_a_number_for_each_stage(blocks, precision):
    with pytest.raises(ArgumentError, match=r"blocks is 2 3.*, but size 'base' has 3 stages: .*such as 2 3 3, which"):
        build(num_classes=3, input_shape=SHAPE, blocks=blocks, precision=precision)
