import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.difficulty import clips as clips_module
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.policies import rule
from bnn_exit.runtime.scoring import ClipCounts


def clip(seed=0, samples=720):
    return np.random.default_rng(seed).normal(0, 0.3, samples).astype(np.float32)


def test_a_row_says_what_the_session_says(session):
    clips = [(f"c{seed}", clip(seed)) for seed in range(20)]
    for thresholds in ([0.5, 0.5], [0.9, 0.8], [0, 2]):
        table = bnn_exit.difficulty.estimate(session, clips, thresholds=thresholds)
        for index, (name, waveform) in enumerate(clips):
            prediction = session.predict(waveform, thresholds=thresholds)
            assert table.names[index] == name
            assert table.exit_index[index] == prediction.exit_index
            assert table.class_names[table.predicted[index]] == prediction.label
            assert table.scores[index, prediction.exit_index] == pytest.approx(prediction.score)
            outputs = session.exit_probabilities(waveform)
            expected = bnn_exit.difficulty.from_probabilities([outputs], [[0, 0, 0]], thresholds=[0, 0])
            assert table.difficulty[index] == expected.difficulty[0]


def test_operating_points_and_labels_by_name(session):
    clips = [("a", clip(0)), ("b", clip(1))]
    table = bnn_exit.difficulty.estimate(session, clips, operating_point="full", labels=["no", None])
    assert table.exit_index.tolist() == [2, 2] and table.labels.tolist() == [1, -1]
    assert bnn_exit.difficulty.estimate(session, clips, operating_point="fast").exit_index.tolist() == [0, 0]


def test_paths_and_waveforms_are_the_same_clip(session, tmp_path):
    wav.write(tmp_path / "a.wav", clip(), sample_rate_hz=16000)
    waveform = wav.read(tmp_path / "a.wav")
    table = bnn_exit.difficulty.estimate(session, [tmp_path / "a.wav", ("a", waveform)])
    assert table.difficulty[0] == table.difficulty[1]
    assert table.names == (str(tmp_path / "a.wav"), "a")


def test_waveforms_without_names_are_called_by_their_number(session, tmp_path):
    wav.write(tmp_path / "a.wav", clip(1), sample_rate_hz=16000)
    table = bnn_exit.difficulty.estimate(session, [clip(0), tmp_path / "a.wav", clip(2).tolist()])
    assert table.names == ("0", str(tmp_path / "a.wav"), "2")
    named = bnn_exit.difficulty.estimate(session, [("first", clip(0)), ("last", clip(2))])
    assert table.difficulty[[0, 2]].tolist() == named.difficulty.tolist()
    assert bnn_exit.difficulty.estimate(session, np.stack([clip(0), clip(2)])).names == ("0", "1")


@pytest.mark.parametrize(
    ("clips", "options", "kind", "message"),
    [
        ("a.wav", {}, ArgumentError, "^clips is 'a.wav', but must be a list$"),
        (Path("a.wav"), {}, ArgumentError, "^clips is 'a.wav', but must be a list$"),
        (clip(), {}, ArgumentError, r"^clips is one array of shape \(720,\), but must be a list$"),
        ([DataError("list.txt: nothing in it")], {}, DataError, "^list.txt: nothing in it$"),
        ([0.5], {}, ArgumentError, "waveform"),
        ([], {}, ArgumentError, "clips is empty, but must hold at least one clip"),
        (["nothing.wav"], {}, DataError, "nothing.wav: no such audio file"),
        ([("a", clip())], {"labels": []}, ArgumentError, "labels has 0 entries, but there are 1 clip"),
        (
            [("a", clip())],
            {"labels": ["yse"]},
            ArgumentError,
            "label is 'yse', but .* did you mean 'yes'",
        ),
        (
            [("a", clip())],
            {"operating_point": "fats"},
            ArgumentError,
            "point is 'fats', .* did you mean 'fast'",
        ),
        ([("a", clip())], {"thresholds": [1]}, ArgumentError, "thresholds has 1 value"),
        ([("a", np.zeros(0))], {}, ArgumentError, "waveform has 0 samples"),
        ([("a", np.full(720, np.nan))], {}, ArgumentError, "waveform has 720 NaN or infinite samples"),
    ],
)
def test_mistakes_of_a_caller(session, clips, options, kind, message):
    with pytest.raises(kind, match=message):
        bnn_exit.difficulty.estimate(session, clips, **options)


def streamed(session, clips, **options):
    counts, reported = ClipCounts(), []
    options = {"thresholds": [0.5, 0.5], **options}
    tables = list(clips_module.tables(session, clips, counts=counts, report=reported.append, **options))
    return tables, counts, reported


def test_a_stream_is_taken_in_small_tables(session):
    tables, counts, told = streamed(session, ((f"c{seed}", clip(seed)) for seed in range(150)))
    assert [len(table) for table in tables] == [64, 64, 22]
    whole = bnn_exit.difficulty.estimate(
        session, [(f"c{seed}", clip(seed)) for seed in range(150)], thresholds=[0.5, 0.5]
    )
    assert np.concatenate([table.difficulty for table in tables]).tolist() == whole.difficulty.tolist()
    assert (counts.scored, counts.failed, told) == (150, 0, [])


def test_a_stream_holds_no_more_than_a_table_of_clips(session):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield "c", clip()

    next(clips_module.tables(session, endless(), thresholds=[0, 0], counts=ClipCounts(), report=print))
    assert len(taken) == clips_module.BATCH


def test_what_cannot_be_used_is_told_and_the_others_go_on(session, tmp_path):
    wav.write(tmp_path / "good.wav", clip(), sample_rate_hz=16000)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "broken.wav").write_bytes(b"RIFF, but no")
    clips = [tmp_path / "empty.wav", tmp_path / "good.wav", tmp_path / "broken.wav", tmp_path / "none.wav"]
    clips += ["null\0.wav"]
    clips += [("silent", np.zeros(0, np.float32)), DataError("list.txt: nothing in it"), tmp_path]
    (table,), counts, told = streamed(session, clips)
    assert table.names == (str(tmp_path / "good.wav"),)
    assert (counts.scored, counts.failed) == (1, 7)
    starts = [f"{tmp_path}/empty.wav: the file is empty", f"{tmp_path}/broken.wav: ", f"{tmp_path}/none.wav: no such"]
    starts += ["null\0.wav: no path of a file"]
    starts += ["silent: waveform has 0 samples", "list.txt: nothing in it", f"{tmp_path}: a folder, not an audio file"]
    assert len(told) == 7
    for line, start in zip(told, starts, strict=True):
        assert line.startswith(f"error: {start}") and "\n" not in line


def test_quiet_clips_are_told_once_and_counted(session):
    clips = [(f"clip {gain}", gain * clip()) for gain in (1, 0.001, 0.002, 0.5, 0)]
    (table,), counts, told = streamed(session, clips)
    assert (len(table), counts.quiet) == (5, 3)
    assert len(told) == 1 and told[0].startswith("warning: clip 0.001: its active level is ")
    (note,) = counts.lines()
    assert note.startswith("note: 3 of 5 clips are far below the level of speech")
    with pytest.warns(UserWarning, match="3 of 5 clips are far below"):
        bnn_exit.difficulty.estimate(session, clips)


def test_a_network_that_normalises_levels_recognises_quieter_clips(session, monkeypatch):
    clips = [(f"clip {gain}", gain * clip()) for gain in (1, 0.01, 0.001)]
    assert streamed(session, clips)[1].quiet == 2
    monkeypatch.setattr(type(session.metadata), "normalises_level", True)
    assert streamed(session, clips)[1].quiet == 1


def test_a_clip_that_takes_too_much_memory_is_told_and_the_others_go_on(session, monkeypatch):
    infer = type(session).infer_exit

    def little_memory(self, inputs, exit_index):
        if np.abs(inputs).sum() == most:
            raise MemoryError
        return infer(self, inputs, exit_index)

    most = np.abs(session.inputs(clip(1))).sum()
    monkeypatch.setattr(type(session), "infer_exit", little_memory)
    (table,), counts, told = streamed(session, [(f"{seed}", clip(seed)) for seed in range(3)])
    assert table.names == ("0", "2") and counts.failed == 1
    assert told == ["error: 1: there is too little free memory to classify it"]


def test_another_sample_rate_is_resampled_and_told_once(session, tmp_path):
    for rate in (8000, 16000, 44100):
        for index in range(2):
            wav.write(tmp_path / f"{rate}-{index}.wav", clip(), sample_rate_hz=rate)
    (table,), counts, told = streamed(session, sorted(tmp_path.iterdir()))
    assert len(table) == 6 and counts.resampled == {8000: 2, 44100: 2}
    assert sorted(told) == [
        f"note: {tmp_path}/44100-0.wav: 44100 Hz, resampled to the model's 16000 Hz",
        f"note: {tmp_path}/8000-0.wav: 8000 Hz, resampled to the model's 16000 Hz",
    ]
    waveform = wav.read(tmp_path / "8000-0.wav", sample_rate_hz=16000)
    assert list(counts.lines()) == [
        "note: 2 of 6 clips were resampled from 8000 Hz",
        "note: 2 of 6 clips were resampled from 44100 Hz",
    ]
    with pytest.warns(UserWarning, match="^2 of 6 clips were resampled from 8000 Hz; 2 of 6 .* from 44100 Hz$") as told:
        same = bnn_exit.difficulty.estimate(session, sorted(tmp_path.iterdir()), thresholds=[0.5, 0.5])
    assert len(told) == 1 and told[0].filename == __file__
    assert same.difficulty.tolist() == table.difficulty.tolist()
    direct = bnn_exit.difficulty.estimate(session, [("a", waveform)])
    assert direct.difficulty[0] == table.difficulty[list(table.names).index(f"{tmp_path}/8000-0.wav")]


def test_a_damaged_network_is_reported_for_its_clip(session, monkeypatch):
    third = np.ones(3, np.float32) / 3
    monkeypatch.setattr(type(session._backend), "infer", lambda self, inputs, thresholds: (third, 2, 0.1))
    tables, counts, reported = streamed(session, [("a clip", clip())])
    assert tables == [] and counts.failed == 1
    assert re.fullmatch(r"error: a clip: .*exit 1 was forced, but .* left at exit 3.*export it again", reported[0])
    monkeypatch.setattr(type(session), "infer_exit", lambda self, inputs, index: (third * np.float32(np.nan), np.nan))
    tables, counts, reported = streamed(session, [("a clip", clip())])
    assert tables == [] and counts.failed == 1
    assert re.fullmatch(r"error: a clip: exit 1 gives NaN or infinity .*damaged, export it again", reported[0])


def test_a_file_without_operating_points_asks_for_thresholds(session):
    bare = dataclasses.replace(
        session.model_file, metadata=dataclasses.replace(session.model_file.metadata, operating_points={})
    )
    with pytest.raises(ArgumentError, match=r"model\.tflite has no operating points: give 2 thresholds"):
        bare.thresholds()
    limits = bare.thresholds(thresholds=[0.1, rule.ALWAYS])
    assert limits.tolist() == pytest.approx([0.1, rule.ALWAYS])
