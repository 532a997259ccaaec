import json
import shlex
import sys

import pytest

from bnn_exit.errors import ArgumentError
from bnn_exit.listening.programs import Programs

VALUES = {
    "label": "yes; touch x $(id)", "probability": "0.900", "time_s": "3.000", "start_s": "1.500", "end_s": "2.500",
    "exit": 1, "file": "",
}  # fmt: skip
WRITE = "import json, os, sys; json.dump([sys.argv[2:], dict(os.environ)], open(sys.argv[1], 'w'))"


def python(code, *words):
    return shlex.join([sys.executable, "-c", code, *words])


@pytest.fixture
def told():
    return []


def test_the_event_is_in_arguments_and_environment(tmp_path, told):
    place = tmp_path / "out.json"
    programs = Programs(python(WRITE, str(place), "{label}", "p={probability}/{exit}", "{time_s}"), tell=told.append)
    programs.start(VALUES)
    programs.close(wait_s=60)
    words, environment = json.loads(place.read_text())
    assert words == ["yes; touch x $(id)", "p=0.900/1", "3.000"]
    found = {name: value for name, value in environment.items() if name.startswith("BNN_EXIT_")}
    assert found.items() >= {
        "BNN_EXIT_LABEL": VALUES["label"], "BNN_EXIT_PROBABILITY": "0.900", "BNN_EXIT_START_S": "1.500",
        "BNN_EXIT_END_S": "2.500", "BNN_EXIT_EXIT": "1", "BNN_EXIT_FILE": "",
    }.items()  # fmt: skip
    assert told == [] and programs.started == 1 and not (tmp_path / "x").exists()


def test_a_label_with_braces_is_put_in_once(tmp_path, told):
    place = tmp_path / "out.json"
    programs = Programs(python(WRITE, str(place), "{label}"), tell=told.append)
    programs.start({**VALUES, "label": "{file}{nothing}"})
    programs.close(wait_s=60)
    assert json.loads(place.read_text())[0] == ["{file}{nothing}"]


def test_its_output_does_not_stand_among_the_events(tmp_path, told, capfd):
    programs = Programs(python("print(1); print(input())"), tell=told.append)
    programs.start(VALUES)
    programs.close(wait_s=60)
    out, err = capfd.readouterr()
    assert out == "" and "EOFError" in err
    assert told == [f"{sys.executable} ended with status 1"]


def test_only_so_many_run_at_once_and_the_ended_are_reaped(tmp_path, told):
    go = tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"
    programs = Programs(python(wait), tell=told.append, limit=2)
    for _ in range(3):
        programs.start({**VALUES, "label": "no"})
    assert (programs.started, programs.skipped) == (2, 1)
    assert told == ["2 programs of earlier events still running: none was started for no"]
    programs.close(wait_s=0)
    assert told[1:] == ["2 programs of events still running: left alone"]
    go.touch()
    programs.close(wait_s=60)
    programs.start(VALUES)
    assert programs.started == 3
    programs.close(wait_s=60)
    assert len(told) == 2


def test_a_program_that_cannot_be_started_any_more_is_told(tmp_path, told):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    programs = Programs(str(script), tell=told.append)
    script.unlink()
    programs.start(VALUES)
    assert told == [f"{script} was not started: no such file or folder: '{script}'"]


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("", "run is empty, but must be a command"),
        ("echo 'a", "cannot be split into words: No closing quotation"),
        ("echo {lable}", r"run has \{lable\}, but the placeholders are \{label\}, \{probability\}"),
        ("echo {la'ble'}", r"run has \{lable\}, but the placeholders are \{label\}, \{probability\}"),
        ("/nowhere/x {label}", "run begins with '/nowhere/x', but there is no such program"),
    ],
)
def test_a_wrong_command_is_refused_at_the_start(command, text, told):
    with pytest.raises(ArgumentError, match=text):
        Programs(command, tell=told.append)


def test_one_program_is_one(tmp_path, told):
    programs = Programs(python("import time\nwhile True: time.sleep(0.01)"), tell=told.append, limit=1)
    programs.start(VALUES)
    programs.start({**VALUES, "label": "no"})
    programs.close(wait_s=0)
    programs._running[0].kill()
    programs._running[0].wait()
    assert told == [
        "1 program of earlier events still running: none was started for no",
        "1 program of events still running: left alone",
    ]
