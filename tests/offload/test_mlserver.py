"""The real server: MLServer in a process of its own, with the client and with requests that it must refuse."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import made_split
import numpy as np
import pytest

import bnn_exit
from bnn_exit.offload import Address, OffloadClient, open_inference, packet
from bnn_exit.offload.halves import ExitAnswer
from bnn_exit.offload.remote import Fault, Remote
from bnn_exit.policies import rule

pytest.importorskip("mlserver", reason="the extra server is not installed")

ROOT = Path(__file__).parents[2]
NEVER = [0.0, 0.0]


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


@contextlib.contextmanager
def served(folder, server, *options, port):
    """The command in a process of its own; its output goes to a file."""
    arguments = [sys.executable, "-m", "bnn_exit.serve_model", str(server), "--port", str(port), *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with open(folder / f"log_{port}.txt", "w") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return made_split.make(tmp_path_factory.mktemp("split"))


@pytest.fixture(scope="module")
def running(files, tmp_path_factory):
    """Ports of a server with a token: gRPC and HTTP."""
    folder, port, http = tmp_path_factory.mktemp("server"), free_port(), free_port()
    (folder / "token.txt").write_text("secret\n")
    options = ("--http-port", http, "--token-file", folder / "token.txt", "--max-clients", 8)
    with served(folder, files[2], *options, port=port) as process:
        wait_for(files[1], Address(f"127.0.0.1:{port}", token="secret"), process, folder / f"log_{port}.txt")
        yield port, http


def wait_for(device, address, process, log):
    end = time.monotonic() + 90
    while True:
        with OffloadClient(device, address) as client:
            if client.connect(5.0):
                return
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.2)


@pytest.fixture
def remote(files, running):
    with OffloadClient(files[1], Address(f"127.0.0.1:{running[0]}", token="secret"), deadline_s=10.0) as client:
        assert client.connect(10.0)
        yield client


def test_both_halves_give_what_the_whole_file_gives(files, remote):
    whole = bnn_exit.load(files[0].path)
    for clip in made_split.clips(3):
        for exit_index in range(3):
            thresholds = rule.forcing_thresholds(exit_index, exits=3)
            found, expected = remote.predict_inputs(clip, thresholds=thresholds), whole.infer(clip, thresholds)
            np.testing.assert_array_equal(found.probabilities, expected[0])
            assert (found.exit_index, found.fault) == (expected[1], "")
            assert found.score == pytest.approx(expected[2], rel=1e-6)
            assert found.where == ("server" if exit_index else "device")


def test_a_wrong_token(files, running):
    for token in ("", "other"):
        with OffloadClient(files[1], Address(f"127.0.0.1:{running[0]}", token=token)) as client:
            assert not client.connect(10.0) and "refuses the token" in client.fault


def send(running, split, **more):
    given = {"packet": b"", "thresholds": NEVER, "version": split.identity[:12]}
    message = open_inference.infer_request(model="bnn_exit", request_id="x", **{**given, **more})
    remote = Remote(Address(f"127.0.0.1:{running[0]}", token="secret"), split)
    try:
        with pytest.raises(Fault) as caught:
            remote._call(remote._infer, message, 10.0)
    finally:
        remote.close()
    return str(caught.value)


def test_what_the_server_refuses_over_grpc(running, remote):
    split = remote.split
    assert "does not begin as one" in send(running, split, packet=b"nonsense")
    assert "must be FP32 [2]" in send(running, split, thresholds=[0.0])
    assert "must be a finite number of at least 0" in send(running, split, thresholds=[0.0, -1.0])
    assert "bytes, but may have" in send(running, split, packet=bytes(packet.max_bytes(split) + 10))
    assert "packet is too large" in send(running, split, packet=bytes(10**6))
    assert "no model of this version" in send(running, split, version="0123456789ab")
    assert remote.predict_inputs(made_split.clips(1)[0], thresholds=NEVER).where == "server"


def post(port, path, body, token="secret"):
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def body(data, thresholds=NEVER, shape=(1,)):
    inputs = [
        {"name": "packet", "datatype": "BYTES", "shape": list(shape), "data": [base64.b64encode(data).decode()]},
        {"name": "thresholds", "datatype": "FP32", "shape": [2], "data": thresholds},
    ]
    return json.dumps({"id": "x", "inputs": inputs}).encode()


def test_over_http(files, running, remote):
    (clip,) = made_split.clips(1)
    data = packet.encode(remote.device(clip, NEVER)[2], remote.split)
    path = "/v2/models/bnn_exit/infer"
    status, answer = post(running[1], path, body(data))
    outputs = {each["name"]: each["data"] for each in answer["outputs"]}
    expected = bnn_exit.load(files[0].path).infer(clip, NEVER)
    assert status == 200 and answer["id"] == "x" and outputs["exit_index"] == [2]
    np.testing.assert_array_equal(np.array(outputs["probabilities"], np.float32), expected[0])
    assert outputs["checksum"] == [packet.checksum("x", data, NEVER, ExitAnswer(*expected))]
    assert post(running[1], path, body(data), token="other")[0] == 401
    assert post(running[1], path, body(b"nonsense"))[0] == 400
    assert "packet is BYTES [2], but must be BYTES [1]" in post(running[1], path, body(data, shape=(2,)))[1]
    assert post(running[1], path, bytes(10**6))[0] == 413
    assert post(running[1], "/v2/repository/models/bnn_exit/unload", b"{}")[0] == 404
    assert post(running[1], "/docs", b"")[0] == 404


def test_a_port_in_use_is_one_line(files, running, tmp_path):
    with served(tmp_path, files[2], port=running[0]) as process:
        assert process.wait(60) == 2
    said = (tmp_path / f"log_{running[0]}.txt").read_text()
    assert said.startswith(f"error: --port is {running[0]}, but 127.0.0.1:{running[0]} cannot be used")
    assert said.count("\n") == 1 and "choose another port" in said


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_tls(files, tmp_path):
    certificate, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", free_port()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *more], check=True, capture_output=True)
    with served(tmp_path, files[2], "--certificate", certificate, "--key", key, port=port) as process:
        address = Address(f"localhost:{port}", certificate=str(certificate))
        wait_for(files[1], address, process, tmp_path / f"log_{port}.txt")
        with OffloadClient(files[1], address, deadline_s=10.0) as client:
            assert client.connect(10.0)
            assert client.predict_inputs(made_split.clips(1)[0], thresholds=NEVER).where == "server"
        with OffloadClient(files[1], Address(f"localhost:{port}"), deadline_s=2.0) as plain:
            assert not plain.connect(2.0)


def test_several_workers_and_a_killed_server(files, tmp_path):
    port = free_port()
    with served(tmp_path, files[2], "--workers", 1, port=port) as process:
        address = Address(f"127.0.0.1:{port}")
        wait_for(files[1], address, process, tmp_path / f"log_{port}.txt")
        clip = made_split.clips(1)[0]
        with OffloadClient(files[1], address, deadline_s=10.0) as client:
            assert client.connect(10.0)
            found = client.predict_inputs(clip, thresholds=NEVER)
            assert found.where == "server", found.fault
            expected = bnn_exit.load(files[0].path).infer(clip, NEVER)
            np.testing.assert_array_equal(found.probabilities, expected[0])
            process.terminate()
            process.wait(30)
            assert client.predict_inputs(clip, thresholds=NEVER).where == "device"
