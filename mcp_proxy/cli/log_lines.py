"""How `serve` writes its log: as text, as JSON, or for somebody who looks on.

A record is one line, whatever clients and upstreams put into it. A batch of requests, which comes
as one record with `requests`, is a line for each of them.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from mcp_proxy import __version__
from mcp_proxy.cli.journal import leads_to_journal, priority
from mcp_proxy.cli.log_writer import LogWriter
from mcp_proxy.printable import printable

if TYPE_CHECKING:
    from mcp_proxy.server.access_log import Requests

Form = Literal["terminal", "text", "json"]

_BODIES = "mcp_proxy.server.generate"
"""Its debug records are what was asked and answered."""

_LOUD_ENOUGH: Mapping[str, int] = {
    "mcp_proxy.engine": logging.WARNING,
    "mcp_proxy.engine.runtime": logging.INFO,
}
"""On a terminal. What the engine does for a request is in the request's own line."""


def form_of(wanted: str, stream: TextIO | None) -> Form:
    """What a setting of `auto`, `text` or `json` comes to on this stream; None: it is closed."""
    if wanted == "json":
        return "json"
    is_terminal = stream is not None and stream.isatty()
    return "terminal" if wanted == "auto" and is_terminal else "text"


def set_up_logging(form: Form, *, debug: bool, verbosity: int) -> None:
    """Everything that this program and its libraries have to say goes to stderr in this form."""
    level = logging.DEBUG if debug or verbosity > 0 else logging.INFO
    if verbosity < 0:
        level = logging.WARNING
    handler = LogWriter(sys.stderr)
    handler.setFormatter(_formatter(form, traces=debug))
    logging.raiseExceptions = False
    # What the libraries have to say, for example of requests that are not HTTP.
    logging.getLogger().handlers[:] = [handler]
    root = logging.getLogger("mcp_proxy")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
    if level == logging.DEBUG and not debug:
        logging.getLogger(_BODIES).setLevel(logging.INFO)
    if level == logging.INFO and form == "terminal":
        for name, enough in _LOUD_ENOUGH.items():
            logging.getLogger(name).setLevel(enough)


def _formatter(form: Form, *, traces: bool) -> logging.Formatter:
    if form == "terminal":
        from mcp_proxy.cli.terminal_lines import TerminalLines

        return TerminalLines(traces=traces)
    if form == "json":
        return JsonLines(traces=traces)
    return TextLines(traces=traces, journal=leads_to_journal(2, os.environ))


def say_ready(form: Form, url: str, what: str) -> None:
    """The one line for which those wait who have started the server; not even `-q` stills it.

    As with a record, where it cannot be written the server serves nevertheless.
    """
    message = f"mcproxy is ready at {url} ({what})"
    if form != "json":
        with suppress(OSError):
            click.echo(message, err=True)
        return
    logger = logging.getLogger("mcp_proxy.serve")
    facts = {"facts": {"event": "ready", "url": url, "version": __version__}}
    # Not `info`, which asks for the level.
    logger.handle(
        logger.makeRecord(logger.name, logging.INFO, "", 0, message, (), None, extra=facts)
    )


def requests_of(record: logging.LogRecord) -> "Requests | None":
    """The requests that a record tells of; those of other records is None."""
    requests: Requests | None = getattr(record, "requests", None)
    return requests


class Lines(logging.Formatter):
    """What all forms do alike with an exception that nobody has foreseen."""

    def __init__(self, *, traces: bool) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S%z")
        self.traces = traces

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """The trace for those who asked for it; else the kind of error.

        Not its text: the HTTP library's quotes the header that it could not read, key and all.
        """
        return super().formatException(ei) if self.traces else f"{ei[0].__name__} (see --debug)"


class TextLines(Lines):
    """Time and level before every line: no message can look like another record."""

    def __init__(self, *, traces: bool, journal: bool) -> None:
        super().__init__(traces=traces)
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        head = self._head(record)
        requests = requests_of(record)
        if requests is not None:
            # Printable as they are; they are most of the log.
            return head + str(requests).replace("\n", "\n" + head)
        lines = map(printable, super().format(record).split("\n"))
        return head + ("\n" + head).join(lines)

    def _head(self, record: logging.LogRecord) -> str:
        if self._journal:
            return priority(record.levelno)
        return f"{self.formatTime(record, self.datefmt)} {record.levelname:<7} "


class JsonLines(Lines):
    """One JSON object per line, in ASCII; beside the usual fields the facts of the record."""

    def format(self, record: logging.LogRecord) -> str:
        requests = requests_of(record)
        if requests is None:
            facts = {**getattr(record, "facts", {}), **self._exception(record)}
            return _object(record, record.created, record.getMessage(), facts)
        return "\n".join(
            _object(record, at, f"{facts.method} {facts.path} {facts.status}", facts._asdict())
            for at, facts, _ in requests
        )

    def _exception(self, record: logging.LogRecord) -> Mapping[str, str]:
        if not record.exc_info or record.exc_info[0] is None:
            return {}
        kind = record.exc_info[0].__name__
        trace = {"trace": self.formatException(record.exc_info)} if self.traces else {}
        return {"exception": kind, **trace}


def _object(record: logging.LogRecord, at: float, message: str, facts: Mapping[str, object]) -> str:
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps(
        {
            "ts": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
            **facts,
        }
    )
