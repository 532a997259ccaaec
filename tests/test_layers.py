"""The layers of the packages: a folder imports only those below it, lazy imports included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bnn_exit
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.model_file.rewrite import with_points
from bnn_exit.runtime.native_backend import find_library

ROOT = Path(__file__).parents[1]

GROUND = {
    *("command_line", "cost", "display", "errors", "files", "machine", "metrics", "pairs", "pretrained", "progress"),
    *("registry", "strict_json", "text", "workers", "_keras"),
}
"""Modules and folders that every layer may use; among themselves only without a circle."""

LAYERS = (
    *(
        "settings",
        "task",
        "exit_logits",
        "audio",
        "sensors",
        "policies",
        "model_file",
        "runtime",
        "listening",
        "serving",
    ),
    "streams",
    *("calibration", "offload", "evaluation", "difficulty", "report", "models", "training", "conversion", "runs"),
    *("search", "commands"),
)
"""From the bottom up. Of `bnn_exit/NAME.py` and `bnn_exit/NAME/`."""

ENTRY_POINTS = {
    "train",
    "evaluate",
    "predict",
    "listen",
    "serve",
    "bench",
    "calibrate",
    "export",
    "adapt",
    "split",
    "serve_model",
    "__main__",
}
"""Modules that `python -m` runs: they import `commands` alone, and nothing imports them."""

DEVICE = LAYERS[: LAYERS.index("models")]
TRAINING_ONLY = {"_keras", "models", "training", "conversion", "search"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def layer(module: str) -> str:
    """`settings` for `bnn_exit.settings.base`, `train` for `bnn_exit.train`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere; of `from a import b` it is a.b, for b may be a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides its layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(path: Path) -> list[str]:
    return [module for module in imports(path) if module.split(".")[0] == "bnn_exit"]


def is_entry_point(path: Path) -> bool:
    return path.name == "__main__.py" or layer(name(path)) in ENTRY_POINTS


def test_every_module_has_a_layer():
    known = GROUND | set(LAYERS) | ENTRY_POINTS | {""}
    assert [path for path in modules("bnn_exit") if layer(name(path)) not in known] == []


@pytest.mark.parametrize("path", [path for path in modules("bnn_exit") if not is_entry_point(path)], ids=name)
def test_a_module_imports_only_what_lies_below(path):
    here = layer(name(path))
    if not here:  # the package itself offers names of every layer but the commands
        below = GROUND | set(LAYERS) - {"commands"}
    else:
        below = GROUND if here in GROUND else GROUND | set(LAYERS[: LAYERS.index(here) + 1])
    assert [module for module in own(path) if layer(module) not in below] == []


@pytest.mark.parametrize("path", [path for path in modules("bnn_exit") if is_entry_point(path)], ids=name)
def test_an_entry_point_has_nothing_of_its_own(path):
    assert {layer(module) for module in own(path)} == {"commands"}
    assert len(path.read_text(encoding="utf-8").splitlines()) < 12


@pytest.mark.parametrize("path", modules("bnn_exit"), ids=name)
def test_only_commands_know_the_packages_of_tasks_and_distillation(path):
    others = {module for module in imports(path) if module.split(".")[0] in ("audio_tasks", "distill")}
    assert layer(name(path)) == "commands" or not others


@pytest.mark.parametrize("path", [path for path in modules("bnn_exit") if layer(name(path)) in DEVICE], ids=name)
def test_the_device_half_never_imports_the_training_half(path):
    assert [module for module in own(path) if layer(module) in TRAINING_ONLY] == []


@pytest.mark.parametrize("package", ["bnn_exit", "audio_tasks", "distill"])
def test_no_modules_import_one_another_in_a_circle(package):
    graph = {}
    files = {name(path): path for path in modules(package)}
    for module, path in files.items():
        found = set()
        for imported in imports(path):
            target = imported if imported in files else imported.rpartition(".")[0]
            # A package's own __init__ is loaded before its modules: only what it imports can close a circle.
            found |= {target} & set(files) - {module}
        graph[module] = found
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != 1, " -> ".join([*path[path.index(module) :], module])
        if module in state:
            return
        state[module] = 1
        for other in sorted(graph[module]):
            visit(other, (*path, module))
        state[module] = 2

    for module in graph:
        visit(module, ())


def modules_that_load_brings(backend: str, model: str = "arabic-speech-commands-small") -> list[str]:
    script = (
        "import sys, numpy; before = set(sys.modules)\n"
        f"import bnn_exit; bnn_exit.load({model!r}, backend={backend!r})\n"
        "print(*sorted(name for name in set(sys.modules) - before if name.split('.')[0] == 'bnn_exit'))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_loading_brings_no_layer_above_the_runtime():
    above = ("calibration", "evaluation", "difficulty", "commands")
    assert not [module for module in modules_that_load_brings("reference") if layer(module) in above]


@pytest.mark.skipif(find_library() is None, reason="needs the compiled library")
def test_a_board_loads_few_modules(tmp_path):
    modules = modules_that_load_brings("native")
    assert len(modules) <= 25, modules
    point = ListeningPoint("balanced", operating_point="balanced", thresholds={"open": 0.5})
    file = bnn_exit.load("arabic-speech-commands-small").model_file.path
    (tmp_path / "m.tflite").write_bytes(with_points(file, {}, listening_points={"balanced": point}))
    modules = modules_that_load_brings("native", str(tmp_path / "m.tflite"))
    assert "bnn_exit.model_file.listening_points" in modules and len(modules) <= 25, modules
