"""Which allocations of blocks are compared, and which one is taken."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from tiny import tiny_build

from bnn_exit.settings.allocation import AllocationConfig
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.task import Negatives
from bnn_exit.training import TrainConfig, probe
from bnn_exit.training.block_allocation import Probe, Search, candidates


def distance(blocks, own):
    return sum(abs(count - mine) for count, mine in zip(blocks, own, strict=True))


def by_brute_force(own, ops):
    """Every allocation that is under the budget and cannot get one more block, nearest first."""
    ones = (1,) * len(own)

    def most(place):
        """Blocks of this stage that the budget pays for with one in every other: no allocation under it has more."""
        return next(
            count for count in itertools.count(1) if ops((*ones[:place], count + 1, *ones[place + 1 :])) > ops(own)
        )

    box = [range(1, most(place) + 1) for place in range(len(own))]
    under = {b for b in itertools.product(*box) if ops(b) <= ops(own)}

    def more(blocks):
        for index in range(len(blocks)):
            yield tuple(count + (place == index) for place, count in enumerate(blocks))

    maximal = [b for b in under if not any(m in under for m in more(b))]
    return sorted(maximal, key=lambda b: (distance(b, own), [-count for count in b]))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("own", [(2, 6), (2, 3, 3), (1, 2, 1, 2), (1, 1)])
def test_candidates_are_those_of_brute_force(own, seed):
    random = np.random.default_rng(seed)
    cost = random.integers(3, 12, len(own))
    # A network whose blocks add channels costs the more the more there are.
    growth = random.integers(0, 3)

    def ops(blocks):
        return float(sum(c * b + growth * b * b for c, b in zip(cost, blocks, strict=True)))

    expected = by_brute_force(own, ops)
    assert expected[0] == own
    assert list(candidates(own, ops=ops, most=10**6)) == expected
    assert list(candidates(own, ops=ops, most=3)) == expected[:3]


def test_few_networks_are_built_for_it():
    asked = []

    def ops(blocks):
        asked.append(blocks)
        return float(np.dot(blocks, (15, 15.3, 16.5)))

    found = candidates((2, 3, 3), ops=ops, most=8)
    assert len(found) == 8 and len(asked) == len(set(asked)) <= 30


def searched(accuracies, *, stored=()):
    """The search with these accuracies of the candidates, what was trained and what was stored after each."""
    trained, saved = [], []
    chosen = tuple((index + 1, 1) for index in range(len(accuracies)))

    def train(blocks):
        trained.append(blocks)
        return Probe(blocks, 1.0, accuracies[blocks[0] - 1])

    search = Search(chosen, tuple(Probe((n + 1, 1), 1.0, values) for n, values in enumerate(stored)))
    return search.finished(train, after_each=lambda each: saved.append(len(each.probes))), trained, saved


def test_the_highest_mean_over_exits_is_taken_and_of_equal_ones_the_own():
    search, trained, saved = searched([(0.5, 0.75), (0.25, 0.875), (0.75, 0.625), (0.75, 0.625)])
    assert [probe.score for probe in search.probes] == [0.625, 0.5625, 0.6875, 0.6875]
    assert search.best.blocks == (3, 1) and trained == [(1, 1), (2, 1), (3, 1), (4, 1)] and saved == [1, 2, 3, 4]
    search, _, _ = searched([(0.5, 0.75), (0.75, 0.5)])
    assert search.best.blocks == (1, 1)


def test_stored_probes_are_not_trained_again():
    search, trained, saved = searched([(0.0,), (0.1,), (0.2,)], stored=[(0.9,), (0.1,)])
    assert trained == [(3, 1)] and saved == [3] and search.best.blocks == (1, 1)
    assert Search.from_dict(json.loads(json.dumps(search.to_dict()))) == search


@pytest.mark.parametrize(
    "values",
    [
        {"candidates": [], "probes": []},
        {"candidates": [[2, 0]], "probes": []},
        {"candidates": [[2, 1]], "probes": [{"blocks": [1, 1], "ops": 1.0, "accuracy": [0.5]}]},
        {"candidates": [[2, 1]]},
        {"candidates": [[2, 1]], "probes": [{"blocks": [2, 1], "ops": 1.0}]},
    ],
)
def test_other_values_are_no_search(values):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Search.from_dict(values)


def probed(task, monkeypatch, *, clips=4000, epochs=2):
    monkeypatch.setattr(probe, "build", tiny_build)
    return probe.probe(
        (1, 2),
        model=ModelConfig(size="small"),
        task=task,
        training=TrainConfig(epochs=30, batch_size=16, warmup_steps=5, learning_rate=5e-3),
        augment=AugmentConfig(),
        allocation=AllocationConfig(epochs=epochs, clips=clips),
    )


def test_a_probe_is_a_short_training_and_the_same_every_time(tone_task, monkeypatch):
    epochs = []
    fit = probe.fit
    monkeypatch.setattr(probe, "fit", lambda *args, **more: epochs.append(fit(*args, **more)) or epochs[-1])
    first, second = (probed(tone_task, monkeypatch) for _ in range(2))
    assert first == second and first.blocks == (1, 2) and len(first.accuracy) == 3
    assert [len(history) for history in epochs] == [2, 2]
    assert first.score == max(np.mean(record["validation_accuracy"]) for record in epochs[0])


def test_a_probe_learns_from_some_clips_of_a_large_split(tone_task, monkeypatch):
    seen = []
    monkeypatch.setattr(
        probe, "fit", lambda network, task, **more: seen.append(task) or [{"validation_accuracy": [0.5, 0.5, 0.5]}]
    )
    negatives = Negatives(np.zeros((9, 64)), np.zeros((1, 2)), np.zeros(1), first=90, label=0)
    task = dataclasses.replace(tone_task, make_negatives=lambda: negatives)
    probed(task, monkeypatch, clips=40)
    (part,) = seen
    assert len(part.train) == 40 and part.validation is task.validation and part.num_classes == 4
    features, whole = part.log_mel("train"), task.log_mel("train")
    places = [int(np.flatnonzero((whole == clip).all(axis=(1, 2)))[0]) for clip in features]
    assert places == sorted(set(places))
    np.testing.assert_array_equal(part.train.labels, task.train.labels[places])
    assert part.negatives.first == sum(place < 90 for place in places)
