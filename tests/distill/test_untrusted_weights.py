"""Weights and sizes in Keras files from strangers: what would fill the memory or never end is refused in one line."""

import io
import zipfile

import h5py
import pytest
from keras_teachers import SHAPE, changed, layers, refused, saved

from bnn_exit._keras import keras


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
