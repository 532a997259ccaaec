import pytest

from bnn_exit.errors import DataError
from bnn_exit.streams.labelled import Word, read_events

LABELS = ("yes", "no", "unknown")
HEAD = "file\tstart_s\tend_s\tlabel\n"


def read(tmp_path, text, *, files=("a.wav", "b.wav"), head=HEAD):
    (tmp_path / "events.tsv").write_bytes((head + text).encode() if isinstance(text, str) else text)
    return read_events(tmp_path / "events.tsv", files=[tmp_path / file for file in files], labels=LABELS)


def test_events_are_read_by_recording_in_order_of_time(tmp_path):
    found = read(tmp_path, "b.wav\t7\t7.5\tno\n\na.wav\t1.25\t2\tyes\nb.wav\t0\t0.5\tyes\n")
    assert found == [(Word("yes", 1.25, 2.0),), (Word("yes", 0.0, 0.5), Word("no", 7.0, 7.5))]
    assert read(tmp_path, "") == [(), ()]


def test_columns_may_stand_in_any_order_beside_others_and_lines_may_end_as_on_windows(tmp_path):
    found = read(tmp_path, "no\tx\t2\ta.wav\t1\r\n", head="\ufefflabel \tnote\t end_s\tfile\tstart_s\r\n")
    assert found == [(Word("no", 1.0, 2.0),), ()]


def test_a_file_is_given_by_its_path_from_the_table_or_its_name(tmp_path):
    files = ("one/a.wav", "two/a.wav", "two/b.wav")
    found = read(tmp_path, "one/a.wav\t1\t2\tno\n./two/a.wav\t1\t2\tyes\nb.wav\t1\t2\tyes\n", files=files)
    assert [[word.label for word in words] for words in found] == [["no"], ["yes"], ["yes"]]
    with pytest.raises(DataError, match=r"line 2: 2 recordings of --stream are called 'a.wav': give the path from the"):
        read(tmp_path, "a.wav\t1\t2\tno\n", files=files)


def test_events_that_touch_do_not_overlap(tmp_path):
    assert len(read(tmp_path, "a.wav\t1\t2\tno\na.wav\t2\t3\tno\n")[0]) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav\t1\t2\tyess", r"line 3: the model has no label 'yess'; did you mean 'yes'\?"),
        ("c.wav\t1\t2\tyes", r"line 3: 'c.wav' is none of the recordings of --stream; did you mean '[ab].wav'\?"),
        ("a.wav\t-1\t2\tyes", "line 3: start_s is -1, but a time must be at least 0"),
        ("a.wav\t2\t2\tyes", "line 3: end_s is 2, but must be after start_s, 2"),
        ("a.wav\t2\t1\tyes", "line 3: end_s is 1, but must be after start_s, 2"),
        ("a.wav\tnan\t1\tyes", "line 3: start_s is 'nan', but must be a time in seconds"),
        ("a.wav\t1\tinf\tyes", "line 3: end_s is 'inf', but must be a time in seconds"),
        ("a.wav\t1\tsoon\tyes", "line 3: end_s is 'soon', but must be a time in seconds"),
        ("a.wav\t1\t2", "line 3 has 3 cells, but line 1 has 4: tabs part cells"),
        ("a.wav 1 2 yes", "line 3 has 1 cell, but line 1 has 4"),
        (
            "b.wav\t0.5\t1.5\tyes",
            "line 3: the event 'yes' from 0.5 s overlaps 'no' of line 2, which ends at 1 s: events of one recording",
        ),
        ("a.wav\t1\t2\tye\x1b[2Js", r"line 3: the model has no label 'ye.x1b\[2Js'"),
        ("a\0.wav\t1\t2\tyes", "line 3: .* is none of the recordings"),
        ("a" * 20000, "line 3 has more than 16384 characters"),
    ],
)
def test_a_fault_is_one_line_that_names_its_line(tmp_path, row, message):
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, f"b.wav\t0\t1\tno\n{row}\n")
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


def test_what_is_no_table_is_told(tmp_path):
    with pytest.raises(DataError, match=r"events.tsv is empty: its first line must be file TAB start_s TAB end_s TAB"):
        read(tmp_path, "", head="")
    with pytest.raises(DataError, match="line 1 has no column end_s, label: it must hold file TAB start_s"):
        read(tmp_path, "", head="file\tstart_s\n")
    with pytest.raises(DataError, match="line 1 has the column label twice: leave one out"):
        read(tmp_path, "a.wav\t1\t2\tyes\tno\n", head="file\tstart_s\tend_s\tlabel\tlabel\n")
    with pytest.raises(DataError, match=r"events.tsv is no text in UTF-8 \(byte 1\)"):
        read(tmp_path, b"\x41\xff\xfe")
    with pytest.raises(DataError, match=r"events.tsv: .*a folder"):
        (tmp_path / "events.tsv").unlink()
        (tmp_path / "events.tsv").mkdir()
        read_events(tmp_path / "events.tsv", files=[], labels=LABELS)
    with pytest.raises(DataError, match=r"none.tsv: no such file; check the path"):
        read_events(tmp_path / "none.tsv", files=[], labels=LABELS)


def test_a_table_of_any_size_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("bnn_exit.streams.tables.MAX_BYTES", 1 << 20)
    with pytest.raises(DataError, match="has more than 1 MiB, too much for a table of events: split it"):
        read(tmp_path, "a.wav\t1\t2\tno\n" * 100_000)
    monkeypatch.setattr("bnn_exit.streams.labelled.MAX_EVENTS", 1)
    with pytest.raises(DataError, match="line 3: more than 1 events: split the table"):
        read(tmp_path, "a.wav\t1\t2\tno\na.wav\t3\t4\tno\n")
