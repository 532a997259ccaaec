import dataclasses
import json
import shutil

import numpy as np
import pytest

from bnn_exit import pretrained
from bnn_exit.errors import DataError, ModelFileError
from bnn_exit.model_file import flatbuffer, reader, rewrite
from bnn_exit.model_file.metadata import METADATA_NAME
from bnn_exit.model_file.operating_points import OperatingPoint
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.backends import installed


@pytest.fixture
def run(tmp_path):
    shutil.copy(pretrained.resolve(next(iter(pretrained.models()))), tmp_path / "model.tflite")
    return tmp_path


def point(name, *thresholds, confidence=None):
    shares = (0.5, *(0.0,) * (len(thresholds) - 1), 0.5)
    cost = {"binary_macs": 1.0, "float_macs": 2.0, "ops": 2.0}
    return OperatingPoint(name, thresholds, 0.01, 0.9, shares, cost, sample_count=7, confidence=confidence)


def test_a_point_gets_into_the_file_and_nothing_else_changes(run):
    before = reader.read(run / "model.tflite")
    exits = len(before.metadata.exits)
    mine = point("mine", *[0.25] * (exits - 1), confidence=0.95)
    assert RunFolder(run).add_operating_points({"mine": mine}) == [run / "operating_points.json", run / "model.tflite"]
    after = reader.read(run / "model.tflite")
    assert after.metadata.operating_points == {**before.metadata.operating_points, "mine": mine}
    assert after.model.subgraphs[0].operators == before.model.subgraphs[0].operators
    # The network's bytes stay where they were, but for the offset to the metadata.
    old, new = (np.frombuffer(each.data[: len(before.data)], np.uint8) for each in (before, after))
    assert (old != new).sum() <= 4
    assert json.loads((run / "operating_points.json").read_text())["mine"]["confidence"] == 0.95


def test_every_backend_takes_the_new_point(run):
    exits = len(reader.read(run / "model.tflite").metadata.exits)
    RunFolder(run).add_operating_points(
        {"never": point("never", *[0.0] * (exits - 1)), "at_once": point("at_once", *[2.0] * (exits - 1))}
    )
    for backend in installed():
        session = runtime.load(run / "model.tflite", backend=backend)
        waveform = np.random.default_rng(0).normal(0, 0.1, session.metadata.clip_samples).astype(np.float32)
        assert session.predict(waveform, operating_point="never").exit_index == exits - 1
        assert session.predict(waveform, operating_point="at_once").exit_index == 0


def test_storing_again_and_again_does_not_make_the_file_grow(run):
    exits = len(reader.read(run / "model.tflite").metadata.exits)
    sizes = []
    for value in (0.1, 0.2, 0.3, 0.4):
        RunFolder(run).add_operating_points({"mine": point("mine", *[value] * (exits - 1))})
        sizes.append((run / "model.tflite").stat().st_size)
    assert len(set(sizes)) == 1
    assert reader.read(run / "model.tflite").metadata.operating_points["mine"].thresholds == (0.4,) * (exits - 1)
    assert RunFolder(run).operating_points()["mine"].thresholds == (0.4,) * (exits - 1)


def test_metadata_of_any_length_is_read_back(run):
    data = (run / "model.tflite").read_bytes()
    for value in (b"", b"x", b"y" * 100_000, b"z" * 3):
        data = rewrite.with_metadata(data, "bnn_exit", value)
        assert flatbuffer.read(data).metadata["bnn_exit"] == value
    with pytest.raises(ModelFileError, match="the file has no metadata other"):
        rewrite.with_metadata(data, "other", b"x")


def test_a_point_that_does_not_fit_changes_nothing(run):
    before = (run / "model.tflite").read_bytes()
    exits = len(reader.read(run / "model.tflite").metadata.exits)
    with pytest.raises(ModelFileError, match=r"cannot take the operating points: .*mine.* but must be \d+ values for"):
        RunFolder(run).add_operating_points({"mine": point("mine", *[0.1] * (exits + 1))})
    assert (run / "model.tflite").read_bytes() == before
    assert [path.name for path in run.iterdir()] == ["model.tflite"]


def test_a_run_without_a_file_keeps_the_point_alone(tmp_path):
    path = tmp_path / "operating_points.json"
    assert RunFolder(tmp_path).add_operating_points({"mine": point("mine", 0.1)}) == [path]
    assert RunFolder(tmp_path).operating_points() == {"mine": point("mine", 0.1)}
    (tmp_path / "operating_points.json").write_text("[]")
    with pytest.raises(
        DataError, match=r"operating_points.json cannot be read .*: python -m bnn_exit.train --resume .* makes"
    ):
        RunFolder(tmp_path).operating_points()
    (tmp_path / "operating_points.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"operating_points.json cannot be read"):
        RunFolder(tmp_path).operating_points()


def test_the_policy_of_a_run_is_that_of_its_file(run, tmp_path_factory):
    assert RunFolder(run).policy() == {"name": reader.read(run / "model.tflite").metadata.policy}
    file = reader.read(run / "model.tflite")
    exits = len(file.metadata.exits)
    learned = {"temperatures": [1.0] * exits}
    metadata = dataclasses.replace(file.metadata, policy="scaled_margin", policy_settings=learned).to_json()
    (run / "model.tflite").write_bytes(rewrite.with_metadata(file.data, METADATA_NAME, metadata))
    assert RunFolder(run).policy() == {"name": "scaled_margin", **learned}
    assert RunFolder(tmp_path_factory.mktemp("none")).policy() == {"name": "margin"}
