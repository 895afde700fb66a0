"""Signatures in Chat Completions: extensions of three servers, since the format itself has none.

OpenRouter's `reasoning_details` (to be returned unmodified, providers.md 3), Copilot's
`reasoning_opaque` (8.5), and `extra_content` of calls at Google's own endpoint. Knows how they are
read, kept in a `Seal`, and put back; whose they are is decided before (`policy/seals.py`).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from mcp_proxy.conversation import JsonObject, Seal, Thinking

_STREAMED: Final = ("text", "summary", "data", "signature")
"""Fields of a detail that come in pieces."""

_SEALING: Final = ("data", "signature")


class Details:
    """What seals one thinking part, put together from a stream's pieces."""

    __slots__ = ("_by_place", "opaque")

    def __init__(self) -> None:
        self.opaque = ""
        """Copilot's; the rest is OpenRouter's."""
        self._by_place: dict[tuple[Any, Any], JsonObject] = {}

    def add(self, details: Iterable[Any]) -> None:
        for detail in details:
            if not isinstance(detail, dict):
                continue
            known = self._by_place.setdefault((detail.get("index"), detail.get("type")), {})
            for key, value in detail.items():
                if key in _STREAMED and isinstance(value, str):
                    known[key] = (known.get(key) or "") + value
                elif value is not None or key not in known:
                    known[key] = value

    def is_sealed(self) -> bool:
        """Whether there is anything in them that is worth keeping."""
        details = self._by_place.values()
        return bool(self.opaque) or any(detail.get(key) for detail in details for key in _SEALING)

    def seal(self) -> str:
        """The text that stands for them all, as `sealed_thoughts` reads it."""
        return self.opaque or orjson.dumps(list(self._by_place.values())).decode()


def text_of(details: Iterable[Any]) -> str:
    """What of the details may be read."""
    texts = [
        detail.get("text") or detail.get("summary")
        for detail in details
        if isinstance(detail, dict)
    ]
    return "".join([text for text in texts if isinstance(text, str)])


def sealed_thoughts(thoughts: Sequence[Thinking]) -> JsonObject:
    """The fields of an assistant's message that return the seals of its thoughts."""
    details: list[JsonObject] = []
    fields: JsonObject = {}
    for thought in thoughts:
        if thought.seal is None:
            continue
        if thought.seal.value.startswith("["):
            details += orjson.loads(thought.seal.value)
        else:
            fields["reasoning_opaque"] = thought.seal.value
    if details:
        fields["reasoning_details"] = details
    return fields


def call_extra(seal: Seal) -> JsonObject:
    return {"google": {"thought_signature": seal.value}}


def call_signature(call: JsonObject) -> str | None:
    """The signature of a call where Google's own endpoint puts it."""
    value: Any = call.get("extra_content")
    for key in ("google", "thought_signature"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else None
