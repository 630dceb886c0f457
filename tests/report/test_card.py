"""The model card: its figures, and names that would be Markdown or HTML."""

import base64
import dataclasses
import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sklearn.metrics import recall_score

from restem.report import measures
from restem.report.card import model_card
from restem.report.data import Slice
from restem.report.formatting import percent
from restem.report.markdown import CONTROL, DIRECTION, code, escape
from restem.report.page import render
from restem.run_record import MadeOf, StartedFrom
from tests.report.conftest import make_data, make_sample

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SPECIAL = "\\`*_[]<>|~&$#+-.!()1:/wW@\n "
HOSTILE = ("<script>alert('x')</script>", "a|b", "*bold* _x_ `y`", "[link](https://example.org)", "1. one\n# heading")


def split(card: str) -> tuple[dict, str]:
    """The front matter and the text."""
    assert card.startswith("---\n")
    front, text = card.removeprefix("---\n").split("\n---\n", 1)
    return yaml.safe_load(front), text


def cells(text: str) -> list[list[list[str]]]:
    """The cells of all tables: table, row, cell. Each is plain text, strong or code."""
    rows, inside = [], False
    for token in PARSER.parse(text):
        if token.type in ("table_open", "table_close"):
            inside = token.type == "table_open"
            rows += [[]] if inside else []
        elif token.type == "tr_open":
            rows[-1].append([])
        elif token.type == "inline" and inside:
            kinds = {child.type for child in token.children}
            assert kinds <= {"text", "text_special", "strong_open", "strong_close", "code_inline"}, token.content
            rows[-1][-1].append("".join(child.content for child in token.children))
    return rows


@pytest.fixture(scope="module")
def data():
    return make_data(make_sample(images=200))


def test_the_front_matter_is_that_of_hugging_face(data):
    front, _ = split(model_card(data))
    assert (front["pipeline_tag"], front["library_name"]) == ("image-classification", "tensorflow")
    (entry,) = front["model-index"]
    (result,) = entry["results"]
    assert result["dataset"] == {"name": "scans", "type": "imagefolder", "split": "test"}
    assert result["metrics"][0] == {"type": "accuracy", "value": round(data.candidate.evaluation.accuracy, 6)}


def test_the_figures_are_those_of_the_predictions(data):
    _, text = split(model_card(data))
    evaluation = data.candidate.evaluation
    found = {row[0]: row[1:] for table in cells(text) for row in table}
    interval = measures.wilson_interval(int(evaluation.right.sum()), 200)
    assert found["Accuracy"][0] == percent(evaluation.accuracy)
    assert found["Accuracy, 95% interval"][0] == f"{percent(interval.low)} to {percent(interval.high)}"
    recalls = recall_score(evaluation.labels, evaluation.predicted, average=None)
    for name, recall in zip(evaluation.classes, recalls, strict=True):
        rows = [row for table in cells(text) for row in table if row[0] == name and len(row) == 6]
        assert rows[0][3] == percent(recall)
    assert found["all"] == ["800", "200"]
    assert found["Parameters"][0] == "23,600,000"
    assert "Exact: before training" in text


@pytest.mark.parametrize(
    "heading",
    [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Limits",
        "Cost",
        "How to use it",
        "Software",
    ],
)
def test_every_section_is_there_with_content(data, heading):
    _, text = split(model_card(data))
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    assert section.strip()


def test_what_only_people_know_are_questions(data):
    _, text = split(model_card(data))
    for heading in ("Intended use", "Ethical considerations"):
        section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
        assert section.count("?\n") == 4


def test_names_stay_text():
    made = make_data(make_sample(classes=HOSTILE, images=60), title="Digits")
    hostile = Slice("site | *x*", "<b>Ulm</b>", 60, 0.9, 0.8)
    made = dataclasses.replace(made, verdict=dataclasses.replace(made.verdict, slices=(hostile,)))
    _, text = split(model_card(made))
    tokens = PARSER.parse(text)
    children = [child.type for token in tokens for child in token.children or ()]
    assert "html_block" not in {token.type for token in tokens}
    assert not {"html_inline", "link_open", "image", "s_open"} & set(children)
    shown = {row[0]: len(row) for table in cells(text) for row in table}
    for name in HOSTILE:
        assert shown[name.replace("\n", " ")] == 6
    assert shown["<b>Ulm</b>"] == 5
    assert "<script>" not in render(made)


def test_a_model_that_goes_on_from_another_says_what_is_not_known(data):
    _, text = split(model_card(data))
    assert "They were not used in training" in text
    started = StartedFrom("/served/1", "1", "ab")
    record = dataclasses.replace(data.candidate.model, started_from=started, made_of=MadeOf("s", "0123456789abcdef99"))
    more = dataclasses.replace(data, candidate=dataclasses.replace(data.candidate, model=record))
    _, text = split(model_card(more))
    assert "whether that one was trained with some of them is not known" in text
    assert "| Fingerprint of the images | `0123456789abcdef` |" in text


def test_many_classes_are_cut_and_counted():
    made = make_data(make_sample(classes=tuple(f"c{i}" for i in range(150)), images=600))
    _, text = split(model_card(made))
    assert "and 50 more classes" in text
    assert "50 more classes, with a higher F1, are in the report." in text


def test_the_report_links_to_the_card(data):
    page = render(data)
    (link,) = re.findall(r'<a href="data:text/markdown;charset=utf-8;base64,([^"]*)" download="model_card.md">', page)
    assert base64.b64decode(link).decode("utf-8") == model_card(data)


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(SPECIAL), max_size=30))
@example("# x")
@example("1. x")
@example("12) x")
@example("- x")
@example("https://example.org")
@example("&amp; &lt;")
@example("![a](b)")
@example("===")
@settings(max_examples=150, deadline=None)
def test_escaped_text_is_read_as_it_is(text):
    expected = " ".join(DIRECTION.sub("", CONTROL.sub(" ", text)).split())
    written = escape(" ".join(text.split()))
    tokens = PARSER.parse(written)
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    children = tokens[1].children if tokens else []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert " ".join("".join(child.content for child in children).split()) == expected
    (row,) = cells(f"| a | b |\n|---|---|\n| {written} | c |\n")[0][1:]
    assert len(row) == 2


def test_code_holds_any_text():
    for text in ("/data/a`b", "``", "a\nb", "x"):
        (_, inline, _) = PARSER.parse(f"From {code(text)}.")
        (shown,) = [child.content for child in inline.children if child.type == "code_inline"]
        assert shown == text.replace("\n", " ")
