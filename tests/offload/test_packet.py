"""What goes over the network: one piece of bytes, refused when it is another one."""

import zlib

import made_split
import numpy as np
import pytest

from bnn_exit.errors import DataError
from bnn_exit.model_file.split import Split, Traveller, read_half
from bnn_exit.offload import packet


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return read_half(made_split.make(tmp_path_factory.mktemp("split"))[1], role="device").split


@pytest.fixture(scope="module")
def split(whole):
    travels = (
        Traveller("travel_0", (1, 2, 3), "bits", 1),
        Traveller("travel_1", (1, 2, 3), "float", 32),
        Traveller("travel_2", (1, 2, 10), "linear", 4),
    )
    return Split("device", "ab" * 32, 1, travels, whole.whole)


def tensors():
    random = np.random.default_rng(0)
    return {
        "travel_0": random.integers(-(2**31), 2**31, (1, 2, 3)).astype(np.int32),
        "travel_1": random.normal(size=(1, 2, 3)).astype(np.float32),
        "travel_2": random.normal(size=(1, 2, 10)).astype(np.float32),
    }


def test_the_bytes_by_hand(split):
    given = tensors()
    sent = packet.encode(given, split, compress=False)
    assert sent[:21] == b"BXS1" + bytes.fromhex("ab" * 16) + b"\0"
    assert sent[21:45] == given["travel_0"].astype("<i4").tobytes()
    assert sent[45:69] == given["travel_1"].astype("<f4").tobytes()
    assert len(sent) == 69 + 5 + 4 * 3 == packet.max_bytes(split)


@pytest.mark.parametrize("compress", [True, False])
def test_there_and_back(split, compress):
    given = tensors()
    found = packet.decode(packet.encode(given, split, compress=compress), split)
    for name in ("travel_0", "travel_1"):
        np.testing.assert_array_equal(found[name], given[name])
        assert found[name].dtype == given[name].dtype
    np.testing.assert_allclose(found["travel_2"], given["travel_2"], atol=0.2)
    np.testing.assert_array_equal(found["travel_2"] < 0, given["travel_2"] < 0)


def test_zeros_are_compressed(split):
    zeros = {name: np.zeros_like(value) for name, value in tensors().items()}
    sent = packet.encode(zeros, split)
    assert sent[20] == 1 and len(sent) < 50
    np.testing.assert_array_equal(packet.decode(sent, split)["travel_2"], zeros["travel_2"])


def head(compression):
    return b"BXS1" + bytes.fromhex("ab" * 16) + bytes([compression])


@pytest.mark.parametrize(
    "sent, message",
    [
        (b"", "0 bytes does not begin as one"),
        (b"BXS1", "4 bytes does not begin as one"),
        (b"BXS2" + bytes(100), "does not begin as one"),
        (b"BXS1" + bytes(17 + 65), "is of the split 000000000000, but this server has abababababab"),
        (head(0) + bytes(64), "holds 64 bytes, but must hold 65"),
        (head(0) + bytes(66), "holds 66 bytes, but must hold 65"),
        (head(2) + bytes(65), "has the compression 2"),
        (head(1) + b"nonsense", "cannot be uncompressed"),
        (head(1) + zlib.compress(bytes(64)), "holds 64 bytes"),
        (head(1) + zlib.compress(bytes(2**24)), "does not unfold to exactly 65 bytes"),
        (head(1) + zlib.compress(bytes(65)) + b"more", "does not unfold to exactly 65 bytes"),
        (head(1) + zlib.compress(bytes(65))[:-3], "does not unfold to exactly 65 bytes"),
        (head(0) + bytes(24) + b"\xff" * 24 + bytes(17), "NaN or infinity in travel_1"),
        (head(0) + bytes(48) + b"\xff" * 17, "a code of step nan"),
    ],
)
def test_other_bytes_are_refused(split, sent, message):
    with pytest.raises(DataError, match=message):
        packet.decode(sent, split)


@pytest.mark.parametrize(
    "values, message",
    [
        (("travel", (1,), "bits", 1), "must be travel_0"),
        (("travel_1", (1,), "gzip", 1), "code is 'gzip'"),
        (("travel_1", (0,), "bits", 1), "shape is"),
        (("travel_1", (2**12, 2**12), "float", 32), "shape is"),
        (("travel_1", (1,), "linear", 9), "bits is 9, but must be 2 to 8"),
        (("travel_1", (1,), "bits", 8), "bits is 8"),
    ],
)
def test_travellers(values, message):
    with pytest.raises(ValueError, match=message):
        Traveller(*values)
