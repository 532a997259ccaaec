"""Any number of items on worker processes: the same results in the same order, and nothing left when it ends."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import worker_functions as functions
from hypothesis import given, settings
from hypothesis import strategies as st

from bnn_exit import workers
from bnn_exit.errors import ArgumentError, BnnExitError, DataError
from bnn_exit.workers import OrderedMap

ROOT = Path(__file__).resolve().parents[1]


def mapped(function, items, *, count=2, alone=3, chunk=2):
    """A map that waits until its workers are ready, so that they compute however busy the machine is."""
    found = OrderedMap(function, items, workers=count)
    found.alone, found.chunk, found._wait_s = alone, chunk, None
    return found


def comparable(pairs):
    return [
        (repr(item), type(found), found.args if isinstance(found, Exception) else found, str(found))
        for item, found in pairs
    ]


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert multiprocessing.active_children() == []


@settings(max_examples=12)
@given(
    st.lists(st.integers(0, 1000) | st.builds(DataError, st.text(max_size=5)), max_size=60),
    st.integers(1, 3),
    st.integers(0, 20),
    st.integers(1, 9),
)
def test_results_and_order_are_those_of_one_process(items, count, alone, chunk):
    serial = comparable(OrderedMap(functions.judged, items))
    found = mapped(functions.judged, iter(items), count=count, alone=alone, chunk=chunk)
    assert comparable(found) == serial
    assert [each[0] for each in serial] == [repr(item) for item in items]
    # The calling process takes one more before the first worker is ready.
    assert found.workers == (count if len(items) > alone else 1)


def test_what_is_ready_waits_for_what_comes_before_it(tmp_path):
    # The calling process computes the numbers 0 to 3. Behind the chunk of 4 waits one chunk, 14 is in the sixth.
    found = mapped(functions.waiting, ((number, tmp_path / "flag") for number in range(60)))
    assert [number for _, number in found] == list(range(60))


def test_every_kind_of_error_comes_back_as_it_was():
    found = dict(mapped(functions.judged, range(60)))
    assert type(found[3]) is DataError and type(found[10]) is ArgumentError
    assert isinstance(found[49], FileNotFoundError) and (found[49].errno, found[49].filename) == (2, "49.wav")
    assert "reading 47.flac needs the package soundfile: pip install" in str(found[47])
    assert found[40] == (40, 40 / 7)


def test_a_few_items_never_start_a_process(monkeypatch):
    started = []
    monkeypatch.setattr(workers, "_start", lambda pool, count: started.append(count))
    for count, items in ((1, 1000), (2, OrderedMap.alone)):
        assert {found for _, found in OrderedMap(functions.process, range(items), workers=count)} == {os.getpid()}
    assert started == []
    # Where no process can be started, this one computes the rest.
    many = OrderedMap(functions.process, range(OrderedMap.alone + 50), workers=2)
    assert [found for _, found in many] == [os.getpid()] * (OrderedMap.alone + 50)
    assert started == [2] and many.workers == 1


def test_a_few_items_import_nothing_for_processes():
    code = (
        "import sys; import bnn_exit.commands.predict, bnn_exit.commands.difficulty; from bnn_exit.workers import *\n"
        "list(OrderedMap(abs, range(64), workers=2)); print({'multiprocessing', 'concurrent'} & set(sys.modules))\n"
        "list(OrderedMap(abs, range(65), workers=2)); print('multiprocessing' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["set()", "True"] and done.stderr == ""


def test_all_workers_compute():
    seen = set()
    for _, found in mapped(functions.process, itertools.count(), count=3):
        seen |= {found} - {os.getpid()}
        if len(seen) == 3:
            break


def test_a_machine_that_starts_no_more_processes_goes_on_with_those_it_has(monkeypatch):
    kind = multiprocessing.get_context("spawn").Process
    start, starts = kind.start, []

    def limited(self):
        starts.append(self)
        if len(starts) > 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(self)

    monkeypatch.setattr(kind, "start", limited)
    found = mapped(functions.judged, range(40), count=4)
    assert comparable(found) == comparable(OrderedMap(functions.judged, range(40)))
    assert found.workers == 1 and len(starts) == 2


def test_an_endless_iterator_is_read_a_bounded_number_ahead():
    read = [0]

    def items():
        while True:
            read[0] += 1
            yield read[0]

    most = workers._AHEAD * 2 * 3
    seen = set()
    for taken, (item, number) in enumerate(mapped(functions.process, items(), alone=5, chunk=3), start=1):
        assert item == taken and read[0] - taken <= most
        # Alone it reads nothing ahead.
        assert taken > 5 or read[0] == taken
        seen.add(number)
        if len(seen) == 3 and taken > 500:
            break
    assert taken < read[0]


def test_the_processes_end_when_nobody_takes_results():
    iterator = iter(mapped(functions.process, itertools.count()))
    assert [item for item, _ in itertools.islice(iterator, 50)] == list(range(50))
    assert len(multiprocessing.active_children()) == 2
    del iterator
    assert multiprocessing.active_children() == []


# --------------------------------------------------------------------------------------------------------- what breaks


def test_a_worker_that_is_killed_is_one_line():
    taken = 0
    with pytest.raises(BnnExitError) as told:
        for _, number in mapped(functions.process, itertools.count()):
            taken += 1
            if number != os.getpid():
                os.kill(number, signal.SIGKILL)
    assert str(told.value) == (
        "a worker process was killed (signal 9), perhaps for want of memory: take fewer workers; 1 starts no process"
    )
    assert type(told.value) is BnnExitError and taken < 1000


def test_a_worker_that_ends_is_one_line():
    with pytest.raises(BnnExitError, match=r"^a worker process ended with status 3: a script that .* \"__main__\":"):
        list(mapped(functions.leaving, range(1000)))


def test_a_script_that_begins_at_once_is_told_how_to_begin(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import worker_functions\nfrom bnn_exit.workers import OrderedMap\n"
        "found = OrderedMap(worker_functions.process, range(1000), workers=2)\nfound._wait_s = None\nlist(found)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment())
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(
        "bnn_exit.errors.BnnExitError: a worker process ended with status 1"
    )


def test_another_error_ends_the_iteration_in_its_place():
    taken = []
    with pytest.raises(ZeroDivisionError) as told:
        for item, _ in mapped(functions.careless, range(1000)):
            taken.append(item)
    assert taken == list(range(20))
    assert "in a worker process:" in str(told.value.__cause__) and "in careless" in str(told.value.__cause__)


def test_an_error_of_the_iterator_comes_after_the_results_of_what_it_gave():
    def items():
        yield from range(30)
        raise OSError(5, "Input/output error", "list.txt")

    taken = []
    with pytest.raises(OSError, match=r"list\.txt"):
        for pair in mapped(functions.judged, items()):
            taken.append(pair)
    assert comparable(taken) == comparable(OrderedMap(functions.judged, range(30)))


def test_what_cannot_be_pickled_is_an_error_and_starts_or_leaves_nothing(monkeypatch):
    taken = [
        found for _, found in itertools.takewhile(lambda pair: pair[0] < 18, mapped(functions.unsendable, range(1000)))
    ]
    assert taken == list(range(18))
    with pytest.raises(Exception, match=r"(?i)pickle|local object"):
        list(mapped(functions.unsendable, range(1000)))
    monkeypatch.setattr(workers, "_start", None)
    with pytest.raises(Exception, match=r"(?i)pickle|local object"):
        list(mapped(lambda item: item, range(1000)))


def test_a_function_that_a_worker_cannot_load_is_its_error():
    with pytest.raises(DataError, match=r"^there is too little memory for the model$"):
        list(mapped(functions.Unloadable(), range(1000)))


@pytest.mark.parametrize("count", [0, -1, 1.0, True, "2", None, 257])
def test_a_number_of_workers_that_is_none_is_named(count):
    with pytest.raises(ArgumentError) as told:
        OrderedMap(functions.process, [], workers=count)
    assert str(told.value) == f"workers is {count!r}, but must be a whole number from 1 to 256"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in Linux's /proc")
def test_workers_end_with_a_caller_that_is_killed():
    command = [sys.executable, str(ROOT / "tests" / "worker_functions.py")]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    caller = subprocess.Popen(command, **pipes, text=True, env=environment())
    numbers = [int(number) for number in caller.stdout.readline().split()]
    assert len(numbers) == 2 and all(runs(number) for number in numbers)
    caller.kill()
    # Workers hold it open as long as they live.
    assert caller.communicate()[1] == ""
    while any(runs(number) for number in numbers):
        time.sleep(0.01)


def environment():
    """For a process that imports the package and the modules of the tests."""
    places = [os.environ.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "tests")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def runs(number):
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -------------------------------------------------------------------------------------------------- how many, how fast


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system gives processes no cores")
def test_only_cores_that_the_process_may_use_count():
    code = (
        "import os; from bnn_exit.workers import cores\n"
        "before = cores(); os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(before, cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(min(256, len(os.sched_getaffinity(0)))), "1"]


@pytest.mark.parametrize(("found", "cores"), [(None, 1), (1, 1), (6, 6), (1000, 256)])
def test_cores_of_other_systems(monkeypatch, found, cores):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: found)
    assert workers.cores() == cores


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000", 6),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("800000 100000", 6),
        ("", 6),
        ("1 0", 6),
        (None, 6),
    ],
)
def test_cores_whose_time_a_container_may_take(monkeypatch, tmp_path, text, expected):
    if text is not None:
        (tmp_path / "cpu.max").write_text(text + "\n")
    monkeypatch.setattr(workers, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert workers.cores() == expected


@pytest.mark.parametrize(
    ("items", "seconds", "count", "line"),
    [
        (2400, 1.204, 2, "2400 clips in 1.2 s: 1993 clips a second, 2 workers"),
        (21, 0.0123, 1, "21 clips in 0.012 s: 1707 clips a second, 1 worker"),
        (30, 61.2, 4, "30 clips in 61 s: 0.49 clips a second, 4 workers"),
        (30, 0.0, 1, "30 clips in 0 s: 30000000000 clips a second, 1 worker"),
    ],
)
def test_how_fast_it_went(items, seconds, count, line):
    assert workers.speed(items, "clip", seconds=seconds, workers=count) == line


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows starts processes otherwise")
def test_ctrl_c_comes_after_a_process_is_started_though_another_thread_takes_it():
    done, reached = threading.Event(), []
    other = threading.Thread(target=done.wait)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            with workers._interrupts_wait():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)  # bytecode that would be interrupted
                reached.append("end of the block")
            reached.append("after it")
        assert reached == ["end of the block"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()
        other.join()
