import pytest

from restem.errors import RestemError
from restem.visible import visible, visible_lines


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.png", "plain name.png"),
        ("grüße 犬 😀.png", "grüße 犬 😀.png"),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("para\u2029graph", r"para\u2029graph"),
        ("\udce9", r"\udce9"),
        # Joins of Persian words and of emoji are spelling, not control.
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬"),
    ],
)
def test_control_characters_become_escapes(name, shown):
    assert visible(name) == shown
    assert visible(shown) == shown


def test_messages_keep_their_lines():
    assert visible_lines("one\n  two\x1b[2J\r\n") == "one\n  two\\x1b[2J\\r\n"
    error = RestemError("bad\x1b]0;title\x07", where="a\u202eb", remedy="Remove:\n  it")
    assert str(error) == "a\\u202eb: bad\\x1b]0;title\\x07. Remove:\n  it."
