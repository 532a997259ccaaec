"""`split` and `serve_model`: the files, the table, and one line for each mistake."""

import json

import pytest
import tone_run

import bnn_exit
from bnn_exit.commands import serve_model
from bnn_exit.commands import split as command
from bnn_exit.model_file.split import read_half


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    with pytest.MonkeyPatch.context() as patch:
        yield tone_run.make_run(folder / "run", data=folder / "data", patch=patch)


def test_both_files_and_the_table(run, tmp_path, capsys):
    assert command.main([str(run), "--after", "2", "--raw", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    figures = json.loads((tmp_path / "split.json").read_text())
    device, server = (read_half(tmp_path / f"{role}.tflite", role=role) for role in ("device", "server"))
    assert device.split.identity == server.split.identity == figures["identity"] and device.split.after == 2
    points = figures["points"]
    assert [each["after"] for each in points] == [1, 2] and figures["split"] == "validation"
    for each in points:
        assert each["same_bits"] == each["same_label"] == 1.0 and each["accuracy"] == each["whole_accuracy"]
        assert each["clips"] == 12
    rows = [line.split() for line in lines if line.split()[:1] in (["1"], ["2"])]
    assert [row[4] for row in rows] == ["100.00%"] * 2
    assert points[1]["device_bytes"] == (tmp_path / "device.tflite").stat().st_size
    assert "all on the server" in lines[3]


def test_figures_of_the_device_alone_are_its_own(run, tmp_path):
    assert command.main([str(run), "--after", "1", "--out", str(tmp_path)]) == 0
    session, logits = bnn_exit.load(tmp_path / "device.tflite"), run.exit_logits("validation")
    assert list(session.operating_points) == list(bnn_exit.load(run.model).operating_points)
    for point in session.operating_points.values():
        assert point.accuracy == logits.correct[:, 0].mean() and point.exit_shares == (1.0,)


def test_fewer_bits_are_fewer_bytes(run, tmp_path):
    sizes = []
    for bits in ("8", "2"):
        assert command.main([str(run), "--after", "1", "--bits", bits, "--out", str(tmp_path)]) == 0
        sizes.append(json.loads((tmp_path / "split.json").read_text())["points"][0]["packed_bytes"])
    assert sizes[1] < sizes[0] / 3.5


@pytest.mark.parametrize(
    "options, message",
    [
        (["--after", "3"], "--after is 3, the last exit, with nothing behind it for a server, but must be 1 to 2"),
        (["--after", "0"], "--after is 0, no exit of this network, but must be 1 to 2"),
        (["--after", "1", "--bits", "9"], "--bits is 9, but must be 2 to 8"),
        (["--after", "1", "--bits", "4", "--raw"], "--bits is 4, but --raw sends floats: leave one of them out"),
        (["--after", "1", "--out", ""], "--out is '', but must name a folder"),
        ([], "the following arguments are required: --after"),
    ],
)
def test_mistakes_of_split(run, capsys, options, message):
    assert command.main([str(run), *options]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_the_files_of_the_run_stay(run, capsys):
    inside = str(run.path / "plots")
    assert command.main([str(run), "--after", "1", "--out", inside]) == 2
    assert "belongs to the run" in capsys.readouterr().err
    assert command.main([str(run.path / "none"), "--after", "1"]) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        (["--workers", "-1"], "--workers is -1, but must be 0 or more"),
        (["--port", "0"], "'0' is no port: it must be 1 to 65535"),
        (["--name", "a/b"], "--name is 'a/b'"),
        (["--certificate", "c.pem"], "--certificate and --key go together"),
        (["--max-clients", "0"], "--max-clients"),
    ],
)
def test_mistakes_of_serve_model(capsys, options, message):
    assert serve_model.main(["server.tflite", *options]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_files_that_cannot_be_served(run, tmp_path, capsys):
    assert command.main([str(run), "--after", "1", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "empty").write_text("two words")
    for options, message in (
        ([run.model], "no half of a split one"),
        ([tmp_path / "device.tflite"], "this is the device's half"),
        ([tmp_path / "server.tflite", "--token-file", tmp_path / "none"], "--token-file cannot be read"),
    ):
        assert serve_model.main([str(each) for each in options]) == 1
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
