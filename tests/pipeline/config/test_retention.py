"""What the section `retention` accepts."""

import pytest

from restem.pipeline.config import ConfigError, config_from_json, load_config
from tests.pipeline.conftest import MINIMAL


def test_without_the_section_everything_stays(write):
    assert not load_config(write()).retention.wanted


def test_a_valid_section_survives_the_way_to_the_worker(write):
    config = load_config(write(MINIMAL + "retention: {runs: 3, versions: 2, quarantine: 30}\n"))
    assert config.retention.wanted
    assert config_from_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{runs: 0}", "retention.runs"),
        ("{runs: 2.5}", "retention.runs"),
        ("{versions: 1}", "retention.versions .* at least 2: the served one"),
        ("{days: 3}", "retention.days"),
        ("{quarantine: 5}", r"Expected retention.runs, and .* given quarantine 5, runs null \(all\)"),
        ("{runs: 5, quarantine: 4}", "given quarantine 4, runs 5"),
    ],
)
def test_what_is_refused(write, section, said):
    with pytest.raises(ConfigError, match=said):
        load_config(write(f"{MINIMAL}retention: {section}\n"))
