import json
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from bnn_exit.audio import wav
from bnn_exit.commands import predict
from bnn_exit.errors import ModelFileError
from bnn_exit.policies import rule
from bnn_exit.runtime.session import Prediction
from bnn_exit.settings.features import FeatureConfig


class FakeSession:
    """Three exits and two labels; loud clips are "yes". Leaves at the first exit whose score is below its threshold."""

    labels = ("yes", "no")
    exits = 3
    scores = (0.6, 0.3, 0.1)
    normalises_level = False

    def __init__(self, path, backend):
        self.path, self.backend = path, backend
        self.metadata = types.SimpleNamespace(
            features=FeatureConfig(),
            sound=FeatureConfig(),
            takes_values=False,
            clip_samples=16000,
            normalises_level=self.normalises_level,
            skips=False,
            num_thresholds=2,
        )
        self.operating_points = {
            name: types.SimpleNamespace(thresholds=thresholds)
            for name, thresholds in {"full": (0.0, 0.0), "balanced": (0.0, 0.5), "fast": (0.7, 0.7)}.items()
        }

    def predict(self, waveform, *, sample_rate_hz, operating_point="balanced", thresholds=None, explain=False):
        assert sample_rate_hz == 16000
        if thresholds is None:
            thresholds = self.operating_points[operating_point].thresholds
        exit_index = int(rule.exit_indices([self.scores], thresholds)[0])
        probabilities = np.array([0.875, 0.125], np.float32)
        if np.abs(waveform).max() < 0.1:
            probabilities = probabilities[::-1]
        index = int(probabilities.argmax())
        steps = None
        if explain:
            limits = [*map(float, thresholds), None]
            steps = [
                {
                    "exit_index": k,
                    "score": self.scores[k],
                    "threshold": limits[k],
                    "label": "no",
                    "left": k == exit_index,
                }
                for k in range(exit_index + 1)
            ]
        return Prediction(self.labels[index], index, probabilities, exit_index, self.scores[exit_index], steps)


@pytest.fixture
def loaded(monkeypatch):
    """The sessions that the command loads."""
    sessions = []

    def load(path, *, backend="auto"):
        sessions.append(FakeSession(path, backend))
        return sessions[-1]

    monkeypatch.setattr(predict.runtime, "load", load)
    return sessions


@pytest.fixture
def clips(tmp_path):
    """Paths of a loud clip, a quiet clip and a file that is no audio."""
    loud, quiet, broken = (str(tmp_path / f"{name}.wav") for name in ("loud", "quiet", "broken"))
    noise = np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32)
    wav.write(loud, 0.5 * noise, sample_rate_hz=16000)
    wav.write(quiet, 0.05 * noise, sample_rate_hz=16000)
    with open(broken, "wb") as file:
        file.write(b"RIFF, but no")
    return loud, quiet, broken


def test_one_line_a_clip(loaded, clips, capsys):
    loud, quiet, _ = clips
    assert predict.main(["m.tflite", loud, quiet]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{loud}\tyes\t0.875\texit 2 of 3\tscore 0.3000",
        f"{quiet}\tno\t0.875\texit 2 of 3\tscore 0.3000",
    ]
    assert [(session.path, session.backend) for session in loaded] == [("m.tflite", "auto")]


def test_no_name_ends_the_command_or_forges_a_line(loaded, clips, tmp_path, capsys):
    odd = os.fsdecode(bytes(tmp_path) + b"/caf\xe9\n\x1b[31m\t.wav")
    shutil.copy(clips[0], odd)
    for arguments in ([], ["--explain"], ["--json"]):
        status = predict.main(["m.tflite", odd, clips[1], odd.replace("caf", "no"), *arguments])
        out, err = capsys.readouterr()
        assert status == 1
        assert len(err.splitlines()) == 1 and err.startswith("error: ") and err.rstrip("\n").isprintable()
        lines = [line for line in out.splitlines() if not line.startswith("  exit ")]
        assert len(lines) == 2 and all(line.replace("\t", "").isprintable() for line in out.splitlines())
        if arguments == ["--json"]:
            assert json.loads(lines[0])["path"] == odd
        else:
            assert lines[0].split("\t")[0].endswith(r"caf\xe9\n\x1b[31m\t.wav")


@pytest.mark.parametrize(
    ("arguments", "exit_index"),
    [
        ([], 1),
        (["--operating-point", "fast"], 0),
        (["--operating-point", "full"], 2),
        (["--thresholds", "0,2"], 1),
        (["--thresholds", "0.61,0"], 0),
        (["--thresholds=0.5,0.1"], 2),
    ],
)
def test_the_operating_point_or_the_thresholds_decide(loaded, clips, capsys, arguments, exit_index):
    assert predict.main(["m.tflite", clips[0], "--json", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["exit_index"] == exit_index


def test_the_backend_is_passed_on(loaded, clips):
    assert predict.main(["m.tflite", clips[0], "--backend", "reference"]) == 0
    assert loaded[0].backend == "reference"


def test_json_gives_one_object_a_line(loaded, clips, capsys):
    loud, quiet, _ = clips
    assert predict.main(["m.tflite", "--json", loud, quiet]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "path": loud,
        "label": "yes",
        "probability": 0.875,
        "exit_index": 1,
        "exits": 3,
        "score": 0.3,
        "probabilities": {"yes": 0.875, "no": 0.125},
    }
    assert (second["path"], second["label"], second["probabilities"]["no"]) == (quiet, "no", 0.875)


def test_explain_adds_a_line_for_each_exit_that_was_reached(loaded, clips, capsys):
    assert predict.main(["m.tflite", clips[0], "--explain", "--operating-point", "full"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  exit 1: no, score 0.6000 (not below threshold 0), continued",
        "  exit 2: no, score 0.3000 (not below threshold 0), continued",
        "  exit 3: no, score 0.1000 (the last exit always answers), left",
    ]
    assert predict.main(["m.tflite", clips[0], "--explain"]) == 0
    assert capsys.readouterr().out.splitlines()[2] == "  exit 2: no, score 0.3000 (below threshold 0.5), left"


def test_explain_in_json_has_the_steps(loaded, clips, capsys):
    assert predict.main(["m.tflite", clips[0], "--explain", "--json", "--operating-point", "fast"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps == [{"exit_index": 0, "score": 0.6, "threshold": 0.7, "label": "no", "left": True}]


def test_nan_becomes_null_in_json(loaded, clips, capsys, monkeypatch):
    monkeypatch.setattr(FakeSession, "scores", (0.6, 0.3, float("nan")))
    assert predict.main(["m.tflite", clips[0], "--json", "--operating-point", "full"]) == 0
    assert json.loads(capsys.readouterr().out)["score"] is None


def test_a_score_of_minus_zero_is_printed_as_zero(loaded, clips, capsys, monkeypatch):
    monkeypatch.setattr(FakeSession, "scores", (0.6, 0.3, -0.0))
    assert predict.main(["m.tflite", clips[0], "--operating-point", "full", "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("score 0.0000") and "score 0.0000 (" in lines[-1]
    assert predict.main(["m.tflite", clips[0], "--operating-point", "full", "--json"]) == 0
    assert '"score": 0.0,' in capsys.readouterr().out


# ----------------------------------------------------------------------------------------------------------- bad input


def test_a_bad_clip_gives_one_line_and_the_others_go_on(loaded, clips, tmp_path, capsys):
    loud, quiet, broken = clips
    missing = str(tmp_path / "nothing.wav")
    assert predict.main(["m.tflite", loud, broken, missing, quiet]) == 1
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [loud, quiet]
    lines = printed.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: ") and broken in lines[0]
    assert lines[1].startswith("error: ") and missing in lines[1]


def test_a_clip_that_takes_too_much_memory_is_one_line_and_the_others_go_on(loaded, clips, capsys, monkeypatch):
    loud, quiet, _ = clips
    whole = FakeSession.predict

    def predicted(self, waveform, **options):
        if np.abs(waveform).max() > 0.1:
            raise MemoryError
        return whole(self, waveform, **options)

    monkeypatch.setattr(FakeSession, "predict", predicted)
    assert predict.main(["m.tflite", loud, quiet]) == 1
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [quiet]
    assert printed.err == f"error: {loud}: there is too little free memory to classify it\n"


def test_an_error_of_the_session_names_the_clip(loaded, clips, capsys, monkeypatch):
    def fail(self, waveform, **_):
        raise ModelFileError("the file left\nat no exit")

    monkeypatch.setattr(FakeSession, "predict", fail)
    assert predict.main(["m.tflite", clips[0]]) == 1
    assert capsys.readouterr().err == f"error: {clips[0]}: the file left at no exit\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--operating-point", "fats"],
         "error: operating point is 'fats', but must be one of balanced, fast, full; did you mean 'fast'?"),
        (["--thresholds", "0.1"],
         "error: thresholds has 1 value (0.1), but a model of 3 exits takes 2: one for each exit but the last"),
        (["--thresholds", "0.1,-1"], "error: thresholds is 0.1, -1, but each must be a finite number of at least 0"),
        (["--thresholds", "0.1,b"],
         "error: argument --thresholds: '0.1,b' is not a list of numbers such as 0.1,0.2 "
         "(see python -m bnn_exit.predict --help)"),
        (["--thresholds", "1,1", "--operating-point", "fast"], "error: argument --operating-point: not allowed with"),
        (["--thresh", "1,1"], "error: unrecognized arguments: --thresh"),
    ],
)  # fmt: skip
def test_bad_options_are_one_line_and_status_2_before_any_clip(loaded, clips, capsys, arguments, message):
    assert predict.main(["m.tflite", clips[0], clips[1], *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1


def test_no_arguments_are_one_line_and_status_2(capsys):
    assert predict.main([]) == 2
    assert capsys.readouterr().err == (
        "error: the following arguments are required: model, clip (see python -m bnn_exit.predict --help)\n"
    )


def test_a_file_without_operating_points_asks_for_thresholds(loaded, clips, capsys, monkeypatch):
    load = predict.runtime.load

    def bare(path, **options):
        session = load(path, **options)
        session.operating_points = {}
        return session

    monkeypatch.setattr(predict.runtime, "load", bare)
    assert predict.main(["m.tflite", clips[0]]) == 2
    assert capsys.readouterr().err == "error: m.tflite has no operating points: give 2 --thresholds\n"
    assert predict.main(["m.tflite", clips[0], "--thresholds", "0,0"]) == 0


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_bad_model_file_is_one_line(tmp_path, clips, capsys, content):
    path = tmp_path / "m.tflite"
    if content is not None:
        path.write_bytes(content)
    assert predict.main([str(path), clips[0], "--backend", "reference"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert str(path) in printed.err


def test_an_unknown_backend_is_one_line(tmp_path, clips, capsys):
    assert predict.main([str(tmp_path / "m.tflite"), clips[0], "--backend", "tpu"]) == 2
    assert capsys.readouterr().err == "error: backend is 'tpu', but must be one of auto, lce, native, reference\n"


def test_help_has_examples_and_needs_no_tensorflow():
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'tf_keras', 'larq', 'soundfile'): sys.modules[name] = None\n"
        "from bnn_exit.predict import main\n"
        "main(['--help'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "python -m bnn_exit.predict model.tflite *.wav --operating-point fast --json" in result.stdout
    assert result.stderr == ""


def test_a_clip_far_below_the_level_of_speech_is_told_once(loaded, tmp_path, capsys, monkeypatch):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
    paths = [str(tmp_path / name) for name in ("usual.wav", "quiet.wav", "silent.wav")]
    for path, gain in zip(paths, (1, 1 / 256, 0), strict=True):
        wav.write(path, gain * noise, sample_rate_hz=16000)
    assert predict.main(["model.tflite", *paths, "--json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["path"] for line in out.splitlines()] == paths
    quiet, silent = err.splitlines()
    assert quiet.startswith(f"warning: {paths[1]}: its active level is -59 dBFS") and "S24_LE" in quiet
    assert silent.startswith(f"warning: {paths[2]}: digital silence")
    # A network that brings clips to one level recognises the quiet one.
    monkeypatch.setattr(FakeSession, "normalises_level", True)
    assert predict.main(["model.tflite", *paths, "--json"]) == 0
    assert capsys.readouterr().err.splitlines() == [silent]
