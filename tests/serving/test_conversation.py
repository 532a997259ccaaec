"""A client may say anything: it is answered, or refused in one line."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("wyoming")

from wyoming.event import async_write_event

import bnn_exit
from bnn_exit.errors import ArgumentError
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.serving import conversation, wire
from bnn_exit.serving.conversation import Conversation, Offer
from bnn_exit.serving.wake_words import ServedModel, wake_words
from bnn_exit.serving.wire import ProtocolError, read_event

OFFER = Offer(
    wake_words(
        [
            ServedModel(
                "words",
                bnn_exit.load("arabic-speech-commands-small"),
                ListeningPoint("x", operating_point="balanced", thresholds={"open": 0.4, "zero": 0.5}),
            )
        ]
    )
)

letters = st.text(st.characters(), max_size=4)  # halves of surrogate pairs too
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | letters, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
sound = {
    "rate": st.sampled_from([16000, 48000]) | values,
    "width": st.sampled_from([1, 2, 4]) | values,
    "channels": st.integers(1, 2) | values,
    "timestamp": st.integers() | values,
}
data = st.fixed_dictionaries(
    {},
    optional={
        **sound,
        "names": st.lists(st.sampled_from(["open", "no"]) | letters, max_size=3) | values,
        "text": values,
    },
)
kinds = st.sampled_from(["describe", "ping", "detect", "audio-start", "audio-chunk", "audio-chunk", "audio-stop", "x"])


class EverywhereFound:
    """In the place of a Recogniser: each piece of sound holds a wake word."""

    def __init__(self, wanted, sound):
        self.word = wanted[0]

    def push(self, data):
        return [(self.word, 0.5)]


class Written:
    """In the place of a StreamWriter: what an event is as bytes is taken."""

    def write(self, data):
        assert isinstance(data, bytes)

    def writelines(self, pieces):
        assert all(isinstance(each, bytes) for each in pieces)

    async def drain(self):
        pass


def said(lines):
    """What was written into the log, after all lines were said."""
    told = []

    async def send(event):
        await async_write_event(event, Written())

    async def run(function, *arguments):
        return function(*arguments)

    async def work():
        reader = asyncio.StreamReader(limit=wire.MAX_LINE_BYTES)
        reader.feed_data(b"".join(lines))
        reader.feed_eof()
        talk = Conversation(OFFER, send=send, run=run, tell=told.append)
        try:
            while (event := await read_event(reader)) is not None:
                await talk.handle(event)
        except (ArgumentError, ProtocolError) as error:
            told.append(str(error))

    asyncio.run(work())
    return told


@given(st.lists(st.tuples(kinds, data, st.binary(max_size=9)), max_size=5))
def test_any_event_is_answered_or_refused(events):
    before, conversation.Recogniser = conversation.Recogniser, EverywhereFound
    try:
        for line in said(
            json.dumps({"type": kind, "data": data, "payload_length": len(payload)}).encode() + b"\n" + payload
            for kind, data, payload in events
        ):
            assert line.encode() and len(line) < 2000
    finally:
        conversation.Recogniser = before


def test_half_a_letter_is_refused_in_one_line():
    assert said([b'{"type": "ping", "data": {"text": "\\ud800"}}\n']) == [
        "a line is no JSON: '\\ud800' has half of a surrogate pair"
    ]
