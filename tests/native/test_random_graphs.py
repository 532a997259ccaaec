"""Random graphs and structural changes of files in the native library, with the reference as the judge.

Short and with fixed numbers; benchmarks/results/fuzz.json tells of the long run, with sanitizers.
"""

import fuzz_corpus
import numpy as np
import pytest
from fuzzing import case_server, cases
from fuzzing.flex import flexbuffer
from fuzzing.graphs import random_graph
from fuzzing.parts import parts_of
from native.compilers import CXX_COMPILER, needs_cxx, needs_library

from bnn_exit.model_file import flatbuffer
from bnn_exit.model_file.flexbuffer import read_map
from bnn_exit.runtime.reference.interpreter import OPERATORS, Interpreter

needs_native = [needs_cxx, needs_library]
GRAPHS, FILES, PARTS = 500, 400, 5


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    program = case_server.build(tmp_path_factory.mktemp("case_server"), CXX_COMPILER)
    with case_server.CaseServer(program) as native:
        yield {"plain": native}


def findings(tried, programs):
    found = {}
    for case in tried:
        outcome = cases.try_case(case, programs)
        # The machine may be busy with other tests: times are for the long run.
        told = [
            f"{finding.kind}: {finding.text}" for finding in outcome.findings if not finding.kind.startswith("slow")
        ]
        if told:
            found[case.name] = told[0]
    return found


@pytest.mark.parametrize("part", range(PARTS))
class TestAgainstTheReference:
    pytestmark = needs_native

    def test_random_graphs(self, plain, part):
        assert findings(map(cases.graph_case, range(part, GRAPHS, PARTS)), plain) == {}

    def test_changed_files(self, plain, part, sources):
        tried = (cases.file_case(number, sources) for number in range(part, FILES, PARTS))
        assert findings(tried, plain) == {}


@pytest.fixture(scope="module")
def sources():
    return fuzz_corpus.sources()


def test_graphs_are_valid_and_what_they_were_made_to_be():
    for number in range(60):
        graph = random_graph(number)
        found = Interpreter(flatbuffer.read(graph.data)).run(graph.inputs[0])
        for value, expected in zip(found, graph.outputs):
            np.testing.assert_array_equal(value, expected)


def test_graphs_have_every_operator():
    used = {name for number in range(GRAPHS) for name in random_graph(number).operators}
    assert used == {*OPERATORS, "IF"}


def test_the_same_number_makes_the_same_case(sources):
    assert random_graph(7).data == random_graph(7).data
    assert cases.file_case(8, sources).file == cases.file_case(8, sources).file


def test_the_parts_of_a_file_are_all_that_is_read(sources):
    for name in ("everything", "adaptive_log_mel"):
        assert flatbuffer.read(parts_of(sources[name]).to_bytes()).subgraphs == flatbuffer.read(sources[name]).subgraphs


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_flexbuffers_hold_what_is_written(width):
    options = {"channels_in": 40, "negative": -3, "text": "x", "truth": True}
    assert read_map(flexbuffer(list(options.items()), width=width)) == options
