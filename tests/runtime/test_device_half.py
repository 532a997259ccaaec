"""The device half in a process of its own in which TensorFlow and its company cannot be imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bnn_exit.runtime.backends import installed

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = installed()

SCRIPT = """
import json, sys

BLOCKED = {"tensorflow", "tf_keras", "keras", "larq", "soundfile", "flatbuffers", "scipy", "librosa", "tqdm"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())

import numpy as np
import bnn_exit
from bnn_exit import exit_logits as exit_logits, cost, errors, files, metrics, policies, pretrained
from bnn_exit.model_file import reader
from bnn_exit.settings import features as config
from bnn_exit.calibration import operating_points
from bnn_exit.commands import difficulty as difficulty_command
from bnn_exit.audio import logmel, wav
from bnn_exit.runtime import backends, session

path, backend = sys.argv[1:]
model = session.load(path, backend=backend)
clip = np.linspace(-0.5, 0.5, 720, dtype=np.float32)
prediction = model.predict(clip, operating_point="full", explain=True)
table = bnn_exit.difficulty.estimate(model, [("clip", clip)])
print(json.dumps({
    "backend": model.backend,
    "label": prediction.label,
    "probabilities": prediction.probabilities.tolist(),
    "exits": [step["exit_index"] for step in prediction.steps],
    "difficulty": table.difficulty.tolist(),
    "blocked": sorted(BLOCKED & {name.partition(".")[0] for name in sys.modules}),
    "package": "larq_compute_engine" in sys.modules,
}))
"""


def in_a_process(path: Path, backend: str) -> dict:
    command = [sys.executable, "-c", SCRIPT, str(path), backend]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def path(tiny, tmp_path_factory):
    place = tmp_path_factory.mktemp("device") / "model.tflite"
    place.write_bytes(tiny.adaptive_file())
    return place


@pytest.mark.parametrize("backend", INSTALLED)
def test_predicts_without_tensorflow(path, backend):
    answer = in_a_process(path, backend)
    assert answer["backend"] == backend
    assert answer["exits"] == [0, 1, 2]
    assert answer["blocked"] == [] and not answer["package"]
    other = in_a_process(path, "reference")
    assert answer["label"] == other["label"]
    assert answer["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    assert answer["difficulty"] == pytest.approx(other["difficulty"], abs=1e-5) and 0 < answer["difficulty"][0] < 1


def test_auto_takes_the_best_backend_that_is_there(path):
    best = INSTALLED[0]
    assert in_a_process(path, "auto")["backend"] == best


def test_lces_own_package_can_be_imported_after_us():
    """An extension module loads once in a process, so ours must be the one that LCE's package then finds."""
    if "lce" not in INSTALLED:
        pytest.skip("LCE is not installed")
    script = (
        "from bnn_exit.runtime import lce; module = lce._load();"
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1'; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3';"
        "from larq_compute_engine.tflite.python import interpreter_wrapper_lite as theirs;"
        "assert theirs.LiteInterpreter is module.LiteInterpreter;"
        "from larq_compute_engine.tflite.python.interpreter import Interpreter"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
