import os
import signal
import threading

import pytest

from bnn_exit.listening.stop import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_waiting_ends_at_once_and_closes_the_source(number):
    closed = []

    def items():
        try:
            yield 1
            os.kill(os.getpid(), number)
            threading.Event().wait()  # for ever, but for the signal
        finally:
            closed.append(True)

    with Stop() as stop:
        assert list(stop.until(items())) == [1]
    assert stop.requested and closed == [True]


def test_a_signal_while_working_lets_the_work_be_completed():
    done = []
    with Stop() as stop:
        for item in stop.until(iter(range(10))):
            if item == 3:
                os.kill(os.getpid(), signal.SIGINT)
            done.append(item)
    assert done == [0, 1, 2, 3]


def test_a_second_signal_interrupts():
    with Stop() as stop, pytest.raises(KeyboardInterrupt):
        for _ in stop.until(iter(range(10))):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_of_before_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        assert signal.getsignal(signal.SIGTERM) not in before
        assert list(stop.until([1, 2])) == [1, 2]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before and not stop.requested


def test_another_thread_sets_no_handlers():
    found = []

    def work():
        with Stop() as stop:
            found.extend(stop.until([1, 2]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1, 2]
