"""`restem kubeflow`: runs the pipeline on a Kubeflow Pipelines server."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from restem.pipeline.commands.options import json_option, set_option
from restem.visible import say

if TYPE_CHECKING:
    from restem.pipeline.config import Config
    from restem.pipeline.kubeflow.client.server import Server

PACKAGES = ("kfp", "kfp_server_api", "cronsim")  # of the extra [kubeflow]
EPILOG = (
    "Set a token with RESTEM_KUBEFLOW_TOKEN or --token-file, a session cookie with RESTEM_KUBEFLOW_COOKIE or "
    "--cookie-file. Inside the cluster the pod's own token is used."
)


def server_options(command: Callable) -> Callable:
    """Adds the options for the server's address and the login."""
    options = (
        click.option("--host", metavar="URL", help="The server. Default: kubeflow.host, or KF_PIPELINES_ENDPOINT."),
        click.option("--namespace", metavar="NAME", help="Your namespace, if Kubeflow has several users."),
        click.option("--token-file", metavar="FILE", help="A file with the token."),
        click.option("--cookie-file", metavar="FILE", help="A file with the cookie of a logged-in session."),
        click.option("--ca-cert", metavar="FILE", help="Certificates to trust instead of the default authorities."),
    )
    for option in reversed(options):
        command = option(command)
    return command


optional_config = click.option(
    "--config", "config_path", metavar="FILE", help="The configuration (YAML), or embedded:digits."
)
package_option = click.option(
    "--package", metavar="FILE.yaml", help="The output of restem compile, instead of compiling now."
)
name_option = click.option("--name", metavar="NAME", help="The pipeline's name, if there is no configuration.")


class KubeflowGroup(click.Group):
    """Lists its commands in the order in which a user needs them, and reports missing packages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of this file."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Like click, but explains a missing package."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            from restem.errors import RestemError

            if (error.name or "").split(".")[0] not in PACKAGES:
                raise
            raise RestemError(
                f"the Python package {error.name} is missing", remedy="pip install 'restem[kubeflow]' installs it"
            ) from None


@click.group(cls=KubeflowGroup, epilog=EPILOG)
def kubeflow() -> None:
    """Run the pipeline on Kubeflow Pipelines, once or on a schedule."""


@kubeflow.command(epilog=EPILOG)
@optional_config
@set_option
@package_option
@server_options
@json_option
def upload(
    config_path: str | None, overrides: tuple[str, ...], package: str | None, as_json: bool, **access: Any
) -> None:
    """Compile the pipeline and upload it.

    If the server already has the same content, nothing is uploaded.
    """
    config = (_config if package is None else _optional_config)(config_path, overrides)
    name, text, server = _prepared(config, package, access)
    version = _uploaded(server, name, text)
    _result(as_json, version.link or version.version_id, version.__dict__)


@kubeflow.command(epilog=EPILOG)
@optional_config
@set_option
@package_option
@click.option("--no-wait", is_flag=True, help="Start the run and do not follow it.")
@server_options
@json_option
def run(
    config_path: str | None,
    overrides: tuple[str, ...],
    package: str | None,
    no_wait: bool,
    as_json: bool,
    **access: Any,
) -> int:
    """Run the pipeline now and follow the run.

    The exit code is 0 if the run succeeded, else 1. Ctrl-C stops following; the run continues.
    """
    from restem.pipeline.kubeflow.client.runs import start_run

    config = _config(config_path, overrides)
    name, text, server = _prepared(config, package, access)
    started = start_run(server, config.kubeflow, name, _uploaded(server, name, text))
    link = server.link(f"runs/details/{started.run_id}")
    _say(f"started run {started.run_id}{f': {link}' if link else ''}")
    if no_wait:
        _result(as_json, started.run_id, {**_nothing_known(started), "link": link})
        return 0
    return _follow(server, started.run_id, as_json)


@kubeflow.command(epilog=EPILOG)
@optional_config
@set_option
@package_option
@server_options
@json_option
def schedule(
    config_path: str | None, overrides: tuple[str, ...], package: str | None, as_json: bool, **access: Any
) -> None:
    """Run the pipeline on the schedule in kubeflow.schedule.

    A pipeline has one schedule. A changed schedule replaces it without missing a run.
    """
    from restem.pipeline.kubeflow.client.schedule import schedule as keep
    from restem.pipeline.kubeflow.client.schedule import schedule_of
    from restem.pipeline.kubeflow.client.status import next_runs

    config = _config(config_path, overrides)
    wanted, cron = schedule_of(config.kubeflow)
    name, text, server = _prepared(config, package, access)
    outcome = keep(server, config.kubeflow, name, _uploaded(server, name, text), _say)
    upcoming = [] if wanted.paused else next_runs(cron, server.now())
    print_to = _stream(as_json)
    say(f"the schedule of {name} is {outcome.action}", file=print_to)
    for line in upcoming or ["paused: no runs start until restem kubeflow resume"]:
        say(f"  {line}", file=print_to)
    _result(as_json, None, {**outcome.__dict__, "next": upcoming})


@kubeflow.command(epilog=EPILOG)
@optional_config
@name_option
@server_options
@json_option
def unschedule(config_path: str | None, name: str | None, as_json: bool, **access: Any) -> None:
    """Remove the schedule. Runs in progress continue."""
    from restem.pipeline.kubeflow.client.schedule import unschedule as remove

    name, server = _named(config_path, name, access)
    outcome = remove(server, name, _say)
    words = {"none": f"{name} has no schedule", "deleted": f"the schedule of {name} is removed"}
    _result(as_json, words[outcome.action], outcome.__dict__)


@kubeflow.command(epilog=EPILOG)
@optional_config
@name_option
@server_options
@json_option
def pause(config_path: str | None, name: str | None, as_json: bool, **access: Any) -> None:
    """Pause the schedule: it starts no more runs."""
    _switch(config_path, name, access, as_json, on=False)


@kubeflow.command(epilog=EPILOG)
@optional_config
@name_option
@server_options
@json_option
def resume(config_path: str | None, name: str | None, as_json: bool, **access: Any) -> None:
    """Resume a paused schedule."""
    _switch(config_path, name, access, as_json, on=True)


@kubeflow.command(epilog=EPILOG)
@click.argument("run_id", required=False)
@optional_config
@name_option
@click.option("--follow", "following", is_flag=True, help="Follow the run until it ends.")
@server_options
@json_option
def status(
    run_id: str | None, config_path: str | None, name: str | None, following: bool, as_json: bool, **access: Any
) -> int:
    """Show a run, or the schedule and the newest runs.

    For a failed run, the first line is the failing step's own error, and the exit code is 1.
    """
    from restem.pipeline.kubeflow.client.status import overview, show_overview, show_report

    if run_id is None:
        name, server = _named(config_path, name, access)
        config = _optional_config(config_path)
        seen = overview(server, name, config.kubeflow.schedule if config else None)
        if not following or seen.newest is None:
            show_overview(seen, _stream(as_json))
            _result(as_json, None, seen.to_dict())
            return int(seen.newest is not None and seen.newest.run.state == "FAILED")
        run_id = seen.newest.run.run_id
    else:
        config = _optional_config(config_path)
        server = _server(config, access)
    if following:
        return _follow(server, run_id, as_json)
    from restem.pipeline.kubeflow.client.following import report

    found = report(server, run_id)
    show_report(found, _stream(as_json))
    _result(as_json, None, found.to_dict())
    return int(found.run.state == "FAILED")


def _config(path: str | None, overrides: tuple[str, ...]) -> "Config":
    from restem.pipeline.config import load_config

    if path is None:
        raise click.UsageError("Missing option '--config'.")
    return load_config(path, overrides)


def _optional_config(path: str | None, overrides: tuple[str, ...] = ()) -> "Config | None":
    return None if path is None else _config(path, overrides)


def _named(config_path: str | None, name: str | None, access: dict[str, Any]) -> tuple[str, "Server"]:
    if (config_path is None) == (name is None):
        raise click.UsageError("Give either --config or --name to select the pipeline.")
    config = _optional_config(config_path)
    return (config.name if config else str(name)), _server(config, access)


def _prepared(config: "Config | None", package: str | None, access: dict[str, Any]) -> tuple[str, str, "Server"]:
    """The pipeline's name and package, and the server, which is contacted before compiling (twenty seconds)."""
    from restem.pipeline.commands.compiling import compile_config
    from restem.pipeline.kubeflow.client.upload import read_package

    if package is not None:
        name, text = read_package(package)
        if config is not None and config.name != name:
            from restem.errors import RestemError

            remedy = "Compile the package from this configuration, or give the configuration it was compiled from"
            raise RestemError(
                "the package contains another pipeline", where=package, expected=config.name, given=name, remedy=remedy
            )
        return name, text, _server(config, access)
    assert config is not None  # the commands ask for it where there is no package
    server = _server(config, access)
    _say("compiling the pipeline ...")
    return config.name, compile_config(config), server


def _server(config: "Config | None", access: dict[str, Any]) -> "Server":
    from restem.pipeline.kubeflow.client.access import find_access
    from restem.pipeline.kubeflow.client.server import Server

    return Server(find_access(config.kubeflow if config else None, **access))


def _uploaded(server: "Server", name: str, package: str) -> Any:
    from restem.pipeline.kubeflow.client.upload import upload as bring

    version = bring(server, name, package)
    words = "is uploaded" if version.new else "is already on the server: nothing to upload"
    _say(f"version {version.name} {words}")
    return version


def _follow(server: "Server", run_id: str, as_json: bool) -> int:
    from restem.pipeline.kubeflow.client.following import follow
    from restem.pipeline.kubeflow.client.status import show_report

    ended = follow(server, run_id, _say)
    show_report(ended, _stream(as_json))
    _result(as_json, None, ended.to_dict())
    return 0 if ended.run.state == "SUCCEEDED" else 1


def _switch(config_path: str | None, name: str | None, access: dict[str, Any], as_json: bool, on: bool) -> None:
    from restem.pipeline.kubeflow.client.schedule import pause as switch

    name, server = _named(config_path, name, access)
    outcome = switch(server, name, on)
    words = {"unchanged": "is already running" if on else "is already paused"}
    _result(as_json, f"the schedule of {name} {words.get(outcome.action, f'is {outcome.action}')}", outcome.__dict__)


def _nothing_known(run: Any) -> dict[str, Any]:
    return {"run_id": run.run_id, "name": run.display_name, "state": run.state, "error": None, "steps": []}


def _say(text: str) -> None:
    say(text, file=sys.stderr, flush=True)


def _stream(as_json: bool) -> Any:
    """The stream for text: with --json, standard output has only the JSON line."""
    return sys.stderr if as_json else sys.stdout


def _result(as_json: bool, text: str | None, data: dict[str, Any]) -> None:
    if text:
        say(text, file=_stream(as_json), flush=True)
    if as_json:
        print(json.dumps(data), flush=True)
