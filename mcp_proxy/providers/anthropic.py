"""The Anthropic API with a key: addresses, headers, the list of models, figures in headers.

Its errors are read in `anthropic_failures.py`, rate-limit headers in `anthropic_windows.py`. Keys
only: Anthropic reserves its subscriptions' sign-in for its own apps (providers.md 6).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from mcp_proxy.account import Account, Secret
from mcp_proxy.dialects.effort import EFFORTS, SMALLEST_BUDGET
from mcp_proxy.errors import Failure
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.providers import (
    Ask,
    JsonObject,
    Poll,
    ProviderSettings,
    QuotaReading,
    Reading,
    UpstreamCall,
)
from mcp_proxy.providers.anthropic_failures import read_anthropic_failure
from mcp_proxy.providers.anthropic_windows import read_figures
from mcp_proxy.providers.header_names import lower_case
from mcp_proxy.providers.loose_json import count, part, rows, text
from mcp_proxy.providers.messages_bodies import VERSION, needed_beta
from mcp_proxy.providers.plain import PlainProvider, adapted, get_call, json_headers
from mcp_proxy.strict_json import encode

_MOST_MODELS: Final = 1000
"""The largest page that the list of models has."""

_FORWARDED: Final = ("anthropic-version", "anthropic-beta", "anthropic-workspace-id")
"""Headers of a client that go with its own body."""


class Anthropic(PlainProvider):
    """Implements `Provider`."""

    name = "anthropic"
    has_figures_in_headers = True
    base_url = "https://api.anthropic.com"
    relayed = (
        "anthropic-ratelimit-",
        "anthropic-organization-id",
        "anthropic-priority-",
        "anthropic-fast-",
    )

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        return ("anthropic",)

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        if isinstance(body, bytes):
            headers = _forwarded_headers(ask)
        else:
            body = adapted(body, ask)
            headers = _own_headers(body)
        return UpstreamCall(
            url=f"{_versioned(ask.host)}/messages",
            headers={**_headers(ask.token, ask.settings), **headers},
            body=body if isinstance(body, bytes) else encode(body),
            proxy=ask.account.proxy,
            secrets=(ask.token,),
        )

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_anthropic_failure(status, headers, body, now=now)

    def read_headers(
        self, headers: Mapping[str, str], model: ModelInfo, *, now: float
    ) -> tuple[QuotaReading, ...]:
        return tuple(read_figures(lower_case(headers), model.id))

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        url = f"{_versioned(host)}/models?limit={_MOST_MODELS}"
        headers = {**_headers(token, settings), "anthropic-version": VERSION}
        call = get_call(url, headers, account, token)
        return (Poll(call, partial(read_models, self.name)),)


def _versioned(host: str) -> str:
    """An address may be given with its version or without, as the SDKs and their pages differ."""
    return host if host.endswith("/v1") else f"{host}/v1"


def _headers(key: Secret, settings: ProviderSettings) -> dict[str, str]:
    return {"x-api-key": key.value, **json_headers(settings)}


def _forwarded_headers(ask: Ask) -> dict[str, str]:
    """The client's version and betas, untouched: its body is written for them."""
    found: dict[str, str] = {"anthropic-version": VERSION}
    betas: list[str] = []
    for name, value in ask.client_headers.items():
        lower = name.lower()
        if lower == "anthropic-beta":
            betas.append(value)  # a header that may be repeated
        elif lower in _FORWARDED:
            found[lower] = value
    if betas:
        found["anthropic-beta"] = ",".join(betas)
    return found


def _own_headers(body: JsonObject) -> dict[str, str]:
    """For a rendered body."""
    headers = {"anthropic-version": VERSION}
    if beta := needed_beta(body):
        headers["anthropic-beta"] = beta
    return headers


# The list of models


def read_models(provider: str, body: bytes, now: float) -> Reading:
    """Anthropic's list, which Z.AI copies; ValueError when the body is something else."""
    named = [row for row in rows(body, "data") if text(row.get("id"))]
    return Reading(models=tuple(_model(provider, row) for row in named))


def _model(provider: str, row: JsonObject) -> ModelInfo:
    usual = info(row["id"], provider)
    max_output = count(row.get("max_tokens")) or usual.max_output
    capabilities = part(row, "capabilities")
    return replace(
        usual,
        display_name=text(row.get("display_name")) or usual.display_name,
        context_window=count(row.get("max_input_tokens")) or usual.context_window,
        max_output=max_output,
        takes_images=part(capabilities, "image_input").get("supported", usual.takes_images) is True,
        thinking=_thinking(capabilities, max_output, usual.thinking),
    )


def _thinking(
    capabilities: JsonObject, max_output: int, usual: ThinkingSpec | None
) -> ThinkingSpec | None:
    """As the list says, which knows better than any name."""
    thinking = part(capabilities, "thinking")
    if thinking.get("supported") is False:
        return None
    types, efforts = part(thinking, "types"), part(capabilities, "effort")
    levels = tuple(effort for effort in EFFORTS if _supports(efforts, effort))
    takes_budgets = _supports(types, "enabled") and max_output > SMALLEST_BUDGET
    takes_levels = _supports(types, "adaptive") and bool(levels)
    if not takes_budgets and not takes_levels:
        return usual
    return ThinkingSpec(
        budgets=(SMALLEST_BUDGET, max_output - 1) if takes_budgets else None,
        levels=levels if takes_levels else (),
        default_budget=usual.default_budget if usual is not None else None,
        can_be_off=part(types, "disabled").get("supported") is not False,
    )


def _supports(capabilities: JsonObject, name: str) -> bool:
    return part(capabilities, name).get("supported") is True


PROVIDER: Final = Anthropic()
