import pytest

from bnn_exit import strict_json
from bnn_exit.errors import ArgumentError
from bnn_exit.text import check_text, counted, text_fault


@pytest.mark.parametrize(
    "text",
    ["", "yes", "a b", "\u0646\u0639\u0645", "na\u00efve", "\u0645\u06cc\u200c\u062e", "\U0001f468\u200d\U0001f469"],
)
def test_texts_of_every_script_are_taken(text):
    assert text_fault(text) is None
    assert check_text("label", text) == text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("yes\x1b[2J", "U\\+001B, a control character"),
        ("a\nb", "U\\+000A, a control character"),
        ("\x9b31m", "U\\+009B, a control character"),
        ("gpj.\u202eexe", "U\\+202E, a change of the writing direction"),
        ("\ud800", "U\\+D800, half a character"),
        ("caf\udce9", "U\\+DCE9, half a character"),
        ("yes\u200b", "U\\+200B, an invisible character"),
    ],
)
def test_texts_that_are_not_what_they_seem_are_refused(text, what):
    with pytest.raises(ArgumentError, match=f"^label is '.*', which holds {what}: ") as caught:
        check_text("label", text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "'a' is there twice"),
        (b"[1e999]", "the number 1e999 is too large"),
        (b"9223372036854775808", "does not fit into 64 bits"),
        (b"1" * 5000, "does not fit into 64 bits"),
        (b"NaN", "NaN is not a JSON number"),
        (b'["\\u001b"]', "holds U\\+001B"),
        (b"[" * 40 + b"]" * 40, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * (strict_json.MAX_BYTES + 1), "it has 4194305 bytes, but may have 4194304"),
    ],
)
def test_json_that_readers_could_read_differently_is_refused(document, message):
    with pytest.raises(ValueError, match=message):
        strict_json.loads(document)


def test_json_is_read():
    assert strict_json.loads(b' {"a": [1, -2.5, "\xc3\xa9", true, null]} ') == {"a": [1, -2.5, "\u00e9", True, None]}


def test_a_number_and_its_noun():
    found = [counted(0, "clip"), counted(1, "clip"), counted(2, "clip"), counted(1, "class", "classes")]
    assert found == ["0 clips", "1 clip", "2 clips", "1 class"] and counted(3, "class", "classes") == "3 classes"
