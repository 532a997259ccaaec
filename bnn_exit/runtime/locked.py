"""A lock that also works in a process that was forked while another thread held it."""

from __future__ import annotations

import os
import threading
import weakref


class Locked:
    """Base of objects that only one thread at a time may use, `with self._lock`.

    A forked child has only the thread that forked. It gets new locks, because a lock that another thread of the parent
    held would never be released in it.
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
