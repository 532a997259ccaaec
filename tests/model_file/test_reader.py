import dataclasses
import json
import os

import numpy as np
import pytest
import tiny_files as tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, ModelFileError
from bnn_exit.model_file import metadata, reader
from bnn_exit.model_file.metadata import Metadata
from bnn_exit.settings.features import FeatureConfig


@pytest.fixture
def write(tmp_path):
    def write_file(data):
        path = tmp_path / "model.tflite"
        path.write_bytes(data)
        return path

    return write_file


def edited(**changes):
    """The metadata's JSON with some values changed; None takes a key out."""
    values = {**json.loads(tiny.metadata().to_json()), **changes}
    return json.dumps({name: value for name, value in values.items() if value is not None}).encode()


def test_metadata_survive_the_way_through_json():
    before = tiny.metadata(labels=("نعم", "no", "other"))
    after = Metadata.from_json(before.to_json())
    assert after == before
    assert after.exits[1] == Cost(binary_macs=200, float_macs=20, bytes=2000)
    assert after.features == tiny.FEATURES
    assert after.operating_points["balanced"].thresholds == (0.5, 0.5)
    assert json.loads(before.to_json())["format"] == metadata.FORMAT_VERSION == 1


def test_what_a_policy_learned_is_kept_and_files_without_it_are_read():
    learned = {"temperatures": [1.0, 2.0, 0.5]}
    metadata = Metadata.from_json(edited(policy="scaled_margin", policy_settings=learned))
    assert metadata.policy_dict == {"name": "scaled_margin", **learned}
    assert Metadata.from_json(metadata.to_json()) == metadata
    assert Metadata.from_json(edited(policy_settings=None)) == tiny.metadata()


def test_what_load_gives(write):
    path = write(tiny.adaptive_file(output_order="isp"))
    loaded = reader.read(str(path))
    assert loaded.path == path
    assert loaded.data == path.read_bytes()
    assert loaded.metadata == tiny.metadata()
    assert loaded.inputs == {"log_mel": 0, "thresholds": 1}
    assert loaded.outputs == {"probabilities": 2, "exit_index": 0, "score": 1}
    assert len(loaded.model.subgraphs) == 5


def test_arguments_are_in_the_order_of_the_network(write):
    loaded = reader.read(write(tiny.adaptive_file()))
    swapped = dataclasses.replace(loaded, inputs={"thresholds": 1, "log_mel": 0})
    clip, thresholds = swapped.arguments(np.arange(12).reshape(3, 4), [0.25, 1])
    assert clip.shape == (1, 3, 4, 1) and clip.dtype == np.float32 and clip[0, 1, 0, 0] == 4
    assert thresholds.tolist() == [0.25, 1] and thresholds.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"probabilities": np.zeros(2, np.float32)},
            "returned 2 values of float32 as probabilities, but must return 3",
        ),
        ({"exit_index": np.float32([1])}, "returned 1 values of float32 as exit_index, but must return 1 of int32"),
        (
            {"exit_index": np.int32([3])},
            "the network returned exit_index 3, but must return 0 to 2: export",
        ),
        (
            {"exit_index": np.int32([-1])},
            "the network returned exit_index -1, but must return 0 to 2: export",
        ),
    ],
)
def test_outputs_that_do_not_fit_the_metadata(write, change, message):
    loaded = reader.read(write(tiny.adaptive_file()))
    results = {"probabilities": np.zeros((1, 3), np.float32), "score": np.zeros(1, np.float32)}
    results["exit_index"] = np.zeros(1, np.int32)
    ordered = sorted(loaded.outputs, key=loaded.outputs.get)
    with pytest.raises(ModelFileError, match=message):
        loaded.unpack([{**results, **change}[name] for name in ordered])


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelFileError, match=r"cannot read the model file: no such file or folder: '.*absent\.tflite'"):
        reader.read(tmp_path / "absent.tflite")


def test_a_folder(tmp_path):
    with pytest.raises(ModelFileError, match=r"is a folder: give the model file, such as .*model\.tflite"):
        reader.read(tmp_path)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(write):
    path = write(b"")
    path.chmod(0)
    with pytest.raises(ModelFileError, match="permission denied"):
        reader.read(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"model\.tflite: this is not a TFLite file: it is empty"),
        (b"RIFF....WAVEfmt ", r"model\.tflite: this is not a TFLite file: it does not begin as one"),
        (b"\x1c\0\0\0TFL3", r"model\.tflite: this file is damaged \(.* is it truncated\?\): copy it again"),
    ],
)
def test_a_file_that_is_none(write, data, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        reader.read(write(data))
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused(write):
    data = tiny.adaptive_file()
    for size in range(0, len(data) - 16, 23):
        with pytest.raises(ModelFileError):
            _ = reader.read(write(data[:size])).model


def test_a_tflite_file_that_is_not_ours(write):
    file = tiny.File()
    graph = file.graph()
    graph.outputs(graph.operator("NEG", [graph.input((1,))], [((1,), "float32")]))
    with pytest.raises(
        ModelFileError,
        match=r"model\.tflite: this file was not written by bnn_exit: "
        r"export it with python -m bnn_exit\.export or bnn_exit\.export$",
    ):
        reader.read(write(file.bytes()))


def test_a_newer_format(write):
    with pytest.raises(
        ModelFileError,
        match=r"this file is of format 2, this bnn_exit reads up to 1: update it, then pip install",
    ):
        reader.read(write(tiny.adaptive_file(meta=edited(format=2, labels={"another": "layout"}))))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (b"\xff\xfe", r"metadata is not JSON"),
        (b"{", r"metadata is not JSON"),
        (b"[" * 100_000, r"metadata is not JSON"),
        (b"[]", "metadata has no format version"),
        (edited(format="1"), "metadata has no format version"),
        (edited(format=True), "metadata has no format version"),
        (edited(labels=None, task=None), "metadata lacks labels, task: export the model again"),
        (edited(labels="yes"), "labels is 'yes', but must be a list"),
        (edited(labels=["yes"]), "labels is .* at least two non-empty names"),
        (edited(labels=["yes", "yes", "no"]), "labels is .* names that all differ"),
        (edited(labels=["yes", 3, "no"]), "labels is .* non-empty names"),
        (edited(input="video"), "input is 'video', but must be log_mel or waveform, as its features are"),
        (edited(clip_samples=0), "clip_samples is 0, but must be a whole number of at least 1"),
        (edited(clip_samples=1.5), "clip_samples is 1.5"),
        (edited(task=5), "task is 5, but must be text"),
        (edited(exits=[]), "exits is .* at least one exit"),
        (edited(exits=[{"binary_macs": -1, "float_macs": 0}]), "binary_macs is -1"),
        (edited(exits=[3]), "metadata is not usable"),
        (edited(features={"num_mels": 4, "num_melts": 3}), "num_melts.*did you mean 'num_mels'"),
        (edited(features={"window_ms": float("nan")}), "metadata is not JSON .*NaN is not a JSON number"),
        (edited(features={"num_mels": "many"}), "metadata is not usable"),
        (edited(operating_points={"balanced": {}}), "metadata is not usable"),
        (edited(operating_points=[1]), "operating_points is .* but must be a dict"),
        (edited(model="quicknet"), "model is 'quicknet', but must be a dict"),
        (edited(policy_settings=[1]), r"policy_settings is \[1\], but must be a dict"),
        (
            edited(policy_settings={"temperatures": [1]}),
            "policy entropy has the settings temperatures, but must have none",
        ),
        (
            edited(policy="scaled_margin", policy_settings={"temperatures": [1.0, 2.0]}),
            "policy_settings is .* but must be of a network with 3 exits and 3 classes",
        ),
    ],
)
def test_metadata_that_break_a_rule(write, meta, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        reader.read(write(tiny.adaptive_file(meta=meta)))
    assert "\n" not in str(caught.value)


def test_metadata_are_checked_before_they_are_written_too():
    with pytest.raises(ArgumentError, match=r"operating_points\['fast'\].thresholds is .* but must be 1 values for 2"):
        tiny.metadata(exits=2, operating_points={"fast": tiny.metadata(exits=3).operating_points["fast"]})
    with pytest.raises(ArgumentError, match="operating_points is 'slow', but must be filed under its own name 'fast'"):
        tiny.metadata(operating_points={"slow": tiny.metadata().operating_points["fast"]})
    with pytest.raises(ArgumentError, match="metadata cannot be written as JSON"):
        tiny.metadata(model={"weights": np.zeros(3)}).to_json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": ("yes", "no")},
            r"output probabilities is float32 \[1, 3\], but the metadata has float32 \[1, 2\]",
        ),
        ({"exits": 2}, r"input thresholds is float32 \[2\], but the metadata has float32 \[1\]"),
        ({"clip_samples": 16000}, r"input log_mel is float32 \[1, 3, 4, 1\], but .* \[1, 98, 4, 1\]"),
        ({"features": FeatureConfig(num_mels=8)}, r"input log_mel is .* \[1, 3, 8, 1\]"),
        ({"input": "waveform"}, "the signature serving_default has no input waveform"),
    ],
)
def test_metadata_that_do_not_fit_the_network(write, changes, message):
    with pytest.raises(ModelFileError, match=message):
        reader.read(write(tiny.adaptive_file(meta=tiny.metadata(**changes).to_json())))


def test_a_network_without_our_signature(write):
    file = tiny.File()
    graph = file.graph()
    graph.outputs(graph.operator("NEG", [graph.input((1,))], [((1,), "float32")]))
    file.metadata("bnn_exit", tiny.metadata().to_json())
    with pytest.raises(ModelFileError, match="the signature serving_default of the main subgraph is missing"):
        reader.read(write(file.bytes()))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            [((1, 3), "float32"), ((1,), "float32"), ((1,), "float32")],
            r"exit_index is float32 \[1\], but .* int32 \[1\]",
        ),
        ([((1, 3), "float32"), ((1,), "int32"), ((2,), "float32")], r"score is float32 \[2\], but .* float32 \[1\]"),
        ([((1, 3), "float32"), ((1,), "int32"), ((1,), "float32"), ((1,), "float32")], "the network has 4 outputs"),
    ],
)
def test_outputs_that_are_not_as_promised(write, shapes, message):
    file = tiny.File()
    graph = file.graph()
    source, thresholds = graph.input((1, 3, 4, 1)), graph.input((2,))
    found = [graph.operator("NEG", [source], [shape])[0] for shape in shapes]
    graph.outputs(found)
    names = ("probabilities", "exit_index", "score")
    file.signature({"log_mel": source, "thresholds": thresholds}, dict(zip(names, found, strict=False)))
    file.metadata("bnn_exit", tiny.metadata().to_json())
    with pytest.raises(ModelFileError, match=message):
        reader.read(write(file.bytes()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from([field.name for field in dataclasses.fields(Metadata)]), value=JSON)
def test_any_value_anywhere_in_the_metadata(name, value):
    data = json.dumps({**json.loads(tiny.metadata().to_json()), name: value}).encode()
    try:
        metadata = Metadata.from_json(data)
    except ModelFileError as error:
        assert "\n" not in str(error)
    else:
        assert Metadata.from_json(metadata.to_json()) == metadata


@given(
    point=st.sampled_from(["thresholds", "accuracy", "exit_shares", "mean_cost", "name", "sample_count"]), value=JSON
)
def test_any_value_anywhere_in_an_operating_point(point, value):
    values = json.loads(tiny.metadata().to_json())
    values["operating_points"]["fast"][point] = value
    try:
        Metadata.from_json(json.dumps(values).encode())
    except ModelFileError as error:
        assert "\n" not in str(error)
