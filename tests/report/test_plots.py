import base64
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from restem.evaluator.reliability import calibration
from restem.report import measures, plots
from restem.report.data import Epoch


def parse(uri: str) -> ET.Element:
    head, _, content = uri.partition(";base64,")
    assert head == "data:image/svg+xml"
    root = ET.fromstring(base64.b64decode(content))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.endswith("href") or value.startswith("#"), "a plot must not load anything"
    return root


def epochs(phase: str, number: int) -> tuple[Epoch, ...]:
    return tuple(Epoch(phase, e, 1 / e, 0.5, 1.0, 100.0) for e in range(1, number + 1))


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ((*epochs("head", 3), *epochs("stem", 1), *epochs("all", 2)), (*epochs("head", 3), *epochs("all", 2))),
        (epochs("all", 1), epochs("all", 1)),
        (epochs("all", 300), ()),
        ((), ()),
    ],
)
def test_training_plots_of_any_history(candidate, baseline):
    drawn = plots.training_plots(candidate, baseline)
    assert set(drawn) == {"loss", "accuracy", "speed"}
    for uri in drawn.values():
        parse(uri)


def test_plots_are_the_same_bytes_for_the_same_data():
    intervals = measures.wilson_interval(90, 100), measures.wilson_interval(80, 100)
    assert plots.accuracy_plot(*intervals, 0.85) == plots.accuracy_plot(*intervals, 0.85)


@pytest.mark.parametrize(("right", "required"), [(100, None), (0, 0.5), (100, 1.0)])
def test_accuracy_plot_at_its_limits(right, required):
    interval = measures.wilson_interval(right, 100)
    parse(plots.accuracy_plot(interval, interval, required))


def test_reliability_plot_with_a_single_bin():
    bins = calibration(np.array([1.0, 1.0]), np.array([True, True]))
    parse(plots.reliability_plot(bins, bins))


def test_plots_do_not_change_pyplot_or_its_settings():
    import sys

    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.class_sizes_plot([3, 2, 1], [1, 1, 1])
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()
