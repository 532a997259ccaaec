import types
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnn_exit.errors import ArgumentError
from bnn_exit.listening.clips import RecentSound, Saver, file_name


@given(sizes=st.lists(st.integers(0, 50), max_size=20), start=st.integers(0, 300), length=st.integers(0, 100))
def test_it_holds_at_least_the_last_seconds(sizes, start, length):
    recent = RecentSound(rate_hz=10, seconds=5)
    total = sum(sizes)
    samples = np.arange(total, dtype=np.float32)
    for piece in np.split(samples, np.cumsum(sizes)):
        recent.push(piece)
    found = recent.between(start / 10, (start + length) / 10).tolist()
    wanted = samples[start : start + length].tolist()
    assert found == wanted[len(wanted) - len(found) :]
    kept = [value for value in wanted if value >= total - 50]
    assert found[len(found) - len(kept) :] == kept


def test_memory_is_bounded():
    recent = RecentSound(rate_hz=10, seconds=5)
    for _ in range(1000):
        recent.push(np.zeros(7, np.float32))
    assert recent._size < 50 + 7


def test_sound_before_a_gap_is_gone_and_time_goes_on():
    recent = RecentSound(rate_hz=10, seconds=5)
    recent.push(np.ones(20, np.float32))
    recent.skip(30)
    recent.push(np.full(10, 2, np.float32))
    assert recent.between(0, 100).tolist() == [2] * 10
    assert recent.between(5.5, 5.7).tolist() == [2, 2]
    assert recent.between(1, 4.9).tolist() == []


def test_an_event_is_written_as_a_wav(tmp_path):
    recent = RecentSound(rate_hz=100, seconds=5)
    recent.push(np.linspace(-1.5, 1.5, 301, dtype=np.float32))
    event = types.SimpleNamespace(label="yes", time_s=2.5, start_s=1.0, end_s=2.9)
    path = Saver(tmp_path / "new", recent, tell=print).save(event)
    assert path == tmp_path / "new" / "000002.500s_yes.wav"
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (100, 1, 2)
        samples = np.frombuffer(file.readframes(1000), "<i2") / 32768
    # A quarter of a second before it, and what is there of the one behind it; beyond full scale it is clipped.
    assert samples == pytest.approx(np.linspace(-0.75, 1.5, 226).clip(-1, 1), abs=1e-4)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_names_begin_with_the_source(tmp_path):
    recent = RecentSound(rate_hz=100, seconds=5)
    saver = Saver(tmp_path, recent, tell=print, source="my/room.1")
    event = types.SimpleNamespace(label="no", time_s=123.4567, start_s=0.0, end_s=1.0)
    assert saver.save(event) is None
    recent.push(np.zeros(100, np.float32))
    assert saver.save(event) == tmp_path / "my_room_1_000123.457s_no.wav"


def test_saving_goes_on_when_files_were_taken_out(tmp_path):
    recent, told = RecentSound(rate_hz=1000, seconds=5), []
    recent.push(np.zeros(1000, np.float32))
    saver = Saver(tmp_path, recent, tell=told.append, limit_mb=0.005)  # of files of 44 + 2000 bytes
    events = [types.SimpleNamespace(label="no", time_s=time, start_s=0.0, end_s=1.0) for time in range(6)]
    kept = [saver.save(event) for event in events[:4]]
    assert [path is None for path in kept] == [False, False, True, True]
    line = f"{tmp_path} holds 0.00409 MB of 0.005 MB: no more sound of events is saved until you take files out of it, "
    assert told == [line + "or give a larger --save-limit"]
    kept[0].unlink()
    assert saver.save(events[4]) == tmp_path / "000004.000s_no.wav"
    assert saver.save(events[5]) is None and len(told) == 2
    # What was there before counts.
    assert Saver(tmp_path, recent, tell=told.append, limit_mb=0.005).save(events[5]) is None


def test_a_folder_that_cannot_be_one(tmp_path):
    recent = RecentSound(rate_hz=100, seconds=5)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="file', which is a file, but must be a folder"):
        Saver(tmp_path / "file", recent, tell=print)
    with pytest.raises(ArgumentError, match="save is empty, but must be a folder"):
        Saver("", recent, tell=print)
    assert list(Saver(tmp_path / "new" / "deep", recent, tell=print)._folder.iterdir()) == []


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("yes", "yes"),
        ("../../etc/passwd", "_etc_passwd"),
        ("a\0b\nc d", "a_b_c_d"),
        ("نعم", "نعم"),
        ("..", "_"),
        ("é" * 200, "é" * 50),
    ],
)
def test_no_label_leaves_the_folder(label, name):
    assert file_name(label) == name
