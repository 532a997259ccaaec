"""Two readers of metadata, in Python and in the native library, with one verdict on every text."""

import ctypes
import re
from pathlib import Path

import metadata_cases
import numpy as np
import pytest
import tiny_files
from native.compilers import needs_library

from bnn_exit import text
from bnn_exit.errors import ModelFileError
from bnn_exit.model_file import flatbuffer, reader
from bnn_exit.model_file.metadata import Metadata
from bnn_exit.runtime import native_backend
from bnn_exit.runtime.session import Session
from bnn_exit.settings import features as config

NATIVE = Path(native_backend.__file__).parent / "native"
pytestmark = needs_library
PLACE = Path("model.tflite")


class Answer(ctypes.Structure):
    _fields_ = (
        ("label", ctypes.c_char_p),
        ("label_index", ctypes.c_int32),
        ("exit_index", ctypes.c_int32),
        ("score", ctypes.c_float),
        ("probabilities", ctypes.POINTER(ctypes.c_float)),
    )


class Classifier:
    """The C interface's reader of whole files; raises ModelFileError if it refuses."""

    def __init__(self, data):
        self.library = native_backend._library()
        self.handle, self.message = ctypes.c_void_p(), ctypes.create_string_buffer(512)
        status = self.library.bnn_exit_classifier_new(
            data, ctypes.c_size_t(len(data)), None, ctypes.byref(self.handle), self.message, ctypes.c_size_t(512)
        )
        if status:
            raise ModelFileError(self.message.value.decode())

    def __del__(self):
        self.library.bnn_exit_classifier_free(self.handle)

    def labels(self):
        self.library.bnn_exit_label.restype = ctypes.c_char_p
        count = self.library.bnn_exit_label_count(self.handle)
        return tuple(self.library.bnn_exit_label(self.handle, index).decode() for index in range(count))

    def classify(self, clip, point):
        prediction = Answer()
        status = self.library.bnn_exit_classify(
            self.handle,
            clip.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(clip.size),
            point.encode(),
            None,
            ctypes.byref(prediction),
            self.message,
            ctypes.c_size_t(512),
        )
        assert status == 0, self.message.value
        return prediction


@pytest.fixture(scope="module")
def with_metadata():
    good = metadata_cases.encoded(metadata_cases.GOOD)
    plain, gated = (tiny_files.adaptive_file(input="waveform", meta=good, thresholds=count) for count in (2, 3))
    of_values = tiny_files.adaptive_file(input="values", meta=good)

    def file(document):
        """A network that takes what the document says, and as many thresholds as its policy has."""
        if b'"input": "values"' in document:
            return metadata_cases.with_metadata(of_values, document)
        return metadata_cases.with_metadata(gated if b'"policy": "skip_gate"' in document else plain, document)

    return file


def verdict(read, data):
    """What a reader makes of a file: the error, or what it read."""
    try:
        return read(data)
    except ModelFileError as error:
        assert str(error) and "\n" not in str(error)
        return error


def read_by_both(data):
    return verdict(lambda data: reader.decode(data, place=PLACE), data), verdict(Classifier, data)


@pytest.mark.parametrize("family", sorted({name.split(":")[0] for name, _, _ in metadata_cases.cases()}))
def test_both_readers_have_the_right_verdict(with_metadata, family):
    cases = [case for case in metadata_cases.cases() if case[0].split(":")[0] == family]
    for name, document, right in cases:
        python, native = read_by_both(with_metadata(document))
        assert (not isinstance(python, Exception)) == right, (name, python)
        assert (not isinstance(native, Exception)) == right, (name, native)
        if right:
            assert native.labels() == python.metadata.labels, name


def test_what_is_read_is_what_is_written():
    for name, document, right in metadata_cases.cases():
        if right and len(document) < 100_000:
            metadata = Metadata.from_json(document)
            assert Metadata.from_json(metadata.to_json()) == metadata, name


def test_both_readers_agree_on_changed_bytes(with_metadata):
    good = metadata_cases.encoded(metadata_cases.GOOD)
    random = np.random.default_rng(0)
    pieces = [*(bytes([byte]) for byte in b'"\\{}[],:0-.e \t\x7f\xc3'), b"\\u0041", b"null", b"9" * 20]
    accepted = 0
    for _ in range(500):
        at, size = int(random.integers(len(good))), int(random.integers(3))
        document = good[:at] + pieces[random.integers(len(pieces))] * int(random.integers(2)) + good[at + size :]
        python, native = read_by_both(with_metadata(document))
        assert isinstance(python, Exception) == isinstance(native, Exception), (document, python, native)
        accepted += not isinstance(python, Exception)
    assert 50 < accepted < 450


@pytest.mark.parametrize("point", ["full", "balanced", "fast"])
def test_both_readers_read_the_same_thresholds(with_metadata, point):
    data = with_metadata(metadata_cases.edited("operating_points", "balanced", "thresholds", value=[0.97, 0.99]))
    session, classifier = Session(reader.decode(data, place=PLACE), backend="native"), Classifier(data)
    random = np.random.default_rng(1)
    for scale in (0.01, 0.1, 1, 3):
        clip = random.normal(0, scale, tiny_files.CLIP_SAMPLES).astype(np.float32)
        python, native = session.predict(clip, operating_point=point), classifier.classify(clip, point)
        assert (python.exit_index, python.score) == (native.exit_index, native.score)


def test_a_file_that_takes_log_mels_must_fit_its_features():
    for changes, right in (({}, True), ({"hop_ms": 5.0}, False), ({"num_mels": 5}, False), ({"fft_size": 1024}, True)):
        features = config.FeatureConfig.from_dict({**tiny_files.FEATURES.to_dict(), **changes})
        data = tiny_files.adaptive_file(meta=tiny_files.metadata(features=features).to_json())
        assert [not isinstance(found, Exception) for found in read_by_both(data)] == [right, right], changes


def test_the_limits_of_features_are_those_of_the_header():
    header = (NATIVE / "include" / "bnn_exit.h").read_text()
    found = dict(re.findall(r"#define BNN_EXIT_(M(?:IN|AX)_\w+) (\d+|\(1 << \d+\))", header))
    assert len(found) == 6
    for name, value in found.items():
        shifted = re.fullmatch(r"\(1 << (\d+)\)", value)
        assert getattr(config, name) == (1 << int(shifted[1]) if shifted else int(value)), name


def test_the_refused_characters_are_those_of_the_library():
    source = (NATIVE / "core" / "text.cpp").read_text()
    found = re.findall(r'\{(0x\w+), (0x\w+), "([^"]+)"\}', source)
    assert [(int(first, 16), int(last, 16), what) for first, last, what in found] == list(text._REFUSED)


@pytest.mark.parametrize("what", ["metadata", "signature", "input", "output", "option"])
def test_a_name_that_is_there_twice_is_refused(what):
    file = tiny_files.File()
    graph = file.graph()
    source = graph.input((1, 1, 1, 32))
    words = graph.operator("LceQuantize", [source], [((1, 1, 1, 1), "int32")])
    graph.outputs(graph.operator("LceDequantize", words, [((1, 1, 1, 32), "float32")], key_a=1, key_b=2))
    ports = {"input": {"a": source, "b": source}, "output": {"c": graph.table.outputs[0], "d": graph.table.outputs[0]}}
    file.signature(ports["input"], ports["output"], name="first")
    file.signature(ports["input"], ports["output"], name="other")
    for name in ("one", "two"):
        file.metadata(name, b"")
    good = file.bytes()
    native_backend.NativeNetwork(good)
    flatbuffer.read(good)
    first, second = {
        "metadata": (b"two", b"one"),
        "signature": (b"other", b"first"),
        "input": (b"\1\0\0\0b", b"\1\0\0\0a"),
        "output": (b"\1\0\0\0d", b"\1\0\0\0c"),
        "option": (b"key_b\0", b"key_a\0"),
    }[what]
    assert first in good
    data = good.replace(first, second)
    with pytest.raises(ModelFileError, match="is there twice"):
        flatbuffer.read(data)
    with pytest.raises(ModelFileError, match="is there twice"):
        native_backend.NativeNetwork(data)
