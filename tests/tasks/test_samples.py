"""Recordings of sensors, read from .npz and CSV files."""

import io
import re
import zipfile

import numpy as np
import pytest

from audio_tasks import samples
from audio_tasks.samples import Names, read_samples
from bnn_exit.errors import ArgumentError, DataError

NAMED = Names(group="subject", time="time_ms", time_unit="ms")


def arrays(**changes):
    """Two recordings of one subject and one of another, five samples each of two channels."""
    count = 15
    found = {
        "values": np.arange(2 * count, dtype=np.float32).reshape(count, 2),
        "label": np.array(["sit", "sit", "walk", "walk", "walk"] * 3),
        "subject": np.repeat(["anna", "anna", "ben"], 5),
        "recording": np.repeat([7, 8, 9], 5),
        "time_ms": np.tile(np.arange(5) * 10, 3) + 1_700_000_000_000,
        "channels": np.array(["x", "y"]),
    }
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


@pytest.fixture
def saved(tmp_path):
    def save(**changes):
        np.savez(tmp_path / "data.npz", **arrays(**changes))
        return tmp_path / "data.npz"

    return save


def test_samples_become_recordings_in_their_order(saved):
    found = read_samples(saved(), NAMED)
    assert found.channels == ("x", "y") and found.windows is None
    assert [(each.name, each.group) for each in found.recordings] == [("7", "anna"), ("8", "anna"), ("9", "ben")]
    second = found.recordings[1]
    np.testing.assert_array_equal(second.values, np.arange(10, 20, dtype=np.float32).reshape(5, 2))
    assert second.labels.tolist() == ["sit", "sit", "walk", "walk", "walk"]
    np.testing.assert_allclose(second.time_s, [0, 0.01, 0.02, 0.03, 0.04], atol=1e-12)


def test_samples_of_recordings_may_be_mixed(saved):
    mixed = np.random.default_rng(0).permutation(15)
    own = arrays()
    places = np.sort(mixed.reshape(3, 5), axis=1)  # each recording keeps its own order
    order = np.empty(15, int)
    order[places.ravel()] = np.arange(15)
    found = read_samples(saved(**{name: own[name][order] for name in own if name != "channels"}), NAMED)
    expected = read_samples(saved(), NAMED)
    ours, others = ({each.name: each.values.tolist() for each in one.recordings} for one in (found, expected))
    assert ours == others


def test_without_names_a_group_is_a_recording_and_samples_are_even(saved):
    found = read_samples(saved(), Names(group="subject", recording="", time=""))
    assert [(each.name, len(each.values), each.time_s) for each in found.recordings] == [
        ("anna", 10, None),
        ("ben", 5, None),
    ]
    (alone,) = read_samples(saved(), Names(group="", recording="", time="")).recordings
    assert (alone.name, alone.group, len(alone.values)) == ("data", "data", 15)


def test_windows_keep_their_labels_and_groups(saved):
    values = np.random.default_rng(0).normal(size=(15, 4, 3))
    found = read_samples(saved(values=values, channels=None), Names(group="subject"))
    assert found.recordings == () and found.channels == ("channel_1", "channel_2", "channel_3")
    np.testing.assert_array_equal(found.windows.values, values.astype(np.float32))
    assert found.windows.groups.tolist() == arrays()["subject"].tolist()
    alone = read_samples(saved(values=values), Names(group=""))
    assert len(set(alone.windows.groups)) == 15  # each window is a group of its own


@pytest.mark.parametrize(
    ("changes", "names", "message"),
    [
        ({"values": None}, NAMED, "has no array 'values' \\(samples or windows\\), but channels, label, recording,"),
        ({}, Names(group="subjct"), "has no array 'subjct' .*; did you mean 'subject'"),
        ({"values": np.zeros(15)}, NAMED, "values has shape \\(15,\\), but must be \\[samples, channels\\] or"),
        ({"values": np.zeros((0, 2))}, NAMED, "and not empty"),
        ({"values": np.full((15, 2), "a")}, NAMED, "values is of type <U1, but must be of numbers"),
        ({"label": np.zeros(14, int)}, NAMED, "label has shape \\(14,\\), but must be \\(15,\\), one for each of the"),
        ({"label": np.zeros(15)}, NAMED, "label is of type float64, but must be of text or whole numbers"),
        ({"subject": np.repeat(["anna", "ben", "ben"], [3, 7, 5])}, NAMED, "recording 7 is of the groups anna and ben"),
        (
            {"time_ms": np.r_[0, 2, 1, np.arange(12)]},
            NAMED,
            "time runs backwards in recording 7, from 0.002 to 0.001 s",
        ),
        ({"time_ms": np.full(15, np.nan)}, NAMED, "time_ms holds something that is no time"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(saved, changes, names, message):
    path = saved(**changes)
    with pytest.raises(DataError, match=message) as caught:
        read_samples(path, names)
    assert str(caught.value).startswith(str(path))


def test_files_that_are_none(tmp_path, monkeypatch, saved):
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(DataError, match=r"damaged.npz cannot be read as an .npz file \(BadZipFile: "):
        read_samples(tmp_path / "damaged.npz", NAMED)
    packed = io.BytesIO()
    np.savez(packed, values=np.array([{}], object))
    (tmp_path / "objects.npz").write_bytes(packed.getvalue())
    with pytest.raises(DataError, match=r"objects.npz cannot be read as an .npz file .*allow_pickle"):
        read_samples(tmp_path / "objects.npz", NAMED)
    with pytest.raises(DataError, match=r"gone.npz does not exist: give an .npz file, a .csv file or a folder"):
        read_samples(tmp_path / "gone.npz", NAMED)
    (tmp_path / "data.xlsx").write_bytes(b"")
    with pytest.raises(DataError, match=r"data.xlsx ends in '.xlsx', but must end in .npz or .csv"):
        read_samples(tmp_path / "data.xlsx", NAMED)
    with pytest.raises(ArgumentError, match="time_unit is 'msec', but must be one of s, ms, us, ns; did you mean 'ms'"):
        read_samples(saved(), Names(time_unit="msec"))
    path = saved()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**3)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("values.npy", header.getvalue())
    with pytest.raises(DataError, match=r"huge.npz holds 4000000000000 bytes, but \d+ are the most"):
        read_samples(tmp_path / "huge.npz", NAMED)
    monkeypatch.setattr(samples, "MOST_BYTES", 500)
    with pytest.raises(DataError, match=r"data.npz holds \d+ bytes, but 500 are the most"):
        read_samples(path, NAMED)


TABLE = """time,x,y,label,subject
0.0,1,2,sit,anna
0.1,3,,sit,anna
0.2,5,6,walk,anna
"""


def test_a_folder_of_tables_has_a_recording_each(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.csv").write_text(TABLE)
    (tmp_path / "deep" / "a.CSV").write_text(TABLE.replace("anna", "ben"), encoding="utf-8-sig")
    (tmp_path / "notes.txt").write_text("nothing")
    found = read_samples(tmp_path, Names(group="subject"))
    assert found.channels == ("x", "y")
    assert [(each.name, each.group) for each in found.recordings] == [("b.csv", "anna"), ("deep/a.CSV", "ben")]
    first = found.recordings[0]
    np.testing.assert_array_equal(first.values, [[1, 2], [3, np.nan], [5, 6]])
    assert first.labels.tolist() == ["sit", "sit", "walk"] and first.time_s.tolist() == pytest.approx([0, 0.1, 0.2])


def test_a_column_may_name_the_recordings(tmp_path):
    text = "x,label,recording,subject\n1,a,one,anna\n2,b,two,anna\n3,a,one,anna\n"
    (tmp_path / "all.csv").write_text(text)
    found = read_samples(tmp_path / "all.csv", Names(group="subject", time=""))
    assert [(each.name, each.values.tolist()) for each in found.recordings] == [("one", [[1], [3]]), ("two", [[2]])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,x,label,subject\n", "has no row below its header"),
        ("time,x,x,label,subject\n0,1,2,a,b\n", "a column is there twice in time, x, x, label, subject"),
        ("time,x,label,subject\n0,1,a,b\n1,2,a\n", "row 3 has 3 cells, but the header has 4"),
        ("time,x,label,subject\n0,one,a,b\n", "x is 'one' in row 2, which is no number: a column that is no channel"),
        ("time,label,subject\n0,a,b\n", "has no column beside time, label, subject: none is a channel"),
        ("time,x,labels,subject\n0,1,a,b\n", "has no column 'label' .*; did you mean 'labels'"),
        ("time,x,label,subject\n1,1,a,b\n0.5,2,a,b\n", "time runs backwards in recording t.csv, from 0 to -0.5 s"),
        ("time,x,label,subject\n,1,a,b\n", "time holds something that is no time"),
        ("time,x,label,subject\n0,1,a,\xff\n", "cannot be read as CSV"),
    ],
)
def test_tables_that_do_not_fit_are_one_line(tmp_path, text, message):
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message) as caught:
        read_samples(tmp_path, Names(group="subject"))
    assert str(tmp_path / "t.csv") in str(caught.value) and "\n" not in str(caught.value)


def test_tables_of_other_channels_and_the_same_recording_are_named(tmp_path):
    (tmp_path / "a.csv").write_text(TABLE)
    (tmp_path / "b.csv").write_text(TABLE.replace("y", "z"))
    message = f"{tmp_path / 'b.csv'} has the channels x, z, but {tmp_path / 'a.csv'} has x, y: look at y, z"
    with pytest.raises(DataError, match=re.escape(message)):
        read_samples(tmp_path, Names(group="subject"))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,label,recording\n1,a,one\n")
    with pytest.raises(DataError, match="recording one is in two files"):
        read_samples(tmp_path, Names(group="", time=""))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no .csv file: give a folder of them, a .csv file or an .npz"):
        read_samples(tmp_path / "empty", NAMED)
