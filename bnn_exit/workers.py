"""One function for any number of items on all cores: worker processes, and the results in the order of the items."""

from __future__ import annotations

import collections
import contextlib
import itertools
import math
import os
import pickle
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bnn_exit.errors import ArgumentError, BnnExitError
from bnn_exit.pairs import zip_strict

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MOST = 256
"""Worker processes at most."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What `docker run --cpus` sets, as a container sees it."""

_GIVEN = 2
"""Chunks that a worker has at once: it computes the second while the results of the first are sent."""
_AHEAD = 4
"""Chunks for each worker that are read before their results are taken: a slow one holds back those after it."""

_STARTED, _READY, _FAILED = "started", "ready", "failed"

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use, at most MOST: what taskset or a container leaves it."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return min(MOST, len(affinity(0)) if affinity else os.cpu_count() or 1, _quota())


def _quota() -> int:
    """The cores whose time a container may take, rounded up (cgroup v2: of a period); MOST for no limit."""
    try:
        taken, period = QUOTA.read_text().split()
        return MOST if taken == "max" else max(1, math.ceil(int(taken) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return MOST


def check(name: str, workers: Any) -> int:
    """Return `workers` if it can be a number of worker processes, else raise ArgumentError, which names `name`."""
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST:
        raise ArgumentError(f"{name} is {workers!r}, but must be a whole number from 1 to {MOST}")
    return workers


def speed(items: int, thing: str, *, seconds: float, workers: int) -> str:
    """How fast many items went, in one line.

    Example:
        >>> speed(2400, "clip", seconds=1.204, workers=2)
        '2400 clips in 1.2 s: 1993 clips a second, 2 workers'
    """
    rate = items / max(seconds, 1e-9)
    figures = [f"{value:.0f}" if value >= 10 else f"{value:.2g}" for value in (seconds, rate)]
    processes = "1 worker" if workers == 1 else f"{workers} workers"
    return f"{items} {thing}s in {figures[0]} s: {figures[1]} {thing}s a second, {processes}"


class OrderedMap(Generic[Item, Result]):
    """Iterate over it for pairs of an item and what the function gives for it, in the order of the items.

    In place of a result there may be the BnnExitError or OSError that the function raised; any other error ends the
    iteration in its place. Results and order do not depend on the number of workers.

    The first items are computed by the calling process, so that a few never start another one. Then processes start
    (by the method spawn), and the calling process computes until the first is ready. Items are read a bounded number
    ahead of the results that were taken, so the iterable may be endless. The processes end with the iteration.

    Args:
        function: with more than one worker it is pickled, as items and results are.
        items: read in the calling process.
        workers: processes, from 1, which is the calling process alone, to MOST.

    Attributes:
        workers: how many are at work: 1 until others are ready.
        alone: how many items never start a process. Starting one takes the processor time of some hundred clips.
        chunk: items that a worker gets at once. More cost less to send, and leave other workers without any at the end.

    Raises:
        ArgumentError: another number of workers.
        BnnExitError: during the iteration: a worker was killed.

    Example:
        >>> for path, found in OrderedMap(functools.partial(score_clip, session), paths, workers=cores()):
        ...     print(path, "cannot be used" if isinstance(found, Exception) else found.scores)
    """

    alone = 64
    chunk = 16
    # Seconds to wait, after each item, for a process that starts. Tests wait as long as it takes: None.
    _wait_s: float | None = 0.0

    def __init__(self, function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 1) -> None:
        self._function = function
        self._items = items
        self._wanted = check("workers", workers)
        self.workers = 1

    def __iter__(self) -> Iterator[tuple[Item, Result | BnnExitError | OSError]]:
        items = iter(self._items)
        for item in items if self._wanted == 1 else itertools.islice(items, self.alone):
            yield item, _outcome(self._function, item)
        # Nothing starts before there is one more item.
        if self._wanted > 1 and (first := list(itertools.islice(items, 1))):
            yield from self._shared(itertools.chain(first, items))

    def _shared(self, items: Iterator[Item]) -> Iterator[tuple[Item, Any]]:
        # Pickled once, and before any process starts: what cannot be pickled is an error here.
        function = pickle.dumps(self._function)
        pool: list[_Worker] = []
        try:
            _start(pool, self._wanted)
            for item in items:
                yield item, _outcome(self._function, item)
                if pool and self._any_ready(pool, function):
                    self.workers = len(pool)
                    break
            yield from self._by_workers(items, pool, function)
        finally:
            for worker in pool:
                worker.end()
            for worker in pool:
                worker.process.join()

    def _any_ready(self, pool: list[_Worker], function: bytes) -> bool:
        while _answered(pool, function, timeout_s=self._wait_s) and not any(worker.ready for worker in pool):
            pass
        return any(worker.ready for worker in pool)

    def _by_workers(self, items: Iterator[Item], pool: list[_Worker], function: bytes) -> Iterator[tuple[Item, Any]]:
        # In the order of the items: those that workers have, and those that wait for one before them.
        chunks: collections.deque[_Chunk] = collections.deque()
        error: Exception | None = None
        more = bool(pool)
        while True:
            while more and len(chunks) < _AHEAD * len(pool) and (worker := _least_given(pool)):
                taken, error = _take(items, self.chunk)
                more = error is None and len(taken) == self.chunk
                if taken:
                    chunks.append(worker.give(taken))
            if not chunks:
                break
            _answered(pool, function, timeout_s=0.0 if chunks[0].done else None)
            if chunks[0].done:
                yield from chunks.popleft().outcomes()
        if error is not None:
            raise error


def _outcome(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except (BnnExitError, OSError) as error:
        return error


def _take(items: Iterator[Any], most: int) -> tuple[list[Any], Exception | None]:
    """The next items, and the error that the iterator raised instead of more: those before it come first."""
    taken: list[Any] = []
    try:
        for item in itertools.islice(items, most):
            taken.append(item)
    except Exception as error:
        return taken, error
    return taken, None


# --------------------------------------------------------------------------------------------- in the calling process


class _Chunk:
    """Items that go to a worker together, and what came of them."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items
        self._results: list[Any] = []
        self._failure: tuple[Exception, str] | None = None
        self.done = False

    def finish(self, results: list[Any], failure: tuple[Exception, str] | None) -> None:
        """Take what the worker made of the items, and the error that ended it before the last of them."""
        self._results, self._failure, self.done = results, failure, True

    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        """Each item with its result."""
        yield from zip_strict(self._items[: len(self._results)], self._results)
        if self._failure is not None:
            _raise(*self._failure)


class _Worker:
    """A worker process, seen from the calling one."""

    def __init__(self, context: Any) -> None:
        self.pipe, theirs = context.Pipe()
        # A daemon is ended with the calling process, whatever becomes of the iteration.
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        self.ready = False
        self.given: collections.deque[_Chunk] = collections.deque()
        try:
            with _interrupts_wait():
                self.process.start()
        except OSError:
            self.pipe.close()
            raise
        finally:
            theirs.close()

    def give(self, items: list[Any]) -> _Chunk:
        """Send items."""
        self.given.append(_Chunk(items))
        data = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)
        with self._alive():
            self.pipe.send_bytes(data)
        return self.given[-1]

    def answer(self, function: bytes) -> None:
        """Receive a message, and do what follows."""
        with self._alive():
            kind, *content = self.pipe.recv()
            if kind == _STARTED:
                # Not among the arguments of the process: to send that much waits until it has started.
                self.pipe.send_bytes(function)
        if kind == _READY:
            self.ready = True
        elif kind == _FAILED:
            _raise(*content)
        elif kind != _STARTED:
            self.given.popleft().finish(*content)

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            raise BnnExitError(self._end_of_life()) from error

    def _end_of_life(self) -> str:
        self.process.join()
        status = self.process.exitcode or 0
        if status < 0:
            reason = ", perhaps for want of memory" if status == -9 else ""
            return f"a worker process was killed (signal {-status}){reason}: take fewer workers; 1 starts no process"
        return (
            f"a worker process ended with status {status}: a script that asks for workers must begin its work below "
            'if __name__ == "__main__":, or take 1 worker, which starts no process'
        )

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.terminate()


def _start(pool: list[_Worker], count: int) -> None:
    # Late: one process alone does not need them.
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        # It changes the mask of signals when it starts, so it must be there before `_interrupts_wait`.
        resource_tracker.ensure_running()
    for _ in range(count):
        try:
            pool.append(_Worker(context))
        except OSError:
            # No more processes, files or memory on this machine: the others do the same work.
            break


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C comes after this block, and never comes to a process that is started in it: those inherit the mask.

    Ctrl-C goes to all processes of a terminal. A worker would print a traceback, even while it starts.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    came: list[bool] = []
    # The mask is this thread's alone: where the process has another one, the signal comes by that.
    handler = signal.getsignal(signal.SIGINT)
    waits = handler is not None and threading.current_thread() is threading.main_thread()
    if waits:
        signal.signal(signal.SIGINT, lambda *_: came.append(True))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if waits:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _least_given(pool: list[_Worker]) -> _Worker | None:
    """The worker with the least to do, if one can have more."""
    free = [worker for worker in pool if worker.ready and len(worker.given) < _GIVEN]
    return min(free, key=lambda worker: len(worker.given), default=None)


def _answered(pool: list[_Worker], function: bytes, *, timeout_s: float | None) -> bool:
    """Receive what workers have sent, waiting for the first message at most `timeout_s` (None: for ever)."""
    from multiprocessing import connection

    by_pipe: dict[Any, _Worker] = {worker.pipe: worker for worker in pool}
    found = connection.wait(list(by_pipe), timeout_s)
    for pipe in found:
        by_pipe[pipe].answer(function)
    return bool(found)


def _raise(error: Exception, told: str) -> None:
    """Raise what a worker raised, with the traceback that it had there."""
    raise error from RuntimeError(f"in a worker process:\n{told}")


# ------------------------------------------------------------------------------------------------ in a worker process


def _work(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where there is no mask of signals
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    try:
        pipe.send((_STARTED,))
        data = pipe.recv_bytes()
        # A thread reads, so that neither process waits for the other to read.
        threading.Thread(target=_read, args=(pipe, received), daemon=True).start()
        try:
            function = pickle.loads(data)
        except Exception as error:
            pipe.send((_FAILED, *_sendable(error)))
            return
        pipe.send((_READY,))
        while True:
            pipe.send_bytes(_computed(function, received.get()))
    except (EOFError, OSError):
        return  # the calling process has ended


def _read(pipe: Connection, received: queue.SimpleQueue[bytes]) -> None:
    """Read what comes. With the calling process, however it ended, this one ends, in the middle of its work."""
    try:
        while True:
            received.put(pipe.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def _computed(function: Callable[[Any], Any], data: bytes) -> bytes:
    results: list[Any] = []
    failure = None
    try:
        for item in pickle.loads(data):
            results.append(_outcome(function, item))
    except Exception as error:
        failure = _sendable(error)
    try:
        return pickle.dumps(("computed", results, failure), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps(("computed", [], _sendable(error)))


def _sendable(error: Exception) -> tuple[Exception, str]:
    """An error that can be pickled, and its traceback."""
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, told
