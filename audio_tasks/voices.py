"""The voices of espeak-ng: variants that sound like people, accents of English, other languages."""

from __future__ import annotations

import dataclasses

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
    """A voice: one of espeak-ng's variants and accents, a base pitch (0 to 99) and a base speed."""

    name: str
    voice: str
    pitch: int
    words_per_minute: int
    split: str
