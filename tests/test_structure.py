"""The rules of the layout: two halves, one direction, modules of one idea, one place for each list."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import test_layers

ROOT = Path(__file__).parents[1]
TEXTS = (".py", ".md", ".toml", ".js", ".html", ".css", ".c", ".h", ".cpp", ".json")
HEAVY = {
    "tensorflow",
    "tf_keras",
    "keras",
    "larq",
    "larq_compute_engine",
    "tensorflow_io",
    "soundfile",
    "sounddevice",
    "wyoming",
    "matplotlib",
    "bokeh",
}

GENERATORS = {"default_rng", "Generator", "RandomState", "Random"}


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


def imports(path, *, top_level_only=False):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_device_half(path):
    """The training half is what stands on TensorFlow; a run folder is read on devices too."""
    return test_layers.layer(test_layers.name(path)) not in test_layers.TRAINING_ONLY and path.name != "deploy.py"


@pytest.mark.parametrize("path", [path for path in modules("bnn_exit") if is_device_half(path)], ids=test_layers.name)
def test_the_device_half_imports_no_heavy_packages(path):
    assert not {module.split(".")[0] for module in imports(path, top_level_only=True)} & HEAVY


@pytest.mark.parametrize("path", [*modules("bnn_exit"), *modules("audio_tasks"), *modules("distill")], ids=str)
def test_tensorflow_comes_through_one_door(path):
    if path.name == "_keras.py":
        return
    roots = {module.split(".")[0] for module in imports(path)}
    assert not roots & {"tensorflow", "tf_keras", "keras", "larq"}


def test_importing_the_package_loads_no_heavy_module():
    code = "import sys, bnn_exit, bnn_exit.predict; print(sorted(m for m in sys.modules if m.split('.')[0] in %r))"
    result = subprocess.run([sys.executable, "-c", code % HEAVY], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_no_text_installs_this_package_from_an_index_that_lacks_it():
    """Only from its folder or a wheel's file: `bnn_exit.errors.INSTALL` is the one place that says how."""
    wrong = re.compile(r"install\b[^\n]*[ '\"]bnn[_-]exit(?![\w./*+-]*\.whl)\b|bnn_exit\[\w+\]")
    folders = ("bnn_exit", "audio_tasks", "distill", "benchmarks", ".ci")
    texts = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS]
    for path in [*texts, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]:
        found = wrong.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found and found[0]}"


# The task packages have files that only training uses; here nothing is gained by telling them apart.
DEVICE_FILES = [path for path in modules("bnn_exit") if is_device_half(path)] + modules("audio_tasks")


YOUNGER_CALLS = {"total", "pairwise", "bit_count", "add_note", "batched"}
"""Of the standard library, from Python 3.10 on."""


@pytest.mark.parametrize("path", DEVICE_FILES, ids=str)
def test_the_device_half_is_python_3_9(path):
    """What a parser of 3.9 refuses, and the calls that it would let through."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            named = {(ast.unparse(node.func), keyword.arg) for keyword in node.keywords}
            younger = {("zip", "strict"), ("dataclasses.dataclass", "slots"), ("dataclasses.dataclass", "kw_only")}
            assert path.name == "pairs.py" or not named & younger, f"line {node.lineno}: see bnn_exit.pairs"
            called = getattr(node.func, "attr", "")
            assert called not in YOUNGER_CALLS, f"line {node.lineno}: Python 3.9 has no {called}"


@pytest.mark.parametrize("path", [*modules("tests"), *modules("benchmarks")], ids=str)
def test_no_module_shares_a_generator(path):
    """What one test draws would depend on the tests that ran before it in the same process."""
    shared = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        made = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        for value in made.elts if isinstance(made, (ast.Tuple, ast.List)) else [made]:
            if isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in GENERATORS:
                shared.append(f"line {node.lineno}: {ast.unparse(node)}")
    assert not shared, "draw from a generator of the function's own, seeded by its arguments"
