import numpy as np
import pytest
from file_fixtures import tiny

import bnn_exit
from bnn_exit.audio import wav

__all__ = ["tiny"]


@pytest.fixture(scope="session")
def model(tiny, tmp_path_factory):
    """A model file of three exits and the labels yes, no and other, for clips of 45 ms."""
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(tiny.adaptive_file())
    return path


@pytest.fixture(scope="session")
def session(model):
    return bnn_exit.load(model)


@pytest.fixture
def words(tmp_path):
    """Folders yes and no with five clips each; the clips differ."""
    random = np.random.default_rng(0)
    for label in ("yes", "no"):
        for index in range(5):
            path = tmp_path / "words" / label / f"{index}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            wav.write(path, random.normal(0, 0.1 * (index + 1), 720).clip(-1, 1), sample_rate_hz=16000)
    return tmp_path / "words"
