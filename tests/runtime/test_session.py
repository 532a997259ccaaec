import sys

import flatbuffers
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit.audio import logmel
from bnn_exit.errors import ArgumentError, MissingPackageError, ModelFileError
from bnn_exit.policies import rule
from bnn_exit.policies.uncertainty import Entropy
from bnn_exit.runtime import lce, native_backend, session
from bnn_exit.runtime.backends import installed

CLIP = np.random.default_rng(3).uniform(-0.5, 0.5, 720).astype(np.float32)
INSTALLED = installed()


@pytest.fixture(scope="session")
def model_path(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.tflite"
    path.write_bytes(tiny.adaptive_file())
    return path


@pytest.fixture(params=INSTALLED)
def model(request, model_path):
    return session.load(model_path, backend=request.param)


def test_what_a_session_tells(model, tiny):
    assert model.labels == tiny.LABELS
    assert model.exits == 3
    assert sorted(model.operating_points) == ["balanced", "fast", "full"]
    assert model.operating_points["fast"].thresholds == (2.0, 2.0)
    assert model.metadata.task == "made up"
    assert f"backend='{model.backend}', 3 labels, 3 exits" in repr(model)


def test_the_operating_point_decides_the_exit(model):
    full, fast = (model.predict(CLIP, operating_point=name) for name in ("full", "fast"))
    assert (full.exit_index, fast.exit_index) == (2, 0)
    assert model.predict(CLIP, thresholds=[0, 2]).exit_index == 1
    for prediction in (full, fast):
        assert prediction.probabilities.dtype == np.float32 and prediction.probabilities.shape == (3,)
        assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert prediction.label == model.labels[prediction.probabilities.argmax()]
        assert prediction.label_index == prediction.probabilities.argmax()
        assert prediction.score == pytest.approx(Entropy.of(prediction.probabilities), abs=1e-5)
        assert prediction.steps is None


@settings(max_examples=40, deadline=None)
@given(thresholds=st.lists(st.floats(0, 1.5, width=32), min_size=2, max_size=2), seed=st.integers(0, 99))
def test_the_file_leaves_where_the_rule_says(model_path, thresholds, seed):
    clip = np.random.default_rng(seed).uniform(-1, 1, 720).astype(np.float32)
    for backend in INSTALLED:
        model = session.load(model_path, backend=backend)
        full = model.predict(clip, thresholds=[0, 0], explain=True)
        scores = [step["score"] for step in full.steps]
        prediction = model.predict(clip, thresholds=thresholds)
        assert prediction.exit_index == rule.exit_indices([scores], thresholds)[0]
        assert prediction.score == scores[prediction.exit_index]


def test_backends_agree(model_path):
    if len(INSTALLED) < 2:
        pytest.skip("one backend is installed")
    models = [session.load(model_path, backend=name) for name in INSTALLED]
    for seed in range(20):
        clip = np.random.default_rng(seed).normal(0, 0.1, 720).astype(np.float32)
        first, *others = (model.exit_probabilities(clip) for model in models)
        for other in others:
            np.testing.assert_allclose(first, other, atol=1e-5)


def test_explain_tells_every_exit_that_was_reached(model):
    steps = model.predict(CLIP, thresholds=[0, 2], explain=True).steps
    forced = model.exit_probabilities(CLIP)
    assert [(step["exit_index"], step["threshold"], step["left"]) for step in steps] == [
        (0, 0.0, False),
        (1, 2.0, True),
    ]
    for step, probabilities in zip(steps, forced, strict=False):
        assert step["label"] == model.labels[probabilities.argmax()]
        assert step["score"] == pytest.approx(Entropy.of(probabilities), abs=1e-5)
    last = model.predict(CLIP, operating_point="full", explain=True).steps[-1]
    assert (last["exit_index"], last["threshold"], last["left"]) == (2, None, True)


def test_exit_probabilities_are_those_of_each_exit(model):
    found = model.exit_probabilities(CLIP)
    assert found.shape == (3, 3) and found.dtype == np.float32
    for exit_index, thresholds in enumerate(([2, 2], [0, 2], [0, 0])):
        np.testing.assert_array_equal(found[exit_index], model.predict(CLIP, thresholds=thresholds).probabilities)


def test_the_second_call_gives_the_same_answer_and_leaves_the_first_alone(model):
    first = model.predict(CLIP, operating_point="full")
    kept = first.probabilities.copy()
    other = model.predict(-CLIP[::-1] * 0.2, operating_point="full")
    assert not np.array_equal(other.probabilities, kept)
    np.testing.assert_array_equal(first.probabilities, kept)
    np.testing.assert_array_equal(model.predict(CLIP, operating_point="full").probabilities, kept)
    first.probabilities[:] = 0
    np.testing.assert_array_equal(model.predict(CLIP, operating_point="full").probabilities, kept)


def test_a_clip_of_another_length_is_fitted(model):
    centred = np.concatenate([np.zeros(100, np.float32), CLIP[:520], np.zeros(100, np.float32)])
    np.testing.assert_array_equal(model.predict(CLIP[:520]).probabilities, model.predict(centred).probabilities)
    longer = np.concatenate([np.ones(50, np.float32), CLIP, np.ones(50, np.float32)])
    np.testing.assert_array_equal(model.predict(longer).probabilities, model.predict(CLIP).probabilities)


def test_another_sample_rate_is_resampled(model):
    time = np.arange(2880) / 64000
    tone = 0.3 * np.sin(2 * np.pi * 1000 * time)
    slow = tone[::4]
    found = model.predict(tone, sample_rate_hz=64000, operating_point="full")
    expected = model.predict(slow, sample_rate_hz=16000, operating_point="full")
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=0.05)
    unaware = model.predict(tone, operating_point="full")
    assert np.abs(unaware.probabilities - expected.probabilities).max() > 0.001


def test_int16_is_full_scale_at_32768(model):
    whole = (CLIP * 32768).astype(np.int16)
    found = model.predict(whole).probabilities
    np.testing.assert_array_equal(found, model.predict(whole.astype(np.float32) / 32768).probabilities)


def test_a_log_mel_may_be_given(model):
    features = logmel.log_mel(CLIP, model.metadata.features)
    np.testing.assert_allclose(model.log_mel(CLIP), features, rtol=1e-6)
    np.testing.assert_array_equal(
        model.predict_log_mel(features, thresholds=[0, 2]).probabilities,
        model.predict(CLIP, thresholds=[0, 2]).probabilities,
    )


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        ([], "waveform has .*0 samples|waveform is empty|waveform has dtype"),
        (np.zeros(0, np.float32), "waveform has 0 samples"),
        (np.zeros((2, 720), np.float32), r"waveform has shape \(2, 720\)"),
        (np.float32([0.0, np.nan]), "waveform has 1 NaN"),
        (np.zeros(720, np.complex64), "waveform has dtype complex64"),
        (["a", "b"], "waveform has dtype"),
    ],
)
def test_a_waveform_that_is_none(model, waveform, message):
    with pytest.raises(ArgumentError, match=message):
        model.predict(waveform)
    with pytest.raises(ArgumentError, match=message):
        model.exit_probabilities(waveform)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operating_point": "blanced"}, r"operating point is 'blanced', but must be one of .*did you mean 'balanced'"),
        ({"thresholds": [0.5]}, "thresholds has 1 value .*a model of 3 exits takes 2"),
        ({"thresholds": [0.5, 0.5, 0.5]}, "thresholds has 3 values .*a model of 3 exits takes 2"),
        ({"thresholds": [0.5, np.nan]}, "thresholds"),
        ({"thresholds": [0.5, -1]}, "thresholds"),
        ({"sample_rate_hz": 0}, "from_hz|sample_rate_hz"),
    ],
)
def test_arguments_that_break_a_rule(model, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        model.predict(CLIP, **arguments)


@pytest.mark.parametrize(
    ("log_mel", "message"),
    [
        (np.zeros((4, 3)), r"log_mel has shape \(4, 3\), but must be \[frames, mels\] = \(3, 4\)"),
        (np.full((3, 4), np.nan), "log_mel holds NaN or infinity"),
        (np.zeros((3, 4), complex), "log_mel has the type complex128"),
    ],
)
def test_a_log_mel_that_is_none(model, log_mel, message):
    with pytest.raises(ArgumentError, match=message):
        model.predict_log_mel(log_mel)


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_file_that_takes_waveforms(tiny, tmp_path, backend):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file(input="waveform"))
    model = session.load(path, backend=backend)
    assert model.predict(CLIP, operating_point="full").exit_index == 2
    loud, quiet = model.predict(CLIP * 2), model.predict(CLIP * 0.1)
    assert not np.array_equal(loud.probabilities, quiet.probabilities)
    with pytest.raises(ArgumentError, match="log_mel cannot be given: this file computes it itself"):
        model.predict_log_mel(np.zeros((3, 4)))


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("order", ["psi", "isp", "spi"])
def test_outputs_are_found_by_name_in_any_order(tiny, tmp_path, backend, order):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file(exits=7, output_order=order))
    model = session.load(path, backend=backend)
    expected = session.load(path, backend="reference").exit_probabilities(CLIP)
    np.testing.assert_allclose(model.exit_probabilities(CLIP), expected, atol=1e-5)
    for exit_index in range(7):
        thresholds = [0.0] * exit_index + [2.0] * (6 - exit_index)
        assert model.predict(CLIP, thresholds=thresholds).exit_index == exit_index


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_file_without_operating_points(tiny, tmp_path, backend):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file(meta=tiny.metadata(operating_points={}).to_json()))
    model = session.load(path, backend=backend)
    with pytest.raises(ArgumentError, match="has no operating points: give 2 thresholds"):
        model.predict(CLIP)
    assert model.predict(CLIP, thresholds=[2, 0]).exit_index == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"backend": "lcee"},
            r"backend is 'lcee', but must be one of auto, lce, native, reference; did you",
        ),
        ({"threads": 0}, "threads is 0, but must be a whole number from 1 to 256"),
        ({"threads": True}, "threads is True"),
    ],
)
def test_loading_with_arguments_that_break_a_rule(model_path, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        session.load(model_path, **arguments)


def test_auto_takes_the_fastest_that_is_installed(model_path, monkeypatch):
    if "native" in INSTALLED:
        assert session.load(model_path).backend == "native"
    monkeypatch.setattr(native_backend, "is_installed", lambda: False)
    if "lce" in INSTALLED:
        assert session.load(model_path).backend == "lce"
    monkeypatch.setattr(lce, "is_installed", lambda: False)
    with pytest.warns(RuntimeWarning, match="the reference backend"):
        assert session.load(model_path).backend == "reference"


def test_lce_that_is_missing_says_how_to_install_it(model_path, monkeypatch):
    monkeypatch.delitem(sys.modules, lce._MODULE, raising=False)
    monkeypatch.setattr(lce, "_find", lambda: None)
    assert not lce.is_installed()
    with pytest.raises(MissingPackageError, match=r"the lce backend needs .*pip install '\.\[lce\]'"):
        session.load(model_path, backend="lce")


def test_lce_that_does_not_load_says_what_to_use_instead(model_path, monkeypatch, tmp_path):
    broken = tmp_path / "interpreter_wrapper_lite.so"
    broken.write_bytes(b"not a library")
    monkeypatch.delitem(sys.modules, lce._MODULE, raising=False)
    monkeypatch.setattr(lce, "_find", lambda: broken)
    with pytest.raises(MissingPackageError, match=r"installed but does not load on this machine .*reference backend"):
        session.load(model_path, backend="lce")
    assert lce._MODULE not in sys.modules


def test_a_file_that_lce_cannot_run(tiny, tmp_path):
    if "lce" not in INSTALLED:
        pytest.skip("LCE is not installed")
    path = tmp_path / "model.tflite"
    path.write_bytes(_with_unknown_version(tiny, tiny.adaptive_file()))
    with pytest.raises(ModelFileError, match=r"Larq Compute Engine cannot load this file .*: export it again"):
        session.load(path, backend="lce")


def _with_unknown_version(tiny, data):
    model = tiny.schema().ModelT.InitFromPackedBuf(bytearray(data), 0)
    for code in model.operatorCodes:
        code.version = 99
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_an_operator_that_the_reference_backend_lacks_names_the_file(tiny, tmp_path):
    file = tiny.File()
    main = file.graph()
    source, thresholds = main.input((1, 3, 4, 1)), main.input((2,))
    shapes = [((1, 3), "float32"), ((1,), "int32"), ((1,), "float32")]
    found = [main.operator("CUMSUM", [source], [shape])[0] for shape in shapes]
    main.outputs(found)
    names = ("probabilities", "exit_index", "score")
    file.signature({"log_mel": source, "thresholds": thresholds}, dict(zip(names, found, strict=True)))
    file.metadata("bnn_exit", tiny.metadata().to_json())
    path = tmp_path / "model.tflite"
    path.write_bytes(file.bytes())
    with pytest.raises(ModelFileError, match=r"model\.tflite: the reference backend lacks the operator CUMSUM"):
        session.load(path, backend="reference")
