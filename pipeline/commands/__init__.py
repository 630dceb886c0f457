"""The commands of `restem`, one module each, imported only when called."""

import difflib
import importlib

import click

# Name: the module, and the line that `restem --help` shows without importing the module.
COMMANDS = {
    "init": ("restem.pipeline.commands.init", "Look at a folder of images and write a configuration for it."),
    "inspect": ("restem.pipeline.commands.inspect", "Show what a configuration would train on."),
    "run": ("restem.pipeline.commands.run", "Run the pipeline on this machine."),
    "report": ("restem.pipeline.commands.report", "Open the report of a run, or write it again."),
    "compare": ("restem.pipeline.commands.compare", "Set several runs side by side."),
    "models": ("restem.pipeline.commands.models", "List the released versions, and remove old ones."),
    "rollback": ("restem.pipeline.commands.rollback", "Make an earlier version the newest one again."),
    "clean": ("restem.pipeline.commands.clean", "Remove what no kept run and no released version needs."),
    "verify": ("restem.pipeline.commands.verify", "Check that a version has the files that were pushed."),
    "predict": ("restem.pipeline.commands.predict", "Classify images with a pushed model."),
    "export": ("restem.pipeline.commands.export", "Convert a pushed model to ONNX, TFLite or Keras, and compare."),
    "stem": ("restem.pipeline.commands.stem", "Change one network's stem and print the transfer report."),
    "checkpoint": ("restem.pipeline.commands.checkpoint", "Say what a weights file holds, and what would be taken."),
    "pretrain": ("restem.pipeline.commands.pretrain", "Train a source checkpoint on a folder of images."),
    "repair": ("restem.pipeline.commands.repair", "Set a damaged metadata database aside."),
    "compile": ("restem.pipeline.commands.compile", "Compile the pipeline for Kubeflow Pipelines."),
    "kubeflow": ("restem.pipeline.commands.kubeflow", "Run the pipeline on Kubeflow Pipelines, once or on a schedule."),
    "doctor": ("restem.pipeline.commands.doctor", "Check this machine: what is installed, and what is missing."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a new user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Imports the command's module."""
        if name not in COMMANDS:
            return None
        module, _ = COMMANDS[name]
        return getattr(importlib.import_module(module), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click, but suggests the nearest command for an unknown one."""
        if args and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" Commands: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the one-line descriptions without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="restem", prog_name="restem")
def restem() -> None:
    """Put a new stem on a pretrained ResNet, and take it to production."""
