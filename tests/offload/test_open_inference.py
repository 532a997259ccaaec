"""The messages of the protocol, against bytes by hand and against MLServer's own where it is installed."""

import struct

import numpy as np
import pytest

from bnn_exit.errors import DataError
from bnn_exit.offload import open_inference


def request(**more):
    given = {"model": "m", "version": "v", "request_id": "id", "packet": b"\x01\x02", "thresholds": [0.5]}
    return open_inference.infer_request(**{**given, **more})


def test_a_request_by_hand():
    packet = b"\x0a\x06packet" + b"\x12\x05BYTES" + b"\x1a\x01\x01" + b"\x2a\x04" + b"\x42\x02\x01\x02"
    limits = b"\x0a\x0athresholds" + b"\x12\x04FP32" + b"\x1a\x01\x01" + b"\x2a\x06" + b"\x32\x04\x00\x00\x00\x3f"
    expected = b"\x0a\x01m" + b"\x12\x01v" + b"\x1a\x02id"
    expected += b"".join(b"\x2a" + bytes([len(each)]) + each for each in (packet, limits))
    assert request() == expected


def test_lengths_above_127_take_two_bytes():
    assert b"\xac\x02" + bytes(300) in request(packet=bytes(300))


@pytest.mark.parametrize(
    "data, message",
    [
        (b"\x0a", "ends within a number"),
        (b"\x0a\x05ab", "ends within a field"),
        (b"\x0f", "a field of kind 7"),
        (b"\x80" * 11, "ends within a number"),
        (b"\x0a\x01\xff", "not UTF-8"),
        (b"\x2a\x02\x12\x00", "is of the type ''"),
        (b"\x2a\x06\x12\x04FP32", "has 0 values, but the shape"),
        (b"\x2a\x00\x32\x00\x32\x00", "1 outputs and 2 contents"),
        (b"\x2a\x09\x12\x04FP32\x1a\x01\x01\x32\x03abc", "3 bytes, which are no values of FP32"),
        (b"\x2a\x0f\x12\x05INT32\x1a\x01\x01\x2a\x03\x12\x01\x80", "ends within a number"),
    ],
)
def test_no_messages(data, message):
    with pytest.raises(DataError, match=message):
        answer = open_inference.read_answer(data)
        assert answer.outputs["" if "" in answer.outputs else "x"].shape == (1,), message


def test_random_bytes_raise_nothing_else():
    random = np.random.default_rng(0)
    for _ in range(3000):
        data = random.integers(0, 256, random.integers(0, 60)).astype(np.uint8).tobytes()
        try:
            open_inference.read_answer(data)
        except DataError as error:
            assert "\n" not in str(error)


def test_of_mlserver_itself():
    pb = pytest.importorskip("mlserver.grpc.dataplane_pb2", reason="the extra server is not installed")
    read = pb.ModelInferRequest.FromString(request(packet=b"abc", thresholds=[0.25, 1.0]))
    assert (read.model_name, read.model_version, read.id) == ("m", "v", "id")
    assert [(each.name, each.datatype, list(each.shape)) for each in read.inputs] == [
        ("packet", "BYTES", [1]),
        ("thresholds", "FP32", [2]),
    ]
    assert list(read.inputs[0].contents.bytes_contents) == [b"abc"]
    assert list(read.inputs[1].contents.fp32_contents) == [0.25, 1.0]
    ready = pb.ModelReadyRequest.FromString(open_inference.ready_request(model="m", version="v"))
    assert (ready.name, ready.version) == ("m", "v")
    assert open_inference.read_ready(pb.ModelReadyResponse(ready=True).SerializeToString())
    assert not open_inference.read_ready(pb.ModelReadyResponse(ready=False).SerializeToString())
    made = pb.ModelInferResponse(model_name="m", model_version="v", id="id")
    made.outputs.add(name="a", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([0.5, -1.0])
    made.outputs.add(name="b", datatype="INT32", shape=[1]).contents.int_contents.append(-3)
    answer = open_inference.read_answer(made.SerializeToString())
    assert (answer.model_name, answer.model_version, answer.request_id) == ("m", "v", "id")
    assert answer.outputs["a"].tolist() == [[0.5, -1.0]] and answer.outputs["b"].tolist() == [-3]
    for output in made.outputs:
        output.ClearField("contents")
    made.raw_output_contents.extend([struct.pack("<2f", 0.5, -1.0), struct.pack("<i", -3)])
    answer = open_inference.read_answer(made.SerializeToString())
    assert answer.outputs["a"].tolist() == [[0.5, -1.0]] and answer.outputs["b"].tolist() == [-3]
