"""Serve the second half of a split model: `python -m bnn_exit.serve_model server.tflite`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.display import show, shown
from bnn_exit.errors import ArgumentError, DataError, describe_os_error, missing_package
from bnn_exit.offload import packet
from bnn_exit.offload.halves import ServerHalf
from bnn_exit.offload.remote import MODEL, Address

EPILOG = """\
examples:
  python -m bnn_exit.serve_model runs/words/server.tflite
  python -m bnn_exit.serve_model server.tflite --host 0.0.0.0 --token-file token --certificate cert.pem --key key.pem
  python -m bnn_exit.serve_model server.tflite --workers 4 --max-clients 256

The server is MLServer and speaks the Open Inference Protocol (KServe, version 2), over gRPC and, with --http-port, over
HTTP. Clients are `bnn_exit.offload.OffloadClient`, or any other of that protocol. Without --token-file anybody who
reaches the port may send clips: listen at 127.0.0.1, or let only your own network reach it.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.serve_model",
        description="Serve the server's half of a split model by the Open Inference Protocol.",
        epilog=EPILOG,
    )
    arguments.add_argument("model", help="server.tflite, as python -m bnn_exit.split writes it")
    arguments.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    arguments.add_argument("--port", type=_port, default=8081, help="of gRPC (default: 8081)")
    arguments.add_argument("--http-port", type=_port, metavar="PORT", help="of HTTP (default: none)")
    arguments.add_argument("--token-file", metavar="FILE", help="a file with a word that every request must carry")
    arguments.add_argument("--certificate", metavar="FILE", help="certificate of this server (PEM), for TLS")
    arguments.add_argument("--key", metavar="FILE", help="private key of the certificate (PEM)")
    arguments.add_argument(
        "--max-clients",
        type=positive_int,
        default=64,
        metavar="N",
        help="requests at once (default: 64): more are refused at once, and their devices answer themselves",
    )
    arguments.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="processes that run the network (default: 0, the server's own): more answer more requests a second",
    )
    arguments.add_argument("--name", default=MODEL, help=f"of the model (default: {MODEL})")
    arguments.add_argument("--backend", default="auto", help="native, reference, or auto (default)")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    options = parser().parse_args(argv)
    if options.workers < 0:
        raise ArgumentError(f"--workers is {options.workers}, but must be 0 or more")
    if not options.name or not all(letter.isalnum() or letter in "_-." for letter in options.name):
        raise ArgumentError(f"--name is {options.name!r}, but must be of letters, digits, '_', '-' and '.'")
    if (options.certificate is None) != (options.key is None):
        raise ArgumentError("--certificate and --key go together: give both or neither")
    half = ServerHalf(options.model, backend=options.backend)  # a file that is none is said before anything listens
    certificate, key = (
        _read(path, option) for path, option in ((options.certificate, "--certificate"), (options.key, "--key"))
    )
    token = _token(options.token_file)
    app = _app()
    settings = app.ServerSettings(
        host=options.host,
        port=options.port,
        http_port=options.http_port or 0,
        token=token,
        certificate=certificate,
        key=key,
        certificate_file=options.certificate or "",
        key_file=options.key or "",
        max_clients=options.max_clients,
        max_bytes=packet.max_bytes(half.split),
        workers=options.workers,
        name=options.name,
    )
    app.check_ports(settings)
    split = half.split
    show(
        f"note: serving exits {split.after + 1} to {split.exits} of {shown(options.model)} "
        f"(version {split.identity[:12]}) at {options.host}:{options.port}",
        file=sys.stderr,
    )
    asyncio.run(app.serve(Path(options.model), split.identity, settings, backend=half.backend))
    return 0


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: it must be 1 to 65535")
    return port


def _read(path: str | None, option: str) -> bytes:
    if path is None:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{option} cannot be read: {describe_os_error(error)}") from error


def _token(path: str | None) -> str:
    if path is None:
        return ""
    words = _read(path, "--token-file").split()
    token = words[0].decode("ascii", "replace") if len(words) == 1 else ""
    try:
        Address("localhost:1", token=token)
    except ArgumentError:
        token = ""
    if not token:
        raise DataError(f"--token-file is {path!r}, but must hold one word of printable ASCII characters")
    return token


def _app() -> Any:
    try:
        from bnn_exit.offload import mlserver_app
    except ImportError as error:
        raise missing_package("mlserver", purpose="serving a model", extra="server") from error
    return mlserver_app
