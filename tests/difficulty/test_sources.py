import io
import os
from pathlib import Path

import pytest

from bnn_exit.difficulty import sources
from bnn_exit.errors import DataError


@pytest.fixture
def corpus(tmp_path):
    for name in (
        "b/2.wav",
        "b/1.FLAC",
        "a/x.ogg",
        "a/deep/y.wav",
        "_background_noise_/n.wav",
        ".hidden/h.wav",
        "a/.z.wav",
        "a/t.md",
    ):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "corpus"


def test_a_folder_gives_its_audio_files_by_name(corpus):
    found = list(sources.clips([str(corpus)]))
    assert [str(Path(path).relative_to(corpus)) for path in found] == ["a/x.ogg", "a/deep/y.wav", "b/1.FLAC", "b/2.wav"]


def test_sources_come_in_the_order_given(corpus, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("\ufeffone.wav\r\n\n with space.wav \n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("three.wav\nfour.wav"))
    given = ["first.wav", str(tmp_path / "list.txt"), str(corpus / "a" / "deep"), "-"]
    assert list(sources.clips(given)) == [
        "first.wav",
        "one.wav",
        " with space.wav ",
        str(corpus / "a" / "deep" / "y.wav"),
        "three.wav",
        "four.wav",
    ]


def test_a_name_that_is_no_utf_8_comes_out_as_it_went_in(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.wav\n")
    (path,) = sources.clips([str(tmp_path / "list.txt")])
    assert os.fsencode(path) == b"caf\xe9.wav"


def test_nor_on_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9.wav\n"), encoding="utf-8"))
    (path,) = sources.clips(["-"])
    assert os.fsencode(path) == b"caf\xe9.wav"


def test_lists_are_read_line_by_line(monkeypatch):
    def endless():
        while True:
            yield "a.wav\n"

    monkeypatch.setattr("sys.stdin", endless())
    found = sources.clips(["-"])
    assert [next(found) for _ in range(1000)] == ["a.wav"] * 1000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), r"thing.txt: no .wav, .flac, .ogg file in this folder or those in it$"),
        (lambda path: path.touch(), r"thing.txt: no path of a clip in it; give one path a line$"),
        (lambda path: None, r"list of clips: no such file or folder: '.*thing.txt'$"),
    ],
)
def test_a_source_without_clips_is_told_and_the_others_go_on(tmp_path, make, message):
    make(tmp_path / "thing.txt")
    problem, path = sources.clips([str(tmp_path / "thing.txt"), "next.wav"])
    assert path == "next.wav"
    with pytest.raises(DataError, match=message):
        raise problem


def test_an_empty_folder_is_told(tmp_path):
    (problem,) = sources.clips([str(tmp_path)])
    assert str(problem) == f"{tmp_path}: no .wav, .flac, .ogg file in this folder or those in it"


def test_clips_are_counted_where_they_can_be(corpus, tmp_path):
    (tmp_path / "list.txt").write_text("1.wav\n2.wav\n")
    assert sources.count([str(corpus), str(tmp_path / "list.txt"), "missing.wav"]) == 7
    assert sources.count([str(corpus), "-"]) is None
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    assert sources.count([str(pipe)]) is None


# -------------------------------------------------------------------------------------------------------------- labels


def labels(source, *names, log=print):
    return sources.Labels(str(source), class_names=names or ("yes", "no"), log=log)


def test_labels_from_folders(monkeypatch, tmp_path):
    (tmp_path / "no").mkdir()
    monkeypatch.chdir(tmp_path / "no")
    found = labels("folders")
    assert [found("a/yes/1.wav"), found("b/no/1.wav"), found("1.wav"), found("yes/../no/1.wav")] == [0, 1, 1, 1]
    assert found.without == 0


def test_an_unknown_label_is_told_once_with_the_nearest():
    told = []
    found = labels("folders", log=told.append)
    assert [found(f"yess/{index}.wav") for index in range(3)] == [-1] * 3
    assert found("zebra/1.wav") == -1
    end = "; such clips are scored without one"
    assert told == [
        f"error: yess/0.wav: its label 'yess' is none of the model's 2; did you mean 'yes'?{end}",
        f"error: zebra/1.wav: its label 'zebra' is none of the model's 2{end}",
    ]
    assert (found.without, found.strange) == (4, {"yess": 3, "zebra": 1})


def test_labels_from_a_csv_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "l.csv").write_text(
        '\ufefflabel,speaker,path\nyes,3,a/1.wav\nno,4,"b, c.wav"\n,5,d.wav\nno,1,\n', "utf-8"
    )
    found = labels("l.csv")
    names = ["a/1.wav", "./a/../a/1.wav", str(tmp_path / "b, c.wav"), "d.wav", "other.wav"]
    assert [found(name) for name in names] == [0, 0, 1, -1, -1]
    assert (found.without, found.strange) == (2, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            r"l.csv: no column 'path' in its first line \(empty\): --labels takes a CSV file with the columns",
        ),
        ("path,labels\n", r"no column 'label' in its first line \(path, labels\): .* did you mean 'labels'\?$"),
        ("path,label\na.wav,yes\n./a.wav,no\n", r"l.csv, line 3: ./a.wav has the label 'no', but 'yes' before"),
    ],
)
def test_a_csv_file_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        labels(tmp_path / "l.csv")
