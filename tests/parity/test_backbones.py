"""Every backbone and head converts with every binary layer binary, and says the same on every backend as in Keras."""

import numpy as np
import pytest

from bnn_exit._keras import set_seed
from bnn_exit.conversion import to_lce
from bnn_exit.models import multi_exit, registry
from bnn_exit.models.binary_ops import binary_layers
from bnn_exit.runtime.backends import installed
from bnn_exit.settings.model import BACKBONES, HEADS, MORE_SIZES

OTHER_HEADS = [head for head in HEADS if head != "grid"]
NETWORKS = [
    # Of the others, `base` is `large` with fewer of the same blocks.
    *((name, "grid", size, "kept") for name in BACKBONES for size in ("small", "large")),
    ("quicknet", "grid", "base", "kept"),
    *(("quicknet", "grid", size, "kept") for size in MORE_SIZES["quicknet"]),
    *(("quicknet", head, "small", "kept") for head in OTHER_HEADS),
    ("quicknet", "grid", "small", "normalised"),
]


@pytest.fixture(scope="module", params=NETWORKS, ids="-".join)
def exported(request, tone_task):
    set_seed(2)
    backbone, head, size, levels = request.param
    # A third block of a stage is like the second, and takes as long to build.
    usual = registry.allocation(backbone, size)
    model = multi_exit.build(
        backbone,
        size=size,
        num_classes=4,
        input_shape=tone_task.input_shape,
        head=head,
        levels=levels,
        blocks=[min(2, blocks) for blocks in usual],
    )
    random = np.random.default_rng(3)
    # Statistics and slopes as after some training: fresh ones are zeros and ones, which hide mistakes.
    for weight in model.keras_model.weights:
        if any(part in weight.name for part in ("gamma", "moving_variance")):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif any(part in weight.name for part in ("beta", "moving_mean", "alpha")):
            weight.assign(random.uniform(-0.3, 0.3, weight.shape))
    model.adapt(tone_task.log_mel("train"))
    return model, to_lce.make(model, "model.tflite", task=tone_task, operating_points={})


def test_every_binary_layer_is_binary_in_the_file(exported):
    model, made = exported
    assert made.audit.binary_layers == len(binary_layers(model.keras_model)) > 1


@pytest.mark.parametrize("backend", installed())
def test_every_backend_says_what_keras_says(exported, backend):
    (report,) = (report for report in exported[1].parity.reports if report["backend"] == backend)
    assert report["clips"] >= 10
    for figures in report["exits"]:
        assert figures["top1_agreement"] >= 0.95 and figures["median_difference"] < 1e-4, figures
    assert report["repeatable"]
