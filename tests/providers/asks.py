"""How providers are asked in these suites: at one address, on the usual terms."""

from typing import Any

import orjson
from talking import talk

from mcp_proxy.providers import Ask, ProviderSettings, UpstreamCall

DEFAULTS = ProviderSettings()


def ask_of(**fields: Any) -> Ask:
    """Of a short conversation, unless these say otherwise."""
    talked = fields.pop("conversation", talk())
    usual = {"identity": talked.identity(), "host": "https://h", "settings": DEFAULTS}
    return Ask(conversation=talked, **{**usual, **fields})


def sent_json(call: UpstreamCall) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(call.body)
    return decoded
