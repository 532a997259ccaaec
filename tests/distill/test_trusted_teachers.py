"""Teacher files that can hold programs run because they are trusted, or not at all; TFLite in a process of its own."""

import functools
import json
import os
import signal

import h5py
import numpy as np
import pytest
from keras_teachers import CLIPS, changed, flat_model, layers, refused, saved, saved_bytes

from bnn_exit._keras import tf
from bnn_exit.errors import DataError
from distill.teachers import load_teacher, tflite
from distill.teachers.tflite import TFLiteProcess


@pytest.mark.parametrize("version", ["3.1.1", "4.0"])
def test_a_file_of_keras_3_is_named_as_such(tmp_path, version):
    path = changed(saved(tmp_path), lambda _: None, others={"metadata.json": json.dumps({"keras_version": version})})
    told = refused(path, f"was saved by Keras {version[0]}, but Larq needs Keras 2: save it with model")
    assert "--trust-teacher" in told


@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras would rather have its newest format
@pytest.mark.parametrize("name", ["teacher.h5", "hidden.keras"])
def test_an_h5_file_with_a_program_is_not_run_unless_it_is_trusted(tmp_path, name):
    marker = tmp_path / "marker"

    def payload(x, marker=str(marker)):
        open(marker, "w").close()
        return x

    flat_model(layers.Lambda(payload)).save(tmp_path / "teacher.h5")
    marker.unlink()
    (tmp_path / "teacher.h5").rename(tmp_path / name)
    told = refused(tmp_path / name)
    assert not marker.exists()
    if name.endswith(".h5"):
        assert "--trust-teacher" in told and "trust=True" in told
        assert load_teacher(tmp_path / name, trust=True).size == 3
        assert marker.exists()
    else:
        refused(tmp_path / name, trust=True)
        assert not marker.exists()


def test_an_h5_file_of_keras_3_is_named_as_such(tmp_path):
    with h5py.File(tmp_path / "teacher.h5", "w") as file:
        file.attrs["keras_version"] = "3.4.0"
    refused(tmp_path / "teacher.h5", "was saved by Keras 3", trust=True)


def test_a_trusted_keras_file_may_hold_a_program(tmp_path):
    path = saved(tmp_path, lambda: flat_model(layers.Lambda(lambda x: 2 * x, name="double")))
    told = refused(path)
    assert "layer 'double' is 'Lambda' of module 'keras.layers', which may be a program" in told
    assert load_teacher(path, trust=True).size == 3


def test_a_saved_model_needs_trust(tmp_path):
    flat_model().save(tmp_path / "saved", save_format="tf")
    assert "is a SavedModel, a program that may write files" in refused(tmp_path / "saved")
    assert load_teacher([tmp_path / "saved"], trust=True).size == 3


def test_a_folder_called_like_a_file(tmp_path):
    for name in ("a.keras", "a.h5", "a.tflite"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"")
        refused(tmp_path / name, "is no file", trust=True)


@functools.cache
def converted():
    return tf.lite.TFLiteConverter.from_keras_model(saved_bytes(flat_model)[0]).convert()


def tflite_file(folder):
    path = folder / "teacher.tflite"
    path.write_bytes(converted())
    return path


def test_a_tflite_file_that_ends_tensorflow_lite_is_one_line(tmp_path, monkeypatch):
    teacher = load_teacher(tflite_file(tmp_path))
    first = teacher.outputs(CLIPS)
    process = teacher._call._process
    os.kill(process.pid, signal.SIGSEGV)
    with pytest.raises(DataError, match=r"^teacher '.*' ends TensorFlow Lite by SIGSEGV: the file is damaged$"):
        teacher.outputs(CLIPS)
    # As after an interruption: it is asked again in a new process.
    np.testing.assert_array_equal(teacher.outputs(CLIPS), first)
    process = teacher._call._process
    del teacher
    assert process.poll() is not None


def test_a_tflite_file_that_never_answers_is_one_line(tmp_path, monkeypatch):
    teacher = load_teacher(tflite_file(tmp_path))
    first = teacher.outputs(CLIPS)
    with monkeypatch.context() as patch:
        patch.setattr(tflite, "LIMIT_S", 0.1)
        os.kill(teacher._call._process.pid, signal.SIGSTOP)
        with pytest.raises(DataError, match=r"^teacher '.*' makes TensorFlow Lite work for more than 0\.1 s"):
            teacher.outputs(CLIPS)
    np.testing.assert_array_equal(teacher.outputs(CLIPS), first)


def test_damaged_tflite_files_never_end_this_process(tmp_path, monkeypatch):
    """Our own reader finds most damage; what it misses may end TensorFlow Lite."""
    path = tflite_file(tmp_path)
    whole = path.read_bytes()
    monkeypatch.setattr(tflite.flatbuffer, "read", lambda _: type("Model", (), {"subgraphs": []}))
    path.write_bytes(whole[:8] + bytes(len(whole) - 8))
    refused(path)


def test_a_tflite_file_with_operations_of_tensorflow_needs_trust(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([1, 12, 8], tf.float32)])
    def call(clip):
        tf.io.write_file(str(tmp_path / "marker"), "x")
        return tf.reduce_sum(clip, axis=2)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "teacher.tflite").write_bytes(converter.convert())
    told = refused(tmp_path / "teacher.tflite")
    assert "calls 'FlexWriteFile', an operation of TensorFlow" in told and "--trust-teacher" in told
    assert not (tmp_path / "marker").exists()
    load_teacher(tmp_path / "teacher.tflite", trust=True)
    assert (tmp_path / "marker").exists()


def test_an_interrupted_question_is_not_answered_later(tmp_path, monkeypatch):
    process = TFLiteProcess(tflite_file(tmp_path).read_bytes())
    expected = process(CLIPS)

    def interrupted(stream):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tflite, "receive", interrupted)
        process(CLIPS * 2)
    np.testing.assert_array_equal(process(CLIPS), expected)
