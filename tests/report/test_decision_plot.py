"""The decision as a picture."""

import dataclasses
import re

import pytest

from restem.report.decision_plot import SHOWN, asked, decision_plot, decision_text
from restem.report.page import render
from tests.report.conftest import OUTCOME
from tests.report.test_plots import parse

HOSTILE = "<b>класс</b>"
MARGIN = dataclasses.replace(
    OUTCOME, kind="not_worse_than_baseline_by", value=-0.003, interval=(-0.015, 0.009), limit=0.02
)
OUTCOMES = (
    OUTCOME,
    MARGIN,
    dataclasses.replace(OUTCOME, kind="better_than_baseline_by", value=0.0, interval=(0.0, 0.0), limit=0, passed=False),
    dataclasses.replace(OUTCOME, kind="may_lose", value=-0.2, interval=(-0.4, 0.1), limit=0.1, over=HOSTILE),
    dataclasses.replace(OUTCOME, value=None, interval=None, confidence=None, passed=False),
    dataclasses.replace(OUTCOME, metric="images", kind="min_test_images", value=360, interval=None, limit=500),
)


def test_a_loss_is_compared_with_minus_the_limit():
    assert asked(MARGIN) == -0.02
    assert asked(OUTCOME) == 0.9


def test_every_requirement_has_a_row():
    parse(decision_plot(OUTCOMES))
    text = decision_text(OUTCOMES)
    assert "1: 97% (95.0 to 98.0), limit 90%, met" in text
    assert "2: -0.3 points (-1.5 to 0.9), limit -2 points, met" in text
    assert "3: 0 points (0.0 to 0.0), limit 0 points, not met" in text
    assert "5: not measured, limit 90%, not met" in text
    assert "6: 360, limit 500, met" in text
    assert HOSTILE not in text


@pytest.mark.parametrize("passed", [True, False])
def test_the_result_is_told_by_more_than_colour(passed):
    one = decision_plot([dataclasses.replace(OUTCOME, passed=passed)])
    other = decision_plot([dataclasses.replace(OUTCOME, passed=not passed)])

    def shapes(uri):
        return [element.attrib["d"] for element in parse(uri).iter() if "d" in element.attrib]

    assert shapes(one) != shapes(other)


def test_the_page_numbers_the_requirements_as_the_picture_does(report_data):
    data = report_data()
    many = tuple(dataclasses.replace(OUTCOME, required=f"Requirement {i}") for i in range(1, SHOWN + 4))
    html = render(dataclasses.replace(data, verdict=dataclasses.replace(data.verdict, requirements=many)))
    assert "The other 3 are only in the table." in html
    rows = re.findall(r'<td class="n">(\d+)</td><th scope="row"><bdi>Requirement (\d+)<', html)
    assert len(rows) == len(many)
    assert all(number == name for number, name in rows)


def test_without_requirements_there_is_no_picture(report_data):
    data = report_data()
    html = render(dataclasses.replace(data, verdict=dataclasses.replace(data.verdict, requirements=())))
    assert "The configuration requires nothing." in html
    assert "hatched" not in html
