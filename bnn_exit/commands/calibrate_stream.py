"""Choose a listening point on recordings: `python -m bnn_exit.calibrate MODEL --stream NEGATIVES`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from audio_tasks.mix_command import found_files
from bnn_exit import policies
from bnn_exit.calibration.listening import (
    Limits,
    ListeningChoice,
    Recordings,
    check_enough,
    choose_exits,
    choose_threshold,
)
from bnn_exit.commands.evaluate_stream import open_model, read_truths
from bnn_exit.commands.listening_choice import place_of, points_of, sentence, store
from bnn_exit.commands.stream_words import scored, words_of
from bnn_exit.display import json_line, show, shown
from bnn_exit.errors import ArgumentError, DataError, one_of
from bnn_exit.model_file.listening_points import SCORES, ListeningPoint
from bnn_exit.model_file.operating_points import check_name
from bnn_exit.runtime.session import Session
from bnn_exit.runtime.stream import DEFAULT_HOP_MS, DEFAULT_POINT
from bnn_exit.streams.background import background_labels, simple_point
from bnn_exit.streams.counts import Truth, hours
from bnn_exit.streams.groups import Groups
from bnn_exit.streams.transcripts import Utterance, spoken_words

RATE = "max_false_accepts_per_hour"
ONLY = (RATE, "positives", "events", "speakers", "transcripts", "max_delay_ms", "max_recall_loss", "listening_point")
SETTINGS = ("span_ms", "hop_ms", "snr_db", "score")
SPLIT = "validation"
SEED = 0
"""Of the recordings that are made of validation clips."""


def add_stream_options(arguments: argparse.ArgumentParser) -> None:
    """Add the options of `--stream`."""
    group = arguments.add_argument_group("a listening point, for streams")
    group.add_argument(
        "--stream",
        nargs="+",
        metavar="FILE",
        help="negatives: audio files or folders, of any length, without words",
    )
    group.add_argument("--max-false-accepts-per-hour", type=float, metavar="X", help="with --confidence on new audio")
    group.add_argument(
        "--positives",
        nargs="+",
        metavar="FILE",
        help="recordings with words (default: the run's validation clips, mixed into the negatives at --snr-db)",
    )
    group.add_argument("--events", metavar="TSV", help="the words of --positives: file, start_s, end_s, label")
    group.add_argument("--speakers", metavar="TSV", help="who speaks when: stream, start, samples, speaker")
    group.add_argument(
        "--transcripts",
        metavar="TSV",
        help="as --speakers, with transcript: events of spoken labels are no false accepts",
    )
    group.add_argument("--max-delay-ms", type=float, metavar="X", help="for 95 %% of the hits, from the word's end")
    group.add_argument(
        "--max-recall-loss", type=float, metavar="X", help="words that early exits may lose, as a share (default: 0.01)"
    )
    group.add_argument("--listening-point", metavar="NAME", help=f"store it under this name (default: {DEFAULT_POINT})")
    group.add_argument("--hop-ms", type=float, metavar="X", help=f"from window to window (default: {DEFAULT_HOP_MS:g})")
    group.add_argument(
        "--span-ms",
        nargs="+",
        type=float,
        metavar="X",
        help="of the mean (default: 500); of several, the best one",
    )
    group.add_argument(
        "--score",
        nargs="+",
        metavar="NAME",
        help="what of a label is averaged: its probability (default), or that against_background alone, which can find "
        "more words at few false accepts; of several, the best one",
    )
    group.add_argument("--snr-db", nargs="+", type=float, metavar="DB", help="of mixed words (default: 10)")


def check_stream_options(options: argparse.Namespace) -> None:
    """ArgumentError for options that do not go with --stream, or not without it."""
    if options.stream is None:
        for name in (*ONLY, *SETTINGS):
            if getattr(options, name) is not None:
                raise ArgumentError(f"{_flag(name)} goes with --stream alone")
        return
    if getattr(options, RATE) is None:
        raise ArgumentError("--stream needs --max-false-accepts-per-hour, such as 0.5")
    others = [f"--{name.replace('_', '-')}" for name in options.limits]
    others += [
        _flag(name)
        for name in ("minimise", "policy", "exits", "name", "drift", "device", "workers")
        if getattr(options, name)
    ]
    others += ["--curve"] * options.curve
    if others:
        raise ArgumentError(f"{others[0]} is of clips, and does not go with --stream")
    if (options.positives is None) != (options.events is None):
        raise ArgumentError("--positives and --events go together: recordings, and the words in them")
    if options.positives is not None and options.snr_db is not None:
        raise ArgumentError("--snr-db is of words that are mixed in, and does not go with --positives")
    if options.speakers is not None and options.transcripts is not None:
        raise ArgumentError("--speakers and --transcripts are the same table: give one of them")
    if options.listening_point is not None:
        check_name("--listening-point", options.listening_point)


def calibrate_stream(options: argparse.Namespace) -> int:
    """Choose, print and store; the exit status."""
    limits = Limits(
        getattr(options, RATE),
        confidence=options.confidence,
        delay_ms=options.max_delay_ms,
        recall_loss=0.01 if options.max_recall_loss is None else options.max_recall_loss,
    )
    session = open_model(options.run)
    target = place_of(options.run)
    point = _template(session, options)
    points = _variants(session, options, point)
    paths = [str(path) for path in found_files(options.stream)]
    table = options.transcripts or options.speakers
    needs = "speaker" if options.transcripts is None else "transcript"
    truths = read_truths(session, paths, events=None, transcripts=table, point=point, needs=needs)
    if options.transcripts is None:
        truths = [dataclasses.replace(truth, utterances=_without_words(truth.utterances)) for truth in truths]
    _warn_of_words(truths, point)
    # The confidence is shared between the variants (Bonferroni), so that it holds for whichever is taken.
    shared = limits
    if limits.confidence is not None:
        shared = dataclasses.replace(limits, confidence=1 - (1 - limits.confidence) / len(points))
    check_enough(Groups.of(truths), shared)
    negatives = scored(session, paths, truths, point=point, tell=_say)
    positives = words_of(session, options, paths, point=point, tell=_say)
    point, choice = _best(session, negatives, positives, points, limits=shared)
    found, operating = points_of(session, point, choice, limits, windows=sum(map(len, negatives.windows)))
    values = {
        "listening_point": found.to_dict(),
        "operating_point": None if operating is None else operating.to_dict(),
        **dataclasses.asdict(choice),
    }
    written = store(session.model_file.path, target, found, operating)
    text = f"{sentence(choice, found, limits)}\nwrote {' and '.join(map(str, written))}"
    show(json_line(values) if options.json else text)
    return 0


def _template(session: Session, options: argparse.Namespace) -> ListeningPoint:
    background = None if options.background is None else options.background.split(",")
    if not background_labels(session.metadata, background):
        _say(
            "warning: no label of the model is background, so every sound is taken for one of its words: a model that "
            "knows other sounds is trained with --negatives DIR"
        )
    name = options.listening_point or DEFAULT_POINT
    hop_ms = DEFAULT_HOP_MS if options.hop_ms is None else options.hop_ms
    usual = DEFAULT_POINT if DEFAULT_POINT in session.operating_points else next(iter(session.operating_points), "full")
    return simple_point(
        session.metadata, threshold=0.5, operating_point=usual, name=name, hop_ms=hop_ms, background=background
    )


def _variants(session: Session, options: argparse.Namespace, point: ListeningPoint) -> list[ListeningPoint]:
    """The point with each span and each score that was asked for."""
    scores = [one_of("--score", score, SCORES) for score in options.score or [point.score]]
    found = [
        dataclasses.replace(point, span_ms=span_ms, score=score)
        for score in scores
        for span_ms in options.span_ms or [point.span_ms]
    ]
    for each in found:
        each.check(labels=session.labels)
    return found


def _best(
    session: Session,
    negatives: Recordings,
    positives: Recordings | None,
    points: Sequence[ListeningPoint],
    *,
    limits: Limits,
) -> tuple[ListeningPoint, ListeningChoice]:
    """The choice with the most hits among several points; the error of the first if none has one."""
    found: list[tuple[ListeningPoint, ListeningChoice]] = []
    errors: list[DataError] = []
    for each in points:
        exits = _exits(session, positives, each, limits)
        about: dict[str, Any] = {"labels": session.labels, "costs": session.metadata.exits, "limits": limits}
        try:
            found.append((each, choose_threshold(negatives, positives, exits, point=each, **about)))
        except DataError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return max(found, key=lambda pair: (pair[1].recall or 0.0, -pair[1].relative_ops))


def _warn_of_words(truths: Sequence[Truth], point: ListeningPoint) -> None:
    words = spoken_words((each for truth in truths for each in truth.utterances), point.thresholds)
    if words:
        listed = ", ".join(f"{shown(label)} {count}" for label, count in words.items())
        _say(
            f"warning: the negatives hold {sum(words.values())} words that the model knows, by their transcripts "
            f"({listed}): an event of one of them is no false accept"
        )
    whole, known = hours(truths)
    if words and known < whole:
        _say(f"note: of {whole:.2f} hours {known:.2f} have a transcript; words in the others count as false accepts")


def _without_words(utterances: Sequence[Utterance]) -> tuple[Utterance, ...]:
    return tuple(dataclasses.replace(each, words=None) for each in utterances)


def _exits(session: Session, positives: Recordings | None, point: ListeningPoint, limits: Limits) -> tuple[float, ...]:
    if positives is None or session.exits == 1:
        return tuple(session.operating_points[point.operating_point].thresholds)
    policy = policies.from_dict(session.metadata.policy_dict)
    chosen = choose_exits(
        positives,
        point=point,
        labels=session.labels,
        highest=policy.highest(len(session.labels)),
        recall_loss=limits.recall_loss,
    )
    # A skip gate stays off: it was fitted to clips with words, and most windows of a stream leave early.
    return (*chosen, *(0.0,) * (session.metadata.num_thresholds - len(chosen)))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _say(line: str) -> None:
    show(line, file=sys.stderr)
