import datetime
import types
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    path = Saver(tmp_path / "new", recent).save(event)
    assert path == tmp_path / "new" / "000002.500s_yes.wav"
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (100, 1, 2)
        samples = np.frombuffer(file.readframes(1000), "<i2") / 32768
    # A quarter of a second before it, and what is there of the one behind it; beyond full scale it is clipped.
    assert samples == pytest.approx(np.linspace(-0.75, 1.5, 226).clip(-1, 1), abs=1e-4)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_names_have_the_date_of_the_beginning(tmp_path):
    recent = RecentSound(rate_hz=100, seconds=5)
    saver = Saver(tmp_path, recent, began=datetime.datetime(2026, 1, 2, 3, 4, 5))
    event = types.SimpleNamespace(label="no", time_s=123.4567, start_s=0.0, end_s=1.0)
    assert saver.save(event) is None
    recent.push(np.zeros(100, np.float32))
    assert saver.save(event) == tmp_path / "20260102T030405Z_000123.457s_no.wav"


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
