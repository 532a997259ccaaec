"""Words for messages, and which characters a text in a model file may hold, so that names are safe everywhere."""

from __future__ import annotations

from bnn_exit.errors import ArgumentError

# `core/text.cpp` of the native library has the same table; a test compares them.
_REFUSED = (
    (0x0000, 0x001F, "a control character"),
    (0x007F, 0x009F, "a control character"),
    (0x061C, 0x061C, "a mark of the writing direction"),
    (0x200B, 0x200B, "an invisible character"),
    (0x200E, 0x200F, "a mark of the writing direction"),
    (0x2028, 0x2029, "a line break"),
    (0x202A, 0x202E, "a change of the writing direction"),
    (0x2060, 0x2064, "an invisible character"),
    (0x2066, 0x206F, "a change of the writing direction"),
    (0xD800, 0xDFFF, "half a character"),
    (0xFEFF, 0xFEFF, "an invisible character"),
    (0xFFF9, 0xFFFB, "an invisible character"),
)
"""First and last code point of each range, and what they are. Joiners (U+200C, U+200D) are letters of some scripts."""


def text_fault(text: str) -> str | None:
    """Why a model file may not hold a text, worded to follow its name; None if it may.

    Example:
        >>> text_fault("yes\\x1b[2J")
        'holds U+001B, a control character'
    """
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        for first, last, what in _REFUSED:
            if first <= ord(character) <= last:
                return f"holds U+{ord(character):04X}, {what}"
    return None


def check_text(name: str, text: str) -> str:
    """Return `text` if a model file may hold it.

    Args:
        name: of the argument, for the message.
        text: a label, the name of a data set, a licence.

    Raises:
        ArgumentError: the text has a character that is not allowed.
    """
    fault = text_fault(text)
    if fault:
        raise ArgumentError(f"{name} is {text!r}, which {fault}: use characters that can be seen")
    return text


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, in the plural unless it is 1.

    Args:
        number: of things, 0 or more; from a thousand on with commas.
        noun: in the singular.
        plural: where an s at the end is not enough.

    Example:
        >>> counted(1, "clip"), counted(12000, "class", "classes")
        ('1 clip', '12,000 classes')
    """
    return f"{number:,d} {noun if number == 1 else plural or noun + 's'}"
