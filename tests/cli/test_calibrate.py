"""The command on cached answers; TensorFlow is not needed."""

import dataclasses
import json
import re
import shutil
import sys

import numpy as np
import pytest
from made_up_logits import made_up

from bnn_exit import policies, pretrained
from bnn_exit.audio import wav
from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.calibration.exit_costs import ExitCosts
from bnn_exit.calibration.operating_points import STANDARD_ERRORS
from bnn_exit.commands import calibrate as command
from bnn_exit.commands.field_logits import field_exit_logits
from bnn_exit.cost import Cost
from bnn_exit.exit_logits import ExitLogits
from bnn_exit.metrics import mean_cost
from bnn_exit.model_file import reader, rewrite
from bnn_exit.model_file.metadata import METADATA_NAME
from bnn_exit.policies import rule
from bnn_exit.runtime.scoring import ClipCounts
from bnn_exit.workers import OrderedMap

COSTS = ExitCosts(
    (Cost(64_000, 1000), Cost(256_000, 3000), Cost(640_000, 6000)), (Cost(0, 500), Cost(0, 900), Cost(0, 700))
)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    made_up(count=1200, exits=3, seed=1).save(folder / "exit_logits" / "validation.npz")
    COSTS.save(folder / "costs.json")
    return folder


@pytest.fixture
def call(run, capsys):
    def calling(*options, status=0):
        assert command.main([str(run), *options]) == status
        found = capsys.readouterr()
        if status:
            assert found.out == "" and found.err.startswith("error: ") and found.err.count("\n") == 1
        return found.err if status else found.out

    return calling


def test_without_a_limit_it_shows_what_can_be_had(call):
    lines = call().splitlines()
    assert lines[0].startswith("policy margin, 1200 validation clips; the full network reaches ")
    assert [line.split()[0] for line in lines[2:]] == ["full", "accurate", "balanced", "fast"]


def test_where_the_data_is_does_not_matter_with_stored_logits(run, capsys):
    assert command.main([str(run), "--data-dir", "nowhere"]) == 0
    assert capsys.readouterr().err == (
        f"note: --data-dir: no data is read, because {run} has the logits of its validation split stored\n"
    )


def test_json_figures_are_those_of_the_thresholds(call, run):
    found = json.loads(call("--max-accuracy-drop", "0.01", "--json"))
    exit_logits = ExitLogits.load(run / "exit_logits" / "validation.npz")
    policy = policies.from_dict(found["policy"])
    exits = rule.exit_indices(policy.scores(exit_logits), found["operating_point"]["thresholds"])
    right = exit_logits.correct[np.arange(1200), exits]
    assert found["accuracy_drop"] == pytest.approx(exit_logits.correct[:, -1].mean() - right.mean())
    assert found["accuracy_drop"] <= 0.01
    spent = [cost + Cost(0, 8 * min(k + 1, 2)) for k, cost in enumerate(COSTS.exits)]
    assert found["share_of_full_ops"] == pytest.approx(mean_cost(exits, spent)["ops"] / COSTS.exits[-1].ops)
    assert found["exits"] == [1, 2, 3] and found["guarantee"] is None


def test_a_cost_limit_gives_the_least_loss_for_it(call):
    cheap, dear = (json.loads(call("--max-mean-cost", share, "--json")) for share in ("0.2", "0.5"))
    assert cheap["share_of_full_ops"] <= 0.2 and dear["share_of_full_ops"] <= 0.5
    assert dear["accuracy_drop"] <= cheap["accuracy_drop"]
    assert cheap["operating_point"]["max_accuracy_drop"] == 1.0


def test_a_larger_margin_is_safer_and_slower(call):
    found = []
    for margin in (["--standard-errors", "0"], [], ["--standard-errors", "50"]):
        chosen = json.loads(call("--max-accuracy-drop", "0.03", *margin, "--json"))
        usual = json.loads(call(*margin, "--json"))
        found.append((chosen["share_of_full_ops"], usual["fast"]["mean_cost"]["ops"]))
        assert chosen["accuracy_drop"] <= 0.03
    assert found == sorted(found) and len({ops for ops, _ in found}) == len({ops for _, ops in found}) == 3
    default = call("--max-accuracy-drop", "0.03", "--json")
    assert call("--max-accuracy-drop", "0.03", "--standard-errors", str(STANDARD_ERRORS), "--json") == default


@pytest.fixture
def run_with_features(run):
    exit_logits = ExitLogits.load(run / "exit_logits" / "validation.npz")
    features = np.random.default_rng(0).normal(0, 1, (1200, 5)) + exit_logits.correct[:, :1]
    features = (features.astype(np.float32),) * 3
    dataclasses.replace(exit_logits, features=features).save(run / "exit_logits" / "validation.npz")
    return run


def test_a_skip_gate_has_a_threshold_of_its_own(run_with_features, call):
    lines = call("--policy", "skip_gate", "--max-accuracy-drop", "0.02").splitlines()
    assert len(lines[2].split()) == 1 + 3 + 3 + 3  # name, figures, shares, thresholds
    assert re.fullmatch(
        r"clips that the skip gate, whose threshold is the last, sends past the early heads \(%\): custom [\d.]+",
        lines[3],
    )
    found = json.loads(call("--policy", "skip_gate", "--max-mean-cost", "0.5", "--regression", "--json"))
    point = found["operating_point"]
    assert len(point["thresholds"]) == 3 and point["thresholds"][0] == point["thresholds"][1]
    assert found["share_of_full_ops"] <= 0.5 and found["regression"]["limit"] == "max_mean_cost"
    text = call("--policy", "skip_gate", "--max-mean-cost", "0.5", "--regression")
    assert text.splitlines()[-1].startswith("regressed thresholds, ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--policy", "skip_gate", "--exits", "1,3", "--max-accuracy-drop", "0.1"),
            "policy is skip_gate, but the network",
        ),
        (
            ("--regression", "--max-mean-cost", "0.5"),
            "--regression is given with the policy margin, but goes with one",
        ),
        (("--policy", "skip_gate", "--regression"), "--regression is given without a budget: add --max-mean-cost or"),
        (
            ("--policy", "skip_gate", "--regression", "--max-accuracy-drop", "0.1"),
            "regression is asked for with the limits max_accuracy_drop, but goes with one of max_mean_cost and",
        ),
    ],
)
def test_mistakes_with_a_skip_gate_are_one_line(run_with_features, call, options, message):
    assert message in call(*options, status=2)


def test_limits_count_in_the_order_of_the_command(call):
    drop, cost = ["--max-accuracy-drop", "0"], ["--max-mean-cost", "0.2"]
    assert "max_mean_cost is 0.2, but beside max_accuracy_drop 0 the least that is feasible" in (
        call(*drop, *cost, status=2)
    )
    assert "max_accuracy_drop is 0, but beside max_mean_cost 0.2 the least that" in call(*cost, *drop, status=2)


def test_times_of_a_device(call, tmp_path):
    times = {f"exit {k}": {"mean": 100.0 * k, "p95": 120.0 * k} for k in (1, 2, 3)}
    report = {"exits": 3, "threads": 1, "machine": {"cpu": "x"}, "times": {"native": times}}
    (tmp_path / "board.json").write_text(json.dumps(report))
    device = ["--device", str(tmp_path / "board.json")]
    found = json.loads(call(*device, "--max-worst-us", "300", "--json"))
    assert found["operating_point"]["thresholds"][1] == rule.ALWAYS
    assert found["operating_point"]["exit_shares"][2] == 0
    assert "max_worst_us is 90, but the least that is feasible on these clips is 120" in (
        call(*device, "--max-worst-us", "90", status=2)
    )
    table = call(*device, "--max-mean-us", "150").splitlines()
    assert "mean us  worst us" in table[1] and float(table[2].split()[4]) <= 150
    assert (
        json.loads(call(*device, "--max-accuracy-drop", "0.01", "--minimise", "time", "--json"))["accuracy_drop"]
        <= 0.01
    )


@pytest.mark.parametrize("exits", [2, 4])
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--max-mean-us", "250"],
        ["--max-accuracy-drop", "0.01"],
        ["--max-accuracy-drop", "0.03", "--confidence", "0.9"],
        ["--max-mean-us", "250", "--exits", "choose"],
        ["--max-mean-us", "250", "--exits", "1,3"],
        ["--max-accuracy-drop", "0.03", "--confidence", "0.9", "--exits", "1,2"],
    ],
)
def test_times_of_a_device_with_other_exits_are_refused(call, tmp_path, exits, options):
    times = tuple(100.0 * (k + 1) for k in range(exits))
    DeviceProfile("board", times, times, "native").save(tmp_path / "board.json")
    assert f"device board was timed with {exits} exits, but the network has 3" in (
        call("--device", str(tmp_path / "board.json"), *options, status=2)
    )


def test_a_guarantee(call):
    found = json.loads(call("--max-accuracy-drop", "0.03", "--confidence", "0.9", "--json"))
    guarantee = found["guarantee"]
    assert guarantee["p_value"] <= 0.1 and guarantee["clips"] == 1200 and any(guarantee["thresholds"])
    assert found["operating_point"]["confidence"] == 0.9
    assert "for new clips of the same" in call("--max-accuracy-drop", "0.03", "--confidence", "0.9")
    # A policy that learns, or exits that are chosen, take half of the clips.
    for more in (["--policy", "scaled_margin"], ["--exits", "choose"]):
        found = json.loads(call("--max-accuracy-drop", "0.03", "--confidence", "0.9", "--json", *more))
        assert (found["guarantee"]["clips"], found["guarantee"]["halved"]) == (600, 1200)
    assert "1,200 clips are too few to guarantee it; even without a loss it takes 2,995" in (
        call("--max-accuracy-drop", "0.001", "--confidence", "0.95", status=1)
    )
    assert "confidence is 0.9 with the limits max_mean_cost, minimise loss, but goes with" in (
        call("--max-mean-cost", "0.5", "--confidence", "0.9", status=2)
    )


@pytest.mark.parametrize("more", [["--policy", "scaled_margin"], ["--exits", "choose"]])
def test_a_guarantee_that_takes_more_clips_speaks_of_all_that_there_are(run, call, more):
    made_up(count=400, exits=3, seed=1).save(run / "exit_logits" / "validation.npz")
    guarantee = ["--max-accuracy-drop", "0.01", "--confidence", "0.95"]
    assert ": 400 clips, half tested, are too few to guarantee it; even without a loss it takes 598\n" in (
        call(*guarantee, *more, status=1)
    )


def test_exits_are_chosen_or_given(call):
    text = call("--max-accuracy-drop", "0.01", "--exits", "choose")
    assert text.splitlines()[0].split() == ["exits", "ops", "%", "drop", "pp"] and len(text.splitlines()[1:5]) == 4
    found = json.loads(call("--max-accuracy-drop", "0.01", "--exits", "1,3", "--json"))
    assert found["exits"] == [1, 3] and len(found["operating_point"]["thresholds"]) == 1


def test_the_curves_say_which_clips_they_are_of(call, run):
    assert "anytime, 1200 validation clips" in call("--curve")
    made_up(count=500, exits=3, seed=3, split="test").save(run / "exit_logits" / "test.npz")
    text = call("--curve")
    assert "anytime, 500 test clips" in text and "thresholds from validation, figures from test" in text
    assert len(json.loads(call("--curve", "--json"))["budgeted"]) == 39


def test_drift(call, run, tmp_path):
    call("--max-accuracy-drop", "0.01", "--name", "mine")
    ExitLogits(made_up(count=400, exits=3, seed=8).logits).save(tmp_path / "same.npz")
    ExitLogits(0.4 * made_up(count=400, exits=3, seed=8).logits).save(tmp_path / "other.npz")
    mine = ["--operating-point", "mine"]
    assert call("--drift", str(tmp_path / "same.npz"), *mine).startswith("no drift found: ")
    assert call("--drift", str(tmp_path / "other.npz"), *mine).startswith("drift: ")
    assert "--operating-point is 'balanced', but must be one of mine" in (
        call("--drift", str(tmp_path / "same.npz"), status=2)
    )
    assert "no such file" in call("--drift", str(tmp_path / "gone.npz"), *mine, status=1)
    assert call("--drift", str(tmp_path / "same.npz"), *mine, "--policy", "margin").startswith("no drift found: ")
    assert f"--policy is 'entropy', but the thresholds of {run} are for 'margin'" in (
        call("--drift", str(tmp_path / "same.npz"), *mine, "--policy", "entropy", status=2)
    )


def test_drift_takes_the_points_of_the_model_file_where_the_run_has_none(run, call, tmp_path):
    ExitLogits(made_up(count=400, exits=3, seed=8).logits).save(tmp_path / "same.npz")
    assert f"{run} has no operating points whose thresholds --drift could take: give a limit and --name" in (
        call("--drift", str(tmp_path / "same.npz"), status=1)
    )
    shutil.copy(pretrained.resolve("arabic-speech-commands-small"), run / "model.tflite")
    metadata = reader.read(run / "model.tflite").metadata
    for split, seed in (("validation", 1), ("", 8)):
        exit_logits = made_up(count=300, exits=2, classes=40, seed=seed, split=split)
        exit_logits.save(run / "exit_logits" / f"{split or 'field'}.npz")
    ExitCosts(COSTS.exits[:2], COSTS.heads[:2]).save(run / "costs.json")
    found = json.loads(call("--drift", str(run / "exit_logits" / "field.npz"), "--operating-point", "fast", "--json"))
    scores = policies.fit(metadata.policy).scores(ExitLogits.load(run / "exit_logits" / "field.npz"))
    left = rule.exit_indices(scores, metadata.operating_points["fast"].thresholds)
    assert found["field_shares"][0] == pytest.approx((left == 0).mean())
    assert "--operating-point is 'fats', but must be one of accurate, balanced, fast, full; did you mean 'fast'" in (
        call("--drift", str(run / "exit_logits" / "field.npz"), "--operating-point", "fats", status=2)
    )


def test_drift_needs_scipy_before_clips_are_heard(run, call, monkeypatch):
    call("--max-accuracy-drop", "0.01", "--name", "balanced")
    monkeypatch.setattr(command, "field_exit_logits", lambda *given, **more: pytest.fail("clips were scored"))
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert "a test for drift needs the package scipy: pip install '.[train]'" in (call("--drift", "a.wav", status=1))


def test_drift_of_clips_that_the_model_file_hears(run, call, tmp_path, capsys, monkeypatch):
    shutil.copy(pretrained.resolve("arabic-speech-commands-small"), run / "model.tflite")
    model = reader.read(run / "model.tflite").metadata
    (run / "operating_points.json").write_text(
        json.dumps({name: point.to_dict() for name, point in model.operating_points.items()})
    )
    random, tone = np.random.default_rng(3), np.sin(np.arange(16000) / 3)
    for folder, loudness in (("here", 0.0), ("alike", 0.0), ("field", 3.0)):
        (tmp_path / folder).mkdir()
        for number in range(30):
            sound = random.normal(size=16000) + loudness * random.uniform() * tone
            wav.write(tmp_path / folder / f"{number}.wav", 0.1 * sound, sample_rate_hz=16000)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # Only a progress bar.
    here = field_exit_logits(run / "model.tflite", [str(tmp_path / "here")], counts=ClipCounts())
    monkeypatch.setattr(OrderedMap, "alone", 5)
    monkeypatch.setattr(OrderedMap, "_wait_s", None)  # For workers, however long they take to start.
    counts = ClipCounts()
    same = field_exit_logits(run / "model.tflite", [str(tmp_path / "here")], counts=counts, workers=2)
    assert (counts.workers, same.names, same.logits.tobytes()) == (2, here.names, here.logits.tobytes())
    dataclasses.replace(here, split="validation", labels=np.arange(30)).save(run / "exit_logits" / "validation.npz")
    costs = ExitCosts(COSTS.exits[:2], COSTS.heads[:2])
    costs.save(run / "costs.json")
    assert call("--drift", str(tmp_path / "alike")).startswith("no drift found: ")
    assert call("--drift", str(tmp_path / "field")).startswith("drift: ")
    changing = dataclasses.replace(model, policy="ensemble").to_json()
    path = run / "model.tflite"
    plain = path.read_bytes()
    path.write_bytes(rewrite.with_metadata(plain, METADATA_NAME, changing))
    assert "has the policy ensemble, which changes the probabilities of the exits" in (
        call("--drift", str(tmp_path / "alike"), status=2)
    )
    path.write_bytes(plain)
    (tmp_path / "alike" / "0.wav").write_bytes(b"damaged")
    wav.write(tmp_path / "alike" / "1.wav", 0.1 * random.normal(size=8000), sample_rate_hz=8000)
    wav.write(tmp_path / "alike" / "10.wav", 0.1 * random.normal(size=8000), sample_rate_hz=8000)
    assert command.main([str(run), "--drift", str(tmp_path / "alike"), "--workers", "2"]) == 1
    told = capsys.readouterr()
    assert "drift" in told.out and told.err.splitlines()[0].startswith(f"error: {tmp_path / 'alike' / '0.wav'}")
    *lines, speed = told.err.splitlines()[1:]
    assert re.fullmatch(r"29 clips in [\d.]+ s: [\d.]+ clips a second, 2 workers", speed)
    assert lines == [
        f"note: {tmp_path / 'alike' / '1.wav'}: 8000 Hz, resampled to the model's 16000 Hz",
        "note: 2 of 29 clips were resampled from 8000 Hz",
        "error: 1 of 30 clips could not be used",
    ]
    assert command.main([str(run), "--drift", str(tmp_path / "alike" / "0.wav")]) == 1
    assert "error: none of the clips could be used (1 failed)" in capsys.readouterr().err


def test_a_name_is_stored_in_the_run_and_its_file(run, call):
    shutil.copy(pretrained.resolve(next(iter(pretrained.models()))), run / "model.tflite")
    metadata = reader.read(run / "model.tflite").metadata
    exits, classes = len(metadata.exits), len(metadata.labels)
    made_up(count=300, exits=exits, classes=classes).save(run / "exit_logits" / "validation.npz")
    ExitCosts(COSTS.exits[:exits], COSTS.heads[:exits]).save(run / "costs.json")
    # The policy is the file's own, whatever the default is.
    found = json.loads(call("--max-accuracy-drop", "0.02", "--name", "mine", "--json"))
    assert found["policy"]["name"] == metadata.policy
    after = reader.read(run / "model.tflite").metadata
    assert after.operating_points["mine"].to_dict() == found["operating_point"]
    assert set(after.operating_points) == {*metadata.operating_points, "mine"}
    assert "wrote" in call("--max-accuracy-drop", "0.03", "--name", "mine")
    assert reader.read(run / "model.tflite").metadata.operating_points["mine"].max_accuracy_drop == 0.03


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--policy", "entropi"], 2, "--policy is 'entropi', but must be one of .*did you mean 'entropy'"),
        (["--max-accuracy-drop", "2"], 2, "max_accuracy_drop is 2.0, but must be from 0 to 1"),
        (["--max-accuracy-drop", "lots"], 2, "argument --max-accuracy-drop: invalid float value: 'lots'"),
        (["--max-mean-cost", "30"], 2, "max_mean_cost is 30.0, but must be above 0 and at most 1.001 .1 is the"),
        (["--max-mean-us", "30"], 2, "max_mean_us is 30.0, but no device is given"),
        (["--max-mean-cost", "0.01"], 2, "max_mean_cost is 0.01, but the least that is feasible on these clips is 0."),
        (["--minimise", "los"], 2, "minimise is 'los', but must be one of loss, ops, time; did you mean 'loss'"),
        (["--minimise", "ops"], 2, "minimise is 'ops' without max_accuracy_drop"),
        (["--confidence", "0.9"], 2, "--confidence is given without a limit"),
        (["--exits", "1,x", "--max-mean-cost", "0.9"], 2, "--exits is '1,x', but must be 'choose' or numbers of exits"),
        (["--exits", "chose", "--max-mean-cost", "0.9"], 2, "such as 1,3,4; did you mean 'choose'.$"),
        (["--exits", "3,9", "--max-mean-cost", "0.9"], 2, "exits is 3,9, but must be at least two of 1 to 3, rising"),
        (["--name", "a/b", "--max-mean-cost", "0.9"], 2, "--name is 'a/b', but must be of letters, digits"),
        (
            ["--name", "full", "--max-mean-cost", "0.9"],
            2,
            "--name is 'full', which means that every clip runs to the end",
        ),
        (["--name", "", "--max-mean-cost", "0.9"], 2, "--name is '', but must be of letters, digits"),
        (
            ["--curve", "--drift", "a.wav"],
            2,
            "--curve and --drift are given together, but only one of them is possible",
        ),
        (["--curve", "--max-mean-cost", "0.9"], 2, "--curve and --max-mean-cost are given together"),
        (["--drift", "a.wav", "--minimise", "loss"], 2, "--drift and --minimise are given together"),
        (
            ["--curve", "--device", "a.json"],
            2,
            "--device is given with --curve, but goes with operating points and limits",
        ),
        (["--curve", "--confidence", "0.9"], 2, "--confidence is given without a limit"),
        (
            ["--standard-errors", "-1"],
            2,
            "standard_errors is -1.0, but must be a number of at least 0 .larger is safer",
        ),
        (["--standard-errors", "nan", "--max-accuracy-drop", "0.1"], 2, "standard_errors is nan, but must be a number"),
        (["--standard-errors", "inf"], 2, "standard_errors is inf, but must be a number of at least 0"),
        (
            ["--standard-errors", "1", "--max-accuracy-drop", "0.01", "--confidence", "0.9"],
            2,
            "--standard-errors and --confidence exclude each other: a guarantee needs no margin$",
        ),
        (
            ["--standard-errors", "1", "--max-mean-cost", "0.9"],
            2,
            "--standard-errors is given with --max-mean-cost, but goes with operating points and --max-accuracy-drop",
        ),
        (["--standard-errors", "1", "--curve"], 2, "--standard-errors is given with --curve, but goes with operating"),
        (["--operating-point", "fast"], 2, "--operating-point is 'fast', but goes with --drift alone"),
        (["--curve", "--operating-point", ""], 2, "--operating-point is '', but goes with --drift alone"),
        (["--workers", "2"], 2, "--workers is 2, but goes with --drift alone"),
        (["--drift", "a.wav", "--workers", "0"], 2, "argument --workers: '0' is not a whole number from 1 to 256"),
        (["--device", "gone.json", "--max-mean-us", "9"], 1, "no such file: 'gone.json'"),
        (
            ["--max-accuracy-drop", "0.01", "--confidence", "95"],
            2,
            "confidence is 95.0, but must be above 0 and below 1",
        ),
    ],
)
def test_mistakes_are_one_line(call, options, status, message):
    assert re.search(message, call(*options, status=status))


def test_mistakes_are_found_before_the_answers_are_read(run, call):
    (run / "exit_logits" / "validation.npz").write_bytes(b"no answers")
    for options in (
        ["--name", "full"],
        ["--name", ""],
        ["--curve"],
    ):
        assert "does not hold answers" not in call("--max-mean-cost", "0.9", *options, status=2)


def test_bad_runs_are_one_line(run, call):
    exit_logits = run / "exit_logits" / "validation.npz"
    ExitLogits(made_up(count=9, exits=3).logits, split="validation").save(exit_logits)
    assert "labels are missing" in call("--max-accuracy-drop", "0.1", status=1)
    ExitLogits(made_up(count=9, exits=3).logits, np.zeros(9, int), split="validation").save(exit_logits)
    guarantee = ["--max-accuracy-drop", "0.5", "--confidence", "0.5"]
    for options in ([], ["--max-accuracy-drop", "0.1"], guarantee, [*guarantee, "--exits", "choose"], ["--curve"]):
        assert "all 9 validation clips have label 0, but thresholds need at least two classes" in (
            call(*options, status=1)
        )
    np.savez(exit_logits, format=1, logits=np.full((4, 3, 2), np.nan), labels=np.zeros(4, int), split="validation")
    assert "logits of 4 of 4 clips (first: clip 0) hold NaN or infinity" in call(status=1)
    np.savez(exit_logits, format=1, logits=np.zeros((0, 3, 2)), labels=np.zeros(0, int), split="validation")
    assert "the validation split is empty" in call(status=1)
    np.savez(exit_logits, format=1, logits=np.zeros((4, 3, 2)), labels=np.zeros(3, int), split="validation")
    assert "labels has shape (3,), but the logits are of 4 clips" in call(status=1)
    exit_logits.write_bytes(b"no answers")
    assert "does not hold logits of exits" in call(status=1)
    made_up(count=9, exits=2).save(exit_logits)
    assert "have 2 exits, but" in call(status=1)
    (run / "costs.json").write_text("{}")
    made_up(count=9, exits=3).save(exit_logits)
    assert "costs.json' does not hold costs of exits" in call(status=1)
    assert not [path for path in run.rglob("*") if path.name.endswith(".part")]


def test_a_network_of_one_exit_leaves_nothing_to_choose(run, call):
    made_up(count=60, exits=1).save(run / "exit_logits" / "validation.npz")
    ExitCosts(COSTS.exits[:1], COSTS.heads[:1]).save(run / "costs.json")
    guarantee = ["--max-accuracy-drop", "0.5", "--confidence", "0.5"]
    for options in (["--max-mean-cost", "0.9"], ["--minimise", "loss", "--exits", "choose"], guarantee):
        assert call(*options, status=2) == (
            "error: the network has one exit, where every clip leaves: there is nothing to choose\n"
        )
    assert len(call().splitlines()) == 6


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert command.main([str(tmp_path / "gone")]) == 2
    assert "is no run: there is no such folder" in capsys.readouterr().err


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    assert "--max-accuracy-drop 0.01 --confidence 0.95 --name safe" in text
    assert "class means need features, which TensorFlow computes" in " ".join(text.split())
    assert all(re.search(rf"\b{name}\b", text) for name in policies.POLICIES)
