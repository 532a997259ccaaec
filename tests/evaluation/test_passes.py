import itertools

import numpy as np
import pytest

from bnn_exit import policies
from bnn_exit.errors import ArgumentError, ModelFileError
from bnn_exit.evaluation import passes as measure
from bnn_exit.policies import rule
from bnn_exit.policies.uncertainty import Entropy


class FakeBackend:
    """ExitLogits from a table of probabilities [clips, exits, classes]; an input is the number of a clip."""

    def __init__(self, table, *, spoil=None):
        self.table, self.calls, self.spoil = table, [], spoil

    def infer(self, inputs, thresholds):
        self.calls.append((inputs, tuple(float(value) for value in thresholds)))
        outputs = self.table[inputs]
        scores = Entropy.of(outputs)
        if self.spoil is not None:
            scores[self.spoil] = np.nan
        exit_index = int(rule.exit_indices(scores[None], thresholds)[0])
        return outputs[exit_index], exit_index, float(scores[exit_index])


def table(*, clips=20, exits=3, seed=0):
    return policies.softmax(np.random.default_rng(seed).normal(0, 2, (clips, exits, 4))).astype(np.float32)


def test_every_clip_is_run_at_every_exit_and_every_operating_point():
    outputs = table()
    points = {"full": (0.0, 0.0), "fast": (0.7, 0.8)}
    measured = measure.measure(FakeBackend(outputs), range(20), points, exits=3)
    assert np.array_equal(measured.exit_probabilities, outputs)
    assert np.array_equal(measured.exit_scores, Entropy.of(outputs).astype(np.float32))
    assert list(measured.points) == ["full", "fast"]
    for name, thresholds in points.items():
        passes = measured.points[name]
        expected = rule.exit_indices(Entropy.of(outputs), thresholds)
        assert passes.exit_indices.tolist() == expected.tolist()
        assert passes.predictions.tolist() == rule.predicted_labels(outputs, expected).tolist()
        assert passes.seconds.shape == (20,) and passes.seconds.min() > 0
        assert measured.agreement(name) == 1.0


def test_a_file_that_decides_otherwise_is_noticed():
    class Stubborn(FakeBackend):
        def infer(self, inputs, thresholds):
            # Takes thresholds 0.7 for 0: only the forcing ones are obeyed.
            return super().infer(inputs, np.where(np.isclose(thresholds, 0.7), 0, thresholds))

    outputs = table()
    measured = measure.measure(Stubborn(outputs), range(20), {"fast": (0.7, 0.0)}, exits=3)
    early = np.mean(rule.exit_indices(Entropy.of(outputs), [0.7, 0.0]) < 2)
    assert 0 < early < 1
    assert measured.agreement("fast") == pytest.approx(1 - early)


def test_clips_are_the_outer_loop_and_each_goes_through_once_untimed_before():
    network = FakeBackend(table(clips=2))
    measured = measure.measure(network, range(2), {"full": (0.0, 0.0)}, exits=3)
    deepest = (0.0, 0.0)
    settings = [(rule.ALWAYS, 0.0), (0.0, rule.ALWAYS), deepest, deepest]
    untimed = [[deepest] * measure.WARM_UP_CALLS, [deepest]]
    assert network.calls == [(clip, setting) for clip in range(2) for setting in untimed[clip] + settings]
    assert len(measured.forced[0].seconds) == 2


class Clockwork:
    """A clock that stands still but for the front end and the network, which take known times."""

    def __init__(self, network):
        self.seconds, self.network = 100.0, network

    def now(self):
        return self.seconds

    def front_end(self, clip):
        self.seconds += 0.01 * (clip + 1)
        return clip

    def infer(self, inputs, thresholds):
        output = self.network.infer(inputs, thresholds)
        self.seconds += 1.0 + output[1]
        return output


def test_front_end_and_network_of_a_clip_are_timed_one_after_the_other():
    clockwork = Clockwork(FakeBackend(table(clips=4)))
    points = {"fast": (0.7, 0.8)}
    measured = measure.measure(clockwork, range(4), points, exits=3, front_end=clockwork.front_end, now=clockwork.now)
    for left_at, passes in [*enumerate(measured.forced), (None, measured.points["fast"])]:
        exits = passes.exit_indices if left_at is None else np.full(4, left_at)
        assert passes.front_end_seconds == pytest.approx([0.01, 0.02, 0.03, 0.04])
        assert passes.seconds == pytest.approx(1.0 + exits)
        assert passes.whole_seconds == pytest.approx(passes.front_end_seconds + passes.seconds)
    # The network is given what the front end made.
    assert {clip for clip, _ in clockwork.network.calls} == {0, 1, 2, 3}


def test_a_front_end_in_the_file_is_not_timed_apart():
    ticks = itertools.count()
    measured = measure.measure(FakeBackend(table(clips=4)), range(4), {}, exits=3, now=lambda: next(ticks))
    assert measured.forced[0].front_end_seconds is None
    assert measured.forced[0].whole_seconds.tolist() == measured.forced[0].seconds.tolist() == [1, 1, 1, 1]


def test_one_exit_needs_no_thresholds():
    measured = measure.measure(FakeBackend(table(exits=1)), range(20), {"full": ()}, exits=1)
    assert measured.points["full"].exit_indices.tolist() == [0] * 20


def test_progress_sees_every_clip():
    seen = []

    def progress(clips):
        for clip in clips:
            seen.append(clip)
            yield clip

    measure.measure(FakeBackend(table()), range(20), {}, exits=3, progress=progress)
    assert seen == list(range(20))


def test_a_score_of_nan_at_a_forced_exit_is_an_error():
    with pytest.raises(ModelFileError, match=r"clip 0: exit 2 was forced, but the clip left at exit 3 with score "):
        measure.measure(FakeBackend(table(), spoil=1), range(20), {}, exits=3)


def test_thresholds_of_the_wrong_number_are_refused():
    with pytest.raises(ArgumentError, match="thresholds has 1 value"):
        measure.measure(FakeBackend(table()), range(20), {"fast": (0.5,)}, exits=3)
