"""`mcproxy config`: what is in force and why, a file to begin with, and whether a file is right."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_proxy.cli.context import App, pass_app
from mcp_proxy.cli.lazy import VerbGroup
from mcp_proxy.cli.render import JsonObject, column, json_option, show, table, text
from mcp_proxy.errors import UserError
from mcp_proxy.store.paths import Paths
from mcp_proxy.store.setting import SWITCH
from mcp_proxy.store.settings import CONFIG_EXIT, SETTINGS, load_settings

if TYPE_CHECKING:
    from mcp_proxy.cli.layout import Shown

SHOW_SCHEMA = "mcproxy.config/1"
INIT_SCHEMA = "mcproxy.config-init/1"
VALIDATE_SCHEMA = "mcproxy.config-validate/1"

_Command = Callable[..., Any]


@click.group(
    cls=VerbGroup,
    epilog="""\b
Examples:
  mcproxy config show --origin
  mcproxy config init
  mcproxy config validate
""",
)
def config() -> None:
    """Show the settings in force, begin a settings file, check one."""


def _flags_of_serve(command: _Command) -> _Command:
    """The same flags that `serve` takes, from the same table."""
    for row in reversed(SETTINGS):
        if row.flag is None:
            continue
        name = row.flag.replace("_", "-")
        declared = f"--{name}/--no-{name}" if row.kind is SWITCH else f"--{name}"
        command = click.option(declared, row.flag, default=None, help=row.help)(command)
    return command


@config.command(
    "show",
    epilog="""\b
Examples:
  mcproxy config show --origin
  mcproxy config show --origin --port 9000
""",
)
@click.option("--origin", is_flag=True, help="Show also who has set each value.")
@_flags_of_serve
@json_option(SHOW_SCHEMA)
@pass_app
def show_config(app: App, /, *, origin: bool, as_json: bool, **options: Any) -> None:
    """Show every setting in force; secrets are masked.

    With flags of `serve`: what would be in force if it were started with them.
    """
    report = config_report(app.paths, _given(options), os.environ)
    for warning in report["warnings"]:
        app.say(warning)
    show(report, lambda shown: _settings_view(shown, origin=origin), as_json=as_json)


def config_report(paths: Paths, flags: Mapping[str, object], env: Mapping[str, str]) -> JsonObject:
    """Every setting with its origin, without secrets. UserError for one that is wrong."""
    from mcp_proxy.store.origins import document, sourced_settings

    settings, rows = sourced_settings(paths, flags, env)
    return {
        "schema": SHOW_SCHEMA,
        "file": str(paths.config),
        "settings": [document(row) for row in rows],
        "warnings": list(settings.warnings),
    }


@config.command(
    "init",
    epilog="""\b
Examples:
  mcproxy config init
  mcproxy --config ./mcproxy.toml config init
""",
)
@click.option("--force", is_flag=True, help="Put an old file aside as *.bak and begin a new one.")
@json_option(INIT_SCHEMA)
@pass_app
def init_config(app: App, /, *, force: bool, as_json: bool) -> None:
    """Write a settings file in which every setting is a comment. Overwrites nothing."""
    from mcp_proxy.store.config_template import config_template

    file = app.paths.config
    kept = _make_room(file, force=force)
    _write_new(file, config_template())
    result = {"schema": INIT_SCHEMA, "file": str(file), "kept": str(kept) if kept else None}
    show(result, _written_view, as_json=as_json)


@config.command(
    "validate",
    epilog="""\b
Examples:
  mcproxy config validate
  mcproxy config validate ./mcproxy.toml --json
""",
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@json_option(VALIDATE_SCHEMA)
@pass_app
def validate_config(app: App, /, *, file: Path | None, as_json: bool) -> int:
    """Check a settings file as `serve` would.

    Exit 0 when it can start with it, 78 when not. Without FILE, the one in use, and the variables
    with it.
    """
    paths, env = app.paths, os.environ
    if file is not None:
        paths = replace(paths, config=file.absolute(), config_is_required=True)
    report = validation(paths, env)
    for warning in report["warnings"]:
        app.say(warning)
    if as_json or report["valid"]:
        show(report, _validation_view, as_json=as_json)
    else:
        raise UserError(_located(report), exit_code=CONFIG_EXIT)
    return 0 if report["valid"] else CONFIG_EXIT


def validation(paths: Paths, env: Mapping[str, str]) -> JsonObject:
    """Whether `serve` would start; if not, why, and on which line where it can be told."""
    from mcp_proxy.cli.serve import check

    report = {"schema": VALIDATE_SCHEMA, "file": str(paths.config), "valid": True}
    try:
        settings = load_settings(paths, {}, env)
        check(settings)
    except UserError as wrong:
        place = {"problem": str(wrong), "line": _line_of(paths.config, str(wrong))}
        return {**report, "valid": False, **place, "warnings": []}
    return {**report, "problem": None, "line": None, "warnings": list(settings.warnings)}


def _given(options: Mapping[str, Any]) -> dict[str, object]:
    """The flags that were given, as values and not as text."""
    kinds = {row.flag: row.kind for row in SETTINGS if row.flag}
    return {
        name: kinds[name].from_text(value) if isinstance(value, str) else value
        for name, value in options.items()
        if value is not None
    }


def _settings_view(report: JsonObject, *, origin: bool) -> "Iterable[Shown]":
    file = Path(report["file"])
    rows = table("SETTING", column("VALUE", wraps=True), *(["ORIGIN"] if origin else []))
    for row in report["settings"]:
        cells = [text(row["path"], "bold" if row["where"] else ""), text(_written(row["value"]))]
        if origin:
            # The directory is the same in every row, and is told once below.
            where = (row["where"] or row["origin"]).replace(report["file"], file.name)
            cells.append(text(where, "" if row["where"] else "dim"))
        rows.add_row(*cells)
    yield rows
    if origin and file.exists():
        yield text("")
        yield text(f"{file.name} is {file}", "dim")


def _written(value: Any) -> str:
    """As in TOML, where that is short; a soft limit that is none is `off` there."""
    return "off" if value is None else json.dumps(value, ensure_ascii=False)


def _make_room(file: Path, *, force: bool) -> Path | None:
    """Where the old file is now, when there was one. UserError when it is to be left alone."""
    if not file.exists() and not file.is_symlink():
        return None
    if not force:
        raise UserError(
            f"{file} is there already and stays as it is. To put it aside and begin a new one, "
            "run: mcproxy config init --force"
        )
    names = (f"{file.name}{f'.{number}' if number else ''}.bak" for number in count())
    kept = next(free for name in names if not (free := file.with_name(name)).exists())
    file.rename(kept)
    return kept


def _write_new(file: Path, content: str) -> None:
    from mcp_proxy.store.atomic import make_private_directory, replace_file

    try:
        make_private_directory(file.parent)
        replace_file(file, content.encode())
    except OSError as cause:
        raise UserError(f"{file}: cannot be written: {cause.strerror}") from cause


def _written_view(result: JsonObject) -> "Iterable[Shown]":
    if result["kept"]:
        yield text(f"The old file is now {result['kept']}")
    yield text(f"Wrote {result['file']}. Check it after a change: mcproxy config validate")


def _validation_view(report: JsonObject) -> "Iterable[Shown]":
    there = Path(report["file"]).exists()
    yield text(
        f"{report['file']}: " + ("right" if there else "not there, the defaults are in force")
    )


def _located(report: JsonObject) -> str:
    """What is wrong, with the line for those messages that name a field alone."""
    file, problem = report["file"], str(report["problem"])
    if report["line"] is None or ": line " in problem:
        return problem
    return problem.replace(f"{file}: ", f"{file}: line {report['line']}: ", 1)


def _line_of(file: Path, problem: str) -> int | None:
    """The line of the field that such a message begins with; None when there is none."""
    from mcp_proxy.store.atomic import Refused, read_plain_file
    from mcp_proxy.store.toml_lines import key_lines
    from mcp_proxy.store.toml_text import MalformedToml, parse_toml

    about = problem.removeprefix(f"{file}: ")
    if about == problem:
        return None
    with suppress(OSError, Refused):
        content = read_plain_file(file)
        try:
            parse_toml(content)
        except MalformedToml as malformed:
            return malformed.line
        # A field that is missing is named below the table it is missing from.
        named = [
            (path, line)
            for path, line in key_lines(content).items()
            if about.startswith((f"{path} ", f"{path}."))
        ]
        return max(named, key=lambda each: len(each[0]), default=("", None))[1]
    return None
