"""Calibration where it meets networks: exits that are dropped, files that are made, answers that were not cached."""

import json

import numpy as np
import pytest
from tiny import tiny_build, tiny_model

import audio_tasks
import bnn_exit
from bnn_exit import policies
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.commands import calibrate as command
from bnn_exit.errors import ArgumentError, DataError
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.model_file import reader
from bnn_exit.policies import Sizes
from bnn_exit.runs.folder import RunFolder
from bnn_exit.runtime import session as runtime
from bnn_exit.settings.augment import AugmentConfig
from bnn_exit.settings.model import ModelConfig
from bnn_exit.settings.run import RunConfig, RunTask
from bnn_exit.settings.training import TrainConfig
from bnn_exit.training import checkpoint
from bnn_exit.training.calibrate import exit_logits_of
from bnn_exit.training.loop import BEST


@pytest.fixture(scope="module")
def model(tone_task):
    return tiny_model(num_classes=4, input_shape=tone_task.input_shape, channels=(16, 16, 16, 16))


@pytest.fixture
def run(tone_task, tmp_path, monkeypatch):
    """A run that was trained but has no answers yet; its first class means something, so that exits differ."""
    monkeypatch.setattr("bnn_exit.models.multi_exit.build", tiny_build)
    monkeypatch.setattr(audio_tasks, "load", lambda name, **options: tone_task)
    config = RunConfig(RunTask.of(tone_task), ModelConfig(size="small", head="pooled"), AugmentConfig(), TrainConfig())
    config.save(tmp_path)
    network = tiny_build(num_classes=4, input_shape=tone_task.input_shape)
    checkpoint.save(tmp_path / BEST, variables=network.keras_model.weights, state={})
    return tmp_path


@pytest.mark.parametrize("kept", [(0, 3), (1, 2), (0, 1, 3), (1, 2, 3), (0, 1, 2, 3)])
def test_the_outputs_of_a_subset_stay_the_same(model, tone_task, kept):
    log_mel = np.asarray(tone_task.log_mel("validation"))[:6]
    part = model.with_exits(kept)
    np.testing.assert_array_equal(part.logits(log_mel), model.logits(log_mel)[:, list(kept)])
    assert part.num_exits == len(kept) and part.num_classes == 4
    # Costs counted in the smaller network are those worked out without it.
    costs = ExitCosts(model.costs(), model.head_costs()).select_exits(kept)
    assert (costs.exits, costs.heads) == (part.costs(), part.head_costs())
    assert part.with_exits(range(len(kept))).costs() == part.costs()


@pytest.mark.parametrize("kept", [(), (2,), (1, 0), (0, 4), (-1, 2), (1, 1)])
def test_at_least_two_exits_stay(model, kept):
    with pytest.raises(ArgumentError, match=r"exit_indices is \[.*\], but must be at least two of 0 to 3, rising"):
        model.with_exits(kept)


def test_answers_are_made_once_and_kept(run, tone_task, capsys):
    assert command.main([str(run)]) == 0
    first = capsys.readouterr()
    assert "has no cached logits: running its network, with TensorFlow" in first.err
    exit_logits = ExitLogits.load(run / "exit_logits" / "validation.npz")
    assert (len(exit_logits), exit_logits.exits, exit_logits.split) == (40, 3, "validation")
    assert command.main([str(run)]) == 0
    second = capsys.readouterr()
    assert second.err == "" and second.out == first.out
    # A policy that reads features takes them from the network as well.
    assert command.main([str(run), "--policy", "class_means"]) == 0
    assert "has no cached logits with features: running" in capsys.readouterr().err


def test_fewer_exits_get_a_file_of_their_own(run, tone_task, capsys):
    assert command.main([str(run), "--max-accuracy-drop", "0.2", "--exits", "1,3", "--name", "lean", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["operating_point"]
    file = reader.read(run / "model_lean.tflite")
    assert len(file.metadata.exits) == 2 and set(file.metadata.operating_points) > {"full", "lean"}
    assert file.metadata.operating_points["lean"].to_dict() == found
    network = RunFolder(run).network()
    costs = network.with_exits((0, 2)).exit_costs()
    assert file.metadata.exits == costs.with_policy(policies.fit(file.metadata.policy), Sizes(4))
    # Its outputs are those of the whole network at these exits.
    exit_logits = exit_logits_of(network, tone_task, split="validation")
    session = runtime.load(run / "model_lean.tflite", backend="reference")
    for exit_index, kept in enumerate((0, 2)):
        thresholds = [2.0] if exit_index == 0 else [0.0]
        result = session.predict_log_mel(np.asarray(tone_task.log_mel("validation"))[0], thresholds=thresholds)
        expected = policies.softmax(exit_logits.logits[0, kept])
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-3)
    assert not (run / "model.tflite").exists() and not (run / "operating_points.json").exists()


def test_another_policy_gets_a_file_of_its_own(run, capsys):
    assert command.main([str(run), "--max-accuracy-drop", "0.2", "--policy", "entropy", "--name", "sure"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {run / 'model_sure.tflite'}"
    assert reader.read(run / "model_sure.tflite").metadata.policy == "entropy"


def test_class_means_get_a_file_that_answers_from_them(run, capsys):
    assert command.main([str(run), "--max-mean-cost", "1", "--policy", "class_means_1bit", "--name", "near"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {run / 'model_near.tflite'}"
    session = runtime.load(run / "model_near.tflite")
    assert session.metadata.policy == "class_means_1bit" and "near" in session.operating_points


def test_the_function_takes_the_same_options(model, tone_task):
    points = bnn_exit.calibrate(model, tone_task, max_accuracy_drop=0.1)
    assert list(points) == ["full", "accurate", "balanced", "fast", "custom"]
    assert points["custom"].max_accuracy_drop == 0.1 and points["custom"].split == "validation"
    assert "custom" not in bnn_exit.calibrate(model, tone_task)
    least = bnn_exit.calibrate(model, tone_task, max_mean_cost=0.9, policy="patience")["custom"]
    assert least.mean_cost["ops"] <= 0.9 * model.costs()[-1].ops
    with pytest.raises(DataError, match="40 clips are too few to guarantee it; even without a loss it takes 299"):
        bnn_exit.calibrate(model, tone_task, max_accuracy_drop=0.01, confidence=0.95)
    with pytest.raises(ArgumentError, match=r"limit is 'max_acuracy_drop', but must be one of .*did you mean"):
        bnn_exit.calibrate(model, tone_task, max_acuracy_drop=0.01)
    with pytest.raises(ArgumentError, match=r"confidence is 0.95, but max_accuracy_drop, .*, is missing"):
        bnn_exit.calibrate(model, tone_task, confidence=0.95)
    with pytest.raises(ArgumentError, match=r"^standard_errors is '2', but must be a number of at least 0"):
        bnn_exit.calibrate(model, tone_task, standard_errors="2")
    with pytest.raises(ArgumentError, match="split is 'test', but thresholds chosen on the test split would flatter"):
        bnn_exit.calibrate(model, tone_task, split="test")
    with pytest.raises(ArgumentError, match="policy is a fitted margin, but with limits it must be a name"):
        bnn_exit.calibrate(model, tone_task, max_accuracy_drop=0.1, policy=policies.fit("margin"))
    with pytest.raises(ArgumentError, match=r"exits is 'chose', but must be 'choose' or numbers of exits"):
        bnn_exit.calibrate(model, tone_task, exits="chose")
    with pytest.raises(ArgumentError, match="exits is 'choose', but choosing needs a limit, such as"):
        bnn_exit.calibrate(model, tone_task, exits="choose")
    with pytest.raises(ArgumentError, match=r"exits is 3,1, but must be at least two of 1 to 4, rising"):
        bnn_exit.calibrate(model, tone_task, exits=[2, 0])


def test_points_know_what_they_are_for(model, tone_task, tmp_path):
    points = bnn_exit.calibrate(model, tone_task, policy="scaled_entropy")
    assert points.policy == policies.fit("scaled_entropy", exit_logits_of(model, tone_task, split="validation"))
    path = tmp_path / "model.tflite"
    bnn_exit.export(model, path, task=tone_task, operating_points=points)
    metadata = reader.read(path).metadata
    # What the policy learned stands in the file, so that it can be read back.
    assert policies.from_dict(metadata.policy_dict) == points.policy and metadata.operating_points == points
    with pytest.raises(ArgumentError, match=r"policy is entropy, but the operating points were chosen for scaled_en"):
        bnn_exit.export(model, path, task=tone_task, operating_points=points, policy=policies.fit("entropy"))
    # With limits, all points are for one policy, also where it is fitted on half of the clips.
    several = bnn_exit.calibrate(model, tone_task, policy="scaled_margin", max_accuracy_drop=0.2)
    assert several.policy.name == "scaled_margin" and len(several["custom"].thresholds) == 3


def test_points_of_fewer_exits_make_a_file_without_the_others(model, tone_task, tmp_path):
    points = bnn_exit.calibrate(model, tone_task, exits=(0, 3))
    assert points.exits == (0, 3) and len(points["full"].thresholds) == 1
    bnn_exit.export(model, tmp_path / "two.tflite", task=tone_task, operating_points=points)
    file = reader.read(tmp_path / "two.tflite")
    assert len(file.metadata.exits) == 2 and file.metadata.operating_points == points
    chosen = bnn_exit.calibrate(model, tone_task, exits="choose", max_accuracy_drop=0.3)
    assert len(chosen.exits) == 1 + len(chosen["custom"].thresholds) == 1 + len(chosen["full"].thresholds)


def test_a_margin_is_for_the_usual_points_and_for_limits(model, tone_task):
    sure, unsure = (
        bnn_exit.calibrate(
            model, tone_task, drops={"full": None, "bold": 0.9}, standard_errors=margin, max_accuracy_drop=0.9
        )
        for margin in (1000.0, 0.0)
    )
    for name in ("bold", "custom"):
        assert unsure[name].exit_shares[0] == 1.0
        assert sure[name].exit_shares[0] < 1.0 and sure[name].accuracy == sure["full"].accuracy
    assert sure["bold"].thresholds == sure["custom"].thresholds
