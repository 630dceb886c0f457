"""The table of all figures: on the page and in the card, they are those computed from the answers."""

import dataclasses

from restem.evaluator.scores import NAMES, SHARES, scores
from restem.report.card import model_card
from restem.report.formatting import percent
from restem.report.overall import figure_rows
from restem.report.page import render
from tests.evaluator import independent


def test_page_and_card_show_every_figure_of_both_models(report_data):

    data = report_data()
    metrics = {}
    for role, run in (("candidate", data.candidate), ("baseline", data.baseline)):
        measured = scores(run.evaluation.labels, run.evaluation.probabilities)
        metrics[role] = {"accuracy": run.evaluation.accuracy, **measured}
    data = dataclasses.replace(data, verdict=dataclasses.replace(data.verdict, metrics=metrics))
    page, card = render(data).split("<h3>All figures</h3>")[1].split("</table>")[0], model_card(data)
    for role, run in (("candidate", data.candidate), ("baseline", data.baseline)):
        expected = independent.figures(run.evaluation.labels, run.evaluation.probabilities)
        assert set(expected) == set(NAMES)
        for name, value in expected.items():
            shown = percent(value) if name in SHARES else f"{value:.4f}"
            title = NAMES[name].format(k=5).replace("'", "&#39;")
            (line,) = (line for line in page.splitlines() if line.startswith(f'<tr><th scope="row">{title}</th>'))
            assert f'<td class="n {role}">{shown}</td>' in line
            (line,) = (line for line in card.splitlines() if line.startswith(f"| {NAMES[name].format(k=5)} |"))
            assert line.split(" | ")[1 if role == "candidate" else 2].rstrip(" |") == shown


def test_an_evaluation_of_an_earlier_version_has_no_table():
    assert figure_rows({"candidate": {"accuracy": 0.9}}, 10) == []
