"""The voices of espeak-ng: variants that sound like people, accents of English, other languages."""

from __future__ import annotations

import dataclasses

from audio_tasks.speech_synthesis import voices
from audio_tasks.split import SPLITS
from audio_tasks.spoken import generator_of
from bnn_exit.errors import ArgumentError, nearest

# The voices of espeak-ng that sound like a person (not the whispering, croaking and robot ones), and its Englishes.
VARIANTS = (
    *("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"),
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Jacky", "Lee", "Mario", "Michael"),
    *("Nguyen", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward"),
    *("grandma", "grandpa", "gustave", "ian", "john", "linda", "marcelo", "max", "miguel", "norbert", "pablo", "paul"),
    *("pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac"),
)
ACCENTS = ("en-us", "gmw/en", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc")


@dataclasses.dataclass(frozen=True)
class Speaker:
    """A voice: one of espeak-ng's variants and accents, a base pitch (0 to 99) and a base speed.

    Its samples (22,050 a second) are taken as ones of `played_hz`: faster is a shorter vocal tract.
    """

    name: str
    voice: str
    pitch: int
    words_per_minute: int
    split: str
    played_hz: int = 22050


ENGLISH = "en"
_PLAYED_HZ = (20000, 21000, 22050, 23000, 24000)


def accents_of(language: str) -> tuple[str, ...]:
    """The voices of espeak-ng for a language ("de", "pt-br"): all of its accents where it has several ("pt").

    ArgumentError, with the nearest one, for a language that espeak-ng does not have.
    """
    if language == ENGLISH:
        return ACCENTS
    listed = voices()
    found = tuple(name for known, name in listed if known == language or known.startswith(f"{language}-"))
    if not language or not found:
        known_languages = sorted({ENGLISH, *(known for known, _ in listed)})
        raise ArgumentError(
            f"language is {language!r}, but must be one that espeak-ng speaks, such as de, fr or pt-br"
            f"{nearest(language, known_languages)}"
        )
    return found


def cast_of(count: int, *, accents: tuple[str, ...], seed: int) -> list[Speaker]:
    """`count` speakers, a sixth each for validation and test, and no variant in two splits.

    Speakers of one split may share a variant. Then they differ in accent, or in pitch, speed and vocal tract.
    """
    generator = generator_of("cast", seed)
    variants = [str(variant) for variant in generator.permutation(VARIANTS)]
    held_out = round(len(variants) / 6)
    pools = {
        "validation": variants[:held_out],
        "test": variants[held_out : 2 * held_out],
        "train": variants[2 * held_out :],
    }
    fewer = max(1, round(count / 6))
    sizes = {"train": count - 2 * fewer, "validation": fewer, "test": fewer}
    chosen = []
    for split in SPLITS:
        for index in range(sizes[split]):
            round_, position = divmod(index, len(pools[split]))
            variant = pools[split][position]
            accent = accents[(position + round_) % len(accents)]
            pitch, speed = int(generator.integers(20, 81)), int(generator.integers(145, 226))
            played = _PLAYED_HZ[int(generator.integers(len(_PLAYED_HZ)))]
            name = f"{accent.rpartition('/')[2]}-{variant}-{index}"
            chosen.append(Speaker(name, f"{accent}+{variant}", pitch, speed, split, played))
    return chosen
