import os

import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.serving.address import Address, parse


@pytest.mark.parametrize(
    ("uri", "address", "shown"),
    [
        ("tcp://0.0.0.0:10400", Address("tcp", host="0.0.0.0", port=10400), "tcp://0.0.0.0:10400"),
        ("tcp://localhost:0/", Address("tcp", host="localhost", port=0), "tcp://localhost:0"),
        ("tcp://[::1]:5", Address("tcp", host="::1", port=5), "tcp://[::1]:5"),
        ("unix:///run/wake.sock", Address("unix", path="/run/wake.sock"), "unix:///run/wake.sock"),
        ("unix://wake.sock", Address("unix", path="wake.sock"), "unix://wake.sock"),
        ("unix://~/s", Address("unix", path=os.path.expanduser("~/s")), f"unix://{os.path.expanduser('~/s')}"),
        ("stdio://", Address("stdio"), "stdio://"),
    ],
)
def test_addresses(uri, address, shown):
    assert parse(uri) == address and str(address) == shown


@pytest.mark.parametrize(
    "uri",
    ["", "10400", "0.0.0.0:10400", "tcp://0.0.0.0", "tcp://:10400", "tcp://h:99999", "tcp://h:x", "tcp://h:1/path",
     "tcp://user@h:1", "http://h:1", "unix://", "stdio://x", "tcp://[::1:5", "tcp://a..b:1", f"tcp://{'a' * 64}:1"],
)  # fmt: skip
def test_others_are_refused(uri):
    with pytest.raises(ArgumentError, match=r"uri is '.*but must be such as tcp://0\.0\.0\.0:10400, unix:///run"):
        parse(uri)
