"""Serve wake words by the Wyoming protocol: `python -m bnn_exit.serve model.tflite`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.commands.listening_points import chosen_point
from bnn_exit.display import show
from bnn_exit.errors import BnnExitError
from bnn_exit.runtime import session as runtime
from bnn_exit.serving import stdio
from bnn_exit.serving.address import Address, parse
from bnn_exit.serving.conversation import Offer
from bnn_exit.serving.library import library
from bnn_exit.serving.server import MAX_CLIENTS, Server
from bnn_exit.serving.wake_words import ServedModel, file_stem, wake_words
from bnn_exit.settings.values import sound_features
from bnn_exit.text import counted

DEFAULT_URI = "tcp://0.0.0.0:10400"

EPILOG = f"""\
examples:
  python -m bnn_exit.serve hey_lamp.tflite
  python -m bnn_exit.serve lamp.tflite radio.tflite --language en --uri tcp://127.0.0.1:10400
  python -m bnn_exit.serve hey_lamp.tflite --uri unix:///run/user/1000/wake.sock

Home Assistant and voice satellites find the wake words at this address (default: {DEFAULT_URI}). Each label that the
listening point of a file has a threshold for is one. There is no password: let only your own network reach the port.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.serve",
        description="Offer the labels of model files as wake words, to programs that speak the Wyoming protocol.",
        epilog=EPILOG,
    )
    arguments.add_argument("models", nargs="*", metavar="model", help="a model file, or a model of the package")
    arguments.add_argument("--uri", default=DEFAULT_URI, help="tcp://HOST:PORT, unix://PATH or stdio://")
    arguments.add_argument(
        "--listening-point",
        metavar="NAME",
        help="of every file, or a JSON file that holds one (default: balanced, or the only one)",
    )
    arguments.add_argument("--backend", default="auto", help="native, lce, reference, or auto (default)")
    arguments.add_argument(
        "--language", action="append", default=[], metavar="CODE", help="of the words, such as en; may be repeated"
    )
    arguments.add_argument(
        "--max-clients", type=positive_int, default=MAX_CLIENTS, metavar="N", help=f"at once (default: {MAX_CLIENTS})"
    )
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    arguments = parser()
    options = arguments.parse_args(argv)
    if not options.models:
        arguments.error("the following arguments are required: model")
    address = parse(options.uri)
    library("event")  # what is missing shows before the models are loaded
    if address.scheme == "stdio":
        stdio.check()
    models = []
    for model in options.models:
        session = runtime.load(model, backend=options.backend)
        sound_features(session.metadata.features, what="serve")
        point = chosen_point(session, options.listening_point, name=model)
        assert point is not None
        models.append(ServedModel(file_stem(model), session, point))
    offer = Offer(wake_words(models), languages=options.language)
    server = Server(offer, tell=_tell, max_clients=options.max_clients)
    asyncio.run(_serve(server, address, len(offer.words)))
    return 0


async def _serve(server: Server, address: Address, words: int) -> None:
    """Until SIGINT or SIGTERM, or the end of standard input."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    try:
        if address.scheme == "stdio":
            await _first(server.serve_stdio(), stopped.wait())
            return
        try:
            where = await server.start(address)
        except OSError as error:
            raise BnnExitError(f"{address} cannot be used: {error.strerror or error}") from error
        _tell(f"{counted(words, 'wake word')} at {where}")
        await stopped.wait()
    finally:
        await server.close()


async def _first(*works: Coroutine[Any, Any, Any]) -> None:
    """Until one of them is done; the errors of that one."""
    tasks = [asyncio.ensure_future(work) for work in works]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for task in done:
        task.result()


def _tell(line: str) -> None:
    show(f"note: {line}", file=sys.stderr)
