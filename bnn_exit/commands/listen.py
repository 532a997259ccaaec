"""Listen without an end: `python -m bnn_exit.listen model.tflite`."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from bnn_exit.command_line import Parser, positive_int, run_command
from bnn_exit.commands.announcer import Announcer
from bnn_exit.commands.listening_points import chosen_point
from bnn_exit.display import show, shown
from bnn_exit.errors import ArgumentError
from bnn_exit.listening import clips, devices
from bnn_exit.listening.listener import Listener
from bnn_exit.listening.meter import Meter
from bnn_exit.listening.microphone import Microphone
from bnn_exit.listening.pipe import Pipe
from bnn_exit.listening.programs import PLACEHOLDERS, Programs
from bnn_exit.listening.recording import Recording
from bnn_exit.listening.signal_watch import SignalWatch
from bnn_exit.listening.source import Source, Tell
from bnn_exit.listening.stop import Stop
from bnn_exit.listening.tally import Tally
from bnn_exit.model_file.listening_points import ListeningPoint
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.stream import MAX_RATE_HZ, MIN_RATE_HZ, Stream
from bnn_exit.settings.values import sound_features

EPILOG = f"""\
examples:
  python -m bnn_exit.listen model.tflite                        the default microphone, until Ctrl-C
  python -m bnn_exit.listen --list-devices
  python -m bnn_exit.listen model.tflite --device "usb" --json
  arecord -t raw -r 16000 -f S16_LE | python -m bnn_exit.listen model.tflite -
  python -m bnn_exit.listen model.tflite hour.wav --windows
  python -m bnn_exit.listen model.tflite --save events --run 'notify-send {{label}}'

Each event is a line: time in seconds, label, probability, exit. A listening point of the file says which labels make
events, and from which probability on. Ctrl-C (and SIGTERM) ends with a summary on stderr, which --json prints as an
object on stdout.

--run starts a program without a shell. Its arguments may hold {", ".join("{" + name + "}" for name in PLACEHOLDERS)};
its environment has the same as BNN_EXIT_LABEL and so on.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.listen",
        description="Listen to a microphone, a pipe or a file, and print an event for each word or sound found.",
        epilog=EPILOG,
    )
    arguments.add_argument("model", nargs="?", help="the model file, or the name of a model of the package")
    arguments.add_argument(
        "input",
        nargs="?",
        metavar="input",
        help="an audio file, or - for raw samples on standard input (default: a microphone)",
    )
    arguments.add_argument("--list-devices", action="store_true", help="list the microphones and end")
    arguments.add_argument("--device", metavar="D", help="number of a microphone, or a part of its name")
    arguments.add_argument(
        "--rate", type=positive_int, metavar="HZ", help="of standard input (default: that of the model)"
    )
    arguments.add_argument("--width", type=int, metavar="BITS", help="of standard input: 8, 16 (default) or 32")
    arguments.add_argument("--channels", type=positive_int, metavar="N", help="of standard input (default: 1)")
    arguments.add_argument(
        "--listening-point",
        metavar="NAME",
        help="of the file, or a JSON file that holds one (default: balanced, or the only one)",
    )
    arguments.add_argument(
        "--operating-point", metavar="NAME", help="thresholds of the exits (default: those of the listening point)"
    )
    arguments.add_argument(
        "--hop-ms",
        type=float,
        metavar="MS",
        help="from one window to the next; fewer cost more and report sooner (default: the listening point's, or 100)",
    )
    arguments.add_argument("--backend", default="auto", help="native, lce, reference, or auto (default)")
    arguments.add_argument(
        "--windows", action="store_true", help="also print each window; works without a listening point"
    )
    arguments.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments.add_argument("--save", metavar="DIR", help="keep the sound of each event as a WAV file")
    arguments.add_argument(
        "--save-limit",
        type=positive_int,
        metavar="MB",
        help=f"saving stops when the WAV files in DIR are so large together (default: {clips.LIMIT_MB:g})",
    )
    arguments.add_argument("--run", metavar="COMMAND", help="start a program for each event")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    arguments = parser()
    options = arguments.parse_intermixed_args(argv)
    if options.list_devices:
        show(devices.table(devices.devices()))
        return 0
    if options.model is None:
        arguments.error("the following arguments are required: model")
    _check(options)
    session = runtime.load(options.model, backend=options.backend)
    sound_features(session.metadata.features, what="listen")
    point = chosen_point(session, options.listening_point, name=options.model, needed=not options.windows)
    _listen(options, session, point)
    return 0


def _check(options: argparse.Namespace) -> None:
    """ArgumentError for an option that the input does not have."""
    if options.input is not None and options.device is not None:
        raise ArgumentError(f"--device chooses a microphone, but the input is {options.input!r}: give one of them")
    for name in ("rate", "width", "channels"):
        if getattr(options, name) is not None and options.input != "-":
            raise ArgumentError(f"--{name} is of raw samples on standard input: give - as the input, or leave it out")
    if options.rate is not None and not MIN_RATE_HZ <= options.rate <= MAX_RATE_HZ:
        raise ArgumentError(f"--rate is {options.rate} Hz, but must be from {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if options.save_limit is not None and options.save is None:
        raise ArgumentError("--save-limit is of --save: give a folder, or leave it out")
    if options.run is not None and "{file}" in options.run and options.save is None:
        raise ArgumentError("--run has {file}, the saved sound of an event, but nothing is saved: give --save DIR")


def _listen(options: argparse.Namespace, session: runtime.Session, point: ListeningPoint | None) -> None:
    announcer = Announcer(session, as_json=options.json, with_windows=options.windows)
    if options.run is not None:
        announcer.programs = Programs(options.run, tell=announcer.tell)
    source = _source(options, session, announcer.tell)
    rate = source.rate_hz
    # Made before a word is said: a wrong option is one line alone.
    stream = Stream(
        session,
        sample_rate_hz=rate,
        hop_ms=options.hop_ms,
        operating_point=options.operating_point,
        listening_point=point,
    )
    watch = None
    if source.is_live:
        announcer.meter = Meter(sys.stderr, rate_hz=rate)
        announcer.began = datetime.datetime.now(datetime.timezone.utc)
        watch = SignalWatch(rate_hz=rate)
    window_s = session.metadata.clip_samples / session.metadata.features.sample_rate_hz
    if options.save is not None:
        recent = clips.RecentSound(rate_hz=rate, seconds=window_s + _memory_s(point) + 2 * clips.MARGIN_S + 2)
        announcer.saver = clips.Saver(
            options.save,
            recent,
            tell=announcer.tell,
            source=f"{announcer.began:%Y%m%dT%H%M%SZ}" if announcer.began else Path(source.name).stem,
            limit_mb=clips.LIMIT_MB if options.save_limit is None else options.save_limit,
        )
    tally = Tally(rate_hz=rate, exits=session.exits, hop_ms=stream.hop_ms)
    listener = Listener(
        stream,
        tally=tally,
        tell=announcer.tell,
        on_window=announcer.window,
        on_event=announcer.event,
        watch=watch,
        meter=announcer.meter,
        recent=announcer.saver.recent if announcer.saver else None,
    )
    announcer.tell(f"listening to {shown(source.name)} at {rate} Hz")
    try:
        with Stop() as stop:
            listener.run(stop.until(source.chunks()))
            announcer.end(tally, source=source.name, window_s=window_s, stopped=stop.requested)
    finally:
        announcer.erase()


def _source(options: argparse.Namespace, session: runtime.Session, tell: Tell) -> Source:
    rate = session.metadata.sound.sample_rate_hz
    if options.input is None:
        microphone = Microphone(options.device, tell=tell)
        if microphone.refused_hz:
            refused = ", ".join(map(str, microphone.refused_hz))
            tell(f"the microphone refuses {refused} Hz: it is opened at {microphone.rate_hz} Hz")
        return microphone
    if options.input == "-":
        if sys.stdin is None:
            raise ArgumentError("standard input is closed: pipe raw samples into it")
        return Pipe(
            sys.stdin.buffer,
            rate_hz=options.rate or rate,
            bits=16 if options.width is None else options.width,
            channels=options.channels or 1,
            tell=tell,
        )
    return Recording(options.input, rate_hz=rate)


def _memory_s(point: ListeningPoint | None) -> float:
    """How far before the window that fires the best of its windows may lie."""
    return 0.0 if point is None else (point.span_ms + point.of_count * point.hop_ms) / 1000
