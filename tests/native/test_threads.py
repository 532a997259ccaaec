"""Several threads for one run: the same bits whatever their number, in any process."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from binary_cases import convolution
from native.compilers import needs_library

from bnn_exit.errors import ArgumentError
from bnn_exit.runtime import native_backend, session
from bnn_exit.runtime.native_backend import NativeNetwork

pytestmark = needs_library
THREADS = (1, 2, 3, 8)


def large_file(tiny):
    """Layers of every kind that threads share, each large enough to be shared by three."""
    random = np.random.default_rng(0)
    file = tiny.File()
    graph = file.graph()
    shape, made = (2, 37, 29, 64), [((2, 37, 29, 64), "float32")]
    source = graph.input(shape)
    same = {"padding": 0, "strideW": 1, "strideH": 1}
    words = graph.operator("LceQuantize", [source], [((2, 37, 29, 2), "int32")])
    filters = graph.constant(random.integers(-(2**31), 2**31, (64, 3, 3, 2)), "int32")
    scale, shift = (graph.constant(random.normal(size=64)) for _ in range(2))
    options = {"channels_in": 64, "dilation_height_factor": 1, "dilation_width_factor": 1, "padding": 0}
    options |= {"fused_activation_function": 0, "pad_values": 1, "stride_height": 1, "stride_width": 1}
    (value,) = graph.operator("LceBconv2d", [*words, filters, scale, shift, -1], made, **options)
    kept = [value]
    for kernel in (3, 1):
        weights = graph.constant(random.normal(size=(64, kernel, kernel, 64)))
        (value,) = graph.operator("CONV_2D", [value, weights, shift], made, "Conv2DOptions", **same)
        kept.append(value)
    weights = graph.constant(random.normal(size=(1, 5, 5, 64)))
    (value,) = graph.operator(
        "DEPTHWISE_CONV_2D", [value, weights, shift], made, "DepthwiseConv2DOptions", depthMultiplier=1, **same
    )
    kept.append(value)
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        (value,) = graph.operator(name, [value], made, "Pool2DOptions", filterWidth=9, filterHeight=7, **same)
        kept.append(value)
    graph.outputs(kept)
    return file.bytes(), random.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("isa", native_backend.capabilities()["isas"])
def test_results_are_the_same_to_the_last_bit(tiny, isa, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", isa)
    data, values = large_file(tiny)
    expected = NativeNetwork(data)([values])
    for threads in THREADS[1:]:
        network = NativeNetwork(data, threads=threads)
        for _ in range(5):
            for ours, theirs in zip(network([values]), expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_bit_packed_results_are_the_same(tiny):
    data, values, _ = convolution(tiny, channels=128, filters=96, size=(41, 40), bitpacked=True)
    (expected,) = NativeNetwork(data)([values])
    for threads in THREADS[1:]:
        np.testing.assert_array_equal(NativeNetwork(data, threads=threads)([values])[0], expected)


def test_working_memory_is_there_for_each_thread(tiny):
    data, _, _ = convolution(tiny, channels=128, filters=128, size=(64, 64))
    small, _, _ = convolution(tiny, channels=32, filters=32, size=(4, 4))
    assert NativeNetwork(data, threads=8).bytes > NativeNetwork(data).bytes
    assert NativeNetwork(small, threads=8).bytes == NativeNetwork(small).bytes  # it stays on one thread


@pytest.mark.parametrize("threads", THREADS)
def test_two_sessions_in_two_threads_answer_as_one(tiny, threads):
    data, values = large_file(tiny)
    expected = NativeNetwork(data)([values])
    wrong = []

    def work():
        network = NativeNetwork(data, threads=threads)
        for _ in range(3):
            same = all(np.array_equal(*pair) for pair in zip(network([values]), expected, strict=True))
            wrong.extend([] if same else [1])

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_a_session_passes_the_number_on(tiny, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file())
    clip = np.random.default_rng(0).normal(0, 0.1, 720)
    found = [session.load(path, backend="native", threads=threads).predict(clip) for threads in THREADS]
    for other in found[1:]:
        np.testing.assert_array_equal(other.probabilities, found[0].probabilities)
    with pytest.raises(ArgumentError, match="threads is 257, but must be from 1 to 256"):
        NativeNetwork(tiny.adaptive_file(), threads=257)
    with pytest.raises(ArgumentError, match="threads is -1, but must be from 1 to 256"):
        NativeNetwork(tiny.adaptive_file(), threads=-1)


def run_in_child(network, values, results):
    results.put([array.tobytes() for array in network([values])])


def test_a_network_goes_on_in_a_forked_process(tiny):
    """Threads are lost in a fork: the child must neither wait for them nor hang when it ends."""
    data, values = large_file(tiny)
    network = NativeNetwork(data, threads=3)
    expected = [array.tobytes() for array in network([values])]
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=run_in_child, args=(network, values, results))
    child.start()
    found = results.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    assert found == expected
    assert [array.tobytes() for array in network([values])] == expected


FORKS = """
import os, signal, sys, threading
import numpy as np
from bnn_exit.runtime import session

model = session.load(sys.argv[1], backend="native", threads=int(sys.argv[2]))
clip = np.random.default_rng(0).normal(0, 0.1, model.metadata.clip_samples).astype(np.float32)
expected = model.predict(clip).score
stop = threading.Event()

def keep_predicting():
    while not stop.is_set():
        model.predict(clip)

threads = [threading.Thread(target=keep_predicting) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(8):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        # Also from threads of the child's own, and it ends as programs do: everything is freed.
        found = []
        own = [threading.Thread(target=lambda: found.append(model.predict(clip).score)) for _ in range(2)]
        for thread in own:
            thread.start()
        for thread in own:
            thread.join()
        sys.exit(0 if found == [expected] * 2 else 3)
    status = os.waitpid(child, 0)[1]
    if status:
        stop.set()
        raise SystemExit(f"the child ended with {status} (14 is a child that hung)")
stop.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_child_predicts_although_the_parent_was_just_predicting(tiny, tmp_path, threads):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file())
    # Python warns of forks beside threads, which is what is tested.
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(path), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
