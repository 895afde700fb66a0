"""The shapes in which servers write an error, read into one.

All of providers.md 3, 7 and 8.8: `{"error": {...}}`, `{"error": "text"}`, `{"detail": ...}`,
`{"object": "error", ...}`, `{"message": ...}`, bare JSON strings, lists of one, plain text, and
OpenRouter's account of the server behind it. Knows no meaning; never raises.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from mcp_proxy.providers.details import MAX_DETAIL

JsonObject = dict[str, Any]

_LONGEST_MESSAGE: Final = 4 * MAX_DETAIL

_DEEPEST: Final = 4
"""How many servers behind each other are listened to; more than one is rare."""


class ErrorBody(NamedTuple):
    """One error, as far as it could be read; texts are "" where there are none."""

    status: int
    """The HTTP status; inside a stream that began with 200, the error's own."""
    message: str
    type: str
    code: str
    """In text even where servers send a number."""
    param: str
    fields: Mapping[str, Any]
    """The error object itself."""

    def mentions(self, *phrases: str) -> bool:
        """Whether code, type or message have one of these, which are in lower case."""
        text = f"{self.code} {self.type} {self.message}".lower()
        return any(phrase in text for phrase in phrases)


def read_error_body(status: int, body: bytes, *, _within: int = 0) -> ErrorBody:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _plain(status, body[:_LONGEST_MESSAGE].decode("utf-8", "replace").strip())
    return _read(status, value, _within)


def _read(status: int, value: Any, within: int) -> ErrorBody:
    """`within`: how many others this one is in."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return _plain(status, value)
    if not isinstance(value, dict):
        return _plain(status, "")
    error = value.get("error")
    if isinstance(error, str):
        # Beside a bare text some servers have the rest at the top.
        return _of({**value, "message": error}, status, within)
    return _of(error if isinstance(error, dict) else value, status, within)


def _plain(status: int, message: str) -> ErrorBody:
    return ErrorBody(status, message[:_LONGEST_MESSAGE], "", "", "", {})


def _of(fields: JsonObject, status: int, within: int) -> ErrorBody:
    code = fields.get("code")
    return ErrorBody(
        status=_status(status, fields),
        message=_message(fields, within)[:_LONGEST_MESSAGE],
        type=_text(fields.get("type")),
        code=str(code) if type(code) is int else _text(code),
        param=_text(fields.get("param")),
        fields=fields,
    )


def _status(status: int, fields: JsonObject) -> int:
    if status >= 400:
        return status
    for key in ("code", "status", "status_code"):
        told = fields.get(key)
        if isinstance(told, str) and told.isdecimal():
            told = int(told[:4])
        if type(told) is int and 400 <= told < 600:
            return told
    return status


def _message(fields: JsonObject, within: int) -> str:
    """The message; behind OpenRouter, the one of the server behind it, which says more."""
    message = _detail(fields.get("message")) or _detail(fields.get("detail"))
    metadata = fields.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not raw or within == _DEEPEST:
        return message
    if isinstance(raw, str):
        inner = read_error_body(400, raw.encode("utf-8", "replace"), _within=within + 1)
    else:
        inner = _read(400, raw, within + 1)
    behind = inner.message
    return f"{message}: {behind}" if behind and behind != message else message


def _detail(detail: object) -> str:
    """A text, an object around it, or (FastAPI, Mistral) a list of what is wrong where."""
    for _ in range(_DEEPEST):
        if not isinstance(detail, dict):
            break
        said = _text(detail.get("message")) or _text(detail.get("msg"))
        detail = said or detail.get("detail")
    if isinstance(detail, list):
        return "; ".join(_fault(each) for each in detail[:8] if isinstance(each, dict))
    return _text(detail)


def _fault(each: JsonObject) -> str:
    place = each.get("loc")
    steps = place if isinstance(place, list) else [place] if place else []
    where = ".".join(str(step) for step in steps if step != "body")
    said = f"{_text(each.get('msg'))} ({_text(each.get('type'))})"
    return f"{where}: {said}" if where else said


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
