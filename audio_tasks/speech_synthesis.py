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

import numpy as np

from bnn_exit.errors import DataError, missing_package

_TIMEOUT_S = 300
_LONGEST_PATH = 120


@dataclasses.dataclass(frozen=True)
class Utterance:
    """An utterance: words_per_minute from 80 to 450, pitch and pitch_range (its liveliness) from 0 to 99."""

    text: str
    words_per_minute: int
    pitch: int
    pitch_range: int


def speak(voice: str, utterances: Sequence[Utterance]) -> tuple[list[np.ndarray], int]:
    """Each utterance as int16 [samples], silence at its ends included, and their sample rate in Hz.

    Args:
        voice: a voice of espeak-ng, with a variant after a plus sign: "en-us+f2".
        utterances: spoken in this order, which matters: see above.

    Raises:
        MissingPackageError: `espeakng-loader` is not installed.
        DataError: espeak-ng cannot be started, has no such voice or refuses an utterance.
    """
    library, data = _locations()
    if len(os.fsencode(data)) < _LONGEST_PATH:
        return _speak(library, data, voice, utterances)
    # espeak-ng has a small buffer for the path.
    with tempfile.TemporaryDirectory(prefix="bnn_exit-") as folder:
        link = os.path.join(folder, "espeak-ng-data")
        if len(os.fsencode(link)) >= _LONGEST_PATH:
            raise DataError(
                f"espeak-ng takes paths of at most {_LONGEST_PATH} bytes, and {data!r} is longer: install it in a "
                "shorter folder, or set TMPDIR to one"
            )
        os.symlink(data, link)
        return _speak(library, link, voice, utterances)


def _speak(library: str, data: str, voice: str, utterances: Sequence[Utterance]) -> tuple[list[np.ndarray], int]:
    request = {
        "library": library,
        "data": data,
        "voice": voice,
        "utterances": [dataclasses.asdict(utterance) for utterance in utterances],
    }
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
    reply = json.loads(header)
    ends = np.cumsum(reply["bytes"]) // 2
    samples = np.frombuffer(body, np.dtype("=i2"))
    return [part.astype(np.int16) for part in np.split(samples, ends[:-1])], reply["sample_rate_hz"]


def _locations() -> tuple[str, str]:
    """Where the library and its data are."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise missing_package("espeakng-loader", purpose="the task synthetic", extra="synthetic") from error
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
