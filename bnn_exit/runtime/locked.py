"""A lock for what one thread at a time may use, also in a process that was forked while another thread held it."""

from __future__ import annotations

import os
import threading
import weakref


class Locked:
    """Base of what one thread at a time may use, `with self._lock`.

    A forked child has only the thread that forked. Its locks are new ones, for what another thread of the parent held
    would never be released in it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _objects.add(self)


_objects: weakref.WeakSet[Locked] = weakref.WeakSet()


def _renew_locks() -> None:
    for each in list(_objects):
        each._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
