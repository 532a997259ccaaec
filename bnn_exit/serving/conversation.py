"""What one client says, and what it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from bnn_exit.errors import ArgumentError, nearest
from bnn_exit.serving import messages
from bnn_exit.serving.recogniser import Format, Recogniser
from bnn_exit.serving.wake_words import WakeWord

PIECE_S = 0.25
"""Sound that is recognised at a stretch: after it, another client has its turn."""
MAX_NAMES = 1000
"""In one request."""

Result = TypeVar("Result")
Send = Callable[[Any], Awaitable[None]]
Run = Callable[..., Awaitable[Any]]


class Offer:
    """What is the same for all clients.

    Attributes:
        words: wake words by name.
        info: the answer to `describe`.
    """

    def __init__(self, words: dict[str, WakeWord], *, languages: Sequence[str] = ()) -> None:
        self.words = words
        self.info = messages.info(words, languages=languages)


class Conversation:
    """Answers the events of one client, one after the other."""

    def __init__(self, offer: Offer, *, send: Send, run: Run, tell: Callable[[str], None]) -> None:
        """
        Args:
            offer: what there is.
            send: sends an event to the client.
            run: calls a function in the thread of recognition and returns what it returns.
            tell: writes a line into the log.
        """
        self._offer, self._send, self._run, self._tell = offer, send, run, tell
        self._wanted = list(offer.words.values())
        self._format: Format | None = None
        self._recogniser: Recogniser | None = None
        # By the clock of the client: when the sound of the recogniser began, and its end so far.
        self._began_ms = self._now_ms = 0.0
        self._detected = False

    async def handle(self, event: Any) -> None:
        """Answer one event. Others than those of wake words are ignored, as the protocol asks.

        Raises:
            ArgumentError: a format, a name or a value that breaks a rule; the client has been told.
        """
        answer = {
            "describe": self._describe,
            "ping": self._ping,
            "detect": self._detect,
            "audio-start": self._start,
            "audio-chunk": self._chunk,
            "audio-stop": self._stop,
        }.get(event.type)
        if answer is None:
            return
        try:
            await answer(event)
        except ArgumentError as error:
            await self._send(messages.failure(f"{event.type}: {error}"))
            raise

    async def _describe(self, event: Any) -> None:
        await self._send(self._offer.info)

    async def _ping(self, event: Any) -> None:
        text = event.data.get("text")
        await self._send(messages.pong(text if isinstance(text, str) else None))

    async def _detect(self, event: Any) -> None:
        names = event.data.get("names")
        if names is not None and not (
            isinstance(names, list) and len(names) <= MAX_NAMES and all(isinstance(name, str) for name in names)
        ):
            raise ArgumentError(f"names is {repr(names)[:40]}, but must be a list of names")
        words = self._offer.words
        wanted = [words[name] for name in dict.fromkeys(names or words) if name in words]
        unknown = [name for name in names or [] if name not in words]
        if unknown:
            self._tell(f"asks for {unknown[0][:100]!r}, which is not served{nearest(unknown[0][:100], words)}")
        if not wanted:
            raise ArgumentError(f"none of the names is served: {', '.join(words)[:1000]}")
        self._wanted, self._recogniser = wanted, None

    async def _start(self, event: Any) -> None:
        self._format, self._recogniser = Format.of(event.data), None
        self._detected = False
        self._now_ms = _time_ms(event, 0.0)

    async def _chunk(self, event: Any) -> None:
        sound = Format.of(event.data)
        if sound != self._format or self._recogniser is None:
            self._format = sound
            self._began_ms = self._now_ms = _time_ms(event, self._now_ms)
            self._recogniser = await self._run(Recogniser, self._wanted, sound)
        data = event.payload or b""
        self._now_ms += 1000 * len(data) / sound.bytes_per_s
        step = max(1, round(PIECE_S * sound.rate_hz)) * sound.width * sound.channels
        for first in range(0, len(data), step):
            for word, time_s in await self._run(self._recogniser.push, data[first : first + step]):
                self._detected = True
                await self._send(messages.detection(word, timestamp_ms=round(self._began_ms + 1000 * time_s)))

    async def _stop(self, event: Any) -> None:
        if not self._detected:
            await self._send(messages.not_detected())
        self._format, self._recogniser, self._detected = None, None, False
        self._now_ms = 0.0


def _time_ms(event: Any, otherwise: float) -> float:
    value = event.data.get("timestamp")
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
