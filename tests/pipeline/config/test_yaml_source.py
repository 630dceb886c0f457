import pytest
from yaml.composer import Composer

from restem.errors import RestemError
from restem.pipeline.config.yaml_source import MAX_KEYS, parse_document, parse_value


def test_lines_and_duplicates():
    document = parse_document("a: 1\nb:\n  c: [1, 2]\n  c: 3\n", "f.yaml")
    assert document.data == {"a": 1, "b": {"c": 3}}
    assert document.lines["b", "c"] == 4
    assert document.duplicates == ((("b", "c"), 3, 4),)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E3", 1000.0), ("2.5e+1", 25.0), ("3", 3), ("[a, b]", ["a", "b"]), ("", None), ("e4", "e4")],
)
def test_values_are_typed(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "a: &x [*x]", "a: 1\n---\nb: 2", "a: !!python/name:os.system x"])
def test_text_that_is_not_yaml_is_rejected_with_its_location(text):
    with pytest.raises(RestemError, match=r"f\.yaml"):
        parse_document(text, "f.yaml")


@pytest.mark.parametrize("text", [r'a: "x\ud800"', r'"\udfff": 1', r'a: [b, {"\ud83d\ude00": c}]'])
@pytest.mark.parametrize("parse", [parse_value, lambda text: parse_document(text, "f.yaml")])
def test_half_a_character_is_rejected(text, parse):
    with pytest.raises(RestemError, match="half of a character: write the character itself"):
        parse(text)


MERGED = "\n".join(["a0: &a0 {k: v}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 9))])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (MERGED, "more than 20,000 values"),
        ("a: " + "[" * 20_000 + "]" * 20_000, "more than 50 levels"),
        ("a: " + "[" * 60 + "]" * 60, "more than 50 levels"),
        ("a: &a {<<: *a}", "refers to itself|undefined alias"),
    ],
)
@pytest.mark.parametrize("parse", [parse_value, lambda text: parse_document(text, "f.yaml")])
def test_a_few_lines_that_stand_for_a_huge_tree_are_rejected(text, reason, parse):
    with pytest.raises(RestemError, match=reason) as caught:
        parse(text)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("text", ["a: 1\n" * 200_000, "- x\n" * 250_000, f"a: [{'x,' * 500_000}]", "{" * 1_000_000])
def test_a_megabyte_of_small_values_is_refused_while_it_is_read(text, monkeypatch):
    composed = 0
    compose = Composer.compose_node

    def counted(*arguments):
        nonlocal composed
        composed += 1
        return compose(*arguments)

    monkeypatch.setattr(Composer, "compose_node", counted)
    with pytest.raises(RestemError, match=r"more than (20,000 values|50 levels)"):
        parse_document(text, "f.yaml")
    assert 50 <= composed <= MAX_KEYS


def test_a_date_is_a_text_as_a_key():
    assert parse_document("2026-11-27: 1\non: 2\n", "f.yaml").data == {"2026-11-27": 1, "on": 2}


def test_aliases_that_expand_too_far_are_rejected():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(RestemError, match="more than 20,000 values"):
        parse_document("\n".join(lines), "f.yaml")
