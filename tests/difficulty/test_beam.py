"""The transform on Beam's direct runner."""

import pickle

import numpy as np
import pytest

import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.errors import ArgumentError, ModelFileError

pytest.importorskip("apache_beam", reason="apache-beam is not installed: pip install '.[beam]'")

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from bnn_exit.difficulty.beam import ScoreClips

pytestmark = pytest.mark.filterwarnings(
    "default::DeprecationWarning", "default::FutureWarning", "default::ResourceWarning"
)


@pytest.fixture
def pipeline():
    return beam.Pipeline(runner="DirectRunner")


def test_rows_are_those_of_estimate_and_failures_are_told(model, session, words, tmp_path, pipeline):
    (tmp_path / "empty.wav").touch()
    paths = sorted(str(path) for path in words.glob("*/*.wav"))
    expected = list(bnn_exit.difficulty.estimate(session, paths, operating_point="fast").rows())
    with pipeline:
        scored = (
            pipeline
            | beam.Create([*paths, str(tmp_path / "empty.wav"), str(tmp_path / "none.wav")])
            | ScoreClips(model, operating_point="fast")
        )
        assert_that(scored.rows, equal_to(expected), label="rows")
        errors = scored.failed | beam.Map(lambda failed: (failed["path"], failed["error"].split(":")[1].split(";")[0]))
        told = [
            (str(tmp_path / "empty.wav"), " the file is empty"),
            (str(tmp_path / "none.wav"), " cannot be read"),
        ]
        assert_that(errors, equal_to(told), label="failed")


def test_waveforms_and_thresholds(model, session, pipeline):
    clips = [(f"c{seed}", np.random.default_rng(seed).normal(0, 0.2, 720).astype(np.float32)) for seed in range(5)]
    expected = list(bnn_exit.difficulty.estimate(session, clips, thresholds=[0.0, 2.0]).rows())
    assert {row["exit"] for row in expected} == {2}
    with pipeline:
        scored = pipeline | beam.Create([*clips, ("none", np.zeros(0))]) | ScoreClips(model, thresholds=[0, 2])
        assert_that(scored.rows, equal_to(expected), label="rows")
        failed = {"path": "none", "error": "none: waveform has 0 samples, but must have at least 1"}
        assert_that(scored.failed, equal_to([failed]), label="failed")


def test_clips_that_were_resampled_are_counted(model, tmp_path):
    for index, rate in enumerate((8000, 16000, 44100)):
        wav.write(tmp_path / f"{index}.wav", np.full(720, 0.1, np.float32), sample_rate_hz=rate)
    pipeline = beam.Pipeline(runner="DirectRunner")
    pipeline | beam.Create([str(tmp_path / f"{index}.wav") for index in range(3)]) | ScoreClips(model)
    done = pipeline.run()
    done.wait_until_finish()
    (counted,) = done.metrics().query(beam.metrics.MetricsFilter().with_name("resampled"))["counters"]
    assert (counted.key.metric.namespace, counted.committed) == ("bnn_exit", 2)


def test_the_transform_carries_the_model(model, tmp_path, words, pipeline):
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(model.read_bytes())
    transform = ScoreClips(copy, backend="reference")
    copy.unlink()
    assert pickle.loads(pickle.dumps(transform._score))._data == model.read_bytes()
    path = str(words / "yes" / "0.wav")
    with pipeline:
        scored = pipeline | beam.Create([path]) | transform
        assert_that(scored.rows | beam.Map(lambda row: row["path"]), equal_to([path]))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"operating_point": "fats"}, ArgumentError, "operating point is 'fats', .* did you mean 'fast'"),
        ({"thresholds": [1]}, ArgumentError, "thresholds has 1 value"),
        ({"backend": "tpu"}, ArgumentError, "backend is 'tpu', but must be one of"),
        ({"model": "none.tflite"}, ModelFileError, "no such file or folder: 'none.tflite'"),
    ],
)
def test_mistakes_are_told_where_the_pipeline_is_made(model, options, kind, message):
    with pytest.raises(kind, match=message):
        ScoreClips(**{"model": model, **options})


def test_wav_files_are_read_through_beam_s_file_systems(model, tmp_path, pipeline):
    wav.write(tmp_path / "a.wav", np.full(300, 0.5, np.float32), sample_rate_hz=8000)
    with pipeline:
        scored = pipeline | beam.Create([f"nothing://{tmp_path}/a.wav"]) | ScoreClips(model)
        errors = scored.failed | beam.Map(lambda failed: failed["error"].split(": ")[1])
        assert_that(errors, equal_to(["cannot be read"]))
