"""Descriptions of Keras files from strangers are read as data: nothing in them is run.

Every payload here would write a marker file, and no marker may appear.
"""

import copy
import io
import json
import random
import zipfile

import numpy as np
import pytest
from keras_teachers import (
    CLIPS,
    SHAPE,
    changed,
    flat_model,
    layers,
    many_layers,
    recurrent,
    refused,
    saved,
    saved_bytes,
)

from bnn_exit._keras import keras
from bnn_exit.errors import DataError
from distill.teachers import keras_config, load_teacher
from distill.teachers.keras_file import open_keras


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
