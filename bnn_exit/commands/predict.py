"""Classify audio files with a model file: `python -m bnn_exit.predict model.tflite clip.wav ...`."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import sys
import time
from typing import Any

from bnn_exit.audio import wav
from bnn_exit.audio.level import quietness
from bnn_exit.command_line import Parser, add_workers_option, numbers, run_command
from bnn_exit.display import json_line, show, shown
from bnn_exit.errors import ArgumentError, describe_os_error, memory_for, one_of
from bnn_exit.pairs import zip_strict
from bnn_exit.policies import rule
from bnn_exit.runtime import session as runtime
from bnn_exit.runtime.clips import read_clip
from bnn_exit.runtime.scoring import MANY
from bnn_exit.workers import OrderedMap, cores, speed

DEFAULT_OPERATING_POINT = "balanced"

EPILOG = """\
examples:
  python -m bnn_exit.predict model.tflite clip.wav
  python -m bnn_exit.predict model.tflite *.wav --operating-point fast --json
  python -m bnn_exit.predict model.tflite clip.wav --thresholds 0.1,0.2 --explain
  python -m bnn_exit.predict --model NAME clip.wav              (python -m bnn_exit.models lists the names)

Each clip gives one line: path, label, probability, exit and score (0 is certain).
If a clip is longer than the model's input, its middle is used, and a note on stderr reports it. A clip far below the
level of speech gives a warning, because networks fail on clips much quieter than their training clips.
A clip that cannot be used gives one line on stderr; the others are still classified, and the exit status is 1.
Many clips are classified on all cores, with the same results in the same order. A line on stderr tells how fast.
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    arguments = Parser(
        prog="python -m bnn_exit.predict",
        description="Classify audio files; easy clips leave the network at an early exit.",
        epilog=EPILOG,
    )
    arguments.add_argument("file", nargs="?", metavar="model", help="the model file, such as RUN/model.tflite")
    arguments.add_argument("clips", nargs="*", metavar="clip", help="audio file: wav; flac and ogg with soundfile")
    arguments.add_argument(
        "--model", metavar="NAME", help="a model that comes with the package, or a path, in place of a file"
    )
    choice = arguments.add_mutually_exclusive_group()
    choice.add_argument(
        "--operating-point",
        metavar="NAME",
        help=f"speed against accuracy: full, accurate, balanced or fast (default: {DEFAULT_OPERATING_POINT})",
    )
    choice.add_argument(
        "--thresholds",
        type=numbers,
        metavar="T1,T2,...",
        help="one number for each exit but the last: a clip leaves at an exit if its score is below; "
        f"0 turns an exit off, {rule.ALWAYS:g} makes it always answer",
    )
    arguments.add_argument(
        "--backend",
        default="auto",
        help="native, lce, reference, or auto: the first of these that is installed (default)",
    )
    arguments.add_argument("--json", action="store_true", help="one JSON object for each clip and line")
    arguments.add_argument("--explain", action="store_true", help="also show the decision at each exit")
    add_workers_option(arguments)
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    return run_command(lambda: _main(argv))


def _main(argv: list[str] | None) -> int:
    arguments = parser()
    # Options may stand between a model and its clips, as in `model.tflite --json clip.wav`.
    options = arguments.parse_intermixed_args(argv)
    if options.model is None:
        options.model = options.file
    elif options.file is not None:
        options.clips.insert(0, options.file)
    missing = [name for name, given in (("model", options.model), ("clip", options.clips)) if not given]
    if missing:
        arguments.error(f"the following arguments are required: {', '.join(missing)}")
    session = runtime.load(options.model, backend=options.backend)
    # Checked before the first clip, so that a mistake in an option is one line and not one for each clip.
    chosen: dict[str, Any] = {}
    if options.thresholds is not None:
        chosen["thresholds"] = rule.check_thresholds(
            options.thresholds, exits=session.exits, skips=session.metadata.skips
        )
    elif not session.operating_points:
        raise ArgumentError(
            f"{options.model} has no operating points: give {session.metadata.num_thresholds} --thresholds"
        )
    else:
        name = options.operating_point or DEFAULT_OPERATING_POINT
        chosen["operating_point"] = one_of("operating point", name, session.operating_points)
    predict = functools.partial(_predict, session, explain=options.explain, chosen=chosen)
    predictions = OrderedMap(predict, options.clips, workers=options.workers or cores())
    failed, begin = 0, time.perf_counter()
    for path, found in predictions:
        if isinstance(found, Exception):
            show(f"error: {_reason(found, path=path)}", file=sys.stderr)
            failed += 1
            continue
        prediction, quiet = found
        if quiet:
            show(f"warning: {shown(path)}: {quiet}", file=sys.stderr)
        show((_json if options.json else _text)(session, path, prediction))
        if prediction.left_out_s:
            show(f"note: {shown(path)}: {_left_out(session, prediction)}", file=sys.stderr)
    classified = len(options.clips) - failed
    if classified > MANY:
        seconds = time.perf_counter() - begin
        show(speed(classified, "clip", seconds=seconds, workers=predictions.workers), file=sys.stderr)
    return 1 if failed else 0


def _predict(
    session: runtime.Session, path: str, *, explain: bool, chosen: dict[str, Any]
) -> tuple[runtime.Prediction, str | None]:
    """The prediction for a file, and why it is too quiet, if it is."""
    if session.metadata.takes_values:
        return session.predict(read_clip(session.metadata, path).values, explain=explain, **chosen), None
    rate, samples = session.metadata.sound.sample_rate_hz, session.metadata.clip_samples
    recording = wav.load(path, sample_rate_hz=rate, max_samples=samples)
    with memory_for(path):
        prediction = session.predict(recording.waveform, sample_rate_hz=rate, explain=explain, **chosen)
    prediction = dataclasses.replace(prediction, left_out_s=max(0, recording.samples - samples) / rate)
    return prediction, quietness(recording.waveform, normalised=session.metadata.normalises_level)


def _left_out(session: runtime.Session, prediction: runtime.Prediction) -> str:
    seen = session.metadata.clip_samples / session.metadata.features.sample_rate_hz
    whole = seen + prediction.left_out_s
    return (
        f"only the middle {seen:.3g} s of its {whole:.3g} s were classified, the input of the model: cut it into clips"
    )


# Scores are printed with 0 added: a file may give a certain exit -0.0.


def _text(session: runtime.Session, path: str, prediction: runtime.Prediction) -> str:
    probability = float(prediction.probabilities[prediction.label_index])
    fields = [
        shown(path),
        shown(prediction.label),
        f"{probability:.3f}",
        f"exit {prediction.exit_index + 1} of {session.exits}",
        f"score {prediction.score + 0.0:.4f}",
    ]
    lines = ["\t".join(fields)]
    if prediction.skipped and prediction.steps:
        lines.append(f"  skip gate: score {prediction.score:.4f}, below its threshold: no early head was executed")
    for step in prediction.steps or []:
        limit = "the last exit always answers"
        if step["threshold"] is not None:
            limit = f"{'below' if step['left'] else 'not below'} threshold {step['threshold']:.4g}"
        went = "left" if step["left"] else "continued"
        exit_, score = f"exit {step['exit_index'] + 1}", f"score {step['score'] + 0.0:.4f}"
        lines.append(f"  {exit_}: {shown(step['label'])}, {score} ({limit}), {went}")
    return "\n".join(lines)


def _json(session: runtime.Session, path: str, prediction: runtime.Prediction) -> str:
    table: dict[str, Any] = {
        "path": path,
        "label": prediction.label,
        "probability": float(prediction.probabilities[prediction.label_index]),
        "exit_index": int(prediction.exit_index),
        "exits": session.exits,
        "score": float(prediction.score),
        "probabilities": dict(zip_strict(session.labels, map(float, prediction.probabilities))),
    }
    if session.metadata.skips:
        table["skipped"] = prediction.skipped
    if prediction.left_out_s:
        table["left_out_s"] = prediction.left_out_s
    if prediction.steps is not None:
        table["steps"] = prediction.steps
    return json_line(_finite(table))


def _finite(value: Any) -> Any:
    """JSON has no NaN: a damaged model's NaN becomes null. Adding 0 makes the -0.0 of a certain exit 0.0."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None
    return value


def _reason(error: Exception, *, path: str) -> str:
    message = describe_os_error(error) if isinstance(error, OSError) else str(error)
    message = message if path in message else f"{path}: {message}"
    return shown(" ".join(message.split()))
