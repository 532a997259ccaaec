"""Teacher files from strangers: read as data, refused in one line, or run because they are trusted; nothing else.

Every payload here would write a marker file, and no marker may appear.
"""

import copy
import functools
import io
import json
import os
import random
import signal
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from bnn_exit._keras import keras, larq, set_seed, tf
from bnn_exit.errors import DataError
from bnn_exit.models.level import LevelNormalisation
from bnn_exit.models.standardise import Standardise
from distill.teachers import keras_config, load_teacher, tflite
from distill.teachers.keras_file import open_keras
from distill.teachers.tflite import TFLiteProcess

SHAPE = (12, 8, 1)
CLIPS = np.random.default_rng(0).normal(size=(5, 12, 8)).astype(np.float32)
ONE_LINE = "^teacher '[^\n]*$"
layers = keras.layers


def flat_model(*between):
    source = keras.Input(SHAPE)
    features = source
    for layer in between:
        features = layer(features)
    return keras.Model(source, layers.Dense(3, name="logits")(layers.Flatten()(features)))


def many_layers():
    """A network with one of nearly everything that a teacher may be made of."""
    set_seed(3)
    source = keras.Input(SHAPE)
    x = Standardise()(LevelNormalisation()(source))
    x = larq.layers.QuantConv2D(
        4, 3, padding="same", input_quantizer="ste_sign", kernel_quantizer="ste_sign", kernel_constraint="weight_clip"
    )(x)
    x = layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2", activation=tf.nn.silu)(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization()(x))
    shared = keras.Sequential([layers.DepthwiseConv2D(3, padding="same"), layers.Activation("gelu")])
    inner = keras.Input(x.shape[1:])
    shared = keras.Model(inner, shared(inner))
    x = layers.Add()([shared(x), shared(x)])
    x = layers.Dense(4, activation=layers.LeakyReLU(), dtype=keras.mixed_precision.Policy("float32"))(x)
    x = layers.Reshape((12, 32))(x)
    x = layers.Normalization(mean=np.arange(32.0), variance=np.ones(32))(x)
    x = layers.MultiHeadAttention(2, 2)(x, value=x)
    x = layers.LayerNormalization()(x)
    x = layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(2.0))(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(source, layers.Dense(3, activation=larq.activations.leaky_tanh)(x))
    model.compile("adam", "mse")
    return model


def recurrent():
    """Layers that hold layers; only made and never asked, which would take long."""
    source = keras.Input(SHAPE[:2])
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(source)
    x = layers.RNN([layers.GRUCell(4), layers.SimpleRNNCell(4)], return_sequences=True)(x)
    return keras.Model(source, layers.TimeDistributed(layers.Dense(2))(x))


@functools.cache
def saved_bytes(make):
    """A network and its Keras file, made once for all tests."""
    model = make()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "teacher.keras")
        model.save(path)
        return model, path.read_bytes()


def saved(folder, make=flat_model):
    path = folder / "teacher.keras"
    path.write_bytes(saved_bytes(make)[1])
    return path


def changed(path, change, *, others=None):
    """Change the description in a Keras file in place; `others`: further members, or None to leave one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config = change(config) or config
    members |= {"config.json": json.dumps(config).encode(), **(others or {})}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def refused(path, match=ONE_LINE, **options):
    with pytest.raises(DataError, match=match) as caught:
        load_teacher(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_network_of_every_kind_of_layer_is_read_as_data(tmp_path):
    model, _ = saved_bytes(many_layers)
    teacher = load_teacher(saved(tmp_path, many_layers))
    np.testing.assert_allclose(teacher.outputs(CLIPS), model(CLIPS[..., None]).numpy(), rtol=1e-4, atol=1e-5)
    assert teacher.keras_model is not None


def test_layers_that_hold_layers_are_read_as_data(tmp_path):
    model, _ = saved_bytes(recurrent)
    found = open_keras(saved(tmp_path, recurrent), trust=False)
    assert [layer.name for layer in found.layers] == [layer.name for layer in model.layers]
    for one, other in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_listed_class_and_function_is_known_to_keras():
    kinds = {"keras.initializers": keras.initializers, "keras.regularizers": keras.regularizers}
    wrappers = ("Sequential", "Bidirectional", "TimeDistributed", "RNN", "StackedRNNCells")
    for (module, name), registered in keras_config._CLASSES.items():
        if module in ("keras.constraints", "larq.constraints", "keras.mixed_precision") or name in wrappers:
            continue
        described = {"module": module, "class_name": name, "config": {}, "registered_name": registered}
        try:
            # Keras gives text back for what it does not know; a layer without its settings is another error.
            found = kinds.get(module, layers).deserialize(described)
        except (TypeError, KeyError, ValueError) as error:
            assert name not in ("GlorotUniform", "Zeros", "ReLU"), error
        else:
            assert not isinstance(found, str), name
    for name in keras_config._FUNCTIONS["activation"]:
        assert callable(keras.activations.get(name))


def marker_call(marker):
    """Objects that would each write the marker when Keras makes them."""
    import marshal

    def payload(x, marker=str(marker)):
        open(marker, "w").close()
        return x

    code = {
        "class_name": "__lambda__",
        "config": {"value": [_packed(marshal.dumps(payload.__code__)), [str(marker)], None]},
    }
    return {
        "a lambda": code,
        "a function of a module": {
            "module": "os", "class_name": "function", "config": "mkdir", "registered_name": "function",
        },
        "a class of a module": {
            "module": "pydoc", "class_name": "pipepager", "config": {}, "registered_name": None,
        },
        "a class method": {
            "module": "subprocess", "class_name": "Popen", "registered_name": None,
            "config": {"args": ["touch", str(marker)]},
        },
        "a type": {
            "module": "os", "class_name": "__typespec__", "spec_name": "mkdir", "registered_name": None,
            "config": [str(marker)],
        },
        "a layer of TensorFlow": {
            "module": "tf_keras.src.layers.core.tf_op_layer", "class_name": "TFOpLambda",
            "registered_name": "TFOpLambda",
            "config": {"name": "tf.io.write_file", "trainable": True, "dtype": "float32", "function": "io.write_file"},
        },
        "a Lambda": {
            "module": "keras.layers", "class_name": "Lambda", "registered_name": None,
            "config": {"name": "l", "function": code, "output_shape": None},
        },
        "a Lambda of the older form": {
            "class_name": "Lambda",
            "config": {"name": "l", "function": code["config"]["value"], "function_type": "lambda"},
        },
        "a layer under another name": {
            "module": "keras.layers", "class_name": "Dense", "registered_name": "CaseOptimizer", "config": {"units": 2},
        },
        "an unknown package": {
            "module": "package", "class_name": "Layer", "registered_name": "package>Layer", "config": {},
        },
        "a vocabulary": {
            "module": "keras.layers", "class_name": "StringLookup", "registered_name": None,
            "config": {"vocabulary": "/etc/passwd"},
        },
        "a list for a class": {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
    }  # fmt: skip


def _packed(data):
    import base64

    return base64.b64encode(data).decode()


def places(config, value):
    """The description with `value` in each place where an object or a function can stand."""

    def found(node):
        for key, child in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if isinstance(child, (dict, list)):
                yield from found(child)
            suffix = key.rpartition("_")[2] if isinstance(key, str) else ""
            is_object = isinstance(child, dict) and "class_name" in child
            if is_object or suffix in ("activation", "initializer", "regularizer", "constraint", "quantizer", "layer"):
                node[key] = value
                yield copy.deepcopy(config)
                node[key] = child

    yield from found(config)


def test_no_object_of_another_kind_passes_in_any_place(tmp_path):
    with zipfile.ZipFile(saved(tmp_path, many_layers)) as archive:
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config")
    keras_config.checked(config)
    for name, value in marker_call(tmp_path / "marker").items():
        count = 0
        for hostile in places(copy.deepcopy(config), value):
            count += 1
            try:
                given = json.dumps(keras_config.checked(hostile))
            except DataError:
                continue
            # A name of a file for a function is text; nothing that could be imported or called may be left.
            assert not any(part in given for part in ("os", "Popen", "Lambda", "typespec", "package", "Lookup")), name
        assert count > 60


@pytest.mark.parametrize("kind", marker_call("/x"))
def test_programs_are_refused_before_keras_sees_them(tmp_path, kind):
    marker = tmp_path / "marker"
    value = {**marker_call(marker)[kind], "name": "evil", "inbound_nodes": [[["input", 0, 0, {}]]]}
    path = saved(tmp_path, many_layers)

    def nested(config):
        functional = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Functional")
        functional["config"]["layers"].append(value)

    told = refused(changed(path, nested))
    assert "--trust-teacher" in told
    assert not marker.exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("activation", "deserialize"),
        ("activation", "os.system"),
        ("kernel_initializer", "populate_deserializable_objects"),
        ("kernel_regularizer", "deserialize"),
        ("kernel_constraint", "serialize"),
        ("kernel_initializer", {"class_name": "function", "module": "os", "config": "system"}),
    ],
)
def test_only_known_names_of_functions_pass(tmp_path, setting, value):
    def change(config):
        config["config"]["layers"][-1]["config"][setting] = value

    told = refused(changed(saved(tmp_path), change))
    assert "layer 'logits' names the function" in told and f"as its {setting}" in told


def test_a_layer_that_pages_through_a_program_is_refused_and_its_layer_named(tmp_path):
    marker = tmp_path / "marker"
    layer = {
        "module": "pydoc",
        "class_name": "function",
        "registered_name": "pipepager",
        "config": "pipepager",
        "build_config": {"input_shape": f"touch {marker}"},
    }

    def change(config):
        config["config"]["layers"][1]["config"]["wrapped"] = layer

    told = refused(changed(saved(tmp_path), change))
    assert "layer 'flatten" in told
    assert not marker.exists()


def test_how_a_nested_model_was_compiled_is_not_read(tmp_path):
    def nested():
        return flat_model(keras.Sequential([layers.Conv2D(1, 1, input_shape=SHAPE)], name="inner"))

    marker = tmp_path / "marker"

    def change(config):
        evil = {"optimizer": "adam", "loss": marker_call(marker)["a class method"]}
        for part in (config, next(layer for layer in config["config"]["layers"] if layer["name"] == "inner")):
            part["compile_config"] = evil

    teacher = load_teacher(changed(saved(tmp_path, nested), change))
    model, _ = saved_bytes(nested)
    np.testing.assert_allclose(teacher.outputs(CLIPS), model(CLIPS[..., None]).numpy(), rtol=1e-4, atol=1e-5)
    assert not marker.exists()


def test_other_members_of_the_zip_are_not_read(tmp_path):
    path, others = saved(tmp_path), {"assets/vocabulary.txt": b"x", "../outside": b"x", "model.weights.npz": b"x"}
    load_teacher(changed(path, lambda _: None, others=others))
    assert not (tmp_path.parent / "outside").exists()
    pickled = io.BytesIO()
    np.savez(pickled, a=np.array([{}], dtype=object))
    told = refused(
        changed(path, lambda _: None, others={"model.weights.h5": None, "model.weights.npz": pickled.getvalue()})
    )
    assert "has no model.weights.h5" in told


def loop(config):
    config["config"]["layers"][1]["inbound_nodes"] = [[["logits", 0, 0, {}]]]


def no_such_call(config):
    config["config"]["layers"][-1]["inbound_nodes"][0][0][1] = 0.5


def argument_that_never_comes(config):
    config["config"]["layers"][1]["inbound_nodes"][0][0][3] = {"mask": ["logits", 7, 0]}


@pytest.mark.parametrize("change", [loop, no_such_call, argument_that_never_comes])
def test_layers_that_wait_for_each_other_are_refused(tmp_path, change):
    assert "that reads what comes after it" in refused(changed(saved(tmp_path), change))


@pytest.mark.parametrize("config", [3, [3], "text", {"config": None}, {"class_name": "Functional"}, {"class_name": 1}])
def test_descriptions_of_other_kinds(tmp_path, config):
    refused(changed(saved(tmp_path), lambda _: config))


def test_random_changes_of_a_description_are_one_line_or_a_network():
    """Whatever is put anywhere, the check ends with a copy or a DataError."""
    generator = random.Random(0)
    with zipfile.ZipFile(io.BytesIO(saved_bytes(many_layers)[1])) as archive:
        config = json.loads(archive.read("config.json"))
    odd = [None, True, -1, 0.5, "", "x", [], {}, [[]], {"class_name": None}, {"class_name": "x", "config": []}, 10**30]
    for _ in range(300):
        changed_config = copy.deepcopy(config)
        node = changed_config
        while isinstance(node, (dict, list)) and node:
            key = generator.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if generator.random() < 0.15 or not isinstance(node[key], (dict, list)) or not node[key]:
                node[key] = generator.choice(odd)
                break
            node = node[key]
        try:
            keras_config.checked(changed_config)
        except DataError as error:
            assert "\n" not in str(error)


def weights_of(change):
    """The weights of a file after a change."""
    file = io.BytesIO()
    with h5py.File(file, "w") as weights:
        change(weights)
    return file.getvalue()


def outside(weights):
    weights["elsewhere"] = h5py.ExternalLink("/etc/other.h5", "/x")


def loops(weights):
    weights["again"] = h5py.SoftLink("/")


def huge(weights):
    weights.create_dataset("x", shape=(1 << 40,), dtype="f4")


def text(weights):
    weights["x"] = "text"


def raw(weights):
    weights.create_dataset("x", shape=(10,), dtype="f4", external=[("/etc/passwd", 0, 40)])


def pieces(weights):
    weights.create_dataset("x", shape=(10,), maxshape=(None,), chunks=(1 << 28,), dtype="f4")


@pytest.mark.parametrize("change", [outside, loops, huge, text, raw, pieces, lambda _: None])
def test_weights_that_are_no_numbers_of_this_file(tmp_path, change):
    refused(changed(saved(tmp_path), lambda _: None, others={"model.weights.h5": weights_of(change)}))


def between(kind, **settings):
    """A change that puts a layer behind the input."""

    def change(config):
        config["config"]["layers"].insert(
            1,
            {
                "module": "keras.layers",
                "class_name": kind,
                "registered_name": None,
                "config": {"name": "between", "trainable": True, "dtype": "float32", **settings},
            },
        )

    return change


def units(config):
    config["config"]["layers"][-1]["config"]["units"] = 10**8


def input_of_thousands(config):
    config["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 10**5, 10**5, 1]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (units, "more weights than it holds values for"),
        (input_of_thousands, "more weights than it holds values for"),
        (between("Conv2D", filters=10**8, kernel_size=[3, 3]), "more weights than it holds values for"),
        (between("UpSampling2D", size=[10**4, 10**4]), "layer 'between' whose result is too large"),
        (between("ZeroPadding2D", padding=[[0, 10**6], [0, 10**4]]), "layer 'between' whose result is too large"),
    ],
)
def test_networks_that_would_fill_the_memory(tmp_path, change, match):
    def sequential():
        pooled = [layers.GlobalAveragePooling2D()] if "result" in match else [layers.Flatten()]
        return keras.Sequential([keras.Input(SHAPE), *pooled, layers.Dense(3)])

    told = refused(changed(saved(tmp_path, sequential), change))
    assert match in told


def test_zips_that_blow_up(tmp_path):
    path = saved(tmp_path)
    for name in ("config.json", "model.weights.h5", "metadata.json"):
        with zipfile.ZipFile(path) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        members[name] = b" " * (30 << 20)
        bomb = tmp_path / f"{name}.keras"
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        assert "bytes" in (told := refused(bomb)) or "times larger" in told


def test_deep_nesting_is_one_line(tmp_path):
    path = saved(tmp_path)
    refused(changed(path, lambda _: None, others={"config.json": b"[" * 200_000}))


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
