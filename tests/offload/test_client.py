"""The client with a server in this process, which is right, slow, gone, of another version, or answers nonsense."""

import re
import struct
import threading
import time
import zlib

import grpc
import made_split
import numpy as np
import pytest
from fake_inference_server import answer_message, serving, slow

import bnn_exit
from bnn_exit.errors import ArgumentError, ModelFileError
from bnn_exit.offload import Address, OffloadClient, client, packet, remote
from bnn_exit.offload.halves import ServerHalf
from bnn_exit.policies import rule

NEVER = [0.0, 0.0]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return made_split.make(tmp_path_factory.mktemp("split"))


@pytest.fixture
def server(files):
    with serving(ServerHalf(files[2])) as made:
        yield made


@pytest.fixture
def connected(files, server):
    with OffloadClient(files[1], Address(server.target), deadline_s=5.0) as made:
        assert made.connect(10.0)
        yield made


def device_answer(files, clip):
    return bnn_exit.load(files[1]).infer(clip, [])


def test_what_the_server_answers_is_what_the_whole_file_gives(files, server, connected):
    whole = bnn_exit.load(files[0].path)
    for clip in made_split.clips(4):
        for exit_index in range(3):
            thresholds = rule.forcing_thresholds(exit_index, exits=3)
            found, expected = connected.predict_inputs(clip, thresholds=thresholds), whole.infer(clip, thresholds)
            np.testing.assert_array_equal(found.probabilities, expected[0])
            assert (found.exit_index, found.score) == expected[1:]
            assert found.where == ("device" if exit_index == 0 else "server") and found.fault == ""
            assert (found.sent_bytes > 0) == (exit_index > 0)
            assert found.label == made_split.LABELS[int(expected[0].argmax())]
    assert len(server.requests) == 8  # those that left on the device were not sent


def test_a_waveform_is_taken_too(files, connected):
    waveform = np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32)
    found = connected.predict(waveform, operating_point="balanced")
    expected = bnn_exit.load(files[0].path).predict(waveform, operating_point="balanced")
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


NONSENSE = {
    "garbage": (lambda request, context: b"\xff\xff\xff", "no message of the protocol"),
    "nothing": (lambda request, context: b"", "answered the request ''"),
    "nan": (lambda r, c: answer_message([float("nan"), 0.5, 0.5], 1, 0.1, request_id=r[0]), "not from 0 to 1"),
    "negative": (lambda r, c: answer_message([-0.5, 0.5, 1.0], 1, 0.1, request_id=r[0]), "not from 0 to 1"),
    "sum": (lambda r, c: answer_message([0.5, 0.5, 0.5], 1, 0.1, request_id=r[0]), "sum to 1.5, not to 1"),
    "classes": (lambda r, c: answer_message([0.5, 0.5], 1, 0.1, request_id=r[0]), "2 values of float32 as probab"),
    "shape": (lambda r, c: answer_message([1, 0, 0], 1, 0.1, request_id=r[0], shape=[7]), "but the shape \\[7\\]"),
    "early exit": (lambda r, c: answer_message([1, 0, 0], 0, 0.1, request_id=r[0]), "of exit 1, but must be of 2 to 3"),
    "late exit": (lambda r, c: answer_message([1, 0, 0], 3, 0.1, request_id=r[0]), "of exit 4, but must be"),
    "score": (lambda r, c: answer_message([1, 0, 0], 1, float("nan"), request_id=r[0]), "a score that is not finite"),
    "checksum": (lambda r, c: answer_message([1, 0, 0], 1, 0.1, request_id=r[0]), "does not fit its checksum"),
    "other id": (lambda r, c: answer_message([1, 0, 0], 1, 0.1, request_id="x"), "answered the request 'x'"),
    "version": (lambda r, c: answer_message([1, 0, 0], 1, 0.1, request_id=r[0], version="old"), "has version 'old'"),
    "not found": (lambda r, c: c.abort(grpc.StatusCode.NOT_FOUND, "none"), "no model of this version: none"),
    "token": (lambda r, c: c.abort(grpc.StatusCode.UNAUTHENTICATED, "no"), "refuses the token: no"),
    "busy": (lambda r, c: c.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full"), "too much to do.*full"),
    "crash": (lambda r, c: 1 / 0, "answered with an error \\(unknown\\)"),
    "huge": (lambda r, c: bytes(2**21), "too much to do, or the packet is too large"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_not_believed_and_the_device_answers(files, server, connected, name):
    server.behaviour, message = NONSENSE[name]
    (clip,) = made_split.clips(1)
    found = connected.predict_inputs(clip, thresholds=NEVER)
    expected = device_answer(files, clip)
    assert found.where == "device" and found.exit_index == 0 and not connected.is_up
    np.testing.assert_array_equal(found.probabilities, expected[0])
    assert re.search(message, found.fault), found.fault
    assert "\n" not in found.fault and connected.fault == found.fault
    # Nothing is sent for a while.
    sent = len(server.requests)
    assert connected.predict_inputs(clip, thresholds=NEVER).where == "device" and len(server.requests) == sent == 1


def test_an_answer_of_which_a_bit_was_flipped_is_dropped_or_still_right(files, server, monkeypatch):
    """Of every bit: what is nonsense is found by its form, and what looks right by the checksum."""
    with OffloadClient(files[1], Address(server.target)) as made:
        (clip,) = made_split.clips(1)
        _, _, tensors = made.device(clip, NEVER)
        data = packet.encode(tensors, made.split)
        message, expected = server.right("x" * 32, data, NEVER), server.half(tensors, NEVER)
        believed = 0
        for bit in range(8 * len(message)):
            changed = bytearray(message)
            changed[bit // 8] ^= 1 << bit % 8
            monkeypatch.setattr(made._remote, "_call", lambda *_, now=bytes(changed): now)
            try:
                found = made._remote.infer(data, NEVER, request_id="x" * 32, timeout_s=1.0)
            except remote.Fault:
                continue
            believed += 1
            np.testing.assert_array_equal(found.probabilities, expected.probabilities)
            assert (found.exit_index, found.score) == (expected.exit_index, expected.score), bit
        assert 0 < believed < len(message)  # bits of the name of the model mean nothing


def test_a_request_that_was_changed_on_its_way_is_answered_by_the_device(files, server, connected):
    """A flipped bit of the features gives another answer, which looks as good as the right one."""
    (clip,) = made_split.clips(1)

    def changed(request, context):
        request_id, data, thresholds = request
        body = bytearray(zlib.decompress(data[21:])) if data[20] else bytearray(data[21:])
        body[-1] ^= 1
        return server.right(request_id, data[:20] + b"\0" + bytes(body), thresholds)

    server.behaviour = changed
    found = connected.predict_inputs(clip, thresholds=NEVER)
    assert found.where == "device" and "does not fit its checksum" in found.fault


def test_a_slow_server_costs_the_deadline_and_its_late_answer_is_dropped(files, server):
    server.behaviour = slow(1.0)
    (clip,) = made_split.clips(1)
    with OffloadClient(files[1], Address(server.target), deadline_s=0.3) as made:
        assert made.connect(10.0)
        found = made.predict_inputs(clip, thresholds=NEVER)
        assert (found.where, found.fault) == ("device", "the server did not answer in time")
        assert found.seconds < 1.0
        time.sleep(1.0)
        assert len(server.requests) == 1
        again = made.predict_inputs(clip, thresholds=NEVER)
        assert again.request_id != found.request_id and again.where == "device"


def test_with_the_other_half_here_a_clip_goes_on_here(files, server):
    server.behaviour = NONSENSE["garbage"][0]
    whole, clip = bnn_exit.load(files[0].path), made_split.clips(1)[0]
    with OffloadClient(files[1], Address(server.target), local=files[2], deadline_s=5.0) as made:
        assert made.connect(10.0)
        found = made.predict_inputs(clip, thresholds=NEVER)
        assert found.where == "local" and found.exit_index == 2 and "no message of the protocol" in found.fault
        np.testing.assert_array_equal(found.probabilities, whole.infer(clip, NEVER)[0])
        assert made.predict_inputs(clip, thresholds=NEVER).fault == ""
    with OffloadClient(files[1], local=files[2]) as alone:
        assert alone.predict_inputs(clip, thresholds=NEVER).where == "local" and not alone.connect()


def test_a_server_that_is_gone_and_comes_back(files):
    half, clip = ServerHalf(files[2]), made_split.clips(1)[0]
    with serving(half) as first:
        port = first.port
        made = OffloadClient(files[1], Address(first.target), deadline_s=5.0)
        assert made.connect(10.0) and made.predict_inputs(clip, thresholds=NEVER).where == "server"
    with made:
        gone = made.predict_inputs(clip, thresholds=NEVER)
        assert gone.where == "device" and "cannot be reached" in gone.fault
        with serving(half, port=port):
            end = time.monotonic() + 60
            while made.predict_inputs(clip, thresholds=NEVER).where != "server":
                assert time.monotonic() < end
                time.sleep(0.1)
        assert made.fault == ""


def test_no_server_at_all(files):
    (clip,) = made_split.clips(1)
    with OffloadClient(files[1], Address("127.0.0.1:9"), deadline_s=1.0) as made:
        assert not made.connect(1.0) and "cannot be reached" in made.fault
        assert made.predict_inputs(clip, thresholds=NEVER).where == "device"
    with OffloadClient(files[1]) as alone:
        assert alone.predict_inputs(clip, thresholds=NEVER).fault == ""


def test_every_clip_of_many_threads_has_one_answer_and_is_sent_once(files, server, connected):
    whole, everything = bnn_exit.load(files[0].path), made_split.clips(40)
    found = {}

    def work(numbers):
        for number in numbers:
            found[number] = connected.predict_inputs(everything[number], thresholds=NEVER)

    threads = [threading.Thread(target=work, args=(range(start, 40, 4),)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.request_id for each in found.values()}) == 40
    identities = [identity for identity, _, _ in server.requests]
    assert len(identities) == len(set(identities)) == sum(each.sent_bytes > 0 for each in found.values())
    assert set(identities) == {each.request_id for each in found.values() if each.sent_bytes}
    for number, each in found.items():
        assert each.where == "server"
        np.testing.assert_array_equal(each.probabilities, whole.infer(everything[number], NEVER)[0])


def test_nan_on_the_device_is_not_sent(files, server, connected):
    lossy = made_split.make(files[1].parent, raw=False)
    with serving(ServerHalf(lossy[2])) as other, OffloadClient(lossy[1], Address(other.target), deadline_s=5) as made:
        assert made.connect(10.0)
        clip = np.full((made_split.FRAMES, 32), np.nan, np.float32)
        found = made.predict_inputs(clip, thresholds=NEVER)
        assert found.where == "device" and "NaN or infinity" in found.fault and other.requests == []


def test_a_token_is_sent(files):
    with serving(ServerHalf(files[2]), token="secret") as server:
        with OffloadClient(files[1], Address(server.target, token="secret"), deadline_s=5) as made:
            assert made.connect(10.0)
        with OffloadClient(files[1], Address(server.target, token="wrong"), deadline_s=5) as made:
            assert not made.connect(10.0) and "refuses the token" in made.fault
        assert server.tokens[0] == "Bearer secret"
    assert "secret" not in repr(Address("a:1", token="secret"))


def test_the_first_clips_are_answered_here_until_the_server_is_ready(files, server):
    (clip,) = made_split.clips(1)
    with OffloadClient(files[1], Address(server.target), deadline_s=5.0) as made:
        assert made.predict_inputs(clip, thresholds=NEVER).where == "device"
        end = time.monotonic() + 30
        while made.predict_inputs(clip, thresholds=NEVER).where != "server":
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_link_that_became_slow_is_left_and_found_again(files, server, monkeypatch):
    monkeypatch.setattr(client, "MEASURE_EVERY_S", 0.05)
    (clip,) = made_split.clips(1)
    with OffloadClient(files[1], Address(server.target), deadline_s=5.0) as made:
        assert made.connect(10.0)
        made.link.bits_per_s = 10.0  # as after some clips over a bad link
        assert made.predict_inputs(clip, thresholds=NEVER).where == "device"
        end = time.monotonic() + 30
        while made.predict_inputs(clip, thresholds=NEVER).where != "server":
            assert time.monotonic() < end
            time.sleep(0.02)
        assert made.link.bits_per_s > 1000


@pytest.mark.parametrize(
    "change, message",
    [
        ({"objective": "speed"}, "objective is 'speed', but must be one of accuracy, energy, latency"),
        ({"deadline_s": 0}, "deadline_s is 0, but must be a number of seconds above 0"),
        ({"backend": "lce"}, "backend is 'lce'"),
    ],
)
def test_arguments(files, change, message):
    with pytest.raises(ArgumentError, match=message):
        OffloadClient(files[1], **change)


def test_files_that_do_not_belong_together(files):
    other = made_split.make(files[1].parent, seed=2)
    with pytest.raises(ModelFileError, match="do not belong together"):
        OffloadClient(files[1], local=other[2])
    with pytest.raises(ModelFileError, match="this is the server's half"):
        OffloadClient(files[2])


@pytest.mark.parametrize("target", ["server", ":80", "a:0", "a:99999", "a:b"])
def test_addresses(target):
    with pytest.raises(ArgumentError, match="must be HOST:PORT"):
        Address(target)


def test_a_server_of_another_split_refuses(files):
    other = made_split.make(files[1].parent, seed=2)
    (clip,) = made_split.clips(1)
    with serving(ServerHalf(other[2])) as server, OffloadClient(files[1], Address(server.target), deadline_s=5) as made:
        assert made.connect(10.0)
        found = made.predict_inputs(clip, thresholds=NEVER)
        assert found.where == "device" and "answered with an error" in found.fault


def test_thresholds_reach_the_server_as_float32(files, server, connected):
    connected.predict_inputs(made_split.clips(1)[0], thresholds=[0.0, 0.3])
    assert server.requests[0][2] == (0.0, struct.unpack("<f", struct.pack("<f", 0.3))[0])
