"""What a source of sound is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tell = Callable[[str], None]
"""Shows one line to the user, such as a warning."""


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A piece of sound as a source delivers it.

    Attributes:
        samples: float32 [samples] in [-1, 1], of one channel; may be empty.
        lost: samples that are missing before it, as well as is known.
        gap: whether samples are missing before it, be it an unknown number of them.
    """

    samples: NDArray[np.float32]
    lost: int = 0
    gap: bool = False


class Source(Protocol):
    """Something that delivers sound until it ends or is closed.

    Attributes:
        name: for messages.
        rate_hz: of the samples.
        is_live: whether a microphone may be behind it, so that silence means a fault and now has a date.
    """

    name: str
    rate_hz: int
    is_live: bool

    def chunks(self) -> Iterator[Chunk]:
        """The sound from now on. At the end, and when the iterator is closed, the source is closed."""
        ...
