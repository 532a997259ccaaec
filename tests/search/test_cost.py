"""What a network costs before training is what its file costs."""

from types import SimpleNamespace

import pytest

from bnn_exit import policies
from bnn_exit.calibration import operator_work
from bnn_exit.calibration.operator_rates import USUAL_NS, OperatorRates
from bnn_exit.conversion.to_lce import convert
from bnn_exit.model_file import flatbuffer
from bnn_exit.models.multi_exit import build
from bnn_exit.search.cost import assumed_shares, predicted
from bnn_exit.settings.features import FeatureConfig

RATES = OperatorRates("board", USUAL_NS, 0.1)


@pytest.mark.parametrize(
    "settings",
    [
        {"blocks": (1, 2, 1), "channels": (64, 64, 128), "halving": (False, True, False), "stem_channels": 8},
        {"backbone": "glance", "size": "small", "head": "pooled", "levels": "normalised"},
        {"backbone": "real_to_binary", "size": "small", "head": "strided"},
        {"backbone": "binary_densenet", "size": "small", "head": "auxiliary"},
    ],
)
def test_the_cost_of_a_network_is_that_of_its_file(settings):
    features, labels = FeatureConfig(), tuple(f"word {number}" for number in range(10))
    task = SimpleNamespace(
        name="words", labels=labels, clip_samples=16000, features=features, licence="CC0", attribution="tests"
    )
    network = build(num_classes=10, input_shape=(98, 64, 1), **settings)
    data = convert(network, task=task, operating_points={}, input="log_mel", policy=policies.fit(policies.DEFAULT))
    work = operator_work.of_file(flatbuffer.read(data), exits=network.num_exits)
    assert work == network.work()
    cost = predicted(network, RATES, features, clip_samples=16000, early_share=0.5)
    # An upper estimate, and no far one: operating points are still to come into the file.
    assert 0.8 * cost.kb <= len(data) / 1000 <= cost.kb
    shares = assumed_shares(network.num_exits, 0.5)
    times = [RATES.front_end_us(features, clip_samples=16000) + RATES.network_us(each) for each in work]
    assert cost.exits_us == pytest.approx(times)
    assert cost.mean_us == pytest.approx(sum(share * time for share, time in zip(shares, times, strict=True)))
