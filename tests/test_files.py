import errno
import json
import os
import stat

import pytest

from bnn_exit import files


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_new_file_appears_whole(tmp_path):
    path = tmp_path / "a.bin"
    with files.replacing(path) as file:
        file.write(b"first")
        file.flush()
        assert not path.exists()
        file.write(b" second")
    assert path.read_bytes() == b"first second"
    assert names(tmp_path) == ["a.bin"]


def test_folders_on_the_way_are_made(tmp_path):
    files.write_bytes(tmp_path / "x" / "y" / "a.bin", b"1")
    assert (tmp_path / "x" / "y" / "a.bin").read_bytes() == b"1"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), files.replacing(path) as file:
        file.write(b"new, but not who")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_an_error_before_the_first_file_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "a.bin"):
        raise RuntimeError
    assert names(tmp_path) == []


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_folder_in_the_way_is_an_error_and_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        files.write_bytes(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").is_dir()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
def test_the_file_gets_the_permissions_of_an_ordinary_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a.bin", b"")
        assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_json_goes_out_and_comes_back_readable(tmp_path):
    value = {"label": "نعم", "shares": [0.1, 1e-9], "none": None, "nested": {"a": [1, 2]}}
    files.write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert files.read_json(tmp_path / "a.json") == value
    assert "نعم" in text and text.endswith("}\n") and '\n  "label"' in text


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [(float("nan"), ValueError, "not JSON compliant"), ({1, 2}, TypeError, "set is not JSON serializable")],
)
def test_what_json_cannot_hold_is_refused_and_the_old_file_stays(tmp_path, value, error, message):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(error, match=message):
        files.write_json(path, {"x": value})
    assert json.loads(path.read_text()) == {"old": 1}
    assert names(tmp_path) == ["a.json"]
