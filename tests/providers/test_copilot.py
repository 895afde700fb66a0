"""GitHub Copilot: what is sent where, who began a turn, and what its answers mean."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from asks import DEFAULTS, ask_of, sent_json
from talking import assistant, talk, user

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Text,
    ToolCall,
    ToolResult,
)
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, ProviderSettings, Reading, TokenAnswer, UpstreamCall, provider
from mcp_proxy.providers.copilot import PROVIDER, initiator
from mcp_proxy.providers.plain import USER_AGENT

NOW = 1_763_720_000.0  # 2025-11-21T10:13:20Z
NEXT_MONTH = datetime(2025, 12, 1, tzinfo=UTC).timestamp()
TOKEN = Secret("tid=copilot-token")
GITHUB_TOKEN = Secret("gho_0123456789abcdef0123")
ACCOUNT = Account("c", "copilot", Credential(refresh_token=GITHUB_TOKEN))
CLAUDE, GPT = "claude-sonnet-4.6", "gpt-5.4"


def ask(dialect: str, model: str | ModelInfo = CLAUDE, **fields: Any) -> Ask:
    model = info(model, "copilot") if isinstance(model, str) else model
    usual = {"account": ACCOUNT, "token": TOKEN}
    return ask_of(dialect=dialect, model=model, **{**usual, **fields})


def sent(body: dict[str, Any] | bytes, dialect: str, **fields: Any) -> UpstreamCall:
    return PROVIDER.build_call(body, ask(dialect, **fields))


def body_of(body: dict[str, Any], dialect: str, **fields: Any) -> dict[str, Any]:
    return sent_json(sent(body, dialect, **fields))


def test_is_listed_under_its_name_and_warns():
    assert provider("copilot") is PROVIDER
    assert PROVIDER.risk is not None
    assert "premium requests" in PROVIDER.risk


class TestCalls:
    @pytest.mark.parametrize(
        ("dialect", "path"),
        [
            ("anthropic", "/v1/messages"),
            ("openai_responses", "/responses"),
            ("openai_chat", "/chat/completions"),
        ],
    )
    def test_each_dialect_has_its_path(self, dialect: str, path: str):
        assert sent({"input": []}, dialect).url == f"https://h{path}"

    def test_headers_are_those_that_are_required_and_say_who_asks(self):
        headers = dict(sent({}, "openai_chat").headers)
        assert len(headers.pop("X-Request-Id")) == 36
        assert headers == {
            "Authorization": f"Bearer {TOKEN.value}",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Copilot-Integration-Id": "vscode-chat",
            "Editor-Version": "vscode/1.104.0",
            "X-GitHub-Api-Version": "2025-04-01",
            "X-Initiator": "user",
        }

    def test_pictures_are_announced(self):
        picture = talk(user(Text("what?"), Media("image/png", "aGk=")))
        assert sent({}, "openai_chat", conversation=picture).headers["Copilot-Vision-Request"]

    def test_only_known_betas_of_the_client_pass(self):
        known = "context-management-2025-06-27"
        call = sent(
            b"{}",
            "anthropic",
            client_headers={"anthropic-beta": f"context-1m-2025-08-07, {known},{known}"},
        )
        assert call.headers["anthropic-beta"] == known
        assert call.headers["anthropic-version"] == "2023-06-01"
        assert "anthropic-beta" not in sent(b"{}", "anthropic").headers
        assert "anthropic-version" not in sent(b"{}", "openai_chat").headers

    def test_thinking_between_calls_is_asked_for_where_it_needs_asking(self):
        budget = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
        call = sent({**budget, "tools": [{"name": "t"}]}, "anthropic")
        assert call.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
        assert "anthropic-beta" not in sent(budget, "anthropic").headers

    def test_forwarded_bytes_are_sent_as_they_are(self):
        raw = b'{ "messages":[] }'
        assert sent(raw, "openai_chat").body is raw


TURNS: dict[str, tuple[tuple[Message, ...], str]] = {
    "a person asks": ((user(Text("q")),), "user"),
    "a person asks again": ((user(Text("q")), assistant(Text("a")), user(Text("q"))), "user"),
    "a tool answers": ((user(Text("q")), assistant(), user(ToolResult("c"))), "agent"),
    "a person speaks beside a result": ((user(ToolResult("c"), Text("stop")),), "user"),
    "an empty text says nothing": ((user(ToolResult("c"), Text("")),), "agent"),
    "a picture is said, too": ((user(Media("image/png", "aGk=")),), "user"),
    "the model goes on": ((user(Text("q")), assistant(Text("half"))), "agent"),
    "a call without a result": ((assistant(ToolCall("c", "t", "{}")),), "agent"),
    "a note follows a question": ((user(Text("q")), Message("system", (Text("n"),))), "user"),
    "a note follows a result": ((user(ToolResult("c")), Message("system", (Text("n"),))), "agent"),
    "nothing at all": ((), "agent"),
}


@pytest.mark.parametrize("case", TURNS)
def test_who_began_a_turn_is_told_as_it_is(case: str):
    messages, told = TURNS[case]
    assert initiator(Conversation("anthropic", "m", messages)) == told


class TestBodies:
    def test_messages_go_without_what_copilot_refuses(self):
        found = body_of(
            {
                "metadata": {"user_id": "u"},
                "container": "c",
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
                "system": [{"type": "text", "text": "s", "cache_control": {"scope": "global"}}],
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "content": [
                                    {
                                        "type": "text",
                                        "text": "t",
                                        "cache_control": {"type": "ephemeral", "ttl": "5m"},
                                    }
                                ],
                            }
                        ],
                    }
                ],
                "tools": [{"type": "web_search_20250305", "name": "web_search"}, {"name": "own"}],
                "tool_choice": {"type": "tool", "name": "web_search"},
            },
            "anthropic",
        )
        result = {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}
        assert found == {
            "cache_control": {"type": "ephemeral"},
            "system": [{"type": "text", "text": "s", "cache_control": {}}],
            "messages": [
                {"role": "user", "content": [{"type": "tool_result", "content": [result]}]}
            ],
            "tools": [{"name": "own"}],
        }

    def test_no_tool_that_can_run_is_no_list_of_tools(self):
        only = {"tools": [{"type": "web_fetch_1", "name": "f"}], "tool_choice": {"type": "auto"}}
        assert body_of(only, "anthropic") == {}

    def test_responses_store_nothing_and_name_no_items(self):
        found = body_of(
            {
                "previous_response_id": "r",
                "service_tier": "auto",
                "store": True,
                "input": [{"id": "x", "type": "reasoning", "encrypted_content": "e"}],
            },
            "openai_responses",
        )
        assert found == {
            "store": False,
            "input": [{"type": "reasoning", "encrypted_content": "e"}],
        }

    def test_chat_goes_without_what_is_openais_own(self):
        given = {"messages": [], "store": True, "service_tier": "auto", "temperature": 1}
        assert body_of(given, "openai_chat") == {"messages": [], "temperature": 1}

    def test_what_was_refused_before_is_left_out(self):
        avoided = frozenset({"temperature"})
        given = {"messages": [], "temperature": 1}
        assert body_of(given, "openai_chat", avoided=avoided) == {"messages": []}
        found = PROVIDER.forwardable(given, ask("openai_chat", GPT, avoided=avoided))
        assert found == {"messages": []}

    def test_messages_do_without_a_feature_in_anthropics_way(self):
        avoided = frozenset({"thinking.display"})
        thinking = {"type": "adaptive", "display": "omitted"}
        found = body_of({"thinking": thinking}, "anthropic", avoided=avoided)
        assert found["thinking"] == {"type": "adaptive"}


class TestForwarding:
    def test_messages_that_need_no_change_are_forwarded_as_they_are(self):
        body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
        assert PROVIDER.forwardable(body, ask("anthropic")) is body

    @pytest.mark.parametrize("kind", ["url", "file"])
    @pytest.mark.parametrize("nested", [False, True])
    def test_pictures_by_address_are_rendered(self, kind: str, nested: bool):
        block: dict[str, Any] = {"type": "image", "source": {"type": kind}}
        if nested:
            block = {"type": "tool_result", "content": [block]}
        body = {"messages": [{"role": "user", "content": [block]}]}
        assert PROVIDER.forwardable(body, ask("anthropic")) is None

    def test_a_budget_is_forwarded_to_models_that_take_one(self):
        body = {"messages": [], "thinking": {"type": "enabled", "budget_tokens": 2000}}
        assert PROVIDER.forwardable(body, ask("anthropic", "claude-haiku-4.5")) is body
        assert PROVIDER.forwardable(body, ask("anthropic", "claude-opus-4.7")) is None

    def test_responses_are_never_forwarded(self):
        assert PROVIDER.forwardable({"input": []}, ask("openai_responses", GPT)) is None

    def test_chat_is_forwarded_except_to_claude(self):
        assert PROVIDER.forwardable({"a": 1}, ask("openai_chat", "gpt-4o")) == {"a": 1}
        assert PROVIDER.forwardable({"a": 1}, ask("openai_chat", CLAUDE)) is None


class TestExchange:
    def read(self, status: int, body: Any) -> TokenAnswer | Failure:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return PROVIDER.read_refresh(status, {}, raw, now=NOW)

    def test_call(self):
        call = PROVIDER.refresh_call(ACCOUNT, DEFAULTS)
        assert call.url == "https://api.github.com/copilot_internal/v2/token"
        assert call.method == "GET"
        assert call.headers["Authorization"] == f"token {GITHUB_TOKEN.value}"
        assert call.secrets == (GITHUB_TOKEN,)

    def test_a_replaced_address_has_the_rest_of_github_beside_it(self):
        settings = ProviderSettings(token_url="http://x/gh/copilot_internal/v2/token")
        own = replace(ACCOUNT, token_url="http://own:9/whatever")
        assert PROVIDER.refresh_call(ACCOUNT, settings).url == settings.token_url
        _, quota = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", settings)
        assert quota.call.url == "http://x/gh/copilot_internal/user"
        _, quota = PROVIDER.polls(own, TOKEN, None, "https://h", settings)
        assert quota.call.url == "http://own:9/copilot_internal/user"

    def test_answer_names_the_host_that_the_token_is_good_for(self):
        found = self.read(
            200,
            {
                "token": "tid=1",
                "expires_at": NOW + 1800,
                "refresh_in": 1500,
                "endpoints": {"api": "https://api.business.githubcopilot.com/"},
            },
        )
        assert found == TokenAnswer(
            Secret("tid=1"), 1560.0, host="https://api.business.githubcopilot.com"
        )

    @pytest.mark.parametrize(
        ("times", "lifetime"),
        [
            ({"expires_at": NOW + 1800}, 1800.0),
            ({"expires_at": NOW - 99_999, "refresh_in": 1500}, 1560.0),
            ({}, 60.0),
        ],
    )
    def test_a_clock_that_is_wrong_does_not_matter(self, times: dict[str, Any], lifetime: float):
        found = self.read(200, {"token": "t", **times})
        assert isinstance(found, TokenAnswer)
        assert found.expires_in == lifetime

    @pytest.mark.parametrize(
        ("api", "host"),
        [
            ("http://evil.example", None),
            ("http://127.0.0.1:9/copilot", "http://127.0.0.1:9/copilot"),
            ("https://", None),
            (5, None),
        ],
    )
    def test_no_token_travels_over_plain_http(self, api: Any, host: str | None):
        found = self.read(200, {"token": "t", "refresh_in": 9, "endpoints": {"api": api}})
        assert isinstance(found, TokenAnswer)
        assert found.host == host

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (401, {"message": "Bad credentials"}, FailureKind.AUTH_REVOKED),
            (401, b"<html>please log in to the network", FailureKind.UPSTREAM),
            (401, b"", FailureKind.UPSTREAM),
            (404, {"message": "Not Found"}, FailureKind.MISCONFIGURED),
            (403, {"message": "No access to Copilot"}, FailureKind.MISCONFIGURED),
            (200, {"error_details": {}, "message": "no access"}, FailureKind.MISCONFIGURED),
            (403, {"message": "API rate limit exceeded for user"}, FailureKind.RATE),
            (429, {"message": "slow down"}, FailureKind.RATE),
            (500, {"message": "oops"}, FailureKind.UPSTREAM),
            (200, b"{}", FailureKind.UPSTREAM),
        ],
    )
    def test_only_githubs_own_word_revokes(self, status: int, body: Any, kind: FailureKind):
        found = self.read(status, body)
        assert isinstance(found, Failure)
        assert found.kind is kind
        assert found.detail

    def test_a_personal_access_token_is_told_apart(self):
        message = "Resource not accessible by personal access token"
        found = self.read(403, {"message": message})
        assert isinstance(found, Failure)
        assert found.kind is FailureKind.MISCONFIGURED
        assert "accounts add --provider copilot" in found.detail

    def test_nothing_to_trade_says_what_to_do(self):
        with pytest.raises(UpstreamBroke) as broke:
            PROVIDER.refresh_call(replace(ACCOUNT, credential=Credential()), DEFAULTS)
        assert broke.value.failure.kind is FailureKind.MISCONFIGURED
        assert "mcproxy accounts add --provider copilot --id c" in broke.value.failure.detail


def listed(model_id: str, **fields: Any) -> dict[str, Any]:
    capabilities = {"type": "chat", "limits": {}, "supports": {}}
    return {"id": model_id, "capabilities": capabilities, **fields}


class TestModels:
    def read(self, *rows: Any) -> tuple[ModelInfo, ...]:
        poll, _ = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)
        models = poll.read(orjson.dumps({"data": rows}), NOW).models
        assert models is not None
        return models

    def test_are_asked_for_as_the_integration_that_asks_them(self):
        poll, _ = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)
        generating = sent({}, "openai_chat").headers
        assert poll.call.url == "https://h/models"
        assert poll.call.headers.items() <= generating.items()
        assert poll.required

    def test_limits_bucket_and_ways_to_speak_are_read(self):
        (made,) = self.read(
            listed(
                CLAUDE,
                name="Claude",
                billing={"is_premium": True, "multiplier": 1},
                supported_endpoints=["/chat/completions", "ws:/responses", "/v1/messages"],
                policy={"state": "enabled"},
                capabilities={
                    "type": "chat",
                    "limits": {
                        "max_context_window_tokens": 200,
                        "max_prompt_tokens": 128,
                        "max_output_tokens": 16,
                    },
                    "supports": {"vision": True, "max_thinking_budget": 8000},
                },
            )
        )
        assert (made.id, made.display_name) == (CLAUDE, "Claude")
        assert (made.context_window, made.max_output) == (128, 16)
        assert (made.bucket, made.issuer) == ("premium", "copilot")
        assert made.dialects == ("anthropic", "openai_chat")
        assert PROVIDER.dialects(made) == made.dialects
        assert made.takes_images
        assert made.thinking == ThinkingSpec(budgets=(1024, 8000), default_budget=8000)

    def test_efforts_and_adaptive_thinking(self):
        supports = {
            "reasoning_effort": ["low", "high"],
            "adaptive_thinking": True,
            "max_thinking_budget": 8000,
        }
        (made,) = self.read(
            listed("claude-opus-4.7", capabilities={"type": "chat", "supports": supports})
        )
        assert made.thinking is not None
        assert (made.thinking.levels, made.thinking.budgets) == (("low", "high"), None)

    def test_a_model_that_costs_nothing_has_no_bucket(self):
        free, premium = self.read(
            listed("gpt-4.1", billing={"multiplier": 0, "is_premium": True}),
            listed("x", billing={"is_premium": True}),
        )
        assert (free.bucket, premium.bucket) == (None, "premium")
        assert free.dialects == ("openai_chat",)

    @pytest.mark.parametrize(
        "row",
        [
            listed("a", capabilities={"type": "embeddings"}),
            listed("a", policy={"state": "disabled"}),
            listed("a", policy={"state": "unconfigured"}),
            {"capabilities": {"type": "chat"}},
            "nonsense",
        ],
    )
    def test_what_would_be_refused_is_not_listed(self, row: Any):
        assert self.read(row) == ()

    def test_an_unlisted_model_is_spoken_to_as_is_usual(self):
        assert PROVIDER.dialects(info("claude-x", "copilot")) == ("openai_chat", "anthropic")
        assert PROVIDER.dialects(info("gpt-9", "copilot")) == ("openai_chat", "openai_responses")
        assert PROVIDER.dialects(info("grok-x", "copilot")) == ("openai_chat",)

    def test_something_else_is_not_taken_for_a_list(self):
        poll, _ = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)
        for body in (b"[]", b"{}", b"x"):
            with pytest.raises(ValueError):
                poll.read(body, NOW)


class TestQuota:
    def read(self, answer: dict[str, Any]) -> Reading:
        _, poll = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)
        return poll.read(orjson.dumps(answer), NOW)

    def test_is_asked_with_the_github_token_and_may_be_missing(self):
        _, poll = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)
        assert poll.call.url == "https://api.github.com/copilot_internal/user"
        assert poll.call.headers["Authorization"] == f"token {GITHUB_TOKEN.value}"
        assert not poll.required

    def snapshots(self, **premium: Any) -> dict[str, Any]:
        return {
            "copilot_plan": "individual",
            "quota_reset_date_utc": "2025-12-01T00:00:00.000Z",
            "quota_snapshots": {"chat": {"unlimited": True}, "premium_interactions": premium},
        }

    def test_premium_requests_are_a_bucket_of_the_month(self):
        found = self.read(self.snapshots(percent_remaining=12.5, unlimited=False))
        (figure,) = found.figures
        assert found.plan == "individual"
        assert (figure.window, figure.bucket, figure.model) == ("month", "premium", None)
        assert (figure.remaining, figure.resets_at) == (0.125, NEXT_MONTH)

    @pytest.mark.parametrize(
        ("snapshot", "left"),
        [
            ({"percent_remaining": -3.0}, 0.0),
            ({"percent_remaining": -3.0, "overage_permitted": True}, None),
            ({"percent_remaining": 50.0, "overage_permitted": True}, 0.5),
            ({"entitlement": 300}, None),
        ],
    )
    def test_what_is_left(self, snapshot: dict[str, Any], left: float | None):
        (figure,) = self.read(self.snapshots(**snapshot)).figures
        assert figure.remaining == left

    def test_the_free_plan_has_one_figure_for_all(self):
        found = self.read(
            {
                "limited_user_quotas": {"chat": 10, "completions": 5},
                "monthly_quotas": {"chat": 50, "completions": 2000},
                "limited_user_reset_date": "2025-12-01",
            }
        )
        (figure,) = found.figures
        assert (figure.remaining, figure.bucket) == (0.2, None)
        assert figure.resets_at == NEXT_MONTH

    def test_an_answer_without_figures_is_one(self):
        assert self.read({}) == Reading()


class TestFailures:
    def read(self, status: int, body: Any) -> Failure:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return PROVIDER.read_failure(status, {}, raw, now=NOW)

    def error(self, status: int, code: str = "", message: str = "no") -> Failure:
        return self.read(status, {"error": {"message": message, "code": code}})

    def test_an_empty_month_rests_premium_models_until_the_next(self):
        found = self.error(402, "quota_exceeded", "You have no quota")
        assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.BUCKET)
        assert found.retry_at == NEXT_MONTH
        assert "premium requests" in found.detail

    def test_the_next_month_of_december_is_january(self):
        raw = orjson.dumps({"error": {"message": "m", "code": "quota_exceeded"}})
        december = datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp()
        found = PROVIDER.read_failure(402, {}, raw, now=december)
        assert found.retry_at == datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    @pytest.mark.parametrize(
        ("code", "message", "scope", "wait"),
        [
            ("rate_limited", "Please try again in 2 hours", Scope.MODEL, 7200),
            ("user_model_rate_limited", "try again in 15 hours 23 minutes", Scope.MODEL, 55_380),
            ("user_global_rate_limited:pro", "try again in 5 seconds", Scope.ACCOUNT, 5),
        ],
    )
    def test_waits_are_told_in_prose(self, code: str, message: str, scope: Scope, wait: float):
        found = self.error(429, code, f"Sorry. {message}.")
        assert found.kind in (FailureKind.RATE, FailureKind.QUOTA)
        assert (found.scope, found.retry_at) == (scope, NOW + wait)

    @pytest.mark.parametrize(
        ("message", "feature"),
        [
            ("model gpt-5-codex is not accessible via the /chat/completions endpoint", "chat"),
            ("not accessible via the /responses endpoint", "responses"),
            ("use another API", "chat"),
        ],
    )
    def test_a_model_that_wants_another_endpoint_says_so(self, message: str, feature: str):
        found = self.error(400, "unsupported_api_for_model", message)
        assert found.kind is FailureKind.UNSUPPORTED
        assert found.feature == f"dialect:openai_{feature}"

    def test_claude_refuses_a_feature_in_anthropics_words(self):
        failure = self.error(400, message="adaptive thinking is not supported on this model")
        assert (failure.kind, failure.feature) == (FailureKind.UNSUPPORTED, "thinking.adaptive")

    def test_messages_that_a_model_does_not_take(self):
        found = self.error(400, "unsupported_api_for_model", "not via the /v1/messages endpoint")
        assert found.feature == "dialect:anthropic"

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (401, b"unauthorized: token expired", FailureKind.AUTH_EXPIRED),
            (421, b"Misdirected Request", FailureKind.AUTH_EXPIRED),
            (
                400,
                {"error": {"code": "model_not_supported", "message": "no"}},
                FailureKind.NOT_FOUND,
            ),
            (
                400,
                {"error": {"code": "model_max_prompt_tokens_exceeded", "message": "too many"}},
                FailureKind.TOO_LONG,
            ),
            (
                400,
                {"error": {"code": "invalid_request_body", "message": "x"}},
                FailureKind.BAD_REQUEST,
            ),
            (400, b"Bad Request", FailureKind.BAD_REQUEST),
            (403, {"message": "no subscription"}, FailureKind.MISCONFIGURED),
            (403, {"message": "access to this model is disabled"}, FailureKind.NOT_FOUND),
            (
                403,
                {"error": "The model gpt-x is not enabled by your organization's policy"},
                FailureKind.NOT_FOUND,
            ),
            (403, b"<html>blocked</html>", FailureKind.UPSTREAM),
            (466, {"message": "client too old"}, FailureKind.MISCONFIGURED),
            (499, b"", FailureKind.UPSTREAM),
            (503, {"error": "overloaded"}, FailureKind.CAPACITY),
        ],
    )
    def test_kinds(self, status: int, body: Any, kind: FailureKind):
        found = self.read(status, body)
        assert found.kind is kind
        assert found.detail

    def test_a_denied_account_is_told_where_to_look(self):
        found = self.read(403, {"message": "no"})
        assert found.url == "https://github.com/settings/copilot"
        assert "subscription" in found.detail
