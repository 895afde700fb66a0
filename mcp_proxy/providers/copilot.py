"""GitHub Copilot: the exchange of tokens, headers, bodies, and who began a turn (providers.md 8).

What its lists say is read in `copilot_answers.py`, its errors in `copilot_failures.py`.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from mcp_proxy.account import Account, Secret
from mcp_proxy.conversation import Conversation, Text, ToolResult
from mcp_proxy.errors import Failure
from mcp_proxy.ids import new_uuid
from mcp_proxy.model import Family, ModelInfo
from mcp_proxy.providers import (
    Ask,
    JsonObject,
    Poll,
    ProviderSettings,
    SignIn,
    TokenAnswer,
    UpstreamCall,
)
from mcp_proxy.providers.body_edits import less
from mcp_proxy.providers.copilot_answers import read_exchange, read_models, read_quota
from mcp_proxy.providers.copilot_failures import (
    DIALECT_OF_PATH,
    read_copilot_failure,
    read_exchange_failure,
)
from mcp_proxy.providers.messages_bodies import (
    INTERLEAVED,
    VERSION,
    Terms,
    betas,
    has_addresses,
    on_terms,
)
from mcp_proxy.providers.plain import (
    USER_AGENT,
    PlainProvider,
    adapted,
    bearer_headers,
    encoded,
    get_call,
    needs_owner,
)

GITHUB_API: Final = "https://api.github.com"
EXCHANGE: Final = "/copilot_internal/v2/token"

_API_VERSION: Final = "2025-04-01"
_REQUIRED: Final = {
    # The exchanged token is refused without these two, and the list of models is that of the
    # integration (8.4). Who really asks is in User-Agent.
    "Copilot-Integration-Id": "vscode-chat",
    "Editor-Version": "vscode/1.104.0",
}

_PATHS: Final = {dialect: path for path, dialect in DIALECT_OF_PATH.items()}

_BETAS: Final = frozenset(
    {INTERLEAVED, "context-management-2025-06-27", "advanced-tool-use-2025-11-20"}
)

RISK: Final = """\
GitHub's terms offer Copilot to its own clients and to those of its partners. GitHub may limit or
close accounts that are used with other programs, and answers draw on the premium requests of your
subscription. Do not use an account whose loss would hurt you. The alternative without this risk is
an API key of the model's maker, with its own prices."""


class Copilot(PlainProvider):
    """Implements `Provider`."""

    name = "copilot"
    sign_in = SignIn.GITHUB
    risk = RISK
    makes_tokens = True
    base_url = "https://api.githubcopilot.com"

    def dialects(self, model: ModelInfo) -> tuple[str, ...]:
        """Those that the list of models names; for others what is usual, chat first (8.6)."""
        return model.dialects or _USUAL.get(model.family, ("openai_chat",))

    def forwardable(self, body: JsonObject, ask: Ask) -> JsonObject | None:
        if not _CAN_FORWARD[ask.dialect](body, ask):
            return None
        return adapted(_CLEANED[ask.dialect](body), ask)

    def build_call(self, body: JsonObject | bytes, ask: Ask) -> UpstreamCall:
        rendered = None if isinstance(body, bytes) else _CLEANED[ask.dialect](body)
        headers = {
            **_headers(ask.token, ask.settings),
            "X-Request-Id": new_uuid(),
            "X-Initiator": initiator(ask.conversation),
        }
        if ask.conversation.has_media():
            headers["Copilot-Vision-Request"] = "true"
        if ask.dialect == "anthropic":
            headers["anthropic-version"] = VERSION
            if allowed := betas(ask.client_headers, rendered, _BETAS):
                headers["anthropic-beta"] = allowed
        return UpstreamCall(
            url=f"{ask.host}{_PATHS[ask.dialect]}",
            headers=headers,
            body=encoded(body if rendered is None else rendered, ask),
            proxy=ask.account.proxy,
            secrets=(ask.token,),
        )

    def read_failure(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> Failure:
        return read_copilot_failure(status, headers, body, now=now)

    def refresh_call(self, account: Account, settings: ProviderSettings) -> UpstreamCall:
        return _asking_github(account, settings, EXCHANGE)

    def read_refresh(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float
    ) -> TokenAnswer | Failure:
        answer = read_exchange(body, now) if status == 200 else None
        return answer or read_exchange_failure(status, headers, body, now=now)

    def polls(
        self,
        account: Account,
        token: Secret,
        project: str | None,
        host: str,
        settings: ProviderSettings,
    ) -> tuple[Poll, ...]:
        models = get_call(f"{host}/models", _headers(token, settings), account, token)
        quota = _asking_github(account, settings, "/copilot_internal/user")
        return Poll(models, read_models), Poll(quota, read_quota, required=False)


_USUAL: Final = {
    Family.CLAUDE: ("openai_chat", "anthropic"),
    Family.GPT: ("openai_chat", "openai_responses"),
}


def initiator(conversation: Conversation) -> str:
    """`user` when a person's message is what is answered, else `agent`; GitHub bills by it (8.4).

    Notes of the application that follow a message do not change who wrote that.
    """
    last = next((m for m in reversed(conversation.messages) if m.role != "system"), None)
    if last is None or last.role != "user":
        return "agent"
    return "user" if any(_is_said(part) for part in last.parts) else "agent"


def _is_said(part: object) -> bool:
    return not isinstance(part, ToolResult) and not (isinstance(part, Text) and not part.text)


# Bodies (8.5)

_MESSAGES: Final = Terms(
    fields=frozenset(
        {"container", "inference_geo", "mcp_servers", "metadata", "service_tier", "speed", "thread"}
    ),
    server_tools=(
        "advisor",
        "code_execution",
        "mcp_toolset",
        "tool_search",
        "web_fetch",
        "web_search",
    ),
    cache_fields=frozenset({"type"}),
)
_NOT_IN_CHAT: Final = frozenset(
    {"metadata", "prompt_cache_retention", "safety_identifier", "service_tier", "store"}
)
_NOT_IN_RESPONSES: Final = frozenset(
    {
        "background",
        "conversation",
        "metadata",
        "previous_response_id",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "truncation",
    }
)


def _messages(body: JsonObject) -> JsonObject:
    return on_terms(body, _MESSAGES)


def _chat(body: JsonObject) -> JsonObject:
    return less(body, *_NOT_IN_CHAT)


def _responses(body: JsonObject) -> JsonObject:
    """Nothing is stored there, so an item's id would name nothing."""
    items = [less(item, "id") for item in body["input"]]
    return {**less(body, *_NOT_IN_RESPONSES), "store": False, "input": items}


_CLEANED: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "anthropic": _messages,
    "openai_responses": _responses,
    "openai_chat": _chat,
}


def _can_forward_messages(body: JsonObject, ask: Ask) -> bool:
    """Not pictures by address, nor a budget for a model that takes none."""
    thinking = body.get("thinking")
    wants_budget = isinstance(thinking, dict) and thinking.get("type") == "enabled"
    has_budgets = ask.model.thinking is not None and ask.model.thinking.budgets is not None
    return not has_addresses(body) and (has_budgets or not wants_budget)


def _can_forward_chat(body: JsonObject, ask: Ask) -> bool:
    """Claude's answers come in several choices, which clients do not expect."""
    return ask.model.family is not Family.CLAUDE


def _can_forward_responses(body: JsonObject, ask: Ask) -> bool:
    """Never: answers have another item id in every event, at which clients give up."""
    return False


_CAN_FORWARD: Final[Mapping[str, Callable[[JsonObject, Ask], bool]]] = {
    "anthropic": _can_forward_messages,
    "openai_responses": _can_forward_responses,
    "openai_chat": _can_forward_chat,
}


# Headers and addresses


def _headers(token: Secret, settings: ProviderSettings) -> dict[str, str]:
    return {
        **_REQUIRED,
        **bearer_headers(token, settings),
        "X-GitHub-Api-Version": _API_VERSION,
    }


def _asking_github(account: Account, settings: ProviderSettings, path: str) -> UpstreamCall:
    """A question with the GitHub token itself, which is good until it is revoked."""
    token = account.credential.refresh_token
    if token is None:
        raise needs_owner(account, "has no GitHub sign-in")
    headers = {
        "Authorization": f"token {token.value}",
        "Accept": "application/json",
        "User-Agent": settings.user_agent or USER_AGENT,
        "X-GitHub-Api-Version": _API_VERSION,
    }
    url = github_api(account.token_url or settings.token_url) + path
    return get_call(url, headers, account, token)


def github_api(exchange: str | None) -> str:
    """GitHub's API; a replaced address of the exchange has the other paths beside it."""
    if exchange is None:
        return GITHUB_API
    if exchange.endswith(EXCHANGE):
        return exchange.removesuffix(EXCHANGE)
    parts = urlsplit(exchange)
    return f"{parts.scheme}://{parts.netloc}"


PROVIDER: Final = Copilot()
