"""The report of calibrated models."""

import dataclasses

import numpy as np
import pytest
import scipy.special

from restem.report.page import render
from restem.report.reliability import before_calibration, uncalibrated


def with_temperature(run, temperature):
    """The run, as if its logits had been divided."""
    logits = np.log(run.evaluation.probabilities.astype(np.float64))
    after = scipy.special.softmax(logits / temperature, axis=1).astype(np.float32)
    evaluation = dataclasses.replace(run.evaluation, probabilities=after)
    return dataclasses.replace(
        run, evaluation=evaluation, model=dataclasses.replace(run.model, temperature=temperature)
    )


@pytest.mark.parametrize("temperature", [0.3, 4.0])
def test_the_probabilities_before_are_found_again(report_data, temperature):
    data = report_data()
    run = with_temperature(data.candidate, temperature)
    before = uncalibrated(run.evaluation, temperature)
    np.testing.assert_allclose(before.probabilities, data.candidate.evaluation.probabilities, atol=1e-5)
    assert uncalibrated(data.candidate.evaluation, None) is data.candidate.evaluation


def test_the_page_shows_both(report_data):
    data = report_data()
    assert before_calibration(data.candidate, data.baseline) is None
    plain = render(data)
    assert "temperature" not in plain
    page = render(dataclasses.replace(data, candidate=with_temperature(data.candidate, 4.0)))
    assert page.count("Reliability diagram") == plain.count("Reliability diagram") + 1
    assert "The candidate divides its logits by 4, which was fitted on the validation images" in page
    assert "The baseline has no temperature." in page
