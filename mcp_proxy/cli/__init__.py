"""The command line. `main` is the console script: it turns every outcome into an exit code.

0 done, 1 failed, 2 wrong usage, 78 the configuration must be mended, 130 interrupted.
"""

import os
import sys
from pathlib import Path

import click

from mcp_proxy import __version__
from mcp_proxy.cli.context import App
from mcp_proxy.cli.help_format import HelpFormatter, complain
from mcp_proxy.cli.interruption import take_signals
from mcp_proxy.cli.lazy import RootGroup, Verb
from mcp_proxy.cli.render import json_option, show, tell
from mcp_proxy.cli.terminal import (
    adapt_streams,
    let_go_of_the_unwritable,
    open_missing_streams,
)
from mcp_proxy.errors import UserError
from mcp_proxy.spelling import did_you_mean

FAILED = 1
INTERRUPTED = 130

OVERVIEW = "mcproxy.overview/1"
"""The document of `mcproxy --json`."""

VERBS = {
    "accounts": Verb(
        "mcp_proxy.cli.accounts:accounts",
        "Add accounts, look at them, try them, remove them.",
        is_group=True,
    ),
    "serve": Verb("mcp_proxy.cli.serve:serve", "Run the server in the foreground."),
    "limits": Verb(
        "mcp_proxy.cli.limits:limits",
        "Show what is left of each model of all accounts, or of some.",
    ),
    "health": Verb("mcp_proxy.cli.health:health", "Ask the running server whether it serves."),
    "models": Verb(
        "mcp_proxy.cli.models:models", "Show every model that can be asked for, and who serves it."
    ),
    "route": Verb(
        "mcp_proxy.cli.route:route",
        "Show where a model name leads now, and why.",
    ),
    "run": Verb(
        "mcp_proxy.cli.run_client:run",
        "Start a client with the server as its API.",
    ),
    "env": Verb(
        "mcp_proxy.cli.env_verb:env", "Print the variables that lead a client to the server."
    ),
    "setup": Verb(
        "mcp_proxy.cli.setup_client:setup",
        "Lead a client to the server in its own settings file.",
    ),
    "unsetup": Verb("mcp_proxy.cli.setup_client:unsetup", "Take back what setup changed."),
    "explain": Verb(
        "mcp_proxy.cli.explain:explain",
        "Tell what was decided for a request.",
    ),
    "test": Verb(
        "mcp_proxy.cli.test_verb:test", "Try the running server in the dialects of all clients."
    ),
    "service": Verb(
        "mcp_proxy.cli.service:service",
        "Run the server as a service of this machine.",
        is_group=True,
    ),
    "doctor": Verb("mcp_proxy.cli.doctor:doctor", "Look for what is wrong, and say what mends it."),
    "config": Verb(
        "mcp_proxy.cli.config_verb:config",
        "Show the settings in force, begin a settings file, check one.",
        is_group=True,
    ),
    "paths": Verb("mcp_proxy.cli.paths_verb:paths", "Show the files and directories in use."),
    "completion": Verb(
        "mcp_proxy.cli.completion:completion",
        "Print the script that completes words in bash, zsh or fish.",
    ),
    "help": Verb("mcp_proxy.cli.help_verb:show_help", "Show a page of the manual."),
    "demo": Verb(
        "mcp_proxy.cli.demo:demo",
        "Play the main job on an embedded upstream; no account is needed.",
    ),
}

_ON = frozenset({"1", "true", "yes", "on"})

EXAMPLES = """\b
Examples:
  mcproxy demo
  mcproxy accounts add --provider antigravity
  mcproxy serve
"""


click.Context.formatter_class = HelpFormatter


@click.group(
    cls=RootGroup,
    verbs=VERBS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLES,
)
@click.version_option(__version__, prog_name="mcproxy", message="%(prog)s %(version)s")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file instead of the usual config.toml.",
)
@click.option("-v", "--verbose", count=True, help="Say more; repeat for still more.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the answer and errors.")
@json_option(OVERVIEW)
@click.pass_context
def mcproxy(
    ctx: click.Context, *, config: Path | None, verbose: int, quiet: bool, as_json: bool
) -> None:
    """One local server in front of your own AI accounts, for clients of the big APIs.

    Without a command: how things stand, and what comes next.
    """
    app = App(config=config, verbosity=-1 if quiet else verbose)
    ctx.obj = app
    _set_up_logging(app.verbosity)
    if ctx.invoked_subcommand != "serve":  # which lets its answers end first
        take_signals()
    if ctx.invoked_subcommand is None:
        _show_overview(app, as_json=as_json)
    elif as_json:
        ctx.fail(f"--json goes behind the command: mcproxy {ctx.invoked_subcommand} ... --json")


def main() -> None:
    """The console script."""
    open_missing_streams()
    try:
        code = run(sys.argv[1:])
    finally:
        let_go_of_the_unwritable()
    if code == INTERRUPTED:
        # Not sys.exit, which waits for threads, and those for upstreams.
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Do what the arguments say. The exit code; every error is one line on stderr."""
    adapt_streams()
    try:
        code = _outcome(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # `mcproxy … | head`: not worth a word. The code is that of click, rich and Python's own
        # manual for an answer that nobody read.
        return FAILED
    except OSError as cause:
        return _told(f"the answer cannot be written: {cause.strerror}", FAILED, trace=False)
    return code


def _outcome(arguments: list[str]) -> int:
    """The exit code of what the arguments say; an error has been told."""
    if os.environ.get("_MCPROXY_COMPLETE"):
        return _complete(arguments)
    try:
        code = mcproxy.main(arguments, prog_name="mcproxy", standalone_mode=False)
    except click.ClickException as error:
        complain(_in_our_words(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except UserError as error:
        return _told(str(error), error.exit_code, trace=_debugs(arguments))
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: nobody is shown a traceback
        if isinstance(error, OSError):
            sys.stdout.flush()  # fails again when it was the answer that could not be written
        what = f"{type(error).__name__}: {error} (DEBUG=1 shows where; mcproxy doctor looks around)"
        return _told(what, FAILED, trace=_debugs(arguments))
    return code if isinstance(code, int) else 0


def _in_our_words(error: click.ClickException) -> click.ClickException:
    """An option that there is not is told the nearest as everything else is."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error
    options = error.ctx.command.get_params(error.ctx)
    known = [name for option in options for name in option.opts if name.startswith("--")]
    hint = did_you_mean(error.option_name, known)
    return click.UsageError(f"There is no option {error.option_name}.{hint}", error.ctx)


def _complete(words: list[str]) -> int:
    """The answer to the completion script of a shell."""
    from mcp_proxy.cli.completing import answer

    click.echo(answer(mcproxy, words), nl=False)
    return 0


def _told(message: str, exit_code: int, *, trace: bool) -> int:
    # Not at the top: what ends well, and a word that a shell completes, does without.
    import logging
    import traceback

    from mcp_proxy.cli.journal import leads_to_journal, priority

    if trace:
        traceback.print_exc()
    # The journal sorts by it, and of a service that failed to start this line is all there is.
    mark = priority(logging.ERROR) if leads_to_journal(2, os.environ) else ""
    tell(f"{mark}mcproxy: {message}")
    return exit_code


def _debugs(arguments: list[str]) -> bool:
    return "--debug" in arguments or os.environ.get("DEBUG", "").lower() in _ON


def _show_overview(app: App, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from mcp_proxy.cli.overview import overview, overview_view

    report = {"schema": OVERVIEW, **overview(app)}
    show(report, lambda shown: overview_view(shown, datetime.now(UTC)), as_json=as_json)


def _set_up_logging(verbosity: int) -> None:
    """For the short verbs: what goes wrong on the side is said on stderr. `serve` has its own."""
    import logging

    levels = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}
    logger = logging.getLogger("mcp_proxy")
    logger.handlers[:] = [handler := logging.StreamHandler()]
    handler.setFormatter(logging.Formatter("mcproxy: %(message)s"))
    logger.setLevel(levels.get(verbosity, logging.DEBUG))
    logger.propagate = False
