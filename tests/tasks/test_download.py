"""Downloads from a server on this machine, and archives made to do harm."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from audio_tasks import download, speech_commands
from bnn_exit.errors import DataError, run_command

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclasses.dataclass
class Server:
    """A file server whose manners can be chosen."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    status: int | None = None
    cut_after: int | None = None  # bytes sent of each answer before the connection is closed
    seen: list[str | None] = dataclasses.field(default_factory=list)  # the Range header of each request


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.seen.append(wanted)
            if state.status:
                self.send_error(state.status)
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and state.ranges else 0  # type: ignore[index]
            if start >= len(state.content):
                self.send_error(416)
                return
            body = state.content[start:]
            self.send_response(206 if wanted and state.ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after])

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}/data.tar.gz"
        yield state
        running.shutdown()
        thread.join()


def fetch(server: Server, path: Path, **changes: object) -> Path:
    values = {"sha256": SHA256, "size": len(CONTENT), "advice": "fetch it by hand", **changes}
    return download.fetch(server.url, path, **values)  # type: ignore[arg-type]


def test_fetch(server: Server, tmp_path: Path) -> None:
    path = fetch(server, tmp_path / "new" / "data.tar.gz")
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["data.tar.gz"]
    fetch(server, path)
    assert server.seen == [None]  # there already: nothing is asked again


def test_resumes_where_it_stopped(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "data.tar.gz"
    path.with_name("data.tar.gz.part").write_bytes(CONTENT[:1234])
    assert fetch(server, path).read_bytes() == CONTENT
    assert server.seen == ["bytes=1234-"]


def test_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    path = tmp_path / "data.tar.gz"
    path.with_name("data.tar.gz.part").write_bytes(CONTENT[:1234])
    assert fetch(server, path).read_bytes() == CONTENT


def test_a_connection_that_ends_early_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.cut_after = len(CONTENT) // 3
    assert fetch(server, tmp_path / "data.tar.gz").read_bytes() == CONTENT
    assert server.seen[0] is None
    assert server.seen[1:] == [f"bytes={n * server.cut_after}-" for n in range(1, len(server.seen))]


def test_a_truncated_download_is_kept_to_resume(server: Server, tmp_path: Path) -> None:
    server.cut_after = 1000
    server.ranges = False
    with pytest.raises(DataError, match=f"ended after 1000 of {len(CONTENT)} bytes: run the command again to resume"):
        fetch(server, tmp_path / "data.tar.gz")
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.tar.gz.part"]
    server.cut_after, server.ranges = None, True
    assert fetch(server, tmp_path / "data.tar.gz").read_bytes() == CONTENT
    assert server.seen[-1] == "bytes=1000-"


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(
        DataError, match=f"is not the expected archive .*expected {len(CONTENT)} bytes, sha256 {SHA256}"
    ):
        fetch(server, tmp_path / "data.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_longer_file_than_expected(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT + b"more"
    with pytest.raises(DataError, match=f"is not the expected archive \\({len(CONTENT) + 4} bytes"):
        fetch(server, tmp_path / "data.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_part_that_the_server_cannot_continue(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:100]
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT[:200])
    with pytest.raises(DataError, match="it answers 416"):
        fetch(server, tmp_path / "data.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_refusal(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match=r"cannot download http://127.*: it answers 404 Not Found; fetch it by hand"):
        fetch(server, tmp_path / "data.tar.gz")


def test_no_network_gives_one_line_with_url_and_data_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(speech_commands, "URL", "http://127.0.0.1:9/speech_commands_v0.02.tar.gz")

    def main() -> int:
        speech_commands.load(cache_dir=tmp_path)
        return 0

    assert run_command(main) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: cannot download http://127.0.0.1:9/speech_commands_v0.02.tar.gz: ")
    assert "fetch http://127.0.0.1:9/speech_commands_v0.02.tar.gz by hand" in error
    assert "--data-dir" in error


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
    download.unpack_tar(archive, tmp_path / "out")
    assert (tmp_path / "out" / "yes" / "a.wav").read_bytes() == b"sound"
    assert (tmp_path / "out" / "list.txt").read_bytes() == b""
    assert not (tmp_path / "out" / "yes" / "a.wav").stat().st_mode & 0o111  # the archive's modes are not taken


def only_these_are_left(tmp_path: Path, *names: str) -> None:
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("name", ["../evil", "/evil", "yes/../../evil", "..", "yes\\..\\evil", "C:/evil"])
def test_paths_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    archive = tar_of(tmp_path / "bad.tar.gz", [(member("good.wav"), b"x"), (member(name), b"evil")])
    with pytest.raises(DataError, match=f"wants to write outside its folder \\({re.escape(repr(name))}\\)"):
        download.unpack_tar(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz")
    packed = tmp_path / "bad.zip"
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("good.wav", b"x")
        zipped.writestr(name, b"evil")
    with pytest.raises(DataError, match="wants to write outside its folder"):
        download.unpack_zip(packed, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz", "bad.zip")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    archive = tar_of(tmp_path / "bad.tar.gz", [(member("thing", kind, "/etc/passwd"), b"")])
    with pytest.raises(DataError, match="holds a link or a device, 'thing': it is not unpacked"):
        download.unpack_tar(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz")


def test_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("thing")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as zipped:
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link or a device, 'thing'"):
        download.unpack_zip(tmp_path / "bad.zip", tmp_path / "out")
    only_these_are_left(tmp_path, "bad.zip")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.7])
def test_truncated_tar(tmp_path: Path, mode: str, keep: float) -> None:
    noise = hashlib.shake_256(b"seed").digest(50_000)  # does not compress
    archive = tar_of(tmp_path / "cut.tar", [(member(f"{n}.wav"), noise[n:]) for n in range(3)], mode)
    archive.write_bytes(archive.read_bytes()[: int(keep * archive.stat().st_size)])
    with pytest.raises(DataError, match=r"cut\.tar is damaged or cut short \(.*\): delete it and fetch it again"):
        download.unpack_tar(archive, tmp_path / "out")
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
        download.unpack_tar(archive, tmp_path / "out")
    only_these_are_left(tmp_path, "bad.tar.gz")


def test_zip(tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("ESC/", b"")
        zipped.writestr("ESC/audio/a.wav", b"sound" * 1000)
    download.unpack_zip(archive, tmp_path / "out")
    assert (tmp_path / "out" / "ESC" / "audio" / "a.wav").read_bytes() == b"sound" * 1000
    data = bytearray(archive.read_bytes())
    data[60:64] = b"\xff\xff\xff\xff"
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is damaged or cut short"):
        download.unpack_zip(archive, tmp_path / "bad")
    archive.write_bytes(data[:100])
    with pytest.raises(DataError, match="is damaged or cut short"):
        download.unpack_zip(archive, tmp_path / "bad")
    only_these_are_left(tmp_path, "data.zip", "out")


def test_encrypted_zip(tmp_path: Path) -> None:
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.wav", b"sound")
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted: unpack it by hand and pass the folder"):
        download.unpack_zip(archive, tmp_path / "out")


def test_unpacker_by_suffix() -> None:
    assert download.unpacker("a.TAR.GZ") is download.unpack_tar
    assert download.unpacker("a.tgz") is download.unpack_tar
    assert download.unpacker("a.zip") is download.unpack_zip
    assert download.unpacker("a.wav") is None


def test_download_is_unpacked_and_loaded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech_data: object
) -> None:
    root = speech_data()  # type: ignore[operator]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(root, arcname=".")
    server.content = packed.getvalue()
    monkeypatch.setattr(speech_commands, "URL", server.url)
    monkeypatch.setattr(speech_commands, "SIZE", len(server.content))
    monkeypatch.setattr(speech_commands, "SHA256", hashlib.sha256(server.content).hexdigest())
    for _ in range(2):
        task = speech_commands.load(cache_dir=tmp_path / "cache")
        assert task.labels == ("cat", "dog", "tree")
        assert task.options["data_dir"] is None
    assert len(server.seen) == 1
    assert list((tmp_path / "cache" / "downloads").iterdir()) == []
