"""The Anthropic API: what is sent where, what its headers and lists say, what its errors mean."""

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from asks import DEFAULTS, ask_of
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from talking import talk

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import Conversation, Reasoning, Tool
from mcp_proxy.demo.places.messages_rules import problems
from mcp_proxy.demo.places.models import ANTHROPIC
from mcp_proxy.dialects.anthropic import UPSTREAM
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, ProviderSettings, QuotaReading, UpstreamCall, provider
from mcp_proxy.providers.anthropic import PROVIDER
from mcp_proxy.providers.anthropic_failures import read_anthropic_failure
from mcp_proxy.providers.anthropic_features import refused_feature
from mcp_proxy.providers.error_bodies import ErrorBody, read_error_body
from mcp_proxy.providers.features import without
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.strict_json import encode

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp()
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
KEY = Secret("sk-ant-api03-0123456789")
ACCOUNT = Account("a", "anthropic", Credential(api_key=KEY))
TALK = talk()
NEWEST = info("claude-opus-5-5", "anthropic")
BUDGETED = info("claude-sonnet-4-5-20250929", "anthropic")


def ask(model: ModelInfo = NEWEST, **fields: Any) -> Ask:
    usual = {"account": ACCOUNT, "token": KEY, "dialect": "anthropic"}
    return ask_of(model=model, **{**usual, **fields})


def sent(conversation: Conversation = TALK, model: ModelInfo = NEWEST, **fields: Any) -> Any:
    return PROVIDER.build_call(UPSTREAM.render_request(conversation, model), ask(model, **fields))


def forwarded(**headers: str) -> UpstreamCall:
    return PROVIDER.build_call(b"{}", ask(client_headers=CIMultiDict(headers)))


def said(message: str) -> ErrorBody:
    return read_error_body(400, encode({"error": {"message": message}}))


def test_is_listed_under_its_name():
    assert provider("anthropic") is PROVIDER
    assert PROVIDER.dialects(NEWEST) == ("anthropic",)
    assert NEWEST in PROVIDER.models()
    assert PROVIDER.risk is None
    assert not PROVIDER.makes_tokens


class TestCalls:
    def test_a_rendered_request(self):
        call = sent()
        assert call.url == "https://h/v1/messages"
        assert call.headers == {
            "x-api-key": KEY.value,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "anthropic-version": "2023-06-01",
        }
        body = orjson.loads(call.body)
        assert (body["model"], body["stream"]) == (NEWEST.id, True)
        assert call.secrets == (KEY,)
        assert KEY.value not in repr(call)

    @pytest.mark.parametrize("tools", [(), (Tool("t", "", {}),)])
    def test_thinking_between_calls_is_asked_for_where_a_budget_is_given(self, tools):
        conversation = replace(TALK, tools=tools, reasoning=Reasoning("on", budget=2000))
        asked = sent(conversation, BUDGETED).headers.get("anthropic-beta")
        assert asked == ("interleaved-thinking-2025-05-14" if tools else None)
        assert "anthropic-beta" not in sent(conversation).headers

    def test_addresses(self):
        settings = ProviderSettings(base_urls=("http://a/", "http://b"), user_agent="me")
        assert PROVIDER.hosts(ACCOUNT, DEFAULTS) == ("https://api.anthropic.com",)
        assert PROVIDER.hosts(ACCOUNT, settings) == ("http://a", "http://b")
        own = replace(ACCOUNT, base_url="http://own/v1/")
        assert PROVIDER.hosts(own, settings) == ("http://own/v1",)
        assert sent(host="http://own/v1").url == "http://own/v1/messages"
        assert sent(settings=settings).headers["User-Agent"] == "me"

    def test_a_forwarded_body_goes_with_its_clients_version_and_betas(self):
        headers = CIMultiDict(
            {
                "Anthropic-Version": "2026-10-21",
                "anthropic-workspace-id": "w",
                "authorization": "Bearer client",
                "cookie": "c",
                "x-api-key": "client",
            }
        )
        headers.add("anthropic-beta", "a,b")
        headers.add("Anthropic-Beta", "c")
        call = PROVIDER.build_call(b'{"x":1}', ask(client_headers=headers))
        assert call.body == b'{"x":1}'
        assert call.headers["anthropic-version"] == "2026-10-21"
        assert call.headers["anthropic-beta"] == "a,b,c"
        assert call.headers["anthropic-workspace-id"] == "w"
        assert call.headers["x-api-key"] == KEY.value
        assert "client" not in str(call.headers)
        assert not {"cookie", "authorization"} & call.headers.keys()

    def test_a_client_without_a_version_is_of_the_classic_one(self):
        assert forwarded().headers["anthropic-version"] == "2023-06-01"
        assert "anthropic-beta" not in forwarded().headers

    def test_a_body_is_forwarded_as_it_is_unless_something_was_refused(self):
        body = {"model": "m", "temperature": 0.5, "messages": []}
        assert PROVIDER.forwardable(body, ask()) is body
        avoided = ask(avoided=frozenset({"temperature", "unknown"}))
        assert PROVIDER.forwardable(body, avoided) == {"model": "m", "messages": []}

    def test_a_key_is_never_traded(self):
        with pytest.raises(UpstreamBroke) as broke:
            PROVIDER.refresh_call(ACCOUNT, DEFAULTS)
        assert broke.value.failure.kind is FailureKind.MISCONFIGURED


class TestModels:
    def read(self, *rows: Any) -> tuple[ModelInfo, ...]:
        (poll,) = PROVIDER.polls(ACCOUNT, KEY, None, "https://h", DEFAULTS)
        models = poll.read(orjson.dumps({"data": rows, "has_more": False}), NOW).models
        assert models is not None
        return models

    def test_the_call(self):
        (poll,) = PROVIDER.polls(ACCOUNT, KEY, None, "https://h", DEFAULTS)
        assert poll.required
        assert (poll.call.method, poll.call.url) == ("GET", "https://h/v1/models?limit=1000")
        assert poll.call.headers["anthropic-version"] == "2023-06-01"
        assert poll.call.headers["x-api-key"] == KEY.value

    def test_a_bare_row_has_what_is_usual_for_its_name(self):
        rows = self.read({"id": NEWEST.id, "display_name": "Opus"}, {"no": "id"}, 7)
        assert rows == (replace(NEWEST, display_name="Opus"),)

    def test_what_the_list_says_counts(self):
        yes, no = {"supported": True}, {"supported": False}
        efforts = {"supported": True, "low": yes, "medium": no, "high": yes, "xhigh": None}
        types = {"adaptive": yes, "enabled": yes, "disabled": no}
        (model,) = self.read(
            {
                "id": "claude-new",
                "max_input_tokens": 500_000,
                "max_tokens": 32_000,
                "capabilities": {
                    "image_input": no,
                    "effort": efforts,
                    "thinking": {"supported": True, "types": types},
                },
            }
        )
        assert (model.context_window, model.max_output) == (500_000, 32_000)
        assert not model.takes_images
        assert model.thinking is not None
        assert model.thinking.budgets == (1024, 31_999)
        assert model.thinking.levels == ("low", "high")
        assert not model.thinking.can_be_off

    @pytest.mark.parametrize(
        ("thinking", "spec"),
        [
            ({"supported": False}, None),
            ({"supported": True}, NEWEST.thinking),
            (
                {"supported": True, "types": {"enabled": {"supported": True}}},
                ThinkingSpec(budgets=(1024, 63_999)),
            ),
        ],
    )
    def test_ways_of_thinking(self, thinking, spec):
        (model,) = self.read({"id": NEWEST.id, "capabilities": {"thinking": thinking}})
        assert model.thinking == spec

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"data": 1}', b"<html>"])
    def test_something_else_is_a_value_error(self, body):
        (poll,) = PROVIDER.polls(ACCOUNT, KEY, None, "https://h", DEFAULTS)
        with pytest.raises(ValueError):
            poll.read(body, NOW)


class TestHeaders:
    def figures(self, **headers: str) -> tuple[QuotaReading, ...]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        prefixed = {f"Anthropic-Ratelimit-{name}": value for name, value in named.items()}
        return PROVIDER.read_headers(prefixed, NEWEST, now=NOW)

    def test_limits_per_minute(self):
        reset = "2026-11-21T10:00:30Z"
        assert self.figures(
            requests_limit="50",
            requests_remaining="49",
            requests_reset=reset,
            input_tokens_limit="1000",
            input_tokens_remaining="0",
            tokens_limit="0",
            tokens_remaining="0",
            output_tokens_remaining="5",
        ) == (
            QuotaReading(None, 0.98, NOW + 30, window="requests"),
            QuotaReading(None, 0.0, None, window="input-tokens"),
        )

    def test_windows_of_a_subscription(self):
        prefix = "anthropic-ratelimit-unified"
        headers = {
            f"{prefix}-status": "rejected",
            f"{prefix}-reset": "1",
            f"{prefix}-5h-status": "allowed_warning",
            f"{prefix}-5h-utilization": "0.75",
            f"{prefix}-5h-reset": str(NOW + 100),
            f"{prefix}-7d-status": "rejected",
            f"{prefix}-7d-reset": format_datetime(datetime.fromtimestamp(NOW + 60, UTC), True),
            f"{prefix}-7d_oi-utilization": "1.2",
            f"{prefix}-overage-status": "rejected",
            f"{prefix}-fallback-percentage": "0.5",
            f"{prefix}-30d-status": "allowed",
        }
        assert PROVIDER.read_headers(headers, NEWEST, now=NOW) == (
            QuotaReading(None, 0.25, NOW + 100, window="5h"),
            QuotaReading(None, 0.0, NOW + 60, window="7d"),
            QuotaReading(NEWEST.id, 0.0, None),
            QuotaReading(None, None, None, window="30d"),
        )

    @given(st.dictionaries(st.sampled_from(["requests-limit", "unified-5h-reset"]), st.text()))
    def test_nonsense_is_no_figure_and_no_failure(self, headers):
        named = {f"anthropic-ratelimit-{name}": value for name, value in headers.items()}
        PROVIDER.read_headers(named, NEWEST, now=NOW)

    def test_what_clients_are_told_of_them(self):
        for name in ("anthropic-ratelimit-requests-limit", "anthropic-organization-id"):
            assert name.startswith(PROVIDER.relayed)
        assert not "set-cookie".startswith(PROVIDER.relayed)


# Failures


def failed(
    status: int, message: str = "", kind: str = "", headers: dict[str, str] | None = None
) -> Failure:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return PROVIDER.read_failure(status, headers or {}, orjson.dumps(body), now=NOW)


FAILURES = [
    (400, "invalid_request_error", "messages: Field required", FailureKind.BAD_REQUEST),
    (400, "invalid_request_error", "prompt is too long: 9 tokens > 8", FailureKind.TOO_LONG),
    (
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 199000 + 32000 > 200000",
        FailureKind.TOO_LONG,
    ),
    (
        400,
        "invalid_request_error",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        FailureKind.SEAL,
    ),
    (
        400,
        "invalid_request_error",
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
        "`tool_use`. When `thinking` is enabled, a final `assistant` message must start with a "
        "thinking block",
        FailureKind.SEAL,
    ),
    (
        400,
        "invalid_request_error",
        "messages.3.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant "
        "message cannot be modified.",
        FailureKind.SEAL,
    ),
    (400, "invalid_request_error", "Your credit balance is too low", FailureKind.QUOTA),
    (400, "invalid_request_error", "This organization has been disabled.", FailureKind.SUSPENDED),
    (401, "authentication_error", "invalid x-api-key", FailureKind.AUTH_REVOKED),
    (402, "billing_error", "pay", FailureKind.QUOTA),
    (403, "permission_error", "Your key may not use this model", FailureKind.MISCONFIGURED),
    (403, "permission_error", "Your account has been suspended", FailureKind.SUSPENDED),
    (404, "not_found_error", "model: claude-x", FailureKind.NOT_FOUND),
    (408, "timeout_error", "slow", FailureKind.SLOW),
    (409, "conflict_error", "busy", FailureKind.UPSTREAM),
    (413, "request_too_large", "too large", FailureKind.BAD_REQUEST),
    (422, "invalid_request_error", "no", FailureKind.BAD_REQUEST),
    (429, "rate_limit_error", "slow down", FailureKind.RATE),
    (500, "api_error", "broken", FailureKind.UPSTREAM),
    (500, "overloaded_error", "Overloaded", FailureKind.CAPACITY),
    (503, "api_error", "away", FailureKind.CAPACITY),
    (504, "timeout_error", "slow", FailureKind.SLOW),
    (529, "overloaded_error", "Overloaded", FailureKind.CAPACITY),
]


class TestFailures:
    @pytest.mark.parametrize(("status", "kind", "message", "meant"), FAILURES)
    def test_by_status_and_text(self, status, kind, message, meant):
        failure = failed(status, message, kind)
        assert failure.kind is meant
        assert failure.feature is None

    @pytest.mark.parametrize(
        ("status", "kind", "message", "meant"),
        [row for row in FAILURES if row[0] not in (408, 422, 503)],
    )
    def test_inside_a_stream_the_type_stands_for_the_status(self, status, kind, message, meant):
        assert failed(200, message, kind).kind is meant

    def test_an_error_without_a_type_inside_a_stream_is_the_upstreams(self):
        assert failed(200, "?").kind is FailureKind.UPSTREAM

    def test_clients_know_by_the_words_that_a_prompt_is_too_long(self):
        message = "prompt is too long: 210000 tokens > 200000 maximum"
        assert failed(400, message, "invalid_request_error").detail == message

    def test_a_token_that_expires_may_be_mended(self):
        body = orjson.dumps({"error": {"message": "expired"}})
        failure = read_anthropic_failure(401, {}, body, now=NOW, has_token=True)
        assert failure.kind is FailureKind.AUTH_EXPIRED

    def test_an_account_that_nobody_pays_for_rests(self):
        failure = failed(402, "pay", "billing_error", {"retry-after": "1"})
        assert (failure.retry_at, failure.scope) == (NOW + 3600, Scope.ACCOUNT)

    def test_an_account_that_spent_all_it_may_rests_until_it_regains_access(self):
        message = (
            "You have reached your specified API usage limits. You will regain access on "
            "2026-12-01 at 00:00 UTC."
        )
        failure = failed(400, message, "invalid_request_error")
        assert failure.kind is FailureKind.QUOTA
        assert (failure.retry_at, failure.scope) == (DECEMBER, Scope.ACCOUNT)

    @pytest.mark.parametrize("details", [None, {"error_code": "enforced_spend_limit_reached"}])
    def test_a_spend_limit_lasts_until_the_month_ends(self, details):
        message = "no" if details else "enforced_spend_limit_reached"
        error = {"type": "rate_limit_error", "message": message, "details": details}
        failure = PROVIDER.read_failure(429, {}, orjson.dumps({"error": error}), now=NOW)
        assert failure.kind is FailureKind.QUOTA
        assert (failure.retry_at, failure.scope) == (DECEMBER, Scope.ACCOUNT)

    @pytest.mark.parametrize(
        ("headers", "kind", "wait"),
        [
            ({}, FailureKind.RATE, None),
            ({"retry-after": "7"}, FailureKind.RATE, 7),
            ({"retry-after": "1", "retry-after-ms": "700"}, FailureKind.RATE, 0.7),
            ({"retry-after": "4000"}, FailureKind.QUOTA, 4000),
            (
                {
                    "anthropic-ratelimit-tokens-remaining": "0",
                    "anthropic-ratelimit-tokens-reset": "2026-11-21T10:00:20Z",
                    "anthropic-ratelimit-requests-remaining": "3",
                    "anthropic-ratelimit-requests-reset": "2026-11-21T10:00:50Z",
                },
                FailureKind.RATE,
                20,
            ),
        ],
    )
    def test_a_rate_is_of_the_model(self, headers, kind, wait):
        failure = failed(429, "no", "rate_limit_error", headers)
        assert (failure.kind, failure.scope) == (kind, Scope.MODEL)
        assert failure.retry_at == (None if wait is None else pytest.approx(NOW + wait))

    def test_too_many_at_once_is_said(self):
        text = "Number of concurrent connections has exceeded your rate limit"
        assert failed(429, text, "rate_limit_error").crowded
        assert not failed(429, "too many tokens", "rate_limit_error").crowded

    @pytest.mark.parametrize(
        ("windows", "retry_after", "wait", "scope"),
        [
            ({"5h": 100, "7d": 900}, None, 900, Scope.ACCOUNT),
            ({"5h": 100}, 300, 300, Scope.ACCOUNT),
            ({"7d_oi": 500}, 20, 500, Scope.MODEL),
            ({"7d_oi": 500, "5h": 100}, None, 500, Scope.ACCOUNT),
        ],
    )
    def test_of_rejected_windows_the_latest_counts(self, windows, retry_after, wait, scope):
        prefix = "Anthropic-Ratelimit-Unified"
        headers = {f"{prefix}-9h-status": "allowed", f"{prefix}-9h-reset": str(NOW + 9999)}
        for name, span in windows.items():
            headers[f"{prefix}-{name}-Status"] = "rejected"
            headers[f"{prefix}-{name}-Reset"] = str(NOW + span)
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        failure = failed(429, "no", "rate_limit_error", headers)
        assert failure.kind is FailureKind.QUOTA
        assert (failure.retry_at, failure.scope) == (NOW + wait, scope)

    def test_a_subscription_that_names_no_window(self):
        prefix = "anthropic-ratelimit-unified"
        headers = {f"{prefix}-status": "rejected", f"{prefix}-reset": str(NOW + 50)}
        failure = failed(429, "no", "rate_limit_error", headers)
        assert failure.kind is FailureKind.QUOTA
        assert (failure.retry_at, failure.scope) == (NOW + 50, Scope.ACCOUNT)

    def test_an_overload_says_when(self):
        assert failed(529, "x", "overloaded_error", {"retry-after": "3"}).retry_at == NOW + 3

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (403, FailureKind.UPSTREAM),
            (502, FailureKind.UPSTREAM),
            (413, FailureKind.BAD_REQUEST),
        ],
    )
    def test_a_web_page_is_not_the_api(self, status, kind):
        page = b"<html><title>Just a moment...</title>"
        failure = PROVIDER.read_failure(status, {}, page, now=NOW)
        assert failure.kind is kind
        assert "Just a moment" in failure.detail

    def test_secrets_are_not_told(self):
        assert KEY.value not in failed(401, f"invalid key {KEY.value}").detail

    @given(
        st.integers(200, 599),
        st.binary(max_size=40)
        | st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
        ).map(lambda value: orjson.dumps({"error": value})),
    )
    def test_any_body_is_one_failure(self, status, body):
        assert PROVIDER.read_failure(status, {}, body, now=NOW).detail


class TestFeatures:
    @pytest.mark.parametrize(
        ("message", "feature"),
        [
            ("temperature: Extra inputs are not permitted", "temperature"),
            ("context_management: Extra inputs are not permitted", "context_management"),
            ("thinking.adaptive.display: Extra inputs are not permitted", "thinking.display"),
            ("output_config.effort: Extra inputs are not permitted", "output_config.effort"),
            ("tools.0.custom.strict: Extra inputs are not permitted", "strict"),
            ("max_tokens: Extra inputs are not permitted", None),
            ("messages.0.content.0.text.foo: Extra inputs are not permitted", None),
            ("`temperature` is not supported by claude-opus-5-5", "temperature"),
            ("`temperature` is deprecated for this model.", "temperature"),
            ("`top_k` is not supported by this model", "top_k"),
            (
                "`temperature` and `top_p` cannot both be specified for this model.",
                "temperature+top_p",
            ),
            (
                '"thinking.type.enabled" is not supported for this model. Use '
                '"thinking.type.adaptive" and "output_config.effort" to control thinking.',
                "thinking.enabled",
            ),
            ("adaptive thinking is not supported on this model", "thinking.adaptive"),
            ("This model does not support the effort parameter.", "output_config.effort"),
            ("output_config.format is not supported by this model", "output_config.format"),
            ("This model does not support thinking.", "thinking"),
            ("`temperature` may only be set to 1 when thinking is enabled.", None),
            ("max_tokens: 99 > 8, which is the maximum allowed number of output tokens", None),
        ],
    )
    def test_what_a_refusal_is_about(self, message, feature):
        assert refused_feature(said(message)) == feature
        failure = failed(400, message, "invalid_request_error")
        assert failure.feature == feature
        assert failure.kind is (FailureKind.UNSUPPORTED if feature else FailureKind.BAD_REQUEST)

    @pytest.mark.parametrize(
        ("feature", "body", "adapted"),
        [
            ("temperature", {"temperature": 1}, {}),
            ("temperature+top_p", {"temperature": 1, "top_p": 1}, {"temperature": 1}),
            ("temperature+top_p", {"top_p": 1}, {"top_p": 1}),
            (
                "thinking.enabled",
                {"thinking": {"type": "enabled", "budget_tokens": 9000, "display": "omitted"}},
                {
                    "thinking": {"type": "adaptive", "display": "omitted"},
                    "output_config": {"effort": "high"},
                },
            ),
            (
                "thinking.enabled",
                {
                    "thinking": {"type": "enabled", "budget_tokens": 1},
                    "output_config": {"effort": "max"},
                },
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            ),
            ("thinking.enabled", {"thinking": {"type": "disabled"}}, None),
            ("thinking.enabled", {}, None),
            (
                "thinking.adaptive",
                {"thinking": {"type": "adaptive"}, "max_tokens": 9000},
                {"thinking": {"type": "enabled", "budget_tokens": 4500}, "max_tokens": 9000},
            ),
            (
                "thinking.adaptive",
                {"thinking": {"type": "adaptive"}, "max_tokens": 9},
                {"max_tokens": 9},
            ),
            ("thinking.adaptive", {"thinking": {"type": "enabled"}}, None),
            ("output_config.effort", {"output_config": {"effort": "low"}}, {}),
            (
                "output_config.effort",
                {"output_config": {"effort": "low", "format": {}}},
                {"output_config": {"format": {}}},
            ),
            ("output_config.effort", {"output_config": {"format": {}}}, None),
            (
                "thinking.display",
                {"thinking": {"type": "adaptive", "display": "omitted"}},
                {"thinking": {"type": "adaptive"}},
            ),
            ("output_config.format", {"output_config": {"effort": "low"}}, None),
        ],
    )
    def test_the_body_without_it(self, feature, body, adapted):
        done = without(body, frozenset({feature}), "anthropic")
        assert done == (body if adapted is None else adapted)
        if adapted is None:
            assert done is body

    @pytest.mark.parametrize("system", [None, "be brief", [{"type": "text", "text": "be brief"}]])
    def test_a_schema_that_is_refused_is_told_in_words(self, system):
        config = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
        body = {"output_config": config} | ({"system": system} if system else {})
        done = without(body, frozenset({"output_config.format"}), "anthropic")
        assert "output_config" not in done
        assert done["system"][-1]["text"].endswith('{"type":"object"}')
        assert [block["text"] for block in done["system"][:-1]] == ["be brief"] * bool(system)

    def test_what_the_api_says_of_each_model_is_learned_in_one_go(self):
        """Whatever a model refuses, the request does without, until nothing is refused."""
        asked = {
            "model": "m",
            "max_tokens": 9000,
            "messages": [{"role": "user", "content": "hi"}],
            "temperature": 0.5,
            "top_p": 0.5,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        }
        avoided: frozenset[str] = frozenset()
        for _ in range(4):
            body = without(asked, avoided, "anthropic")
            found = next(
                problems(
                    body,
                    ANTHROPIC[NEWEST.id],
                    version="2023-06-01",
                    betas=frozenset(),
                    signer=None,
                ),
                None,
            )
            if found is None:
                break
            feature = refused_feature(said(found))
            assert feature is not None, found
            avoided |= {feature}
        assert found is None
        assert body["thinking"] == {"type": "adaptive"}
