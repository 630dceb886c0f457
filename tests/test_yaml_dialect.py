import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from restem.pipeline.config.yaml_source import parse_document, parse_value
from restem.yaml_dialect import dump, dump_inline


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8))
@example("1e5")
@example("1E-3")
@example("08")
@example("no")
@example("2024-01-01")
@example("1:30")
@example("~")
@example("# a")
@example("")
def test_a_string_is_read_as_the_same_string(text):
    assert parse_value(dump_inline(text)) == text
    assert parse_value(dump_inline([text, {text: 1}])) == [text, {text: 1}]
    assert parse_document(dump({"a": [text]}), "x.yaml").data == {"a": [text]}


@pytest.mark.parametrize(
    "text", ["a\nb", "\n", "a\n\n  b: c\n", "\r\n", "a\tb", "\x1b[2J", "a\u2028b", "\u202e", "\x85"]
)
def test_control_characters_are_escapes_on_one_line(text):
    for value in (text, [text], {text: text}):
        assert parse_value(dump_inline(value)) == value
        assert dump_inline(value).isprintable()
    assert parse_document(dump({"a": [text]}), "x.yaml").data == {"a": [text]}


@pytest.mark.parametrize("value", [1e-4, 0.1, 1, True, None, [], ["a", 2], {"a": {"b": [1.5]}}])
def test_other_values_are_read_as_the_same_values(value):
    assert parse_value(dump_inline(value)) == value
    assert "\n" not in dump_inline(value)
