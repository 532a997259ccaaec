import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_clips_are_the_outer_loop_and_warm_up_calls_are_not_kept():
    network = FakeBackend(table(clips=2))
    measured = measure.measure(network, range(2), {"full": (0.0, 0.0)}, exits=3)
    settings = [(rule.ALWAYS, 0.0), (0.0, rule.ALWAYS), (0.0, 0.0), (0.0, 0.0)]
    timed = network.calls[measure.WARM_UP_CALLS * len(settings) :]
    assert timed == [(clip, setting) for clip in range(2) for setting in settings]
    assert len(measured.forced[0].seconds) == 2


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


def test_time_us_of_known_seconds():
    times = measure.time_us(np.arange(1, 102) * 1e-6)
    assert times == {name: pytest.approx(value) for name, value in
                     {"minimum": 1.0, "median": 51.0, "mean": 51.0, "p95": 96.0}.items()}  # fmt: skip


@given(st.lists(st.floats(1e-9, 10), min_size=1, max_size=50))
def test_times_are_in_order(seconds):
    times = measure.time_us(seconds)
    assert times["minimum"] <= times["median"] <= max(seconds) * 1e6 * (1 + 1e-12)
    assert times["median"] * (1 - 1e-12) <= times["p95"]
