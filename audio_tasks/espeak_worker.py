"""A program of its own that works espeak-ng: a JSON request on stdin; a JSON line and 16-bit samples on stdout.

`speech_synthesis` starts one for each request. It imports the standard library only, so that it starts at once.
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
_PHONEMES = 0x100  # phonemes may stand in [[ ]]
_RATE, _PITCH, _RANGE = 1, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class _Voice(ctypes.Structure):
    """espeak_VOICE: `languages` points to a priority byte and a text for each language."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


def _opened(request: dict[str, Any]) -> tuple[Any, int]:
    """The library, ready for use, and its sample rate in Hz."""
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
    espeak.espeak_TextToPhonemes.restype = ctypes.c_char_p
    espeak.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    espeak.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    espeak.espeak_ListVoices.argtypes = [ctypes.c_void_p]
    rate = espeak.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, request["data"].encode(), _DO_NOT_EXIT)
    if rate <= 0:
        raise RuntimeError(f"it could not read its data in {request['data']!r}")
    return espeak, rate


def _set_voice(espeak: Any, voice: str) -> None:
    if espeak.espeak_SetVoiceByName(voice.encode()):
        raise RuntimeError(f"it has no voice {voice!r}")


def speak(request: dict[str, Any]) -> tuple[int, list[bytes]]:
    """The sample rate in Hz and the 16-bit samples of each utterance; RuntimeError if espeak-ng refuses one.

    Args:
        request: library and data (paths), voice (a name with "+variant"), utterances, each with text, words_per_minute
            (80 to 450), pitch and pitch_range (0 to 99), and whether text is phonemes.
    """
    espeak, rate = _opened(request)
    pieces: list[bytes] = []

    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(keep)
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # its default is the time of day, which changes breathy voices
    espeak.espeak_SetSynthCallback(callback)
    _set_voice(espeak, request["voice"])
    spoken = []
    for utterance in request["utterances"]:
        for parameter, name in ((_RATE, "words_per_minute"), (_PITCH, "pitch"), (_RANGE, "pitch_range")):
            if espeak.espeak_SetParameter(parameter, utterance[name], 0):
                raise RuntimeError(f"it refused {name} {utterance[name]}")
        pieces.clear()
        text, flags = utterance["text"], _UTF8
        if utterance["phonemes"]:
            text, flags = f"[[{text}]]", _UTF8 | _PHONEMES
        data = text.encode()
        if espeak.espeak_Synth(data, len(data) + 1, 0, 1, 0, flags, None, None) or espeak.espeak_Synchronize():
            raise RuntimeError(f"it could not speak {utterance['text']!r}")
        spoken.append(b"".join(pieces))
    return rate, spoken


def phonemes(request: dict[str, Any]) -> list[str]:
    """What `voice` makes of each of `texts`: phonemes with "|" between them, and spaces between words."""
    espeak, _ = _opened(request)
    _set_voice(espeak, request["voice"])
    found = []
    for text in request["texts"]:
        rest, clauses = ctypes.c_char_p(text.encode()), []
        while rest.value is not None:  # each call takes one clause
            made = espeak.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, ord("|") << 8)
            clauses.append((made or b"").decode(errors="replace").strip())
        found.append(" ".join(filter(None, clauses)))
    return found


def voices(request: dict[str, Any]) -> list[list[str]]:
    """Language and identifier of each voice, as the library lists them."""
    espeak, _ = _opened(request)
    listed, found = espeak.espeak_ListVoices(None), []
    index = 0
    while listed[index]:
        voice = listed[index].contents
        if voice.languages:
            language = ctypes.string_at(voice.languages + 1).decode(errors="replace")
            found.append([language, voice.identifier.decode(errors="replace")])
        index += 1
    return found


def main() -> int:
    """Reply to the one request on stdin."""
    request = json.load(sys.stdin)
    samples: list[bytes] = []
    try:
        if request["want"] == "phonemes":
            header: dict[str, Any] = {"phonemes": phonemes(request)}
        elif request["want"] == "voices":
            header = {"voices": voices(request)}
        else:
            rate, samples = speak(request)
            header = {"sample_rate_hz": rate, "bytes": [len(piece) for piece in samples]}
    except (RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + b"".join(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
