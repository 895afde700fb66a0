"""Vertex AI: Gemini and Claude in a Google Cloud project, by region (providers.md 5).

Access tokens come from Google's own credentials, which `signin/adc.py` reads; nothing is traded
here. What error answers mean is in `vertex_failures.py`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import Failure
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.providers import (
    Ask,
    JsonObject,
    Poll,
    ProviderSettings,
    Reading,
    SignIn,
    UpstreamCall,
)
from mcp_proxy.providers.gemini import encoded_contents, forwardable_contents, generate_method
from mcp_proxy.providers.loose_json import object_of
from mcp_proxy.providers.messages_bodies import (
    INTERLEAVED,
    Terms,
    betas,
    has_addresses,
    on_terms,
)
from mcp_proxy.providers.plain import PlainProvider, bearer_headers, encoded, needs_owner
from mcp_proxy.providers.vertex_failures import read_vertex_failure
from mcp_proxy.strict_json import decode, encode

DEFAULT_LOCATION: Final = "global"
"""Serves every current model, the newest of them nowhere else."""

_HOSTS: Final[Mapping[str, str]] = {
    "global": "https://aiplatform.googleapis.com",
    "us": "https://aiplatform.us.rep.googleapis.com",
    "eu": "https://aiplatform.eu.rep.googleapis.com",
}
"""Locations of several regions; any other is a region, and part of its host's name."""

_VERSION_OF_CLAUDE: Final = "vertex-2023-10-16"

_BETAS: Final = frozenset(
    {
        INTERLEAVED,
        "computer-use-2025-01-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "fine-grained-tool-streaming-2025-05-14",
        "token-efficient-tools-2025-02-19",
        "tool-search-tool-2025-10-19",
    }
)
_MESSAGES: Final = Terms(
    fields=frozenset(
        {"model", "container", "inference_geo", "mcp_servers", "service_tier", "speed", "thread"}
    ),
    server_tools=("advisor", "code_execution", "mcp_toolset", "web_fetch"),
    cache_fields=frozenset({"type", "ttl"}),
)

_PROBE: Final = "gemini-2.5-flash"
"""Asked to count one word, which costs nothing and shows that token, project and API are right."""
_PROBE_BODY: Final = encode({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})


class _Place(NamedTuple):
    """Where in Google's cloud an account's models are."""

    host: str
    project: str
    location: str

    def address(self, publisher: str, model_id: str, method: str) -> str:
        path = f"projects/{quote(self.project)}/locations/{quote(self.location)}"
        model = f"publishers/{publisher}/models/{quote(model_id, safe='@')}"
        return f"{self.host}/v1/{path}/{model}:{method}"


class Vertex(PlainProvider):
    """Implements `Provider`."""

    name = "vertex"
    sign_in = SignIn.ADC
    relayed = ("anthropic-ratelimit-",)
    makes_tokens = True

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        return ("anthropic",) if model.family is Family.CLAUDE else ("gemini",)

    def hosts(self, account: Account, settings: ProviderSettings) -> tuple[str, ...]:
        if account.base_url or settings.base_urls:
            return super().hosts(account, settings)
        location = account.location or DEFAULT_LOCATION
        return (_HOSTS.get(location, f"https://{location}-aiplatform.googleapis.com"),)

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        if ask.dialect == "gemini":
            return forwardable_contents(body, ask)
        return None if has_addresses(body) else super().forwardable(body, ask)

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        """Raises UpstreamBroke (MISCONFIGURED) when the account has no project."""
        place = _place(ask.account, ask.project, ask.host)
        call = _gemini_call if ask.dialect == "gemini" else _claude_call
        return call(body, ask, place)

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_vertex_failure(status, headers, body, now=now)

    def refresh_call(self, account: Account, settings: ProviderSettings) -> UpstreamCall:
        raise needs_owner(account, "has no Google credentials")

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        """One, to verify the account: there is no list of models to rely on.

        Raises UpstreamBroke (MISCONFIGURED) when the account has no project.
        """
        call = UpstreamCall(
            url=_place(account, project, host).address("google", _PROBE, "countTokens"),
            headers=bearer_headers(token, settings),
            body=_PROBE_BODY,
            proxy=account.proxy,
            secrets=(token,),
        )
        return (Poll(call, _read_probe),)


def _place(account: Account, project: str | None, host: str) -> _Place:
    project = account.project or project
    if project is None:
        raise needs_owner(account, "has no Google Cloud project", " --project PROJECT")
    return _Place(host, project, account.location or DEFAULT_LOCATION)


def _gemini_call(body: JsonObject | bytes, ask: Ask, place: _Place) -> UpstreamCall:
    return UpstreamCall(
        url=place.address("google", ask.model.id, generate_method(body, ask)),
        headers=bearer_headers(ask.token, ask.settings),
        body=encoded_contents(body, ask),
        proxy=ask.account.proxy,
        secrets=(ask.token,),
    )


def _claude_call(body: JsonObject | bytes, ask: Ask, place: _Place) -> UpstreamCall:
    """A Messages body without its model, which is in the path, and with a version inside."""
    rendered = None if isinstance(body, bytes) else body
    given: JsonObject = decode(body) if isinstance(body, bytes) else body
    message = {**on_terms(given, _MESSAGES), "anthropic_version": _VERSION_OF_CLAUDE}
    headers = bearer_headers(ask.token, ask.settings)
    if allowed := betas(ask.client_headers, rendered, _BETAS):
        headers["anthropic-beta"] = allowed
    is_streamed = rendered is not None or ask.stream
    return UpstreamCall(
        url=place.address(
            "anthropic", ask.model.id, "streamRawPredict" if is_streamed else "rawPredict"
        ),
        headers=headers,
        body=encoded(message, ask),
        proxy=ask.account.proxy,
        secrets=(ask.token,),
    )


def _read_probe(body: bytes, now: float) -> Reading:
    if "totalTokens" not in object_of(body):
        raise ValueError("the answer counts no tokens")
    return Reading()


PROVIDER: Final = Vertex()
