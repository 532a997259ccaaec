"""Threads that take turns at an object, also in a process that was forked in the middle of a turn."""

from __future__ import annotations

import os
import threading
import weakref


class TakesTurns:
    """Base of what one thread at a time may use, `with self._lock`.

    A forked child has only the thread that forked. Its locks are new ones, for what another thread of the parent held
    would never be released in it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _everyone.add(self)


_everyone: weakref.WeakSet[TakesTurns] = weakref.WeakSet()


def _renew_locks() -> None:
    for each in list(_everyone):
        each._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
