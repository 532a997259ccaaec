"""Ctrl-C and SIGTERM as an orderly end: between two chunks, so that nothing is left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

Item = TypeVar("Item")


class _Stopped(BaseException):
    """Raised where the next chunk is waited for. No `except Exception` on the way may keep it."""


class Stop:
    """Turns signals into the end of an iteration.

    Example:
        >>> with Stop() as stop:
        ...     for chunk in stop.until(source.chunks()):
        ...         work(chunk)    # is completed when Ctrl-C comes
        ... print("reached in any case")
    """

    def __init__(self) -> None:
        self.requested = False
        self._waiting = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stop:
        # Python lets the main thread alone set handlers.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # A second Ctrl-C does not wait for anything.
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self._waiting:
            raise _Stopped

    def until(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items until a signal comes; what made them is closed then."""
        iterator = iter(items)
        try:
            while not self.requested:
                try:
                    self._waiting = True
                    item = next(iterator)
                except (StopIteration, _Stopped):
                    return
                finally:
                    self._waiting = False
                yield item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                with contextlib.suppress(_Stopped):
                    close()
