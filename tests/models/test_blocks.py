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


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_takes_channels_halving_and_stem(backbone):
    settings = {
        "blocks": (1, 2, 1, 1),
        "channels": (64, 64, 128, 128),
        "halving": (False, False, True, False),
        "stem_channels": 32,
    }
    model = build(backbone, num_classes=3, input_shape=SHAPE, **settings)
    assert [stage.outputs[0].shape[-1] for stage in model.stages[:1]] == [64 if "dense" not in backbone else 128]
    heights = [stage.outputs[0].shape[1] for stage in model.stages]
    assert heights[1] == 2 * heights[2] - heights[1] % 2 and heights[2] == heights[3]
    again = build(**model.config.to_dict(), num_classes=3, input_shape=SHAPE)
    assert again.costs() == model.costs()
    plain = build(backbone, num_classes=3, input_shape=SHAPE, **{**settings, "stem_channels": 8})
    assert plain.costs()[0].float_macs < model.costs()[0].float_macs


def test_the_stages_of_a_size_written_out_are_the_size():
    written = {"blocks": (3, 4, 4), "channels": (64, 128, 256), "halving": (False, False, True), "stem_channels": 16}
    deep = build(num_classes=3, input_shape=SHAPE, size="deep")
    assert build(num_classes=3, input_shape=SHAPE, **written).costs() == deep.costs()


def test_settings_without_stages_of_their_own_are_written_as_before():
    assert list(ModelConfig().to_dict()) == ["backbone", "size", "head", "precision", "levels", "boost", "blocks"]
    own = ModelConfig(blocks=(1, 1), channels=(64, 64), halving=(False, True))
    assert own.to_dict()["halving"] == [False, True] and "stem_channels" not in own.to_dict()
    assert ModelConfig.from_dict(own.to_dict()) == own


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": (64, 100, 256)}, r"channels is \(64, 100, 256\), but must be multiples of 8 up to 1024"),
        ({"channels": (64, 128)}, "channels is 64 128, but size 'base' has 3 stages: .*such as 64 128 256, which are"),
        ({"channels": (64, 96, 192)}, "channels of a stage are 96, but must be a multiple of .*before, 64"),
        ({"halving": (0, 1, 1)}, r"halving is \(0, 1, 1\), but must be true or false for each stage"),
        ({"halving": (False, True)}, "halving is False True, .*one value for each, such as False True True"),
        ({"stem_channels": 48}, "stem_channels is 48, but must divide the channels of the first stage, which are 64"),
        ({"stem_channels": -1}, "stem_channels is -1, but must be from 1 to 1024, or 0 for those of the size"),
    ],
)
def test_stages_that_cannot_be(settings, message):
    with pytest.raises(ArgumentError, match=message):
        build(num_classes=3, input_shape=SHAPE, **settings)
