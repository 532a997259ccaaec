"""A program of its own that speaks with espeak-ng: a JSON request on stdin, a JSON line and 16-bit samples on stdout.

`speech_synthesis.speak` starts one for each voice. It imports the standard library only, so that it starts at once.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

# From speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2  # samples go to the callback, from the calling thread
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def speak(request: dict[str, Any]) -> tuple[int, list[bytes]]:
    """The sample rate in Hz and the 16-bit samples of each utterance; RuntimeError if espeak-ng refuses one.

    Args:
        request: library and data (paths), voice (a name with "+variant"), utterances, each with text, words_per_minute
            (80 to 450), pitch and pitch_range (0 to 99).
    """
    espeak = ctypes.CDLL(request["library"])
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    pieces: list[bytes] = []

    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(keep)
    rate = espeak.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, request["data"].encode(), _DO_NOT_EXIT)
    if rate <= 0:
        raise RuntimeError(f"it could not read its data in {request['data']!r}")
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # its default is the time of day, which changes breathy voices
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(request["voice"].encode()):
        raise RuntimeError(f"it has no voice {request['voice']!r}")
    spoken = []
    for utterance in request["utterances"]:
        for parameter, name in ((_RATE, "words_per_minute"), (_PITCH, "pitch"), (_RANGE, "pitch_range")):
            if espeak.espeak_SetParameter(parameter, utterance[name], 0):
                raise RuntimeError(f"it refused {name} {utterance[name]}")
        pieces.clear()
        text = utterance["text"].encode()
        if espeak.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None) or espeak.espeak_Synchronize():
            raise RuntimeError(f"it could not speak {utterance['text']!r}")
        spoken.append(b"".join(pieces))
    return rate, spoken


def main() -> int:
    """Reply to the one request on stdin."""
    try:
        rate, spoken = speak(json.load(sys.stdin))
    except (RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    header = {"sample_rate_hz": rate, "bytes": [len(samples) for samples in spoken]}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + b"".join(spoken))
    return 0


if __name__ == "__main__":
    sys.exit(main())
