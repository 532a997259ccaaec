import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_model

import bnn_exit
from bnn_exit import policies
from bnn_exit._keras import keras, larq
from bnn_exit._keras import tflite_schema as schema
from bnn_exit.calibration.operating_points import operating_points
from bnn_exit.conversion import flatbuffer_edit, parity, to_lce
from bnn_exit.conversion.audit import audit, require_computed_outputs
from bnn_exit.cost import Cost
from bnn_exit.errors import ArgumentError, ExportError, ModelFileError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file import flatbuffer, header, reader
from bnn_exit.models.multi_exit import MultiExitModel
from bnn_exit.runtime.backends import BACKENDS, installed
from bnn_exit.settings.run import RunTask


@pytest.fixture(scope="module")
def model(tone_task):
    return tiny_model(num_classes=4, input_shape=tone_task.input_shape)


@pytest.fixture(scope="module")
def points(model, tone_task):
    uniform = ExitLogits(np.zeros((40, model.num_exits, 4)), tone_task.validation.labels, split="validation")
    return operating_points(uniform, model.costs())


def test_the_file_carries_what_a_device_needs(model, tone_task, points, tmp_path):
    report = to_lce.export(model, tmp_path / "m.tflite", task=tone_task, operating_points=points)
    file = reader.read(tmp_path / "m.tflite")
    metadata = file.metadata
    assert metadata.labels == ("low", "middle", "high", "top")
    assert metadata.features == tone_task.features
    assert metadata.clip_samples == 8000
    # At each exit but the last, the margin of four classes takes as many operations twice.
    assert metadata.exits == tuple(cost + Cost(0, 8 * min(k + 1, 2)) for k, cost in enumerate(model.costs()))
    assert metadata.operating_points == points
    assert (metadata.task, metadata.licence, metadata.attribution) == ("tones", "CC0", "made by the tests")
    assert metadata.writer.startswith("bnn_exit ")
    assert report.size == (tmp_path / "m.tflite").stat().st_size


def test_the_same_network_gives_the_same_file(model, tone_task):
    first, second = (to_lce.convert(model, task=tone_task, operating_points={}, input="log_mel") for _ in range(2))
    assert first == second


def test_equal_constants_are_stored_once_and_results_have_one_buffer():
    first, second = (np.frombuffer(values, np.uint8) for values in (b"abcd", b"efgh"))
    made = schema.ModelT()
    made.buffers = [buffer_of(None), buffer_of(first), buffer_of(None), buffer_of(second), buffer_of(first.copy())]
    made.buffers += [buffer_of(second), buffer_of(first)]
    subgraphs = [schema.SubGraphT(), schema.SubGraphT()]
    subgraphs[0].tensors = [tensor_in(place) for place in (1, 2, 3, 4)]
    # Two subgraphs may have the same object.
    subgraphs[1].tensors = [tensor_in(5), subgraphs[0].tensors[2], tensor_in(0)]
    made.subgraphs = subgraphs
    made.metadata = [schema.MetadataT()]
    made.metadata[0].buffer = 6
    flatbuffer_edit.compact_buffers(made)
    assert [[tensor.buffer for tensor in each.tensors] for each in subgraphs] == [[1, 0, 2, 1], [2, 2, 0]]
    # What metadata holds is no constant's, so that it can be replaced.
    assert [buffer.data is None or bytes(buffer.data) for buffer in made.buffers] == [True, b"abcd", b"efgh", b"abcd"]
    assert made.metadata[0].buffer == 3


def buffer_of(data):
    made = schema.BufferT()
    made.data = data
    return made


def tensor_in(buffer):
    made = schema.TensorT()
    made.buffer = buffer
    return made


def test_a_score_that_needs_no_probabilities_leaves_their_softmax_to_the_exit_that_is_taken(model, tone_task):
    def first_subgraph(policy):
        data = to_lce.convert(model, task=tone_task, operating_points={}, input="log_mel", policy=policies.fit(policy))
        return [each.name for each in audit(flatbuffer.read(data), size=len(data)).operators if each.subgraph == 0]

    assert "SOFTMAX" in first_subgraph("margin")
    assert "ARG_MAX" in first_subgraph("patience")
    assert "SOFTMAX" not in first_subgraph("patience")


def test_the_audit_counts_every_binary_layer_in_the_branch_where_it_runs(model, tone_task):
    data = to_lce.convert(model, task=tone_task, operating_points={}, input="log_mel")
    report = audit(flatbuffer.read(data), size=len(data))
    binary = [operator for operator in report.operators if operator.name == "LceBconv2d"]
    assert len(binary) == model.num_binary_layers == 3
    assert len({operator.subgraph for operator in binary}) == 3  # a stage a branch, so what is not taken is not run
    assert sum(operator.binary_macs for operator in binary) == model.costs()[-1].binary_macs
    assert all(operator.bits == 1 for operator in binary)
    # 3 x 3 x 16 -> 16 is nine words a filter, and as many floats of scale and offset as filters.
    assert binary[0].bytes == 9 * 4 * 16 + 2 * 4 * 16
    assert "LceBconv2d" in report.table() and f"{len(data):,d}" in report.table()


def test_a_binary_layer_that_went_float_fails_the_export_and_writes_nothing(model, tone_task, tmp_path, monkeypatch):
    # A layer that escapes the check at construction, as a future Larq or LCE might make it.
    source = keras.Input((12, 16, 16))
    lost = larq.layers.QuantConv2D(16, 3, padding="same", use_bias=False, name="lost")
    stage = keras.Model(source, lost(source))
    monkeypatch.setattr("bnn_exit.models.multi_exit.check_binary", lambda keras_model: 3)
    other = MultiExitModel([*model.stages[:2], keras.Model(source, stage(source))], model.heads)
    with pytest.raises(ExportError, match=r"declares 3 binary layers with \d+ MACs, but the converted file has 2 with"):
        to_lce.export(other, tmp_path / "m.tflite", task=tone_task, operating_points={})
    assert list(tmp_path.iterdir()) == []


def test_a_branch_that_returns_a_reshaped_constant_is_refused():
    def subgraph(name, *, constant):
        data = memoryview(bytes(4)) if constant else None
        tensors = tuple(header.Tensor(part, (1,), "int32", data if part == "in" else None) for part in ("in", "out"))
        operator = flatbuffer.Operator(name, False, (0,), (1,), {})
        return flatbuffer.Subgraph("branch", tensors, (), (1,), (operator,))

    def model(branch):
        return flatbuffer.Model("", (subgraph("ADD", constant=True), branch), {}, {})

    require_computed_outputs(model(subgraph("RESHAPE", constant=False)))
    require_computed_outputs(model(subgraph("ADD", constant=True)))
    with pytest.raises(ExportError, match="subgraph 1 returns a constant through RESHAPE"):
        require_computed_outputs(model(subgraph("RESHAPE", constant=True)))


def test_labels_must_fit_the_network(model, tone_task, tmp_path):
    task = dataclasses.replace(tone_task, labels=("a", "b", "c"))
    with pytest.raises(ArgumentError, match="labels has 3 names, but the network has 4 classes"):
        to_lce.export(model, tmp_path / "m.tflite", task=task, operating_points={})


def test_an_unknown_input_is_named(model, tone_task, tmp_path):
    with pytest.raises(ArgumentError, match="input is 'wave', but must be one of log_mel, waveform; did you mean"):
        to_lce.export(model, tmp_path / "m.tflite", task=tone_task, operating_points={}, input="wave")


def test_parity_refuses_a_file_of_another_network(tone_task, tmp_path):
    network = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    to_lce.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={})
    logits = network.heads[0].layers[-1]
    logits.set_weights([np.roll(weights, 1, axis=-1) for weights in logits.get_weights()])
    log_mel = np.asarray(tone_task.log_mel("validation")[:8])
    report = parity.compare(network, reader.read(tmp_path / "m.tflite"), log_mel, log_mel, backend="lce")
    assert report["exits"][0]["top1_agreement"] == 0
    assert [exit["top1_agreement"] for exit in report["exits"][1:]] == [1, 1]
    with pytest.raises(
        ExportError, match=r"exit 1 of the file .* median difference .*, same label for 0.0 % of 8 clips"
    ):
        parity.require(report)


@pytest.mark.parametrize("broken", ["native", "reference"])
def test_a_backend_that_says_something_else_fails_the_export_and_leaves_no_file(
    model, tone_task, tmp_path, monkeypatch, broken
):
    if broken not in installed():
        pytest.skip("the native library is not built")

    class Broken(BACKENDS[broken]):
        def infer(self, inputs, thresholds):
            probabilities, exit_index, score = super().infer(inputs, thresholds)
            return (np.roll(probabilities, 1) if exit_index == 1 else probabilities), exit_index, score

    monkeypatch.setitem(BACKENDS, broken, Broken)
    with pytest.raises(ExportError, match=f"exit 2 of the file differs on the {broken} backend from the trained net"):
        to_lce.export(model, tmp_path / "m.tflite", task=tone_task, operating_points={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["log_mel", "waveform"])
def test_without_clips_at_hand_made_ones_are_compared(model, tone_task, tmp_path, form):
    remembered = RunTask.of(tone_task)
    made = to_lce.make(model, tmp_path / "m.tflite", task=remembered, operating_points={}, input=form)
    assert [report["backend"] for report in made.parity.reports] == installed()
    assert made.parity.notes == [] and list(tmp_path.iterdir()) == []
    assert {report["clips"] for report in made.parity.reports} == {parity.MADE_CLIPS, parity.CLIPS["reference"]}


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (lambda: keras.layers.Activation("gelu"), "GELU"),
        (lambda: keras.layers.UpSampling2D(2), "RESIZE_NEAREST_NEIGHBOR"),
        (lambda: keras.layers.Conv2DTranspose(4, 2), "TRANSPOSE_CONV"),
    ],
)
def test_what_no_board_runs_is_told_in_one_warning(tone_task, tmp_path, layer, operator):
    source = keras.Input(tone_task.input_shape)
    cut = keras.layers.BatchNormalization(name="cut")(keras.layers.Conv2D(4, 5, strides=8)(source))
    deeper = keras.layers.Conv2D(4, 3, padding="same")(layer()(cut))
    result = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(deeper))
    network = bnn_exit.add_exits(keras.Model(source, result), at=["cut"], head="pooled")
    with pytest.warns(UserWarning, match=f"no backend of a board .* runs this file, .* lack {operator};") as told:
        bnn_exit.export(network, tmp_path / "m.tflite", task=tone_task, operating_points={})
    assert len(told) == 1 and (tmp_path / "m.tflite").is_file()
    with pytest.raises(ModelFileError, match=operator):
        bnn_exit.load(tmp_path / "m.tflite", backend="reference")


def test_nan_is_no_agreement(model, tone_task):
    log_mel = np.asarray(tone_task.log_mel("validation")[:4])
    file = reader.decode(
        to_lce.convert(model, task=tone_task, operating_points={}, input="log_mel"), place=Path("m.tflite")
    )
    report = parity.compare(model, file, log_mel * np.float32("nan"), log_mel, backend="reference")
    with pytest.raises(ExportError, match="exit 1 of the file differs on the reference backend"):
        parity.require(report)


def test_parity_refuses_a_backend_that_changes_its_mind():
    with pytest.raises(ExportError, match="the lce backend gives other outputs for the same clip the second time"):
        parity.require({"backend": "lce", "repeatable": False, "clips": 1, "exits": []})


def _dense_kernels(data):
    """Of each dense layer, by subgraph: the element types of its kernel's source and the bytes of it."""
    found = []
    for subgraph in flatbuffer.read(data).subgraphs:
        made_by = {output: operator for operator in subgraph.operators for output in operator.outputs}
        for operator in subgraph.operators:
            if operator.name == "FULLY_CONNECTED":
                kernel = operator.inputs[1]
                before = made_by.get(kernel)
                source = subgraph.tensors[before.inputs[0] if before else kernel]
                found.append((before.name if before else None, source.dtype, len(source.data)))
    return found


def test_a_file_holds_kernels_in_half_precision_where_that_is_exact(tone_task):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape, channels=(64, 16, 64))
    before = to_lce.convert(model, task=tone_task, operating_points={}, input="log_mel")
    cost_before = model.costs()
    kernels = [head.layers[-1].kernel for head in model.heads]
    assert _dense_kernels(before) == [(None, "float32", 4 * kernel.numpy().size) for kernel in kernels]
    exact = [np.float16(kernel.numpy()).astype(np.float32) for kernel in kernels]
    model.round_for_file()
    for kernel, values in zip(kernels, exact, strict=True):
        np.testing.assert_array_equal(kernel.numpy(), values)
    made = to_lce.make(model, "m.tflite", task=tone_task, operating_points={})
    worth = [values.size >= 256 for values in exact]
    assert worth == [True, False, True]
    assert _dense_kernels(made.data) == [
        ("DEQUANTIZE", "float16", 2 * values.size) if half else (None, "float32", 4 * values.size)
        for half, values in zip(worth, exact, strict=True)
    ]
    saved = sum(2 * values.size for half, values in zip(worth, exact, strict=True) if half)
    assert len(made.data) < len(before) - saved + 120 * len(exact)
    assert cost_before[-1].bytes - model.costs()[-1].bytes == saved
    assert {report["backend"] for report in made.parity.reports} == set(installed())
    assert [item.bits for item in made.audit.operators if item.name == "DEQUANTIZE"] == [16] * sum(worth)


def test_a_frozen_head_keeps_its_weights(tone_task):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    model.heads[0].trainable = False
    frozen, trained = (model.heads[index].layers[-1].kernel for index in (0, 1))
    before = frozen.numpy(), trained.numpy()
    model.round_for_file()
    np.testing.assert_array_equal(frozen.numpy(), before[0])
    assert not np.array_equal(trained.numpy(), before[1])


def test_a_kernel_beyond_half_precision_stays(tone_task):
    model = tiny_model(num_classes=4, input_shape=tone_task.input_shape)
    kernel = model.heads[0].layers[-1].kernel
    kernel.assign(kernel.numpy() + np.float32(1e5))
    values = kernel.numpy()
    model.round_for_file()
    np.testing.assert_array_equal(kernel.numpy(), values)
    assert (
        _dense_kernels(to_lce.convert(model, task=tone_task, operating_points={}, input="log_mel"))[0][1] == "float32"
    )
