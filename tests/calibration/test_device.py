import json

import pytest

from bnn_exit.calibration.device_profile import DeviceProfile
from bnn_exit.errors import ArgumentError, DataError

REPORT = {
    "exits": 2,
    "threads": 1,
    "machine": {"cpu": "Cortex-A72"},
    "times": {
        "native": {
            "front end": {"mean": 10.0, "p95": 12.0},
            "stage 1": {"mean": 5.0, "p95": 6.0},
            "exit 1": {"mean": 50.0, "p95": 60.0},
            "exit 2": {"mean": 90.0, "p95": 99.0},
        },
        "lce": {"exit 1": {"mean": 70.0, "p95": 80.0}, "exit 2": {"mean": 100.0, "p95": 110.0}},
    },
}


def test_a_report_of_bench_becomes_times_from_sound_to_answer():
    profile = DeviceProfile.from_bench(REPORT)
    assert (profile.mean_us, profile.worst_us) == ((60.0, 100.0), (72.0, 111.0))
    assert (profile.name, profile.backend, profile.threads) == ("Cortex-A72", "native", 1)
    # A file that takes waveforms has no front end of its own to time.
    other = DeviceProfile.from_bench(REPORT, backend="lce", name="pi")
    assert (other.name, other.mean_us) == ("pi", (70.0, 100.0))
    assert profile.select_exits((1,)).mean_us == (100.0,)


def test_front_end_and_network_are_taken_together_where_they_were_measured_so():
    times = dict(REPORT["times"]["native"])
    times |= {"front end + exit 1": {"mean": 58.0, "p95": 66.0}, "front end + exit 2": {"mean": 97.0, "p95": 107.0}}
    report = {**REPORT, "times": {"native": times}, "cold_times": {"native": {}}}
    profile = DeviceProfile.from_bench(report)
    assert (profile.mean_us, profile.worst_us) == ((58.0, 97.0), (66.0, 107.0))


def test_an_exit_that_was_not_measurable_is_refused(tmp_path):
    nothing = {"mean": None, "p95": None}
    for row in ("front end + exit 2", "exit 2"):
        times = {**REPORT["times"]["native"], row: nothing}
        (tmp_path / "noisy.json").write_text(json.dumps({**REPORT, "times": {"native": times}}))
        with pytest.raises(
            DataError, match=r"the time of exit 2 was not measurable: time it again with more --repeats"
        ):
            DeviceProfile.load(tmp_path / "noisy.json")


def test_it_is_saved_and_read_again_and_a_report_is_read_as_it_is(tmp_path):
    profile = DeviceProfile.from_bench(REPORT, name="pi")
    profile.save(tmp_path / "pi.json")
    assert DeviceProfile.load(tmp_path / "pi.json") == profile
    (tmp_path / "board.json").write_text(json.dumps(REPORT))
    assert DeviceProfile.load(tmp_path / "board.json") == DeviceProfile.from_bench(REPORT, name="board")


def test_what_bench_prints_is_read(capsys, tmp_path):
    from bnn_exit import pretrained
    from bnn_exit.commands import bench

    name = next(iter(pretrained.models()))
    assert bench.main([name, "--repeats", "2", "--json"]) == 0
    (tmp_path / "here.json").write_text(capsys.readouterr().out)
    profile = DeviceProfile.load(tmp_path / "here.json")
    assert len(profile.mean_us) >= 2 and min(profile.mean_us) > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not hold times of a device"),
        ("[1]", "does not hold times of a device"),
        ("{}", r"does not hold times of a device \('format'\): python -m bnn_exit.bench MODEL clips --json > FILE"),
        ('{"format": 2}', "it is of another format"),
        ('{"format": 1, "name": "a"}', "missing 3 required"),
        ('{"format": 1, "name": "a", "backend": "b", "mean_us": [1, -2], "worst_us": [1, 2]}', r"mean_us is \[1, -2\]"),
        ('{"format": 1, "name": "a", "backend": "b", "mean_us": [1], "worst_us": [1, 2]}', "mean_us has 1 times, but"),
        ('{"times": {"native": {}}, "exits": 1}', "the report of bnn_exit.bench lacks 'exit 1'"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, text, message):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        DeviceProfile.load(tmp_path / "bad.json")
    assert "\n" not in str(caught.value) and "bad.json" in str(caught.value)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such file: '.*gone.json'"):
        DeviceProfile.load(tmp_path / "gone.json")
    with pytest.raises(
        ArgumentError, match="backend is 'natve', but must be one of lce, native; did you mean 'native'"
    ):
        DeviceProfile.from_bench(REPORT, backend="natve")
