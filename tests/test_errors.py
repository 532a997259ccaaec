import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bnn_exit import errors
from bnn_exit.errors import (
    NEWEST_TRAINING,
    OLDEST_TRAINING,
    ArgumentError,
    BnnExitError,
    DataError,
    ExportError,
    MissingPackageError,
    ModelFileError,
    describe_os_error,
    missing_package,
    one_of,
)


def test_every_error_has_the_one_root():
    for kind in (ArgumentError, DataError, ModelFileError, ExportError, MissingPackageError):
        assert issubclass(kind, BnnExitError)
    # Callers who catch Python's own classes get them as well.
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(MissingPackageError, ImportError)


# -------------------------------------------------------------------------------------------------------------- one_of


def test_one_of_returns_a_known_value():
    assert one_of("backend", "lce", ["reference", "lce"]) == "lce"
    assert one_of("backend", "lce", {"lce": object()}) == "lce"


def test_one_of_names_the_choices_and_the_nearest():
    with pytest.raises(ArgumentError) as caught:
        one_of("backend", "refrence", ["reference", "lce"])
    assert str(caught.value) == ("backend is 'refrence', but must be one of lce, reference; did you mean 'reference'?")


def test_one_of_suggests_nothing_that_is_far_away():
    with pytest.raises(ArgumentError) as caught:
        one_of("backend", "tpu", iter(["reference", "lce"]))
    assert str(caught.value) == "backend is 'tpu', but must be one of lce, reference"


@pytest.mark.parametrize("value", [None, 3, ""])
def test_one_of_survives_values_that_are_not_names(value):
    with pytest.raises(ArgumentError, match="must be one of lce"):
        one_of("backend", value, ["lce"])


def test_missing_package_gives_the_pip_command():
    error = missing_package("soundfile", purpose="reading flac", extra="audio")
    assert isinstance(error, MissingPackageError)
    assert str(error) == "reading flac needs the package soundfile: pip install '.[audio]' in the project's folder"


@pytest.mark.parametrize("running", [(3, 9), (3, 10), (3, 12), (3, 13), (4, 0)])
@pytest.mark.parametrize("package", ["tensorflow", "larq", "larq-compute-engine"])
def test_a_python_without_tensorflow_is_the_reason_that_is_named(monkeypatch, running, package):
    monkeypatch.setattr(sys, "version_info", (*running, 0, "final", 0))
    message = str(missing_package(package, purpose="training", extra="train"))
    fits = (3, 10) <= running <= (3, 12)
    assert message.endswith("pip install '.[train]' in the project's folder")
    assert ("none for Python {}.{} ".format(*running) in message) == (not fits)
    assert ("python3.12 -m venv .venv" in message) == (not fits)
    assert "\n" not in message
    assert "venv" not in str(missing_package("scipy", purpose="a guarantee", extra="train"))


def test_the_markers_of_the_extra_name_the_same_pythons():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    (oldest, newest) = ("{}.{}".format(*version) for version in (OLDEST_TRAINING, NEWEST_TRAINING))
    marker = f"python_version >= '{oldest}' and python_version <= '{newest}'"
    for package in ("tensorflow>", "tf-keras", "tensorflow-io", "larq=", "larq-compute-engine", "numpy<2"):
        lines = re.findall(rf'^  "({re.escape(package)}.*)",$', text, re.MULTILINE)
        lines += re.findall(rf'^\w+ = \["({re.escape(package)}.*)"\]$', text, re.MULTILINE)
        assert lines and all(line.endswith(f"; {marker}") for line in lines), package


# --------------------------------------------------------------------------------------------------- describe_os_error


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "no space left on the disk while writing 'a/b': free some space and run the command again"),
        (errno.EDQUOT, "disk quota exceeded while writing 'a/b': free some space and run the command again"),
        (errno.EACCES, "permission denied for 'a/b': choose a place that you may use"),
        (errno.EPERM, "permission denied for 'a/b': choose a place that you may use"),
        (errno.EROFS, "'a/b' is on a read-only file system: choose another place"),
        (errno.ENOENT, "no such file or folder: 'a/b'"),
        (errno.ENOTDIR, "'a/b' runs through something that is a file, not a folder"),
        (errno.EISDIR, "'a/b' is a folder, but a file is needed"),
        (errno.EIO, "Input/output error 'a/b'"),
    ],
)
def test_os_errors_say_what_to_do(number, text):
    assert describe_os_error(OSError(number, os.strerror(number), "a/b")) == text


def test_an_os_error_without_number_or_file_is_still_told():
    assert describe_os_error(OSError("the device went away")) == "the device went away"
    assert describe_os_error(OSError(errno.ENOSPC, "full")).startswith("no space left on the disk while writing:")


def test_a_real_missing_file_gives_its_name(tmp_path):
    with pytest.raises(OSError) as caught:
        (tmp_path / "nothing").read_bytes()
    assert describe_os_error(caught.value) == f"no such file or folder: {str(tmp_path / 'nothing')!r}"


def test_the_module_needs_only_the_standard_library():
    assert errors.__name__ in sys.modules
    code = "import sys, bnn_exit.errors; print('numpy' in sys.modules, 'tensorflow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
