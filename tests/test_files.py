import errno
import gc
import io
import json
import os
import stat
import subprocess
import sys

import numpy as np
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


@pytest.mark.parametrize("name", ["x" * 255, "\u00e4" * 127], ids=["letters", "of two bytes"])
def test_the_longest_name_that_a_disk_takes(tmp_path, name):
    files.write_bytes(tmp_path / name, b"1")
    files.write_bytes(tmp_path / name, b"2")
    assert names(tmp_path) == [name] and (tmp_path / name).read_bytes() == b"2"


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


def test_odd_json_is_a_value_error(tmp_path):
    path = tmp_path / "a.json"
    for content in (b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b"-Infinity", b"1" * 5000, b"1e999", b"9" * 20):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            files.read_json(path)
    for content in (b'{"a": 1, "a": 1}', b'[{"x": {"b": 0, "c": 0, "b": 0}}]'):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            files.read_json(path)
    for content in (b"1", b"[]", b"null", b'"text"'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="but must hold an object"):
            files.read_json_object(path)


def test_arrays_go_out_and_come_back(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array("text"), "c": np.zeros((0, 4))}
    files.write_arrays(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["a", "b", "c"]
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)
            assert file[name].dtype == array.dtype


def test_arrays_on_a_full_disk_are_one_error_and_no_complaint_later(tmp_path, monkeypatch):
    """Whichever write fails: nothing is left, and nothing is raised where nobody can catch it."""
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    arrays = {f"a{index}": np.arange(5000) for index in range(3)}
    fdopen, left = os.fdopen, [0]

    def full(handle, mode):
        class Full(io.FileIO):
            def write(self, data):
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().write(data)

        return io.BufferedWriter(Full(handle, mode))

    monkeypatch.setattr(os, "fdopen", full)
    failures = 0
    gc.collect()
    gc.freeze()  # what other tests left is not looked through again and again
    for allowed in range(100):
        left[0] = allowed
        try:
            files.write_arrays(tmp_path / "a.npz", arrays)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            failures += 1
            assert names(tmp_path) == []
        else:
            break
        finally:
            gc.collect()
    gc.unfreeze()
    monkeypatch.setattr(os, "fdopen", fdopen)
    assert failures > 3
    assert names(tmp_path) == ["a.npz"]
    assert not complaints


def test_what_killed_commands_left_is_removed_and_what_is_being_written_is_not(tmp_path):
    path, below = tmp_path / "a.bin", tmp_path / "below"
    below.mkdir()
    for left in (tmp_path / ".a.bin.1234.part", tmp_path / ".b.bin.1234.part", below / ".c.part"):
        left.write_bytes(b"half")
    with files.replacing(path) as file:
        file.write(b"whole")
        (written,) = tmp_path.glob(".a.bin.*.part")  # the other one of this name is gone
        files.write_bytes(path, b"meanwhile")
        files.remove_left(tmp_path)
        assert names(tmp_path) == sorted(["a.bin", "below", written.name])
        assert names(below) == []
    assert path.read_bytes() == b"whole"


def test_a_killed_writer_leaves_what_the_next_one_removes(tmp_path):
    code = (
        "import os, sys; from bnn_exit import files\n"
        "with files.replacing(sys.argv[1]) as file: file.write(b'x'); file.flush(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a [1].bin")], check=False)
    (left,) = names(tmp_path)
    assert left.endswith(".part")
    files.write_bytes(tmp_path / "a [1].bin", b"1")
    assert names(tmp_path) == ["a [1].bin"]


def test_threads_keep_their_umask(tmp_path, monkeypatch):
    """The umask belongs to the whole process: it is not touched."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was changed"))
    files.write_bytes(tmp_path / "a.bin", b"")
