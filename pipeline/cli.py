"""The command line `restem`. Heavy modules are imported only when a command needs them."""

import os
import signal
import sys


def main() -> None:
    """The console script: runs one command. Exit codes: 0, 1 (the work failed), 2 (the user's input is wrong)."""
    signal.signal(signal.SIGINT, _nothing_done)
    # No error message when the output is piped into `head`.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    import click

    from restem.errors import RestemError
    from restem.pipeline.commands import restem
    from restem.pipeline.errors import Interrupted, raise_on_signals, refused_by_the_system
    from restem.stem import StemError

    raise_on_signals()
    try:
        sys.exit(restem.main(prog_name="restem", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        _end(error.format_message(), 2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (RestemError, StemError) as error:
        _end(f"restem: {error}", getattr(error, "exit_code", 2))
    except Interrupted as interrupt:
        _end(f"restem: {interrupt}", 128 + interrupt.signum)
    except (KeyboardInterrupt, click.exceptions.Abort):
        _end("restem: interrupted (SIGINT)", 130)
    except OSError as error:
        told = refused_by_the_system(error)
        if told is None:
            _unexpected(error)
        _end(f"restem: {told}", getattr(told, "exit_code", 2))
    except Exception as error:
        _unexpected(error)


def _end(message: str, code: int) -> None:
    from restem.visible import visible_lines

    print(visible_lines(message), file=sys.stderr, flush=True)
    # No teardown: threads of heavy libraries must not delay the exit, and a second Ctrl-C must not show a stack trace.
    sys.stdout.flush()
    os._exit(code)


def _nothing_done(_signum: int, _frame: object) -> None:
    _end("restem: interrupted (SIGINT) before any work started", 130)


def _unexpected(error: Exception) -> None:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="restem-", suffix=".log", delete=False) as log:
        log.write("".join(traceback.format_exception(error)))
    last = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    _end(f"restem: Unexpected error: {last}. The stack trace is in {log.name}.", 1)


if __name__ == "__main__":
    main()
