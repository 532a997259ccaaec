"""Progress bars on stderr, for those who have tqdm and look at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def progress_bar(items: Iterable[Any] | None = None, **settings: Any) -> Any:
    """A bar of `tqdm.tqdm(items, **settings)`: iterate over it, or use it as a context and call `update`.

    Nothing is shown if stderr is no terminal or tqdm is not installed; it comes with the extra `train`.

    Example:
        >>> [clip for clip in progress_bar(["a", "b"], desc="clips", unit="clip")]
        ['a', 'b']
    """
    try:
        import tqdm
    except ImportError:
        return _Nothing(items)
    return tqdm.tqdm(items, **{"disable": None, **settings})


class _Nothing:
    """Stands for a bar where there is no tqdm."""

    def __init__(self, items: Iterable[Any] | None) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items or ())

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, count: float = 1) -> None:
        """A bar would move on."""

    def set_postfix_str(self, text: str = "", refresh: bool = True) -> None:
        """A bar would show the text at its end."""
