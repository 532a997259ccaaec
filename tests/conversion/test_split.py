"""Cutting a model file in two: what travels, and that both halves together are the whole file."""

import ctypes
import dataclasses
import hashlib
import types

import numpy as np
import pytest
from tiny import tiny_model

import bnn_exit
from bnn_exit import policies
from bnn_exit._keras import set_seed
from bnn_exit.conversion import split
from bnn_exit.conversion.to_lce import convert
from bnn_exit.errors import ArgumentError, ModelFileError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file import flatbuffer, reader
from bnn_exit.model_file.split import decode_half, read_half, require_same
from bnn_exit.models.multi_exit import build
from bnn_exit.offload import packet
from bnn_exit.offload.halves import DeviceHalf, ServerHalf
from bnn_exit.policies import rule
from bnn_exit.runtime import native_backend
from bnn_exit.settings.features import FeatureConfig

FEATURES = FeatureConfig(num_mels=32)
SAMPLES = 8000
FRAMES = FEATURES.num_frames(SAMPLES)
TASK = types.SimpleNamespace(
    name="made",
    labels=("yes", "no", "up"),
    features=FEATURES,
    clip_samples=SAMPLES,
    licence="CC0",
    attribution="nobody",
)


def whole_file(model, folder, *, policy=None):
    path = folder / "model.tflite"
    path.write_bytes(convert(model, task=TASK, operating_points={}, input="log_mel", policy=policy))
    return reader.read(path)


def halves_of(file, folder, made, *, backend):
    (folder / "device.tflite").write_bytes(made.device)
    (folder / "server.tflite").write_bytes(made.server)
    device = DeviceHalf(folder / "device.tflite", backend=backend)
    return device, ServerHalf(folder / "server.tflite", backend=backend)


def clips(count, seed=0):
    return np.random.default_rng(seed).normal(-5, 3, (count, FRAMES, FEATURES.num_mels)).astype(np.float32)


def tiny(channels, **more):
    set_seed(1)
    return tiny_model(num_classes=3, input_shape=(FRAMES, 32, 1), channels=channels, **more)


def answers(device, server, clip, thresholds, *, packed=True):
    """Probabilities, exit and score of both halves together, by way of a packet."""
    answer, leaves, tensors = device(clip, thresholds)
    if not leaves:
        received = packet.decode(packet.encode(tensors, device.split), device.split) if packed else tensors
        answer = server(received, thresholds)
    return answer.probabilities, answer.exit_index, answer.score


def assert_same_everywhere(file, device, server):
    session, exits = bnn_exit.load(file.path, backend=device.backend), len(file.metadata.exits)
    settings = [rule.forcing_thresholds(index, exits=exits) for index in range(exits)]
    for clip in clips(3):
        for thresholds in settings:
            found, expected = answers(device, server, clip, thresholds), session.infer(clip, thresholds)
            np.testing.assert_array_equal(found[0], expected[0])
            assert found[1:] == expected[1:]


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_where_only_binary_layers_read_bits_travel_and_nothing_is_lost(tmp_path, after, backend):
    # Widths that differ leave no shortcut, so every reader of the features is binary.
    file = whole_file(tiny((32, 64, 32, 64)), tmp_path)
    made = split.cut(file, after)
    (traveller,) = made.split.travels
    height, width = -(-FRAMES // 4), 8
    channels = (32, 64, 32)[after - 1]
    assert (traveller.code, traveller.shape) == ("bits", (1, height, width, channels // 32))
    assert made.captured == height * width * channels and made.split.packed_bytes == made.captured // 8
    device, server = halves_of(file, tmp_path, made, backend=backend)
    assert_same_everywhere(file, device, server)


@pytest.mark.parametrize("after", [1, 2])
def test_with_a_shortcut_floats_travel_and_raw_ones_lose_nothing(tmp_path, after):
    file = whole_file(tiny((16, 16, 16)), tmp_path)
    assert [each.code for each in split.cut(file, after).split.travels] == ["linear"]
    made = split.cut(file, after, raw=True)
    assert [each.code for each in made.split.travels] == ["float"] and made.split.is_exact
    assert_same_everywhere(file, *halves_of(file, tmp_path, made, backend="native"))


def test_in_a_strided_stage_bits_and_the_averages_of_the_shortcut_travel(tmp_path):
    set_seed(2)
    model = build("quicknet", size="medium", num_classes=3, input_shape=(FRAMES, 32, 1))
    file = whole_file(model, tmp_path)
    for after in (1, 2):
        made = split.cut(file, after, raw=True)
        assert sorted(each.code for each in made.split.travels) == ["bits", "float"]
        values = {each.code: each.values for each in made.split.travels}
        _, height, width, channels = model.stages[after - 1].output_shape
        assert values["bits"] == height * width * channels // 32
        assert values["float"] == -(-height // 2) * -(-width // 2) * channels
        assert_same_everywhere(file, *halves_of(file, tmp_path, made, backend="native"))


@pytest.mark.parametrize("name", ["patience", "scaled_entropy", "ensemble", "rejection", "commitment", "margin"])
def test_policies_with_a_memory_are_carried_over_the_cut(tmp_path, name):
    if name not in policies.POLICIES:
        name = next(each for each in policies.POLICIES if "scaled" in each or "temperature" in each)
    random = np.random.default_rng(3)
    logits = ExitLogits(
        random.normal(size=(60, 3, 3)).astype(np.float32),
        random.integers(0, 3, 60),
        split="validation",
        background=(2,),
    )
    file = whole_file(tiny((16, 16, 16)), tmp_path, policy=policies.fit(name, logits))
    for after in (1, 2):
        made = split.cut(file, after, raw=True)
        device, server = halves_of(file, tmp_path, made, backend="native")
        assert_same_everywhere(file, device, server)
        assert bnn_exit.load(tmp_path / "device.tflite").exits == after


def test_chained_heads_take_their_logits_along(tmp_path):
    file = whole_file(tiny((16, 16, 16), head="cascaded"), tmp_path)
    for after in (1, 2):
        made = split.cut(file, after, raw=True)
        assert (1, 3) in [each.shape for each in made.split.travels]
        assert_same_everywhere(file, *halves_of(file, tmp_path, made, backend="native"))


def test_the_device_alone_is_an_ordinary_file_of_fewer_exits(tmp_path):
    file = whole_file(tiny((16, 16, 16)), tmp_path)
    whole = bnn_exit.load(file.path)
    (tmp_path / "device.tflite").write_bytes(split.cut(file, 2).device)
    for backend in ("native", "reference"):
        session = bnn_exit.load(tmp_path / "device.tflite", backend=backend)
        assert session.exits == 2 and session.metadata.num_thresholds == 1
        for clip in clips(3):
            for index in range(2):
                probabilities, score = session.infer_exit(clip, index)
                expected, expected_score = whole.infer_exit(clip, index)
                np.testing.assert_allclose(probabilities, expected, atol=1e-6)
                assert score == pytest.approx(expected_score, abs=1e-6)


def test_what_does_not_travel_is_in_one_half_alone(tmp_path):
    file = whole_file(tiny((16, 16, 16)), tmp_path)
    made = split.cut(file, 1)
    convolutions = [
        sum(each.name == "LceBconv2d" for graph in flatbuffer.read(data).subgraphs for each in graph.operators)
        for data in (file.data, made.device, made.server)
    ]
    assert convolutions == [3, 1, 2]
    assert len(made.device) + len(made.server) < len(file.data) + 2 * len(made.split.to_json()) + 4096


def test_the_identity_is_of_the_file_and_of_the_cut(tmp_path):
    file = whole_file(tiny((16, 16, 16)), tmp_path)
    one, same, other = (split.cut(file, 1, bits=bits) for bits in (8, 8, 4))
    assert one.device == same.device and one.split.identity == same.split.identity != other.split.identity
    assert one.split.identity != hashlib.sha256(file.data).hexdigest()
    with pytest.raises(ModelFileError, match="they do not belong together"):
        require_same(one.split, other.split)
    require_same(one.split, same.split)


@pytest.mark.parametrize("after, why", [(0, "no exit of this network"), (3, "the last exit"), (4, "no exit")])
def test_there_must_be_something_on_both_sides(tmp_path, after, why):
    file = whole_file(tiny((16, 16, 16)), tmp_path)
    with pytest.raises(ArgumentError, match=f"after is {after}, {why}.*must be 1 to 2"):
        split.cut(file, after)


def test_a_network_of_one_exit_or_with_a_skip_gate_is_refused(tmp_path):
    file = whole_file(tiny((16, 16, 16)).truncated(0), tmp_path)
    with pytest.raises(ArgumentError, match="has one exit"):
        split.cut(file, 1)
    metadata = dataclasses.replace(file.metadata)
    object.__setattr__(metadata, "policy", "skip_gate")
    object.__setattr__(metadata, "exits", file.metadata.exits * 3)
    with pytest.raises(ArgumentError, match="skip_gate, whose gate decides for all exits"):
        split.cut(dataclasses.replace(file, metadata=metadata), 1)


def test_each_reader_wants_its_own_half(tmp_path):
    file = whole_file(tiny((16, 16, 16)), tmp_path)
    made = split.cut(file, 1)
    device, server = tmp_path / "device.tflite", tmp_path / "server.tflite"
    device.write_bytes(made.device)
    server.write_bytes(made.server)
    with pytest.raises(ModelFileError, match="this is the server's half of a split file"):
        bnn_exit.load(server)
    with pytest.raises(ModelFileError, match="this is the device's half, but the server's is needed"):
        read_half(device, role="server")
    with pytest.raises(ModelFileError, match="no half of a split one"):
        read_half(file.path, role="device")
    with pytest.raises(ModelFileError, match="cannot read the device's half"):
        read_half(tmp_path / "none.tflite", role="device")


def test_damaged_halves_are_refused_in_one_line(tmp_path):
    file = whole_file(tiny((16, 16, 16)), tmp_path)
    made = split.cut(file, 1)
    random = np.random.default_rng(5)
    refused = 0
    for role, data in (("device", made.device), ("server", made.server)):
        for _ in range(150):
            damaged = bytearray(data)
            for place in random.integers(0, len(data), 6):
                damaged[place] = random.integers(0, 256)
            try:
                half = decode_half(bytes(damaged), role=role, place=tmp_path / role)
                (DeviceHalf if role == "device" else ServerHalf)(half, backend="native")
            except ModelFileError as error:
                assert "\n" not in str(error)
                refused += 1
    assert refused > 10


def test_the_c_interface_takes_the_device_alone_and_refuses_the_server(tmp_path):
    made = split.cut(whole_file(tiny((16, 16, 16)), tmp_path), 2)
    library, size = native_backend._library(), ctypes.c_size_t
    handle, message = ctypes.c_void_p(), ctypes.create_string_buffer(512)

    class Prediction(ctypes.Structure):
        _fields_ = (
            *(("label", ctypes.c_char_p), ("label_index", ctypes.c_int32), ("exit_index", ctypes.c_int32)),
            *(("score", ctypes.c_float), ("probabilities", ctypes.POINTER(ctypes.c_float))),
        )

    def new(data):
        return library.bnn_exit_classifier_new(data, size(len(data)), None, ctypes.byref(handle), message, size(512))

    assert new(made.server) and b"this is the server's half of a split file" in message.value
    # Further outputs are allowed to halves alone.
    assert new(made.device.replace(b"bnn_exit_split", b"bnn_exit_other")) and b"not those of bnn_exit" in message.value
    assert not new(made.device), message.value
    (tmp_path / "device.tflite").write_bytes(made.device)
    session = bnn_exit.load(tmp_path / "device.tflite", backend="native")
    waveform, found = np.random.default_rng(0).normal(0, 0.1, SAMPLES).astype(np.float32), Prediction()
    for threshold in (0.0, 1000.0):
        status = library.bnn_exit_classify(
            handle, waveform.ctypes.data_as(ctypes.c_void_p), size(SAMPLES), None, (ctypes.c_float * 1)(threshold),
            ctypes.byref(found), message, size(512),
        )  # fmt: skip
        assert not status, message.value
        expected = session.predict(waveform, thresholds=[threshold])
        assert (found.exit_index, found.score) == (expected.exit_index, pytest.approx(expected.score, abs=1e-6))
        np.testing.assert_allclose(found.probabilities[:3], expected.probabilities, atol=1e-6)
    library.bnn_exit_classifier_free(handle)
    (tmp_path / "other.tflite").write_bytes(made.device.replace(b"bnn_exit_split", b"bnn_exit_other"))
    with pytest.raises(ModelFileError, match="the network has 4 outputs, but must have exactly"):
        bnn_exit.load(tmp_path / "other.tflite")
