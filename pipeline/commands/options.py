"""Options that several commands share."""

import click

config_option = click.option(
    "--config",
    "config_path",
    required=True,
    metavar="FILE",
    help="The configuration (YAML), or embedded:digits for the built-in demo.",
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value, e.g. train.seed=3. Repeatable."
)
recompute_option = click.option(
    "--recompute",
    is_flag=True,
    help="Run steps again whose stored results are damaged. Without it, such a result stops the run with its name.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as one JSON line on standard output."
)
