import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("wyoming")

from wyoming.event import Event, async_write_event

from bnn_exit.serving import wire
from bnn_exit.serving.wire import ProtocolError, read_event


def read(data, *, eof=True, **settings):
    """The events in some bytes, until their end."""

    async def work():
        reader = asyncio.StreamReader(limit=wire.MAX_LINE_BYTES)
        reader.feed_data(data)
        if eof:
            reader.feed_eof()
        found = []
        while (event := await read_event(reader, **settings)) is not None:
            found.append(event)
        return found

    return asyncio.run(work())


class Written:
    """In the place of a StreamWriter."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data

    def writelines(self, pieces):
        self.data += b"".join(pieces)

    async def drain(self):
        pass


@given(
    st.lists(
        st.builds(
            Event,
            type=st.text("abc-", min_size=1, max_size=20),
            data=st.dictionaries(st.text(max_size=5), st.integers(-1000, 1000) | st.text(max_size=5), max_size=3),
            payload=st.none() | st.binary(min_size=1, max_size=50),
        ),
        max_size=4,
    )
)
def test_what_the_package_writes_is_read(events):
    written = Written()
    for event in events:
        asyncio.run(async_write_event(event, written))
    assert read(written.data) == events


def test_data_may_stand_in_the_line_too():
    assert read(b'{"type": "a", "data": {"x": 1}, "data_length": 8}\n{"y": 2}') == [Event("a", {"x": 1, "y": 2})]
    assert read(b'{"type": "a", "data": null, "payload_length": null}\n') == [Event("a", {})]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", r"an event begins with {, but b'G' came"),
        (b"\x16\x03\x01\x02\x00", r"an event begins with {, but b'\\x16' came"),
        (b"{not json}\n", "a line is no JSON: "),
        (b'{"type": "\xff"}\n', "a line is no JSON: 'utf-8' codec"),
        (b'{"a":' * 20000 + b"\n", "a line has more than 65536 bytes"),
        (b'{"a":' * 5000 + b"\n", "a line is no JSON: "),
        (b'{"type": "a", "data": ' + b"[" * 40 + b"]" * 40 + b"}\n", "a line is no JSON: it is nested too deeply"),
        (b'{"type": "ping", "data": {"text": "\\ud800"}}\n', r"a line is no JSON: '\\ud800' has half of a surrogate"),
        (b'{"type": "a", "data_length": 17}\n{"x": ["\\udc00"]}', "the data of an event is no JSON: '.udc00' has half"),
        (b'{"type": "a", "data": {"\\ud800": 1}}\n', "has half of a surrogate pair"),
        (b"{}\n", "type is 'None', but must be a text of 1 to 64 letters"),
        (b'{"type": 5}\n', "type is '5', but must be a text"),
        (b'{"type": ""}\n', "type is '', but must be a text"),
        (b'{"type": "a", "type": "b"}\n', "a line is no JSON: 'type' is there twice"),
        (b'{"type": "a", "data": []}\n{', "the connection ended in the middle of an event"),
        (b'{"type": "a", "data": [1]}\n', "the data of an event are no object"),
        (
            b'{"type": "a", "payload_length": -1}\n',
            "payload_length is -1, but must be a whole number from 0 to 104",
        ),
        (b'{"type": "a", "payload_length": 1048577}\n', "payload_length is 1048577, but must be"),
        (b'{"type": "a", "payload_length": 99999999999999999999}\n', "does not fit into 64 bits"),
        (b'{"type": "a", "payload_length": 1.5}\n', "payload_length is 1.5, but must be"),
        (b'{"type": "a", "data_length": true}\n', "data_length is True, but must be"),
        (b'{"type": "a", "data_length": 65537}\n', "data_length is 65537, but must be a whole number from 0 to 65536"),
        (b'{"type": "a", "data_length": 3}\n[1]', "the data of an event is no JSON object"),
        (b'{"type": "a"', "the connection ended in the middle of an event"),
        (b'{"type": "a", "payload_length": 4}\nabc', "the connection ended in the middle of an event"),
        (b'{"type": "a", "data_length": 4}\n{', "the connection ended in the middle of an event"),
    ],
)
def test_garbage_is_refused_in_one_line(data, text):
    with pytest.raises(ProtocolError, match=text):
        read(data)


def test_an_event_that_is_too_large_is_refused_before_it_comes():
    line = json.dumps({"type": "a", "payload_length": wire.MAX_PAYLOAD_BYTES + 1}).encode() + b"\n"
    with pytest.raises(ProtocolError, match="payload_length is 1048577"):
        read(line, eof=False)
    line = json.dumps({"type": "a", "payload_length": wire.MAX_PAYLOAD_BYTES}).encode() + b"\n"
    (event,) = read(line + bytes(wire.MAX_PAYLOAD_BYTES))
    assert len(event.payload) == wire.MAX_PAYLOAD_BYTES


def test_an_event_that_stops_is_given_up():
    with pytest.raises(ProtocolError, match=r"an event was not complete after 0\.01 s"):
        read(b'{"type": "a", "payload_length": 4}\nabc', eof=False, timeout_s=0.01)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"{" + data))
def test_no_bytes_do_worse_than_an_error(data):
    try:
        read(data)
    except ProtocolError as error:
        assert "\n" not in str(error) or len(str(error)) < 200
