"""Options that several commands share."""

import click

config_option = click.option(
    "--config",
    "config_path",
    required=True,
    metavar="FILE",
    help="The configuration (YAML), or embedded:digits, the demo that comes with the package.",
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value, e.g. train.seed=3. Repeatable."
)
json_option = click.option("--json", "as_json", is_flag=True, help="The result as one line of JSON on standard output.")
