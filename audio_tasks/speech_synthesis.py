"""Spoken words from espeak-ng, reproducible.

espeak-ng is a program under the GPL-3.0. It is no part of this package: the optional package `espeakng-loader` brings
it, and it is loaded at run time, in a process of its own. That process is also what makes the speech repeatable:
espeak-ng carries phases from one utterance to the next which nothing in its interface resets, so a second "yes" differs
from the first. Each voice speaks its list in a new process, in order, so the result depends on that list alone.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnn_exit.errors import DataError, missing_package

_TIMEOUT_S = 300
_LONGEST_PATH = 120


@dataclasses.dataclass(frozen=True)
class Utterance:
    """An utterance: words_per_minute from 80 to 450, pitch and pitch_range (its liveliness) from 0 to 99.

    With `phonemes`, the text is phonemes as the function of that name gives them.
    """

    text: str
    words_per_minute: int
    pitch: int
    pitch_range: int
    phonemes: bool = False


def speak(voice: str, utterances: Sequence[Utterance]) -> tuple[list[np.ndarray], int]:
    """Each utterance as int16 [samples], silence at its ends included, and their sample rate in Hz.

    Args:
        voice: a voice of espeak-ng, with a variant after a plus sign: "en-us+f2".
        utterances: spoken in this order, which matters: see above.

    Raises:
        MissingPackageError: `espeakng-loader` is not installed.
        DataError: espeak-ng cannot be started, has no such voice or refuses an utterance.
    """
    said = [dataclasses.asdict(utterance) for utterance in utterances]
    reply, body = _request({"want": "speech", "voice": voice, "utterances": said})
    ends = np.cumsum(reply["bytes"]) // 2
    samples = np.frombuffer(body, np.dtype("=i2"))
    return [part.astype(np.int16) for part in np.split(samples, ends[:-1])], reply["sample_rate_hz"]


def phonemes(voice: str, texts: Sequence[str]) -> list[str]:
    """What a voice makes of each text: espeak-ng's own names of phonemes, "|" between them, spaces between words.

    The names differ among accents. An Utterance with `phonemes` speaks them. Errors are those of `speak`.

    Example:
        >>> phonemes("en-us", ["hey lamp"])
        ["h|'eI l|'a|m|p"]
    """
    reply, _ = _request({"want": "phonemes", "voice": voice, "texts": list(texts)})
    return [str(text) for text in reply["phonemes"]]


def voices() -> list[tuple[str, str]]:
    """Language ("en-gb") and name ("gmw/en") of every voice that espeak-ng has. Errors are those of `speak`."""
    reply, _ = _request({"want": "voices"})
    return [(str(language), str(name)) for language, name in reply["voices"]]


def _request(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The reply of a new worker, and the bytes that follow it."""
    library, data = _locations()
    if len(os.fsencode(data)) < _LONGEST_PATH:
        return _reply({**request, "library": library, "data": data})
    # espeak-ng has a small buffer for the path.
    with tempfile.TemporaryDirectory(prefix="bnn_exit-") as folder:
        link = os.path.join(folder, "espeak-ng-data")
        if len(os.fsencode(link)) >= _LONGEST_PATH:
            raise DataError(
                f"espeak-ng takes paths of at most {_LONGEST_PATH} bytes, and {data!r} is longer: install it in a "
                "shorter folder, or set TMPDIR to one"
            )
        os.symlink(data, link)
        return _reply({**request, "library": library, "data": link})


def _reply(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    # -I -S: neither the user's environment nor installed packages are read, so it starts within 0.05 s.
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("espeak_worker.py"))]
    try:
        done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"espeak-ng did not finish within {_TIMEOUT_S} s: ask for fewer words or clips") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        why = next((line for line in reversed(lines) if line.strip()), f"exit status {done.returncode}")
        raise DataError(f"espeak-ng failed: {why}; reinstall it: pip install --force-reinstall espeakng-loader")
    header, _, body = done.stdout.partition(b"\n")
    return json.loads(header), body


def _locations() -> tuple[str, str]:
    """Where the library and its data are."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise missing_package(
            "espeakng-loader", purpose="speech synthesis (the tasks synthetic and wake_word)", extra="synthetic"
        ) from error
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
