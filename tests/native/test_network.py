"""Whole files on the native backend: exits, files that are damaged, limits, and threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from native.compilers import needs_library

from bnn_exit.errors import ArgumentError, ModelFileError
from bnn_exit.model_file import flatbuffer
from bnn_exit.runtime import capabilities, native_backend, session
from bnn_exit.runtime.native_backend import NativeNetwork
from bnn_exit.runtime.reference.interpreter import Interpreter

pytestmark = needs_library
CLIP = np.random.default_rng(3).uniform(-0.5, 0.5, 720).astype(np.float32)


@pytest.fixture(scope="module")
def adaptive(tiny):
    return tiny.adaptive_file()


@pytest.fixture(scope="module")
def everything(tiny):
    return tiny.everything_file()


def test_what_the_library_tells():
    found = capabilities()
    assert found["isa"] in found["isas"] and "portable" in found["isas"]
    assert found["library"].endswith(".so") and found["version"]


@pytest.mark.parametrize("isa", capabilities()["isas"])
def test_only_kernels_with_vectors_are_called_optimised(isa, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", isa)
    assert capabilities()["isa"] == isa
    assert capabilities()["optimised"] == (isa not in ("portable", "scalar"))


def test_an_instruction_set_that_is_not_there(adaptive, monkeypatch):
    monkeypatch.setenv("BNN_EXIT_ISA", "avx1024")
    with pytest.raises(ArgumentError, match=r"is 'avx1024', but must be one of auto, .*, portable on this machine"):
        NativeNetwork(adaptive)
    assert capabilities()["isa"] is None and not capabilities()["optimised"]


@pytest.mark.parametrize("exits", [2, 3, 7])
@pytest.mark.parametrize("input_name", ["log_mel", "waveform"])
def test_every_exit_is_that_of_the_reference_backend(tiny, tmp_path, exits, input_name):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.adaptive_file(exits=exits, input=input_name))
    native, reference = (session.load(path, backend=name) for name in ("native", "reference"))
    for seed in range(5):
        clip = np.random.default_rng(seed).normal(0, 0.1, 720).astype(np.float32)
        for thresholds in [[0.0] * k + [2.0] * (exits - 1 - k) for k in range(exits)]:
            found, expected = (model.predict(clip, thresholds=thresholds) for model in (native, reference))
            assert found.exit_index == expected.exit_index
            np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-5, atol=1e-6)
            assert found.score == pytest.approx(expected.score, rel=1e-5, abs=1e-6)


def test_both_branches_of_an_if(everything):
    network = NativeNetwork(everything)
    assert (network.input_names, network.output_names) == (("log_mel", "thresholds"), ("probabilities",))
    expected = Interpreter(flatbuffer.read(everything))
    for threshold in (-1e9, 1e9, np.nan):
        for seed in range(3):
            values = [np.random.default_rng(seed).normal(size=(1, 2, 2, 3)).astype(np.float32), np.float32([threshold])]
            np.testing.assert_allclose(network(values)[0], expected.run(values)[0], rtol=1e-5)


def test_a_branch_that_leads_in_a_circle(tiny):
    file = tiny.File()
    for _ in range(3):
        graph = file.graph()
        condition, value = graph.input((1,), "bool"), graph.input((1,))
        branches = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}
        graph.outputs(graph.operator("IF", [condition, condition, value], [((1,), "float32")], "IfOptions", **branches))
    with pytest.raises(ModelFileError, match="subgraph 1 runs itself"):
        NativeNetwork(file.bytes())


def test_branches_that_unfold_without_end(tiny):
    file = tiny.File()
    for index in range(40):
        graph = file.graph()
        condition, value = graph.input((1,), "bool"), graph.input((1,))
        if index == 39:
            graph.outputs([value])
            continue
        branches = {"thenSubgraphIndex": index + 1, "elseSubgraphIndex": index + 1}
        graph.outputs(graph.operator("IF", [condition, condition, value], [((1,), "float32")], "IfOptions", **branches))
    with pytest.raises(ModelFileError, match="unfolds into more than"):
        NativeNetwork(file.bytes())


def test_truth_values_of_a_caller_may_be_any_byte(tiny):
    file = tiny.File()
    graph = file.graph()
    graph.outputs(graph.operator("LOGICAL_NOT", [graph.input((3,), "bool")], [((3,), "bool")]))
    strange = np.uint8([0, 2, 255]).view(np.bool_)
    assert NativeNetwork(file.bytes())([strange])[0].view(np.uint8).tolist() == [1, 0, 0]


def test_limits(tiny):
    file = tiny.File()
    graph = file.graph()
    source = graph.input((1, 64, 64, 16))
    filters = graph.constant(np.zeros((64, 3, 3, 16)))
    same = {"padding": 0, "strideW": 1, "strideH": 1}
    graph.outputs(graph.operator("CONV_2D", [source, filters], [((1, 64, 64, 64), "float32")], "Conv2DOptions", **same))
    data = file.bytes()
    network = NativeNetwork(data)
    assert 64 * 64 * 80 * 4 < network.bytes < 64 * 64 * 80 * 4 + 200_000
    with pytest.raises(ModelFileError, match="more than 1000000 bytes of memory"):
        NativeNetwork(data, max_bytes=1_000_000)
    with pytest.raises(ModelFileError, match="more than 1000000 operations a run"):
        NativeNetwork(data, max_operations=1_000_000)


def test_memory_is_shared_by_values_that_do_not_meet(tiny):
    file = tiny.File()
    graph = file.graph()
    value = graph.input((1, 100_000))
    for _ in range(20):
        (value,) = graph.operator("NEG", [value], [((1, 100_000), "float32")])
    graph.outputs([value])
    network = NativeNetwork(file.bytes())
    assert network.bytes < 3 * 400_000
    values = np.arange(100_000, dtype=np.float32)[None]
    np.testing.assert_array_equal(network([values])[0], values)


def load_and_run(data):
    """Any bytes give a network or an error; a network gives results or an error."""
    try:
        network = NativeNetwork(data, max_bytes=2**26, max_operations=2**26)
        network([np.ones(array.shape, array.dtype) for array in network.inputs])
    except ModelFileError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return False
    return True


def test_truncated_files(everything):
    assert load_and_run(everything)
    found = [load_and_run(everything[:size]) for size in range(len(everything))]
    assert not any(found[: len(everything) // 2])


def test_damaged_files(everything, adaptive):
    random = np.random.default_rng(0)
    good = 0
    for data in (everything, adaptive):
        for _ in range(3000):
            changed = bytearray(data)
            for _ in range(random.integers(1, 4)):
                place = random.integers(len(changed))
                changed[place] = random.choice([0, 1, 127, 128, 255, changed[place] ^ 1 << random.integers(8)])
            good += load_and_run(bytes(changed))
    assert 0 < good < 6000


def in_two_threads(work):
    with ThreadPoolExecutor(2) as pool:
        return [job.result() for job in [pool.submit(work) for _ in range(2)]]


def test_two_threads_with_a_session_each(everything):
    random = np.random.default_rng(1)
    clips = [[random.normal(size=(1, 2, 2, 3)).astype(np.float32), np.float32([0])] for _ in range(200)]
    alone = [NativeNetwork(everything)(values)[0] for values in clips]

    def work():
        network = NativeNetwork(everything)
        return [network(values)[0] for values in clips]

    for found in in_two_threads(work):
        np.testing.assert_array_equal(found, alone)


def test_two_threads_on_one_session_take_turns(adaptive, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(adaptive)
    model = session.load(path, backend="native")
    random = np.random.default_rng(1)
    clips = [random.normal(0, 0.1, 720).astype(np.float32) for _ in range(200)]
    alone = [model.predict(clip, thresholds=[0, 0]).probabilities for clip in clips]

    def work():
        return [model.predict(clip, thresholds=[0, 0]).probabilities for clip in clips]

    for found in in_two_threads(work):
        np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([np.zeros((1, 2, 2, 3), np.float32)], "inputs has 1 arrays, but this network takes 2"),
        ([np.zeros((1, 2, 2, 3)), np.float32([0])], r"inputs has float64 \[1, 2, 2, 3\], but must have float32"),
    ],
)
def test_inputs_that_do_not_fit(everything, inputs, message):
    with pytest.raises(ArgumentError, match=message):
        NativeNetwork(everything)(inputs)


def test_a_library_that_is_missing(monkeypatch, adaptive):
    native_backend._library.cache_clear()
    monkeypatch.setattr(native_backend, "find_library", lambda: None)
    try:
        assert not native_backend.is_installed()
        assert capabilities() == {"library": None, "version": None, "isa": None, "isas": [], "optimised": False}
    finally:
        native_backend._library.cache_clear()
