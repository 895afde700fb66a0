"""What `mcproxy` alone shows: how things stand, and what comes next.

Whatever is wrong is part of the answer, with what mends it, and keeps nothing else from being told.
Only the server of this machine is asked, and not for long.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mcp_proxy import __version__
from mcp_proxy.cli import times
from mcp_proxy.cli.context import App
from mcp_proxy.cli.render import JsonObject, state_text, text
from mcp_proxy.cli.running_server import NoServer, RunningServer, running_server
from mcp_proxy.errors import UserError

if TYPE_CHECKING:
    from rich.text import Text

FIGURES_WITHIN = 1.5
"""Seconds. The server may have to ask its upstreams first; here nobody waits for that."""

_T = TypeVar("_T")


class Step(NamedTuple):
    """A command that somebody may want to run now."""

    run: str
    why: str


ADD = Step("mcproxy accounts add", "add an account")
DEMO = Step("mcproxy demo", "look around without an account")
SERVE = Step("mcproxy serve", "start the server")
SERVICE = Step("mcproxy service install", "have it started with the machine")
RUN = Step(
    "mcproxy run claude-code", "start a client on it; also codex, gemini-cli, opencode, aider, llm"
)
SETUP = Step("mcproxy setup claude-code", "lead a client to it for good")
LIMITS = Step("mcproxy limits", "see what is left of each model")
ACCOUNTS = Step("mcproxy accounts list", "see what an account needs of you")
DOCTOR = Step("mcproxy doctor", "look for what is wrong")
HELP = Step("mcproxy --help", "see everything else")

_CHECK_SETTINGS = "mcproxy config validate"
_OTHER_KEY = "set PROXY_API_KEY to the key of the server, or restart it: mcproxy serve"


class _Problems:
    """What was met that is wrong, each once, and what mends it."""

    def __init__(self) -> None:
        self._mended_by: dict[str, str | None] = {}

    def note(self, what: str, mend: str | None = None) -> None:
        """`mend` is None where `what` says it."""
        self._mended_by.setdefault(what, mend)

    def unless_met(self, read: Callable[[], _T], mend: str | None = None) -> _T | None:
        """What was read; None when it cannot be."""
        try:
            return read()
        except UserError as wrong:
            self.note(str(wrong), mend)
            return None

    def rows(self) -> list[JsonObject]:
        return [{"what": what, "mend": mend} for what, mend in self._mended_by.items()]


def overview(app: App) -> JsonObject:
    """The server, the accounts by state, the next reset, what is wrong, what comes next.

    None is what cannot be known.
    """
    problems = _Problems()
    server = problems.unless_met(lambda: running_server(app), _CHECK_SETTINGS)
    here = problems.unless_met(lambda: _counted_here(app, problems), DOCTOR.run)
    said = problems.unless_met(lambda: _health(server), DOCTOR.run) if server else None
    figures = None
    if server and said:
        figures = problems.unless_met(lambda: _figures(server), _OTHER_KEY)
    elif server:
        problems.unless_met(lambda: _require_startable(app))
    counts = said["accounts"] if said else here
    if figures:
        # Newer: the server may have asked its upstreams for them.
        counts = _by_state(account["state"] for account in figures["accounts"])
    return {
        "version": __version__,
        "server": {
            "running": said is not None if server else None,
            "url": server.url if server else None,
            "version": said["version"] if said else None,
        },
        "accounts": counts,
        "next_reset": _next_reset(figures) if figures else None,
        "problems": problems.rows(),
        "next": [step._asdict() for step in _next_steps(counts, running=said is not None)],
    }


def overview_view(report: JsonObject, now: datetime) -> "Iterator[Text]":
    """A few lines: how it stands, what is wrong, and a command with its purpose for each step."""
    server = report["server"]
    where = {True: f" serves at {server['url']}", False: ": no server runs", None: ""}
    version = server["version"] or report["version"]
    yield text(f"mcproxy {version}{where[server['running']]}", "bold")
    if report["accounts"] is not None:
        yield _accounts_line(report["accounts"])
    if report["next_reset"] is not None:
        yield text(_reset_line(report["next_reset"], now))
    if server["running"]:
        yield text(f"Base URL: {server['url']}, for OpenAI's API {server['url']}/v1")
    for each in report["problems"]:
        yield text(each["what"], "red")
        if each["mend"]:
            yield text("").append(f"  mend it: {each['mend']}")
    yield text("")
    for number, step in enumerate(report["next"]):
        yield text("").append("Or:   " if number else "Next: ").append(step["run"], "bold")
        yield text("").append(f"      {step['why']}", "dim")


def _counted_here(app: App, problems: _Problems) -> dict[str, int]:
    """How many accounts of this user are in which state; entries that are wrong are problems."""
    from mcp_proxy.cli.account_rows import Standings

    loaded = app.account_store().load()
    for problem in loaded.problems:
        problems.note(f"{app.paths.accounts}: {problem}")
    for warning in loaded.warnings:
        app.say(warning)
    return _by_state(row["state"] for row in Standings(app, loaded.accounts).rows())


def _by_state(states: Iterable[str]) -> dict[str, int]:
    """How many are in each; every state is named."""
    from mcp_proxy.policy.standing import State

    counted = Counter(states)
    return {state.value: counted[state.value] for state in State}


def _health(server: RunningServer) -> dict[str, Any] | None:
    """What the server says of itself; None when nobody listens there."""
    try:
        return server.health()
    except NoServer as absence:
        if absence.reason is None:
            return None
        raise UserError(absence.reason) from absence


def _figures(server: RunningServer) -> dict[str, Any] | None:
    """The server's limits; None when it has to ask for them itself, and that takes time."""
    try:
        return server.account_limits(within=FIGURES_WITHIN)
    except NoServer as absence:
        if isinstance(absence.__cause__, TimeoutError):
            return None
        raise UserError(absence.reason or f"nobody listens at {server.url} any more") from absence


def _next_reset(report: JsonObject) -> JsonObject | None:
    """The first of all that is to come, and of what."""
    resets = (
        {
            "account": account["id"],
            "model": row.get("model"),
            "window": row.get("window"),
            "at": row["resets_at"] or row["limited_until"],
        }
        for account in report["accounts"]
        if account["enabled"]
        for row in (*account["models"], *account["windows"])
        if row["remaining"] != 1
    )
    to_come = [each for each in resets if each["at"] is not None and each["at"] > report["at"]]
    return min(to_come, key=lambda each: str(each["at"]), default=None)


def _require_startable(app: App) -> None:
    """UserError when `serve` would refuse to start with these settings."""
    from mcp_proxy.cli.serve import check

    check(app.settings())


def _next_steps(counts: dict[str, int] | None, *, running: bool) -> tuple[Step, ...]:
    if counts is None:
        return (DOCTOR, HELP)
    if not any(counts.values()):
        return (ADD, DEMO, HELP)
    needy = (ACCOUNTS,) if counts["invalid"] else ()
    usual = (RUN, SETUP, LIMITS) if running else (SERVE, SERVICE)
    return (*needy, *usual, HELP)


def _accounts_line(counts: dict[str, int]) -> "Text":
    """`Accounts: 2 ready, 1 exhausted`."""
    present = [(state, count) for state, count in counts.items() if count]
    if not present:
        return text("No accounts yet")
    line = text("Accounts:")
    for number, (state, count) in enumerate(present):
        line.append(", " if number else " ").append(f"{count} ").append_text(state_text(state))
    return line


def _reset_line(reset: JsonObject, now: datetime) -> str:
    what = reset["model"] or f"{reset['window']} window"
    return f"Next reset {times.until(times.parse(reset['at']), now)}: {what} of {reset['account']}"
