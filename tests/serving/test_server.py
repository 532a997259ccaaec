"""A server over real sockets, with the clients of the package wyoming."""

import asyncio
import contextlib
import json
import socket
import types

import numpy as np
import pytest

pytest.importorskip("wyoming")

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient, AsyncUnixClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

import bnn_exit
from bnn_exit.audio.pcm import PcmDecoder
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.serving.address import Address
from bnn_exit.serving.conversation import Offer
from bnn_exit.serving.server import Server
from bnn_exit.serving.wake_words import ServedModel, wake_words

MODEL = "arabic-speech-commands-small"
POINT = ListeningPoint("loose", operating_point="balanced", thresholds={"open": 0.4, "zoom_in": 0.99}, span_ms=300)
RATES = (16000, 2, 1)
SECONDS = 5


@pytest.fixture(scope="module")
def session():
    return bnn_exit.load(MODEL)


@pytest.fixture
def offer(session):
    return Offer(wake_words([ServedModel("words", session, POINT)]), languages=["ar"])


def noise(rate=16000, width=2, channels=1, seed=0):
    """Raw samples of noise, in which the network finds the word "open"."""
    values = np.random.default_rng(seed).normal(0, 0.1, (rate * SECONDS, channels)).clip(-1, 1)
    if width == 1:
        return (128 + 127 * values).astype("u1").tobytes()
    return (values * (2 ** (8 * width - 1) - 1)).astype(f"<i{width}").tobytes()


def expected(session, data, form=RATES, point=POINT):
    """Name and time in ms of each detection."""
    rate, width, channels = form
    samples = PcmDecoder(width=width, channels=channels).push(data)
    events = bnn_exit.Stream(session, sample_rate_hz=rate, listening_point=point).push(samples)
    return [(event.label, round(1000 * event.time_s)) for event in events]


def serve(offer, work, *, address=None, **settings):
    """Run `work(server, address)` beside a server; the lines of its log. Nobody may be left at the end."""
    log = []

    async def main():
        server = Server(offer, tell=log.append, **settings)
        where = await server.start(address or Address("tcp", host="127.0.0.1", port=0))
        try:
            await work(server, where)
            while server.clients:  # what a client closes takes a moment
                await asyncio.sleep(0.005)
        finally:
            await server.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    return log


def client(where):
    return AsyncTcpClient(where.host, where.port, read_timeout=60)


async def say(connection, *events):
    for event in events:
        await connection.write_event(event.event() if not isinstance(event, Event) else event)


async def say_sound(connection, data, form=RATES, *, step=3200, timestamp=None, start=True):
    rate, width, channels = form
    sound = {"rate": rate, "width": width, "channels": channels}
    if start:
        await say(connection, AudioStart(**sound, timestamp=timestamp))
    for first in range(0, len(data), step):
        piece = data[first : first + step]
        when = None if timestamp is None else timestamp + round(1000 * first / (rate * width * channels))
        await say(connection, AudioChunk(**sound, audio=piece, timestamp=when))


async def until_stop(connection):
    """Name and time of every detection until the answer to a ping."""
    found = []
    await say(connection, Ping("end"))
    while not Pong.is_type((event := await connection.read_event()).type):
        assert Detection.is_type(event.type) or NotDetected.is_type(event.type), event
        found.append((event.data.get("name"), event.data.get("timestamp")))
    return found


def test_a_client_learns_which_wake_words_there_are(offer, session):
    async def work(server, where):
        async with client(where) as connection:
            await say(connection, Describe())
            info = Info.from_event(await connection.read_event())
        (program,) = info.wake
        assert program.name == "bnn_exit" and program.installed and program.version
        assert [(model.name, model.phrase, model.languages) for model in program.models] == [
            ("open", "open", ["ar"]), ("zoom_in", "zoom in", ["ar"]),
        ]  # fmt: skip
        for model in program.models:
            assert model.installed and model.version == session.metadata.writer
            assert model.attribution.name == session.metadata.attribution

    assert serve(offer, work) == []


def test_no_filter_is_made_twice(session, monkeypatch):
    """A client that changes its rate in each chunk would hold up the others, who share one thread."""
    from bnn_exit.audio import resample
    from bnn_exit.serving.recogniser import RATES_HZ, Format, Recogniser

    words = list(wake_words([ServedModel("words", session, POINT)]).values())
    made, make = [], resample._made_coefficients
    monkeypatch.setattr(resample, "_made_coefficients", lambda *key: made.append(key) or make(*key))
    monkeypatch.setattr(resample, "_kept", type(resample._kept)())
    for rate in RATES_HZ * 2:
        Recogniser(words, Format(rate, 2, 1)).push(bytes(rate))
    assert len(made) == len(set(made)) >= len(RATES_HZ) - 1


@pytest.mark.parametrize(
    "form", [(16000, 2, 1), (48000, 2, 2), (44100, 4, 1), (16000, 1, 1), (11025, 2, 1), (8000, 4, 3)], ids=str
)
def test_detections_are_those_of_a_stream(session, form):
    point = ListeningPoint("low", operating_point="balanced", thresholds={each: 0.15 for each in session.labels})
    everything = Offer(wake_words([ServedModel("words", session, point)]))
    data = noise(*form)
    wanted = expected(session, data, form, point)
    assert wanted

    async def work(server, where):
        async with client(where) as connection:
            # An odd step: chunks end within samples.
            await say_sound(connection, data, form, step=3001, timestamp=None)
            assert await until_stop(connection) == wanted
            await say(connection, AudioStop())
            assert await until_stop(connection) == []

    assert serve(everything, work) == []


def test_times_are_by_the_clock_of_the_client(offer, session):
    data = noise()

    async def work(server, where):
        async with client(where) as connection:
            await say_sound(connection, data, timestamp=70_000)
            wanted = [(name, time + 70_000) for name, time in expected(session, data)]
            assert await until_stop(connection) == wanted
            # Without audio-stop, the next audio-start begins again.
            await say_sound(connection, data)
            assert await until_stop(connection) == expected(session, data)

    serve(offer, work)


def test_sound_without_a_start_and_with_a_new_format(offer, session):
    data, half = noise(), noise(48000)[: 48000 * 2]

    async def work(server, where):
        async with client(where) as connection:
            await say_sound(connection, half, (48000, 2, 1), start=False)
            await say_sound(connection, data, start=False)
            first = expected(session, half, (48000, 2, 1))
            assert await until_stop(connection) == first + [
                (each, time + 1000) for each, time in expected(session, data)
            ]

    serve(offer, work)


def test_only_the_names_that_were_asked_for_are_detected(offer, session):
    data = noise()
    (wanted,) = expected(session, data)

    async def work(server, where):
        async with client(where) as connection:
            none = (None, None)
            for names, answer in ((["zoom_in"], none), (["open", "nothing"], wanted), (None, wanted), ([], wanted)):
                await say(connection, Detect(names=names))
                await say_sound(connection, data)
                await say(connection, AudioStop())
                assert await until_stop(connection) == [answer]

    assert serve(offer, work) == ["client 1 (127.0.0.1) asks for 'nothing', which is not served"]


def test_an_end_without_a_wake_word_is_told(offer):
    async def work(server, where):
        async with client(where) as connection:
            await say_sound(connection, bytes(32000))
            await say(connection, AudioStop())
            assert NotDetected.is_type((await connection.read_event()).type)

    assert serve(offer, work) == []


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("detect", {"names": ["opne"]}), "detect: none of the names is served: open, zoom_in"),
        (Event("detect", {"names": "open"}), "detect: names is 'open', but must be a list of names"),
        (Event("detect", {"names": [1]}), "detect: names is [1], but must be a list of names"),
        (Event("audio-start", {}), "audio-start: rate is None Hz, but must be one of 8000, 11025,"),
        (AudioStart(44101, 2, 1).event(), "audio-start: rate is 44101 Hz, but must be one of 8000, 11025"),
        (AudioStart(16025, 2, 1).event(), "audio-start: rate is 16025 Hz, but must be one of 8000"),
        (AudioStart(16000, 3, 1).event(), "audio-start: width is 3, but must be one of 1, 2, 4"),
        (AudioStart(16000, 2, 0).event(), "audio-start: channels is 0, but must be from 1 to 32"),
        (AudioStart(2**62, 2, 1).event(), "audio-start: rate is 4611686018427387904 Hz, but must be one of"),
        (
            Event("audio-chunk", {"rate": "16000"}, b"ab"),
            "audio-chunk: rate is '16000' Hz, but must be one of 8000, 11025",
        ),
    ],
)
def test_a_wrong_request_is_told_and_ends_the_connection(offer, event, text):
    async def work(server, where):
        async with client(where) as connection:
            await say(connection, event)
            answer = await connection.read_event()
            assert answer.type == "error" and answer.data["text"].startswith(text)
            assert await connection.read_event() is None

    log = serve(offer, work)
    assert log[-1].startswith(f"client 1 (127.0.0.1) was disconnected: {text.partition(': ')[2]}")
    assert log[:-1] in ([], ["client 1 (127.0.0.1) asks for 'opne', which is not served; did you mean 'open'?"])


def test_other_events_are_ignored(offer):
    async def work(server, where):
        async with client(where) as connection:
            await say(connection, Event("transcribe", {"language": "en"}), Event("select-program", {"name": "x"}))
            await say(connection, Event("audio-stop"), Event("ping", {"text": 5}))
            assert NotDetected.is_type((await connection.read_event()).type)
            assert (await connection.read_event()).data == {"text": None}

    assert serve(offer, work) == []


def test_several_clients_at_once_have_streams_of_their_own(offer, session):
    async def one(where, seed):
        data = noise(seed=seed)
        async with client(where) as connection:
            await say_sound(connection, data, timestamp=1000 * seed)
            wanted = [(name, time + 1000 * seed) for name, time in expected(session, data)]
            assert await until_stop(connection) == wanted
            return len(wanted)

    async def work(server, where):
        assert sum(await asyncio.gather(*(one(where, seed) for seed in range(8)))) >= 4

    assert serve(offer, work) == []


async def served(where):
    """That somebody is."""
    async with client(where) as connection:
        await say(connection, Describe())
        assert Info.is_type((await connection.read_event()).type)


@pytest.mark.parametrize("abort", [False, True])
def test_a_client_that_goes_away_in_the_middle(offer, abort):
    async def work(server, where):
        _, writer = await asyncio.open_connection(where.host, where.port)
        chunk = {"type": "audio-chunk", "data": {"rate": 16000, "width": 2, "channels": 1}, "payload_length": 3200}
        writer.write((json.dumps(chunk) + "\n").encode() + bytes(3200) + (json.dumps(chunk) + "\n").encode() + bytes(7))
        await writer.drain()
        while not server.clients:
            await asyncio.sleep(0.005)
        if abort:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        else:
            writer.close()
        await served(where)
        while server.clients:
            await asyncio.sleep(0.005)

    (line,) = serve(offer, work)
    assert line.startswith("client 1 (127.0.0.1) w")
    assert abort or line.endswith("was disconnected: the connection ended in the middle of an event")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an event begins with {, but b'G' came"),
        (bytes(range(256)) * 400, "an event begins with {, but b'\\x00' came"),
        (b"{" * 100_000, "a line has more than 65536 bytes"),
        (b'{"type": "audio-chunk", "payload_length": 4000000000}\n', "payload_length is 4000000000, but must be"),
    ],
)
def test_garbage_on_the_port(offer, data, text):
    async def work(server, where):
        reader, writer = await asyncio.open_connection(where.host, where.port)
        writer.write(data)
        with contextlib.suppress(ConnectionError):  # it may be closed before it has taken all
            await writer.drain()
            assert await reader.read() == b""
        writer.close()
        await served(where)

    (line,) = serve(offer, work)
    assert line.startswith(f"client 1 (127.0.0.1) was disconnected: {text}")


def test_a_client_that_does_not_read_is_disconnected(offer):
    async def work(server, where):
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, (where.host, where.port))
            asked = asyncio.ensure_future(loop.sock_sendall(slow, b'{"type": "describe"}\n' * 100_000))
            await served(where)
            while server.clients:
                await asyncio.sleep(0.005)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    assert serve(offer, work, send_timeout_s=0.2) == [
        "client 1 (127.0.0.1) was disconnected: it does not read what it is sent"
    ]


def test_a_client_that_stops_in_an_event_is_disconnected(offer):
    async def work(server, where):
        reader, writer = await asyncio.open_connection(where.host, where.port)
        writer.write(b'{"type": "audio')
        assert await reader.read() == b""
        writer.close()

    (line,) = serve(offer, work, message_timeout_s=0.05)
    assert line.endswith("was disconnected: an event was not complete after 0.05 s")


def test_only_so_many_clients_are_served(offer):
    async def work(server, where):
        async with client(where) as first, client(where) as second:
            for connection in (first, second):
                await say(connection, Ping())
                assert Pong.is_type((await connection.read_event()).type)
            reader, writer = await asyncio.open_connection(where.host, where.port)
            assert await reader.read() == b""
            writer.close()
        while server.clients:
            await asyncio.sleep(0.005)
        await served(where)

    assert serve(offer, work, max_clients=2) == ["client 3 (127.0.0.1) was refused: 2 are connected"]


def test_the_client_that_was_silent_for_longest_gives_its_place(offer):
    async def work(server, where):
        async with client(where) as first, client(where) as second:
            for connection in (first, second, first):
                await say(connection, Ping())
                assert Pong.is_type((await connection.read_event()).type)
            await served(where)
            assert await second.read_event() is None
            await say(first, Ping())
            assert Pong.is_type((await first.read_event()).type)

    assert serve(offer, work, max_clients=2, idle_s=0) == [
        "client 2 (127.0.0.1) was disconnected: it was silent for 0 s, and others want its place"
    ]


def test_a_fault_of_recognition_ends_one_connection(offer, monkeypatch):
    from bnn_exit.errors import ModelFileError
    from bnn_exit.serving import conversation

    def fail(wanted, sound):
        raise ModelFileError("its weights are damaged")

    async def work(server, where):
        monkeypatch.setattr(conversation, "Recogniser", fail)
        async with client(where) as connection:
            await say_sound(connection, bytes(3200))
            assert await connection.read_event() is None
        await served(where)

    assert serve(offer, work) == ["client 1 (127.0.0.1) was disconnected: its weights are damaged"]


def test_closing_disconnects_everybody(offer):
    async def main():
        server = Server(offer, tell=print)
        where = await server.start(Address("tcp", host="127.0.0.1", port=0))
        async with client(where) as connection:
            await say(connection, Ping())
            await connection.read_event()
            await server.close()
            assert await connection.read_event() is None
            assert server.clients == 0

    asyncio.run(main())


def test_a_unix_socket(offer, session, tmp_path):
    path = tmp_path / "wake.sock"

    async def work(server, where):
        async with AsyncUnixClient(path) as connection:
            await say_sound(connection, noise())
            assert await until_stop(connection) == expected(session, noise())

    assert serve(offer, work, address=Address("unix", path=str(path))) == []
    assert not path.exists()


def test_a_unix_socket_is_not_taken_from_another_server(offer, tmp_path):
    address = Address("unix", path=str(tmp_path / "wake.sock"))

    async def work(server, where):
        with pytest.raises(OSError, match="Address already in use"):
            await Server(offer, tell=print).start(address)
        async with AsyncUnixClient(address.path) as connection:
            await say(connection, Ping("still there"))
            assert (await connection.read_event()).data == {"text": "still there"}

    assert serve(offer, work, address=address) == []


def test_a_unix_socket_that_a_killed_server_left_is_taken(offer, tmp_path):
    address = Address("unix", path=str(tmp_path / "wake.sock"))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(address.path)

    async def work(server, where):
        async with AsyncUnixClient(address.path) as connection:
            await say(connection, Ping())
            assert Pong.is_type((await connection.read_event()).type)

    assert serve(offer, work, address=address) == []


def test_a_model_that_several_files_share_runs_once(session, monkeypatch):
    """One stream for each file, whatever the number of its words."""
    from bnn_exit.serving import recogniser

    made = []

    class Stream(types.SimpleNamespace):
        def __init__(self, session, *, sample_rate_hz, listening_point):
            made.append(sorted(listening_point.thresholds))

        def push(self, samples):
            return []

    monkeypatch.setattr(recogniser, "Stream", Stream)
    words = wake_words([ServedModel("a", session, POINT), ServedModel("b", session, POINT)])
    recogniser.Recogniser(list(words.values())[:3], recogniser.Format(16000, 2, 1))
    assert made == [["open", "zoom_in"], ["open"]]
