"""Data folders as people have them: nothing with sound in it is left out without a word."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from audio_tasks import folder, speech_commands, speech_synthesis
from audio_tasks.cache import default_cache_dir
from audio_tasks.layout import nothing_found, open_data_dir, survey
from bnn_exit.errors import ArgumentError, DataError

WriteWav = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, write_wav: WriteWav) -> Path:
    root = tmp_path / "data"
    for label, word in enumerate(("yes", "no")):
        for speaker in range(4):
            write_wav(root / word / f"s{speaker}_0.wav", seed=10 * label + speaker)
    return root


def test_underscores_make_no_difference_to_a_class(data: Path, write_wav: WriteWav) -> None:
    for label, word in enumerate(("_unknown_", "_silence_", "_background_noise_")):
        for speaker in range(4):
            write_wav(data / word / f"s{speaker}_0.wav", seed=100 + 10 * label + speaker)
    expected = ("_silence_", "_unknown_", "no", "yes")
    assert folder.load(data_dir=data).labels == expected
    task = folder.load(data_dir=data)
    assert len(task.noise) == 4
    assert tuple(survey(data).classes) == expected


def test_everything_with_sound_in_it_is_named(data: Path, write_wav: WriteWav) -> None:
    write_wav(data / "yes" / "session2" / "s9_0.wav", seed=50)
    write_wav(data / ".backup" / "s9_0.wav", seed=51)
    write_wav(data / "loose.wav", seed=52)
    write_wav(data / "yes" / "._s0_0.wav", seed=53)
    write_wav(data / "__MACOSX" / "yes" / "._s0_0.wav", seed=54)
    (data / ".git").mkdir()
    (data / "no" / "a.mp3").write_bytes(b"ID3")
    (data / "no" / "a.amr").write_bytes(b"#!AMR")
    (data / "stop").mkdir()
    (data / "stop" / "a.M4A").write_bytes(b"")
    (data / "no" / "gone.wav").symlink_to(data / "nowhere.wav")
    (data / "no" / "loop.wav").symlink_to(data / "no" / "loop.wav")
    (data / "no" / "again").symlink_to(data / "no")
    (data / "circle").symlink_to(data / "circle")
    os.mkfifo(data / "no" / "pipe.wav")
    found = survey(data)
    assert {name: len(files) for name, files in found.classes.items()} == {"no": 4, "yes": 4}
    assert found.problems == {
        "no/a.amr": ".amr file, not .wav, .flac or .ogg",
        "no/a.mp3": ".mp3 file, not .wav, .flac or .ogg",
        "no/gone.wav": "link to a file that is not there",
        "no/loop.wav": "link to a file that is not there",
        "no/pipe.wav": "pipe, device or socket, not a regular file",
        "stop/a.M4A": ".m4a file, not .wav, .flac or .ogg",
    }
    text = "\n".join(found.notes)
    for part in ("1 audio file in folders within yes", ".backup is hidden", "1 audio file beside", "no classes: stop"):
        assert part in text
    assert "git" not in text and "MACOSX" not in text
    assert folder.load(data_dir=data).notes[1:] == tuple(found.notes)


def test_a_folder_that_may_not_be_read_is_a_note(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "lost+found").mkdir()
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read anything
    task = folder.load(data_dir=data)
    assert task.labels == ("no", "yes")
    assert "lost+found cannot be read, so it is no class: Permission denied" in task.notes


@pytest.mark.parametrize("load", [folder.load, speech_commands.load])
def test_data_in_other_formats_alone_says_so(tmp_path: Path, load: Callable[..., object]) -> None:
    for word in ("yes", "no"):
        (tmp_path / "data" / word).mkdir(parents=True)
        for n in range(3):
            (tmp_path / "data" / word / f"{n}.mp3").write_bytes(b"ID3")
    with pytest.raises(DataError, match=r"no folder with audio files \(6 \.mp3 files, which are not read"):
        load(data_dir=tmp_path / "data")


def test_nothing_at_all_says_what_is_expected(tmp_path: Path) -> None:
    error = nothing_found(tmp_path, survey(tmp_path), layout="a folder for each class")
    assert str(error).endswith("has no folder with audio files; expected a folder for each class")


@pytest.mark.parametrize("beside", ["README.txt", ".DS_Store", "__MACOSX/words/yes/._s0_0.wav", "LICENSE"])
def test_the_one_folder_of_an_archive_is_found_whatever_lies_beside_it(
    tmp_path: Path, data: Path, beside: str, cache: Path
) -> None:
    archive = tmp_path / "words.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(beside, b"x")
        for path in sorted(data.rglob("*.wav")):
            zipped.write(path, Path("words") / path.relative_to(data))
    assert open_data_dir(archive, cache_dir=cache, layout="").name == "words"
    assert folder.load(data_dir=archive).labels == ("no", "yes")


@pytest.mark.parametrize("encode", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("change", [("/", "/"), ("/", "\\"), ("\n", "\r\n")])
def test_lists_from_windows(speech_data: Callable[..., Path], encode: str, change: tuple[str, str]) -> None:
    root = speech_data()
    expected = speech_commands.load(data_dir=root)
    for name in ("validation_list.txt", "testing_list.txt"):
        text = (root / name).read_text().replace(*change)
        (root / name).write_bytes(text.encode(encode))
    task = speech_commands.load(data_dir=root)
    assert task.skipped == {}
    assert {name: split.ids for name, split in task.splits.items()} == {
        name: split.ids for name, split in expected.splits.items()
    }


def test_noise_shorter_than_a_window_is_left_out_by_name(data: Path, write_wav: WriteWav) -> None:
    write_wav(data / "_background_noise_" / "click.wav", seed=1, seconds=200 / 16000)
    write_wav(data / "_background_noise_" / "rain.wav", seed=2, seconds=1)
    task = folder.load(data_dir=data)
    assert [len(noise) for noise in task.noise] == [16000]
    assert "_background_noise_/click.wav is left out: it has 200 samples, fewer than a window of 400" in task.notes


def test_a_name_that_is_no_utf8_is_a_clip_like_any_other(
    data: Path, write_wav: WriteWav, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = os.fsdecode(b"s4_caf\xe9\n\x1b[31m.wav")
    write_wav(data / "yes" / odd, seed=60)
    (data / "yes" / os.fsdecode(b"s5_\xe9.wav")).write_bytes(b"")
    for _ in range(2):  # decoded, and from the cache
        assert folder.main([str(data), "--check"]) == 1
        out, err = capsys.readouterr()
        assert r"yes/s5_\xe9.wav" in out and not err
        assert all(line.isprintable() for line in out.splitlines())
    task = folder.load(data_dir=data)
    assert f"yes/{odd}" in {key for split in task.splits.values() for key in split.ids}
    assert task.log_mel("train").shape[0] == len(task.train)


def test_without_a_home_folder_the_cache_asks_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BNN_EXIT_CACHE")

    def homeless(cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(homeless))
    with pytest.raises(DataError, match=r"no home folder .* set BNN_EXIT_CACHE"):
        default_cache_dir()


def test_espeak_gets_a_short_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("a-long-name-" * 12)
    long.mkdir()
    seen: list[str] = []

    def reply(request: dict) -> tuple[dict, bytes]:
        assert Path(request["data"]).resolve() == long.resolve()
        seen.append(request["data"])
        return {"voices": []}, b""

    monkeypatch.setattr(speech_synthesis, "_locations", lambda: ("library", str(long)))
    monkeypatch.setattr(speech_synthesis, "_reply", reply)
    monkeypatch.setattr(speech_synthesis.tempfile, "tempdir", "/tmp")
    speech_synthesis.voices()
    assert len(seen[0]) < 120 and not Path(seen[0]).exists()
    monkeypatch.setattr(speech_synthesis.tempfile, "tempdir", str(long))
    with pytest.raises(DataError, match="espeak-ng takes paths of at most"):
        speech_synthesis.voices()


@pytest.mark.parametrize("given", [3, 0.5, ["data"], b"data", True])
def test_a_data_folder_that_is_no_path(given: object) -> None:
    with pytest.raises(ArgumentError, match=r"^data_dir is .*, but must be the path of a folder or an archive$"):
        folder.load(data_dir=given)  # type: ignore[arg-type]
