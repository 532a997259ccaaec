"""Downloads from a server on this machine, and archives made to do harm."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from audio_tasks import download, speech_commands
from bnn_exit.command_line import run_command
from bnn_exit.errors import DataError

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
    with pytest.raises(DataError, match="server error 416"):
        fetch(server, tmp_path / "data.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_refusal(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match=r"cannot download http://127.*: server error 404 Not Found; fetch it by hand"):
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
