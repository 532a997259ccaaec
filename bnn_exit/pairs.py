"""Walking through several sequences at once, as newer Pythons do and Python 3.9 does not."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Any

if sys.version_info >= (3, 10):

    def zip_strict(*sequences: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """`zip(*sequences, strict=True)`: ValueError if they are not of one length.

        Example:
            >>> list(zip_strict("ab", [1, 2]))
            [('a', 1), ('b', 2)]
        """
        return zip(*sequences, strict=True)

else:

    def zip_strict(*sequences: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """`zip(*sequences, strict=True)`: ValueError if they are not of one length."""
        end = object()
        for values in itertools.zip_longest(*sequences, fillvalue=end):
            if any(value is end for value in values):
                raise ValueError("zip_strict() arguments are not of one length")
            yield values
