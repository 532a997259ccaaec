"""Functions that worker processes run: a module of its own, for each process imports it by name."""

from __future__ import annotations

import errno
import os
import sys
import time

from bnn_exit.errors import ArgumentError, BnnExitError, DataError, missing_package


def judged(item):
    """A result or an error for any whole number, sooner or later; an error in its place is raised."""
    if isinstance(item, BnnExitError):
        raise item
    time.sleep(item * 7919 % 5 / 2000)
    if item % 7 == 3:
        raise (DataError if item % 2 else ArgumentError)(f"{item}.wav: nothing in it")
    if item % 11 == 5:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", f"{item}.wav")
    if item % 13 == 8:
        raise missing_package("soundfile", purpose=f"reading {item}.flac", extra="audio")
    return item, item / 7


def process(item):
    """The number of the process."""
    return os.getpid()


def careless(item):
    """Has a fault that nobody thought of."""
    return 1 / (item - 20)


def unsendable(item):
    """A result that cannot be pickled."""
    return (lambda: item) if item == 20 else item


def leaving(item):
    """Ends its process at an item."""
    if item == 20:
        os._exit(3)
    return item


def waiting(item):
    """Number 4 takes until another worker is at number 14."""
    number, flag = item
    if number == 14:
        flag.touch()
    while number == 4 and not flag.exists():
        time.sleep(0.001)
    return number


class Unloadable:
    """A function that a worker cannot load."""

    def __call__(self, item):
        return item

    def __reduce__(self):
        return _no_memory, ()


def _no_memory():
    raise DataError("there is too little memory for the model")


if __name__ == "__main__":
    # A caller that is killed: it prints the numbers of its workers when both are at work.
    from bnn_exit.workers import OrderedMap

    found = OrderedMap(process, iter(int, None), workers=2)
    seen = {os.getpid()}
    for _, number in found:
        seen.add(number)
        if len(seen) == 3:
            print(*seen - {os.getpid()}, flush=True)
            sys.stdin.read()
