"""Bodies for `--debug`: what was asked and answered, without credentials and without megabytes."""

import re
from typing import Any, Final

from mcp_proxy.printable import without_secrets
from mcp_proxy.strict_json import encode

LONGEST_TEXT = 2000
"""Characters of one text that are shown."""

_HIDDEN: Final = (
    r"(?i)^(authorization|api[-_]?key|x-api-key|access[-_]?token|refresh[-_]?token|client[-_]?secret"
    r"|password|secret|cookie)$"
)


def shown(body: object) -> str:
    """A JSON value as one line for the log."""
    return encode(_shown(body)).decode()


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        text = without_secrets(value)
        if len(text) > LONGEST_TEXT:
            return f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"
        return text
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {
            name: "…" if re.match(_HIDDEN, name) and isinstance(item, str) else _shown(item)
            for name, item in value.items()
        }
    return value
