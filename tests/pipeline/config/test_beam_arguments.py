import json

import pytest

from restem.pipeline.config import load_config
from restem.pipeline.config.beam_arguments import known_options, unknown_options
from restem.pipeline.config.errors import ConfigError

MINIMAL = "data: {path: images}\nimage: {size: 32}\n"
FLINK = ["--flink_master=f:8081", "--environment_type=EXTERNAL"]


def test_the_names_read_from_beams_source_are_those_of_its_parser():
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    parser = _BeamArgumentParser(allow_abbrev=False, add_help=False)
    for one in {
        str(cls): cls for cls in PipelineOptions.__subclasses__() if cls.__module__.startswith("apache_beam.opt")
    }.values():
        one._add_argparse_args(parser)
    values = {
        name: "none" if action.nargs == 0 else "optional" if action.nargs == "?" else "needed"
        for action in parser._actions
        for name in action.option_strings
    }
    assert known_options("direct") == values
    assert values["--direct_num_workers"] == "needed"


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--direct_runing_mode=multi_processing", "Did you mean --direct_running_mode?"),
        ("--number_of_execution_retries=3", "Beam would drop it"),
        ("3", "Expected --NAME or --NAME=VALUE, given '3'"),
        ("-x", "Expected --NAME or --NAME=VALUE"),
        ("--direct_num_workers", "--direct_num_workers needs a value"),
        ("--runtime_type_check=true", "takes no value"),
    ],
)
def test_an_argument_that_beam_would_drop_is_refused_with_key_and_line(write, argument, told):
    path = write(f"{MINIMAL}beam:\n  args:\n    - --runtime_type_check\n    - {json.dumps(argument)}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert f"beam.args[1] ({path}, line 6)" in str(caught.value)
    assert told in str(caught.value)


def test_values_may_stand_behind_their_names(write):
    arguments = [
        "--direct_num_workers",
        "3",
        "--runtime_type_check",
        "--experiments",
        "a",
        "--update_compatibility_version",
    ]
    assert load_config(write(), [f"beam.args={json.dumps(arguments)}"]).beam.args == tuple(arguments)


def test_what_only_a_job_server_can_know_is_left_to_it_and_misspellings_are_not(write):
    def load(*more):
        return load_config(write(), [f"beam={json.dumps({'runner': 'flink', 'args': [*FLINK, *more]})}"])

    config = load("--number_of_execution_retries", "3", "--object_reuse")
    asked = [(one.number, one.name, one.value) for one in unknown_options(config)]
    assert asked == [(2, "--number_of_execution_retries", "3"), (4, "--object_reuse", None)]
    with pytest.raises(ConfigError, match=r"beam.args\[2\].*Did you mean --flink_version\?"):
        load("--flink_versoin=1.19")
