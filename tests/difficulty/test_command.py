import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import bnn_exit
from bnn_exit.audio import wav
from bnn_exit.commands import difficulty as command
from bnn_exit.display import to_cell


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_clip_as_estimate_gives_it(model, session, words, tmp_path, capsys):
    target = tmp_path / "out" / "difficulty.csv"
    assert command.main([str(model), str(words), "--labels", "folders", "--csv", str(target)]) == 0
    rows = rows_of(target)
    paths = sorted(str(path) for path in words.glob("*/*.wav"))
    table = bnn_exit.difficulty.estimate(session, paths, labels=[os.path.basename(os.path.dirname(p)) for p in paths])
    assert [row["path"] for row in rows] == paths
    for row, expected in zip(rows, table.rows(), strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in expected.items()}
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0] == f"{model}, thresholds balanced: 10 clips, mean difficulty {table.difficulty.mean():.4f}"
    shares = " ".join(f"{100 * np.mean(table.exit_index == k):.1f}" for k in range(3))
    assert lines[1] == f"clips that leave at each exit (%): {shares}"
    right = np.mean(table.predicted == table.labels)
    assert lines[2] == f"accuracy {100 * right:.2f} %, overthinking {table.overthinking.sum()} clips"
    hardest = lines[lines.index("hardest clips") + 1]
    worst = int(table.difficulty.argmax())
    assert hardest.startswith(f"{table.difficulty[worst]:.4f}  {paths[worst]}  ")


def test_the_csv_it_writes_is_one_that_labels_takes(model, words, tmp_path):
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    assert command.main([str(model), str(words), "--labels", "folders", "--csv", str(first)]) == 0
    assert command.main([str(model), str(words), "--labels", str(first), "--csv", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()


def test_thresholds_decide_where_clips_leave(model, words, tmp_path):
    target = tmp_path / "d.csv"
    for options, exits in ((["--operating-point", "full"], {"3"}), (["--thresholds", "0,2"], {"2"})):
        assert command.main([str(model), str(words), *options, "--csv", str(target)]) == 0
        assert {row["exit"] for row in rows_of(target)} == exits


def test_clips_from_standard_input(model, words, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(str(path) for path in words.glob("yes/*.wav"))))
    assert command.main([str(model), "-"]) == 0
    assert ": 5 clips, " in capsys.readouterr().out


def test_a_model_of_the_package_by_name(tmp_path, capsys):
    wav.write(tmp_path / "a.wav", np.zeros(16000, np.float32), sample_rate_hz=16000)
    assert command.main(["arabic-speech-commands-small", str(tmp_path / "a.wav")]) == 0
    assert "1 clip," in capsys.readouterr().out


# ----------------------------------------------------------------------------------------------------------- bad input


def test_bad_clips_are_a_line_each_and_counted_and_the_others_go_on(model, words, tmp_path, capsys):
    (words / "no" / "0.wav").write_bytes(b"")
    wav.write(words / "no" / "1.wav", np.full(900, 0.1, np.float32), sample_rate_hz=8000)
    target = tmp_path / "d.csv"
    assert command.main([str(model), str(words), "missing.wav", "--csv", str(target)]) == 1
    assert len(rows_of(target)) == 9
    assert capsys.readouterr().err.splitlines() == [
        f"error: {words}/no/0.wav: the file is empty; copy or download it again",
        f"note: {words}/no/1.wav: 8000 Hz, resampled to the model's 16000 Hz",
        "error: missing.wav: no such audio file; check the path",
        "note: 1 of 9 clips were resampled from 8000 Hz",
        "error: 2 of 11 clips could not be used",
    ]


def test_an_unknown_label_is_a_line_and_status_1(model, words, tmp_path, capsys):
    (words / "no").rename(words / "nno")
    target = tmp_path / "d.csv"
    assert command.main([str(model), str(words), "--labels", "folders", "--csv", str(target)]) == 1
    assert sorted({row["label"] for row in rows_of(target)}) == ["", "yes"]
    nearest = "did you mean 'no'?; such clips are scored without one"
    assert capsys.readouterr().err.splitlines() == [
        f"error: {words}/nno/0.wav: its label 'nno' is none of the model's 3; {nearest}",
        "note: 5 clips without a label (5 of them with one that the model does not know)",
    ]


def test_no_usable_clip_leaves_nothing_behind(model, tmp_path, capsys):
    target = tmp_path / "made" / "d.csv"
    assert command.main([str(model), "missing.wav", "--csv", str(target), "--html", str(tmp_path / "d.html")]) == 1
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == "error: none of the clips could be used (1 failed): nothing was written"
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--operating-point", "fats"],
            "operating point is 'fats', but must be one of balanced, fast, full; did",
        ),
        (["--thresholds", "0.1"], "thresholds has 1 value (0.1), but a model of 3 exits takes 2"),
        (["--labels", "folder"], "--labels is 'folder', but must be 'folders' or a CSV file that is there"),
        (["--csv", "."], "--csv is '.', which is a folder, but must be a file to write"),
        (["--csv", "words"], "--csv is 'words', which is a folder, but must be a file to write"),
        (["--csv", "a.out", "--html", "./a.out"], "--html is './a.out', which is --csv, but must be a file to write"),
        (["--csv", "model.tflite"], "--csv is 'model.tflite', which is the model, but must be a file to write"),
        (["--keep", "0"], "argument --keep: '0' is not a whole number of at least 1"),
        (["--backend", "tpu"], "backend is 'tpu', but must be one of auto, lce, native, reference"),
    ],
)
def test_bad_options_are_one_line_and_status_2(model, words, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(model.read_bytes())
    assert command.main(["model.tflite", "words", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"error: {message}") and printed.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.tflite", "words"]


@pytest.mark.parametrize("option", ["--csv", "--html"])
@pytest.mark.parametrize("name", ["config.json", "best.npz", "steps/a.csv", "../run/exit_logits/validation.npz"])
def test_the_files_of_a_run_stay(model, words, tmp_path, capsys, option, name):
    run = tmp_path / "run"
    (run / "steps").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    (run / "best.npz").write_bytes(b"weights")
    assert command.main([str(model), str(words), option, str(run / name)]) == 2
    found = capsys.readouterr()
    assert found.err == (
        f"error: {option} is {str(run / name)!r}, which would overwrite {name.split('/')[-1]} of the run, and that "
        "stays as it is: choose another name\n"
    )
    assert (run / "config.json").read_text() == "{}" and (run / "best.npz").read_bytes() == b"weights"
    assert command.main([str(model), str(words), option, str(run / "mine.out")]) == 0


def test_an_interrupted_run_leaves_the_old_file(model, words, tmp_path, monkeypatch, capsys):
    target = tmp_path / "d.csv"
    target.write_text("old")

    def interrupted(sources):
        yield str(words / "yes" / "0.wav")
        raise KeyboardInterrupt

    monkeypatch.setattr(command.sources, "clips", interrupted)
    assert command.main([str(model), str(words), "--csv", str(target)]) == 130
    assert target.read_text() == "old" and sorted(path.name for path in tmp_path.iterdir()) == ["d.csv", "words"]
    assert capsys.readouterr().err == "error: interrupted\n"


def test_names_that_are_no_utf_8(model, words, tmp_path, capsys):
    odd = os.path.join(os.fsencode(words), b"caf\xe9.wav")
    os.rename(words / "yes" / "0.wav", odd)
    target, page = tmp_path / "d.csv", tmp_path / "d.html"
    assert command.main([str(model), os.fsdecode(odd), "--csv", str(target), "--html", str(page)]) == 0
    assert b"caf\xe9.wav" in target.read_bytes()
    assert "caf\\udce9.wav" in page.read_text(encoding="utf-8") and r"caf\xe9.wav" in capsys.readouterr().out


def test_cells_are_no_formulas_and_come_back_as_labels(model, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(words / "yes")
    names = ["=1+1.wav", "@sum.wav", "'=x.wav", "+1.wav"]
    for name in names:
        os.link("0.wav", name)
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\n" + "".join(f'"{to_cell(name)}",yes\n' for name in names))
    target = tmp_path / "d.csv"
    assert command.main([str(model), *names, "--labels", str(labels), "--csv", str(target)]) == 0
    rows = rows_of(target)
    assert [row["path"] for row in rows] == ["'=1+1.wav", "'@sum.wav", "''=x.wav", "'+1.wav"]
    assert all(float(row["difficulty"]) >= 0 for row in rows)
    assert command.main([str(model), *names, "--labels", str(target), "--csv", str(tmp_path / "e.csv")]) == 0
    assert [row["label"] for row in rows_of(tmp_path / "e.csv")] == ["yes"] * 4


PEAK = """
import json, sys
from bnn_exit.commands import difficulty as command
from bnn_exit.display import to_cell
add, kept = command.Summary.add, []
if sys.argv[1] == "leaks":
    command.Summary.add = lambda self, table: (kept.append(list(table.rows())), add(self, table))
status = command.main(sys.argv[2:])
# VmHWM is of this process alone: ru_maxrss would begin with that of the one which started it.
lines = open("/proc/self/status").read().splitlines()
print(json.dumps([status, next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))]))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("command", ["as it is", "leaks"])
def test_memory_does_not_grow_with_clips(model, words, tmp_path, command):
    """Peak memory of processes of their own: a command that keeps rows takes about 20 MB more for 20,000 clips."""
    peaks = []
    for clips in (1000, 20000):
        (tmp_path / "list.txt").write_text("\n".join([str(words / "yes" / "0.wav")] * clips))
        arguments = [command, str(model), str(tmp_path / "list.txt"), "--csv", str(tmp_path / "d.csv")]
        done = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
        status, peak = json.loads(done.stdout.splitlines()[-1])
        assert status == 0 and len(rows_of(tmp_path / "d.csv")) == clips
        peaks.append(peak)
    # KB; one process differs from another by a thousand.
    assert (peaks[1] - peaks[0] > 5000) == (command == "leaks"), peaks


def test_help_has_examples_and_needs_numpy_alone():
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'tf_keras', 'larq', 'soundfile', 'tqdm', 'apache_beam'): sys.modules[name] = None\n"
        "from bnn_exit.commands.difficulty import main\n"
        "main(['--help'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "python -m bnn_exit.difficulty model.tflite words/ --labels folders" in result.stdout
    assert result.stderr == ""
