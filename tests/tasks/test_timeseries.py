import numpy as np
import pytest

import audio_tasks
from audio_tasks import synthetic_spectra, timeseries
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.settings.values import ValuesConfig

RATE, PEOPLE = 10, 6


def recordings(**changes):
    """Ten seconds of sitting and of walking of each of six people, at 10 Hz."""
    random = np.random.default_rng(0)
    count = PEOPLE * 2 * 10 * RATE
    arrays = {
        "values": random.normal(0, 1, (count, 2)).astype(np.float32),
        "label": np.tile(np.repeat(["sit", "walk"], 10 * RATE), PEOPLE),
        "person": np.repeat([f"p{number}" for number in range(PEOPLE)], 20 * RATE),
        "time": np.tile(np.arange(20 * RATE) / RATE, PEOPLE),
    }
    return {**arrays, **changes}


@pytest.fixture
def write(tmp_path):
    def made(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return made


def load(path, **options):
    return audio_tasks.load("timeseries", data_dir=path, **{"group": "person", "time": "time", **options})


def test_windows_have_the_length_and_rate_that_were_asked_for(write):
    task = load(write(**recordings()), window_s=2, hop_s=1)
    assert task.labels == ("sit", "walk")
    assert task.features == ValuesConfig(sample_rate_hz=10, channels=("channel_1", "channel_2"))
    assert task.clip_samples == 20 and task.input_shape == (20, 1, 2)
    assert sum(map(len, task.splits.values())) == PEOPLE * 19
    assert task.log_mel("test").shape == (len(task.test), 20, 2)
    assert np.array_equal(task.log_mel("train")[3], task.train.waveform(3))


def test_a_window_at_the_change_of_a_label(write):
    kept, dropped = (load(write(**recordings()), window_s=2, hop_s=1, mixed=mixed) for mixed in ("keep", "drop"))
    assert sum(map(len, kept.splits.values())) - sum(map(len, dropped.splits.values())) == PEOPLE
    assert f"left out: {PEOPLE} with more than one label" in dropped.notes


def test_groups_stay_together_and_every_group_is_tested_once_in_all_folds(write):
    path, tested = write(**recordings()), []
    for fold in (1, 2, 3):
        task = load(path, window_s=2, fold=fold, folds=3)
        groups = {name: set(split.speakers) for name, split in task.splits.items()}
        assert not groups["train"] & groups["test"] | groups["train"] & groups["validation"]
        assert not groups["validation"] & groups["test"]
        assert set().union(*groups.values()) == {f"p{number}" for number in range(PEOPLE)}
        tested += sorted(groups["test"])
    assert sorted(tested) == [f"p{number}" for number in range(PEOPLE)]


def test_windows_that_are_cut_already(write):
    windows = np.arange(12 * 40, dtype=np.float32).reshape(12, 40, 1)
    windows[4, 7] = np.nan
    path = write(values=windows, label=np.tile(["a", "b"], 6), person=np.repeat(list("pqrs"), 3))
    task = load(path, time="")
    assert sum(map(len, task.splits.values())) == 11
    assert task.notes == ("left out: 1 with missing samples",)
    assert task.features.sample_rate_hz == 1 and task.clip_samples == 40
    assert all(task.train.waveform(0)[:, 0] == windows[int(task.train.ids[0].split("_")[1]), :, 0])


def test_the_task_is_loaded_again_as_it_was(write):
    task = load(write(**recordings()), window_s=2)
    again = audio_tasks.load_again(task)
    for name, split in task.splits.items():
        assert again.split(name).ids == split.ids and again.split(name).fingerprint == split.fingerprint


def test_recordings_without_time_stamps_need_a_rate(write):
    arrays = recordings()
    del arrays["time"]
    with pytest.raises(ArgumentError, match="rate_hz is missing: there are no time stamps"):
        load(write(**arrays), time="")
    assert load(write(**arrays), time="", rate_hz=10).clip_samples == 20


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({}, {"group": "persons"}, r"no array 'persons' \(a group of each\), but .*; did you mean 'person'\?"),
        ({}, {"label": "labels"}, r"no array 'labels' \(a label of each\), but .*; did you mean 'label'\?"),
        (
            {"time": np.arange(PEOPLE * 200)[::-1] / 10.0},
            {},
            r"time runs backwards in recording p0, from 0 to -0\.1 s after the first sample",
        ),
        ({}, {"window_s": 21}, "no window of 21 s is left of 6 recordings: 6 too short for a window"),
        ({"label": np.array(["sit"] * PEOPLE * 200)}, {}, "at least two classes, but the data has only 'sit'"),
        (
            {"person": np.array(["p"] * PEOPLE * 200), "time": np.arange(PEOPLE * 200) / 10.0},
            {},
            "there are 1 groups, but 3",
        ),
        ({}, {"fold": 1, "folds": 7}, "there are 6 groups, but 7 are needed"),
        ({"values": np.full((PEOPLE * 200, 2), np.nan, np.float32)}, {}, "6 recordings: 114 with missing samples"),
    ],
)
def test_data_that_cannot_be_used(write, arrays, options, message):
    with pytest.raises(DataError, match=message):
        load(write(**recordings(**arrays)), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": 6}, "fold is 6, but must be from 1 to 5, or 0 to split once"),
        ({"folds": 1}, "folds is 1, but must be from 2 to 100"),
        ({"test_fraction": 0}, "test_fraction is 0, but must be above 0 and below 1"),
        (
            {"test_fraction": 0.5, "validation_fraction": 0.5},
            "leave nothing to train on: together they must be below 1",
        ),
        ({"mixed": "kepp"}, "mixed is 'kepp', but must be one of drop, keep; did you mean 'keep'?"),
        ({"time_unit": "min"}, "time_unit is 'min', but must be one of s, ms, us, ns"),
        ({"window_s": 0}, "window_s is 0, but must be above 0"),
        ({"widow_s": 2}, "time_unit, validation_fraction, values, window_s; did you mean 'window_s'?"),
    ],
)
def test_options_that_break_a_rule(write, options, message):
    with pytest.raises(ArgumentError) as caught:
        load(write(**recordings()), **options)
    assert message in str(caught.value)


def test_no_data():
    with pytest.raises(
        ArgumentError, match=r"task timeseries needs --data-dir: an \.npz file, a \.csv file or a folder"
    ):
        audio_tasks.load("timeseries")


def test_a_window_length_for_windows_that_are_cut(write):
    path = write(values=np.zeros((6, 40, 1), np.float32), label=np.tile(["a", "b"], 3))
    with pytest.raises(ArgumentError, match="window_s is 2, but the data are windows already: leave it out"):
        audio_tasks.load("timeseries", data_dir=path, window_s=2)


def test_the_check_reports_channels_and_groups(write, capsys):
    arrays = recordings()
    arrays["values"][:, 1] = 7
    arguments = [str(write(**arrays)), "--check", "--group", "person", "--time", "time", "--window-s", "2"]
    assert timeseries.main(arguments) == 0
    found = capsys.readouterr().out
    assert "task timeseries: 2 classes, 114 windows of 2 s at 10 Hz" in found
    assert "in train" in found and "in validation" in found and "in test" in found
    assert "WARNING: constant in training, so networks ignore it: channel_2" in found


def test_the_check_finds_a_window_in_two_splits(write, capsys):
    values = np.random.default_rng(0).normal(0, 1, (40, 40, 1)).astype(np.float32)
    values[20:] = values[:20]
    path = write(values=values, label=np.tile(["a", "b"], 20))
    assert timeseries.main([str(path), "--check"]) == 1
    assert "WRONG: the same clip in two splits" in capsys.readouterr().out


def test_spectra_are_made_as_documented(tmp_path, capsys):
    made = synthetic_spectra.make(count=60, points=64, noise=0.0, seed=1)
    assert np.array_equal(made.values, synthetic_spectra.make(count=60, points=64, noise=0.0, seed=1).values)
    assert not np.array_equal(made.values, synthetic_spectra.make(count=60, points=64, noise=0.0, seed=2).values)
    noisy = synthetic_spectra.make(count=600, points=64, noise=0.3)
    assert noisy.values.shape == (600, 64, 1) and len(set(noisy.label)) == 6 and len(set(noisy.group)) == 12
    # Without noise a spectrum is smooth, with noise neighbours differ by about sqrt(2) times its deviation.
    assert np.abs(np.diff(noisy.values[:, :, 0], axis=1)).mean() > np.abs(np.diff(made.values[:, :, 0], axis=1)).mean()
    path = tmp_path / "spectra.npz"
    assert synthetic_spectra.main([str(path), "--count", "120", "--points", "64"]) == 0
    task = audio_tasks.load("timeseries", data_dir=path, group="group")
    assert task.num_classes == 6 and task.input_shape == (64, 1, 1)
    assert synthetic_spectra.main([str(tmp_path / "spectra.csv")]) == 2
    assert "OUT.npz is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": 31}, "points is 31, but must be from 32 to 65536"),
        ({"substances": 1}, "substances is 1, but must be from 2 to 20"),
        ({"noise": -1}, "noise is -1, but must be from 0 to 10"),
    ],
)
def test_spectra_that_cannot_be_made(options, message):
    with pytest.raises(ArgumentError) as caught:
        synthetic_spectra.make(**options)
    assert str(caught.value) == message
