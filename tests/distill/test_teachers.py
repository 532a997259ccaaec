import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import distill
from bnn_exit import pretrained
from bnn_exit._keras import keras, set_seed, tf
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.models.multi_exit import build
from bnn_exit.models.network import Network
from bnn_exit.models.profile import cost
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.teacher import TeacherConfig, TeacherRun
from bnn_exit.training import TrainConfig, checkpoint
from distill.teachers import MeanTeacher, NetworkTeacher, load_teacher, runs
from distill.teachers.residual import SIZES, residual

SHAPE = (48, 32, 1)
CLIPS = np.random.default_rng(0).normal(size=(5, 48, 32)).astype(np.float32)


def test_the_package_gives_what_users_need():
    assert distill.load_teacher is load_teacher
    assert distill.__all__ == ["DistillConfig", "Distillation", "Plan", "Step", "load_teacher", "read_plan"]
    with pytest.raises(AttributeError, match="module 'distill' has no attribute 'teach'"):
        _ = distill.teach


def dense_model(*, shape=SHAPE, classes=4, activation=None):
    source = keras.Input(shape)
    return keras.Model(source, keras.layers.Dense(classes, activation=activation)(keras.layers.Flatten()(source)))


@pytest.mark.parametrize("size", SIZES)
def test_the_residual_network_gives_logits_and_grows_with_its_size(size):
    model = residual(SHAPE, 4, size=size)
    network = Network(model)
    assert (network.num_exits, network.num_classes, network.input_shape) == (1, 4, SHAPE)
    assert network.logits(CLIPS).shape == (5, 1, 4)
    smaller = [name for name in SIZES if list(SIZES).index(name) < list(SIZES).index(size)]
    for name in smaller:
        assert cost(model).float_macs > cost(residual(SHAPE, 4, size=name)).float_macs
    assert cost(model).binary_macs == 0


def test_a_network_teaches_with_its_last_exit():
    network = Network(residual(SHAPE, 4, size="small"))
    teacher = NetworkTeacher(network)
    np.testing.assert_array_equal(teacher.outputs(CLIPS), network.logits(CLIPS)[:, -1])
    before = teacher.digest()
    network.keras_model.set_weights([weight + 1 for weight in network.keras_model.get_weights()])
    assert teacher.digest() != before


def test_a_network_teaches_with_its_embedding():
    network = Network(residual(SHAPE, 4, size="small"))
    teacher = NetworkTeacher(network, kind="embedding")
    logits = network.keras_model.get_layer("logits")
    found = teacher.outputs(CLIPS)
    assert (teacher.kind, teacher.size, found.shape) == ("embedding", 64, (5, 64))
    np.testing.assert_allclose(found @ logits.kernel + logits.bias, network.logits(CLIPS)[:, 0], rtol=1e-4, atol=1e-5)
    with pytest.raises(
        ArgumentError,
        match=r"a student's run as a teacher gives no embedding: give a folder of distill.train_teacher or",
    ):
        NetworkTeacher(Network(dense_model()), kind="embedding")


def save_keras(folder):
    set_seed(1)
    model = dense_model()
    model.save(folder / "teacher.keras")
    return folder / "teacher.keras", model


def save_h5(folder):
    set_seed(1)
    model = dense_model()
    model.save(folder / "teacher.h5")
    return folder / "teacher.h5", model


def save_saved_model(folder):
    set_seed(1)
    model = dense_model()
    model.save(folder / "saved", save_format="tf")
    return folder / "saved", model


def save_tflite(folder):
    set_seed(1)
    model = dense_model()
    (folder / "teacher.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return folder / "teacher.tflite", model


@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras would rather have its newest format
@pytest.mark.parametrize("save", [save_keras, save_h5, save_saved_model, save_tflite])
def test_files_of_every_kind_teach_what_the_model_says(save, tmp_path):
    path, model = save(tmp_path)
    trust = path.suffix in (".h5", "")
    teacher = load_teacher(path, input_shape=SHAPE, trust=trust)
    assert (teacher.kind, teacher.size, teacher.input, tuple(teacher.input_shape)) == ("logits", 4, "log_mel", SHAPE)
    np.testing.assert_allclose(teacher.outputs(CLIPS), model(CLIPS[..., None]).numpy(), rtol=1e-4, atol=1e-5)
    assert teacher.digest() == load_teacher(path, trust=trust).digest()


def test_probabilities_become_logits_with_the_same_softmax(tmp_path):
    model = dense_model(activation="softmax")
    model.save(tmp_path / "m.keras")
    found = load_teacher(tmp_path / "m.keras").outputs(CLIPS)
    np.testing.assert_allclose(tf.nn.softmax(found).numpy(), model(CLIPS[..., None]).numpy(), atol=1e-5)
    assert found.min() < 0


def test_a_model_of_waveforms_is_told_by_its_input(tmp_path):
    dense_model(shape=(160,)).save(tmp_path / "m.keras")
    teacher = load_teacher(tmp_path / "m.keras", kind="embedding", input_shape=SHAPE)
    assert (teacher.input, teacher.kind) == ("waveform", "embedding")
    assert teacher.outputs(np.zeros((3, 160), np.float32)).shape == (3, 4)


def test_several_teachers_are_averaged(tmp_path):
    for name in ("a", "b"):
        dense_model().save(tmp_path / f"{name}.keras")
    one, two = (load_teacher(tmp_path / f"{name}.keras") for name in ("a", "b"))
    both = load_teacher([tmp_path / "a.keras", tmp_path / "b.keras"])
    assert isinstance(both, MeanTeacher)
    np.testing.assert_allclose(both.outputs(CLIPS), (one.outputs(CLIPS) + two.outputs(CLIPS)) / 2, rtol=1e-5, atol=1e-6)
    assert both.digest() not in (one.digest(), two.digest())


def test_teachers_that_do_not_fit_together(tmp_path):
    dense_model(classes=4).save(tmp_path / "a.keras")
    dense_model(classes=5).save(tmp_path / "b.keras")
    given = (
        r"teachers give 4 logits of a log_mel \[48, 32\], 5 logits of a log_mel \[48, 32\], but must all give the same"
    )
    with pytest.raises(ArgumentError, match=given):
        load_teacher([tmp_path / "a.keras", tmp_path / "b.keras"])
    for name, samples in (("short", 160), ("long", 320)):
        dense_model(shape=(samples,)).save(tmp_path / f"{name}.keras")
    given = r"teachers give 4 logits of a waveform \[160\], 4 logits of a waveform \[320\], but must all give the same"
    with pytest.raises(ArgumentError, match=given):
        load_teacher([tmp_path / "short.keras", tmp_path / "long.keras"])
    dense_model(shape=SHAPE[:2]).save(tmp_path / "flat.keras")
    assert load_teacher([tmp_path / "a.keras", tmp_path / "flat.keras"]).outputs(CLIPS).shape == (5, 4)
    with pytest.raises(ArgumentError, match="teachers give none"):
        MeanTeacher([])


def two_outputs():
    source = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(source)
    return keras.Model(source, [keras.layers.Dense(2)(flat), keras.layers.Dense(2)(flat)])


def free_length():
    source = keras.Input((None, 32, 1))
    return keras.Model(source, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(source)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (two_outputs, "has 1 inputs and 2 outputs, but must have one of each"),
        (free_length, r"takes \[None, None, 32, 1\], but every size except the batch must be fixed"),
        (lambda: dense_model(shape=(48, 32, 3)), r"takes \[48, 32, 3\], but must take log-mel"),
        (lambda: dense_model(shape=(98, 64, 1)), "takes log-mel of 98 frames x 64 mels, but the task gives 48 x 32"),
    ],
)
def test_models_that_cannot_teach(tmp_path, make, message):
    make().save(tmp_path / "m.keras")
    with pytest.raises(DataError, match=message):
        load_teacher(tmp_path / "m.keras", input_shape=SHAPE)


def save_function(folder, function, *, shape, dtype=tf.float32):
    """A SavedModel of one function."""
    module = tf.Module()
    module.call = tf.function(function, input_signature=[tf.TensorSpec(shape, dtype)])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.call})


def summed(batch):
    return tf.stack([tf.reduce_sum(tf.cast(batch, tf.float32), 1), tf.reduce_mean(tf.cast(batch, tf.float32), 1)], 1)


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        (summed, {"shape": [None, 8], "dtype": tf.int16}, "cannot be asked \\(.*int16"),
        (summed, {"shape": [4, 8]}, "takes 4 clips at once, but must take one or any number"),
        (
            lambda batch: tf.math.log(summed(batch)),
            {"shape": [None, 8]},
            "gives float32 .2, 2. for two silent clips, but",
        ),
        (
            lambda batch: tf.cast(summed(batch), tf.int32),
            {"shape": [None, 8]},
            "gives int32 .2, 2. for two silent clips",
        ),
        (
            lambda batch: summed(batch)[:1],
            {"shape": [None, 8]},
            r"gives float32 .1, 2. for two silent .* floats \[2, 2\]",
        ),
        (summed, {"shape": [None, None]}, r"takes \[None, None\], but every size except the batch must be fixed"),
    ],
)
def test_saved_models_that_cannot_be_asked(tmp_path, function, settings, message):
    save_function(tmp_path, function, **settings)
    with pytest.raises(DataError, match=message) as caught:
        load_teacher(tmp_path, trust=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [[None, None], [1, 8], [None, 8]])
def test_a_saved_model_of_waveforms_of_any_length_or_one_by_one(tmp_path, shape):
    save_function(tmp_path, summed, shape=shape)
    teacher = load_teacher(tmp_path, kind="embedding", clip_samples=8, trust=True)
    waveforms = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    assert (teacher.input, teacher.input_shape, teacher.size) == ("waveform", (8,), 2)
    expected = np.stack([waveforms.sum(axis=1), waveforms.mean(axis=1)], axis=1)
    np.testing.assert_allclose(teacher.outputs(waveforms), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [[8], [None]])
def test_a_saved_model_of_one_waveform_without_a_batch(tmp_path, shape):
    save_function(tmp_path, lambda clip: summed(clip[None])[0], shape=shape)
    teacher = load_teacher(tmp_path, kind="embedding", clip_samples=8, trust=True)
    waveforms = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    assert (teacher.input, teacher.input_shape, teacher.size) == ("waveform", (8,), 2)
    np.testing.assert_allclose(teacher.outputs(waveforms), summed(waveforms).numpy(), rtol=1e-4, atol=1e-6)


def test_a_tflite_file_of_one_waveform_without_a_batch(tmp_path):
    save_function(tmp_path / "saved", lambda clip: summed(clip[None]), shape=[8])
    converted = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    (tmp_path / "one.tflite").write_bytes(converted)
    teacher = load_teacher(tmp_path / "one.tflite", kind="embedding")
    waveforms = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    assert (teacher.input, teacher.input_shape, teacher.size) == ("waveform", (8,), 2)
    np.testing.assert_allclose(teacher.outputs(waveforms), summed(waveforms).numpy(), rtol=1e-4, atol=1e-6)


def test_a_truncated_tflite_file_is_one_line_and_not_the_end_of_the_process(tmp_path):
    path, _ = save_tflite(tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"^teacher '.*teacher.tflite' cannot be read \(ModelFileError: .*\)$"):
            load_teacher(path)


def test_our_own_file_is_told_from_one_that_can_teach(tmp_path):
    shipped = Path(pretrained.FOLDER, "esc10-small.tflite")
    with pytest.raises(DataError, match="is a binary network for Larq Compute Engine: give the folder of its run"):
        load_teacher(shipped)


@pytest.mark.parametrize("name", ["a.keras", "folder"])
def test_an_unknown_kind_is_named(tmp_path, tone_task, name):
    if name == "folder":
        save_teacher(tmp_path / name, tone_task)
    else:
        dense_model().save(tmp_path / name)
    with pytest.raises(
        ArgumentError, match="kind is 'logit', but must be one of embedding, logits; did you mean 'logits'"
    ):
        load_teacher(tmp_path / name, kind="logit")


@pytest.mark.parametrize("name", ["damaged.keras", "damaged.h5", "damaged.tflite", "missing.keras", "missing.tflite"])
def test_files_that_cannot_be_read(tmp_path, name):
    if name.startswith("damaged"):
        (tmp_path / name).write_bytes(b"not a model at all" * 10)
    with pytest.raises(DataError, match=r"teacher '.*' (cannot be read|does not exist|is no zip)") as caught:
        load_teacher(tmp_path / name, trust=True)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_teacher(tmp_path):
    with pytest.raises(DataError, match="is no teacher: give a folder of "):
        load_teacher(tmp_path)
    with pytest.raises(DataError, match="gone' does not exist: check the path"):
        load_teacher(tmp_path / "gone")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config.json cannot be read \(.*\): train the teacher again"):
        load_teacher(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format": 1, "teacher": {"size": "base"}}))
    with pytest.raises(DataError, match="cannot be read"):
        load_teacher(tmp_path)


def save_student(folder, task, *, precision="binary"):
    """A run folder as bnn_exit.train leaves it, as far as a teacher needs it."""
    set_seed(2)
    model = ModelConfig(size="small", precision=precision)
    RunConfig(RunTask.of(task), model, AugmentConfig(), TrainConfig()).save(folder)
    network = build(**model.to_dict(), num_classes=task.num_classes, input_shape=task.input_shape)
    checkpoint.save(folder / "best.npz", variables=network.keras_model.weights, state={})
    return network


def save_teacher(folder, task):
    set_seed(2)
    TeacherRun(RunTask.of(task), TeacherConfig(size="small"), AugmentConfig(), TrainConfig()).save(folder)
    network = runs.build(TeacherConfig(size="small"), num_classes=task.num_classes, input_shape=task.input_shape)
    checkpoint.save(folder / "best.npz", variables=network.keras_model.weights, state={})
    return network


@pytest.mark.parametrize("precision", ["binary", "float"])
def test_a_run_of_a_student_teaches_with_its_last_exit(tmp_path, tone_task, precision):
    network = save_student(tmp_path, tone_task, precision=precision)
    teacher = load_teacher(tmp_path, input_shape=tone_task.input_shape, labels=tone_task.labels)
    clips = tone_task.log_mel("test")[:4]
    assert (teacher.kind, teacher.size, teacher.input) == ("logits", 4, "log_mel")
    np.testing.assert_array_equal(teacher.outputs(clips), network.logits(clips)[:, -1])
    assert not TeacherRun.is_one(tmp_path)
    with pytest.raises(DataError, match=r"holds no teacher: distill.train_teacher makes one"):
        TeacherRun.load(tmp_path)


@pytest.mark.parametrize("save", [save_teacher, save_student])
def test_a_folder_that_was_trained_on_other_features_or_clips(tmp_path, tone_task, save):
    save(tmp_path, tone_task)
    wanted = {"features": tone_task.features, "clip_samples": tone_task.clip_samples}
    assert load_teacher(tmp_path, input_shape=tone_task.input_shape, **wanted).size == 4
    lower = dataclasses.replace(tone_task.features, upper_hz=4000.0, log_offset=1e-5)
    with pytest.raises(
        DataError, match=r"was trained with upper_hz 7800.0, but the task has 4000.0: train it with the"
    ):
        load_teacher(tmp_path, input_shape=tone_task.input_shape, **{**wanted, "features": lower})
    with pytest.raises(
        DataError, match=r"was trained with clip_samples 8000, but the task has 8010: train it with the"
    ):
        load_teacher([tmp_path], input_shape=tone_task.input_shape, **{**wanted, "clip_samples": 8010})


def test_a_damaged_teacher_is_to_be_trained_again(tmp_path, tone_task):
    save_teacher(tmp_path, tone_task)
    (tmp_path / "best.npz").write_bytes(b"PK no weights")
    with pytest.raises(DataError, match=r"checkpoint '.*best.npz' cannot be read \(.*\): train the teacher again"):
        load_teacher(tmp_path)
