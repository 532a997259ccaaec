"""Archives made to do harm, made by Finder, and unpacked by two at once."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import stat
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from audio_tasks import archives
from bnn_exit.errors import DataError


def tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o777
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_unpack_tar(tmp_path: Path, mode: str) -> None:
    members = [(member("./yes", tarfile.DIRTYPE), b""), (member("./yes/a.wav"), b"sound"), (member("list.txt"), b"")]
    archive = tar_of(tmp_path / "good.tar", members, mode)
    archives.unpack_tar(archive, tmp_path / "out")
    assert (tmp_path / "out" / "yes" / "a.wav").read_bytes() == b"sound"
    assert (tmp_path / "out" / "list.txt").read_bytes() == b""
    assert not (tmp_path / "out" / "yes" / "a.wav").stat().st_mode & 0o111  # the archive's modes are not taken


def only_these_are_left(tmp_path: Path, *names: str) -> None:
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["../evil", "/evil", "yes/../../evil", "..", "yes\\..\\evil", "C:/evil"])
def test_paths_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    archive = tar_of(tmp_path / "bad.tar.gz", [(member("good.wav"), b"x"), (member(name), b"evil")])
    with pytest.raises(DataError, match=f"wants to write outside its folder \\({re.escape(repr(name))}\\)"):
        archives.unpack_tar(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz")
    packed = tmp_path / "bad.zip"
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("good.wav", b"x")
        zipped.writestr(name, b"evil")
    with pytest.raises(DataError, match="wants to write outside its folder"):
        archives.unpack_zip(packed, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz", "bad.zip")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    archive = tar_of(tmp_path / "bad.tar.gz", [(member("thing", kind, "/etc/passwd"), b"")])
    with pytest.raises(DataError, match="holds a link or a device, 'thing'"):
        archives.unpack_tar(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz")


def test_a_name_that_no_disk_takes(tmp_path: Path) -> None:
    for name in ("n" * 300, "a/" * 3000 + "b"):
        archive = tar_of(tmp_path / "bad.tar.gz", [(member("good.wav"), b"x"), (member(name), b"x")])
        with pytest.raises(DataError, match=r"bad\.tar\.gz holds a name that is too long"):
            archives.unpack_tar(archive, tmp_path / "out")
        only_these_are_left(tmp_path, "bad.tar.gz")


def test_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("thing")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as zipped:
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link or a device, 'thing'"):
        archives.unpack_zip(tmp_path / "bad.zip", tmp_path / "out")
    only_these_are_left(tmp_path, "bad.zip")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.7])
def test_truncated_tar(tmp_path: Path, mode: str, keep: float) -> None:
    noise = hashlib.shake_256(b"seed").digest(50_000)  # does not compress
    archive = tar_of(tmp_path / "cut.tar", [(member(f"{n}.wav"), noise[n:]) for n in range(3)], mode)
    archive.write_bytes(archive.read_bytes()[: int(keep * archive.stat().st_size)])
    with pytest.raises(DataError, match=r"cut\.tar is damaged or cut short \(.*\): delete it and fetch it again"):
        archives.unpack_tar(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "cut.tar")


@pytest.mark.parametrize("position", [0.0, 0.5, 0.98])
def test_damaged_gzip(tmp_path: Path, position: float) -> None:
    noise = hashlib.shake_256(b"seed").digest(50_000)
    archive = tar_of(tmp_path / "bad.tar.gz", [(member("a.wav"), noise)])
    data = bytearray(archive.read_bytes())
    start = int(position * len(data))
    data[start : start + 64] = bytes(len(data[start : start + 64]))
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is damaged or cut short"):
        archives.unpack_tar(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz")


def test_zip(tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("ESC/", b"")
        zipped.writestr("ESC/audio/a.wav", b"sound" * 1000)
    archives.unpack_zip(archive, tmp_path / "out")
    assert (tmp_path / "out" / "ESC" / "audio" / "a.wav").read_bytes() == b"sound" * 1000
    data = bytearray(archive.read_bytes())
    data[60:64] = b"\xff\xff\xff\xff"
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is damaged or cut short"):
        archives.unpack_zip(archive, tmp_path / "bad")
    archive.write_bytes(data[:100])
    with pytest.raises(DataError, match="is damaged or cut short"):
        archives.unpack_zip(archive, tmp_path / "bad")
    only_these_are_left(tmp_path, "data.zip", "out")


def test_encrypted_zip(tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.wav", b"sound")
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted: unpack it by hand and pass the folder"):
        archives.unpack_zip(archive, tmp_path / "out")


def test_unpacker_by_suffix() -> None:
    assert archives.unpacker("a.TAR.GZ") is archives.unpack_tar
    assert archives.unpacker("a.tgz") is archives.unpack_tar
    assert archives.unpacker("a.zip") is archives.unpack_zip
    assert archives.unpacker("a.wav") is None


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 100_000)


@pytest.mark.parametrize("count", [1, 40])
def test_more_than_an_archive_can_hold_does_not_come_out(tmp_path: Path, little_room: None, count: int) -> None:
    zeros = bytes(8_000_000 // count)
    bombs = [
        zip_of(tmp_path / "bomb.zip", {f"{n}.wav": zeros for n in range(count)}),
        tar_of(tmp_path / "bomb.tar.xz", [(member(f"{n}.wav"), zeros) for n in range(count)], "w:xz"),
    ]
    for archive in bombs:
        unpack = archives.unpacker(archive.name)
        assert unpack is not None
        with pytest.raises(DataError, match=r"MB come out of .*bomb.* it is not unpacked"):
            unpack(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "bomb.zip", "bomb.tar.xz")


def sparse(name: str, size: int) -> bytes:
    """A tar whose one member is a hole of `size` bytes, as GNU tar writes it."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.REGTYPE
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": name}
    info.pax_headers |= {"GNU.sparse.size": str(size), "GNU.sparse.numblocks": "1", "GNU.sparse.map": f"{size},0"}
    return info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


def test_a_hole_counts_in_full(tmp_path: Path, little_room: None) -> None:
    archive = tmp_path / "hole.tar"
    archive.write_bytes(sparse("a.wav", 5000))
    archives.unpack_tar(archive, tmp_path / "small")
    assert (tmp_path / "small" / "a.wav").read_bytes() == bytes(5000)
    archive.write_bytes(sparse("a.wav", 50 << 30))
    with pytest.raises(DataError, match=r"come out of .*hole\.tar"):
        archives.unpack_tar(archive, tmp_path / "out")


def test_what_is_passed_over_counts_too(tmp_path: Path, little_room: None) -> None:
    info = member("x", b"Z")
    info.size = 50 << 30
    hidden = member("__MACOSX/x")
    hidden.size = 50 << 30
    for each in (info, hidden):
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(each.tobuf() + bytes(100_000)))
        with pytest.raises(DataError, match="come out of"):
            archives.unpack_tar(tmp_path / "a.tar.gz", tmp_path / "out")
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(100_000_000)))
    with pytest.raises(DataError, match=r"come out of|damaged"):
        archives.unpack_tar(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_header_without_end_is_not_read(tmp_path: Path) -> None:
    info = member("x", tarfile.XHDTYPE)
    info.size = 7 << 30
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(1024)))
    with pytest.raises(DataError, match=r"a\.tar\.gz is damaged or cut short"):
        archives.unpack_tar(tmp_path / "a.tar.gz", tmp_path / "out")


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    archive = zip_of(tmp_path / "a.zip", {f"{n}.wav": b"" for n in range(4)})
    with pytest.raises(DataError, match="holds more than 3 files"):
        archives.unpack_zip(archive, tmp_path / "out")


def test_a_file_that_is_a_folder_too_is_one_line(tmp_path: Path) -> None:
    for names in (["a", "a/b.wav"], ["a/b.wav", "a"], ["a", "a/"]):
        with pytest.raises(DataError, match="as a file and as a folder"):
            archives.unpack_zip(zip_of(tmp_path / "a.zip", dict.fromkeys(names, b"x")), tmp_path / "out")
    only_these_are_left(tmp_path, "a.zip")


def test_a_name_that_comes_twice_is_the_last_one(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", [(member("a.wav"), b"first"), (member("a.wav"), b"last")])
    archives.unpack_tar(archive, tmp_path / "out")
    assert (tmp_path / "out" / "a.wav").read_bytes() == b"last"


def test_backslashes_and_what_finder_adds(tmp_path: Path) -> None:
    names = ["words\\yes\\a.wav", "words/.DS_Store", "__MACOSX/words/yes/._a.wav", "words/no/._b.wav", "words/no/b.wav"]
    archives.unpack_zip(zip_of(tmp_path / "a.zip", dict.fromkeys(names, b"x")), tmp_path / "out")
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert found == ["words/no/b.wav", "words/yes/a.wav"]


def test_a_backslash_is_part_of_a_name_in_a_tar(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", [(member("$\\foo$/a.wav"), b"sound")])
    archives.unpack_tar(archive, tmp_path / "out")
    assert (tmp_path / "out" / "$\\foo$" / "a.wav").read_bytes() == b"sound"


def test_two_at_once_both_succeed(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", [(member(f"{n}.wav"), b"sound") for n in range(50)])
    errors: list[BaseException] = []
    together = threading.Barrier(4)

    def unpack() -> None:
        together.wait()
        try:
            archives.unpack_tar(archive, tmp_path / "out")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=unpack) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(list((tmp_path / "out").iterdir())) == 50
    only_these_are_left(tmp_path, "a.tar.gz", "out")
