"""Z.AI: what is sent where, what it says of quota, and what its business codes mean."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from asks import DEFAULTS, ask_of, sent_json
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from talking import talk

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import Conversation, Reasoning, Tool, Verbatim
from mcp_proxy.dialects.anthropic import UPSTREAM
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, QuotaReading, Reading, provider
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.providers.zai import PROVIDER, quota_url

NOW = datetime(2026, 9, 8, 12, tzinfo=UTC).timestamp()
RESET = datetime(2026, 9, 8, 21, 38, 28, tzinfo=UTC).timestamp()
"""2026-09-09 05:38:28 in China."""
KEY = Secret("0123456789abcdef.ZaiSecretPart")
ACCOUNT = Account("z", "zai", Credential(api_key=KEY))
GLM = info("glm-4.7", "zai")
HOST = "https://api.z.ai/api/anthropic"
TALK = talk()


def ask(**fields: Any) -> Ask:
    usual = {"account": ACCOUNT, "token": KEY, "model": GLM, "dialect": "anthropic", "host": HOST}
    return ask_of(**{**usual, **fields})


def body_of(conversation: Conversation, **fields: Any) -> Any:
    call = PROVIDER.build_call(UPSTREAM.render_request(conversation, GLM), ask(**fields))
    return sent_json(call)


def test_is_listed_under_its_name():
    assert provider("zai") is PROVIDER
    assert PROVIDER.dialects(GLM) == ("anthropic",)
    assert GLM in PROVIDER.models()
    assert PROVIDER.hosts(ACCOUNT, DEFAULTS) == (HOST,)


def test_what_its_terms_restrict_has_to_be_agreed_to():
    assert PROVIDER.risk is not None
    assert "1313" in PROVIDER.risk


class TestCalls:
    def test_a_rendered_request(self):
        body = UPSTREAM.render_request(TALK, GLM)
        call = PROVIDER.build_call(body, ask())
        assert call.url == "https://api.z.ai/api/anthropic/v1/messages"
        assert call.headers == {
            "Authorization": f"Bearer {KEY.value}",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "anthropic-version": "2023-06-01",
        }
        assert call.secrets == (KEY,)
        assert orjson.loads(call.body)["model"] == "glm-4.7"

    def test_versions_and_betas_of_clients_are_kept_from_it(self):
        client = CIMultiDict({"anthropic-version": "2026-10-21", "anthropic-beta": "x"})
        call = PROVIDER.build_call(b"{}", ask(client_headers=client))
        assert call.headers["anthropic-version"] == "2023-06-01"
        assert "anthropic-beta" not in call.headers
        assert call.body == b"{}"

    def test_a_rendered_request_asks_for_thinking_without_a_beta(self):
        conversation = replace(TALK, tools=(Tool("t", "", {}),), reasoning=Reasoning("on"))
        call = PROVIDER.build_call(UPSTREAM.render_request(conversation, GLM), ask())
        assert orjson.loads(call.body)["thinking"]["type"] == "enabled"
        assert "anthropic-beta" not in call.headers

    def test_tools_of_anthropics_servers_are_left_out(self):
        search = Verbatim("anthropic", {"type": "web_search_20250305", "name": "web_search"})
        assert "tools" not in body_of(replace(TALK, server_tools=(search,)))
        both = replace(TALK, server_tools=(search,), tools=(Tool("t", "", {}),))
        assert [tool["name"] for tool in body_of(both)["tools"]] == ["t"]

    def test_a_refused_feature_is_left_out(self):
        conversation = replace(TALK, reasoning=Reasoning("off"))
        assert "thinking" in body_of(conversation)
        assert "thinking" not in body_of(conversation, avoided=frozenset({"thinking"}))


class TestForwarding:
    def test_a_plain_body_is_the_same_object(self):
        body = {
            "model": "glm-4.7",
            "max_tokens": 5,
            "metadata": {"user_id": "u"},
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]},
            ],
        }
        assert PROVIDER.forwardable(body, ask()) is body

    def test_what_is_of_betas_or_of_anthropics_servers_goes(self):
        known = {"type": "text", "text": "a"}
        body = {
            "messages": [
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                        known,
                    ],
                },
                {"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]},
                {"role": "user", "content": [known]},
            ],
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "auto"},
            "context_management": {},
            "speed": "fast",
        }
        assert PROVIDER.forwardable(body, ask()) == {
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [known]},
                {"role": "user", "content": [known]},
            ]
        }


class TestPolls:
    def polls(self, host: str = HOST) -> Any:
        return PROVIDER.polls(ACCOUNT, KEY, None, host, DEFAULTS)

    def quota(self, answer: Any) -> Reading:
        reading: Reading = self.polls()[1].read(orjson.dumps(answer), NOW)
        return reading

    def test_the_calls(self):
        models, quota = self.polls()
        assert models.call.url == "https://api.z.ai/api/anthropic/v1/models"
        assert quota.call.url == "https://api.z.ai/api/monitor/usage/quota/limit"
        assert (models.required, quota.required) == (True, False)
        for poll in (models, quota):
            assert poll.call.method == "GET"
            assert poll.call.headers["Authorization"] == f"Bearer {KEY.value}"

    @pytest.mark.parametrize(
        ("host", "url"),
        [
            (
                "https://open.bigmodel.cn/api/anthropic",
                "https://open.bigmodel.cn/api/monitor/usage/quota/limit",
            ),
            (
                "http://127.0.0.1:9/zai/api/anthropic",
                "http://127.0.0.1:9/zai/api/monitor/usage/quota/limit",
            ),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/api/monitor/usage/quota/limit"),
            ("http://127.0.0.1:9/x", "http://127.0.0.1:9/api/monitor/usage/quota/limit"),
        ],
    )
    def test_quota_is_asked_beside_messages_or_at_the_root(self, host, url):
        assert quota_url(host) == url

    def test_the_list_of_models(self):
        rows = [
            {"id": "glm-4.7", "display_name": "GLM-4.7", "created_at": None, "type": "model"},
            {"id": "glm-9", "display_name": None, "object": "model"},
        ]
        reading = self.polls()[0].read(orjson.dumps({"object": "list", "data": rows}), NOW)
        assert reading.models == (replace(GLM, display_name="GLM-4.7"), info("glm-9", "zai"))

    def test_quota(self):
        tokens = {"type": "TOKENS_LIMIT", "usage": 200_000_000, "remaining": 1}
        limits = [
            {
                **tokens,
                "unit": 3,
                "number": 5,
                "percentage": 25,
                "nextResetTime": 1769036370828,
            },
            {"type": "TOKENS_LIMIT", "unit": 6, "number": 1, "percentage": 0},
            {"type": "TOKENS_LIMIT", "unit": 5, "number": 1, "percentage": 130},
            {"type": "TOKENS_LIMIT", "unit": 9},
            {"type": "TIME_LIMIT", "unit": 5, "number": 1, "percentage": 100},
            "odd",
        ]
        answer = {"code": 200, "success": True, "data": {"level": "pro", "limits": limits}}
        assert self.quota(answer) == Reading(
            figures=(
                QuotaReading(None, 0.75, 1769036370.828, window="5h"),
                QuotaReading(None, 1.0, None, window="7d"),
                QuotaReading(None, 0.0, None, window="month"),
                QuotaReading(None, None, None, window="quota"),
            ),
            plan="pro",
        )

    @pytest.mark.parametrize(
        "answer", [{"code": 1001, "msg": "no key", "success": False}, {}, [], {"data": []}]
    )
    def test_a_failure_with_status_200_is_no_quota(self, answer):
        with pytest.raises(ValueError):
            self.quota(answer)


# Failures


def failed(status: int, body: Any, headers: dict[str, str] | None = None) -> Failure:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return PROVIDER.read_failure(status, headers or {}, raw, now=NOW)


def coded(code: int | str, message: str = "no") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


MEANINGS = [
    ((1000, 1001, 1002, 1003, 1004), FailureKind.AUTH_REVOKED, Scope.ACCOUNT),
    ((1110, 1112, 1121), FailureKind.MISCONFIGURED, Scope.ACCOUNT),
    ((1113,), FailureKind.QUOTA, Scope.ACCOUNT),
    ((1210, 1212, 1215, 1220, 1222, 1301), FailureKind.BAD_REQUEST, Scope.MODEL),
    ((1211, 1311), FailureKind.NOT_FOUND, Scope.MODEL),
    ((1234,), FailureKind.UPSTREAM, Scope.MODEL),
    ((1302, 1303), FailureKind.RATE, Scope.ACCOUNT),
    ((1304, 1308, 1310, 1316, 1321), FailureKind.QUOTA, Scope.ACCOUNT),
    ((1305, 1312), FailureKind.CAPACITY, Scope.MODEL),
    ((1309,), FailureKind.MISCONFIGURED, Scope.ACCOUNT),
    ((1313,), FailureKind.SUSPENDED, Scope.ACCOUNT),
]


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "kind", "scope"),
        [(code, kind, scope) for codes, kind, scope in MEANINGS for code in codes],
    )
    @pytest.mark.parametrize("status", [200, 400, 429, 500])
    def test_the_code_decides_whatever_the_status_is(self, status, code, kind, scope):
        for told in (code, str(code)):
            failure = failed(status, coded(told))
            assert (failure.kind, failure.scope) == (kind, scope)

    @pytest.mark.parametrize(
        "body",
        [
            {"error": {"code": "1302", "message": "x"}},
            {"type": "error", "error": {"type": "1302", "message": "x"}},
            {"type": "error", "error": {"type": "rate_limit_error", "message": "[1302] 并发过高"}},
            {"error": {"type": "rate_limit_error", "message": "1302: too many"}},
            {"code": 1302, "msg": "x", "success": False},
            {"error": {"code": 1302, "msg": "x", "success": False}},
            {"code": 500, "msg": "[1302] x", "success": False},
            b"[1302] x",
        ],
    )
    def test_wherever_the_code_stands(self, body):
        failure = failed(429, body)
        assert failure.kind is FailureKind.RATE
        assert failure.crowded
        assert failure.retry_at == NOW + 2

    def test_other_rates_are_not_a_matter_of_one_at_a_time(self):
        assert not failed(429, coded("1303")).crowded

    @pytest.mark.parametrize(
        "message",
        [
            "Usage limit reached for 5 hour. Your limit will reset at 2026-09-09 05:38:28",
            "已达到 5 小时的使用上限。您的限额将在 2026-09-09 05:38:28 重置。",
        ],
    )
    @pytest.mark.parametrize("headers", [{}, {"retry-after": "60"}])
    def test_the_reset_is_read_from_the_text_as_time_in_china(self, message, headers):
        failure = failed(429, coded("1308", message), headers)
        assert failure.kind is FailureKind.QUOTA
        assert failure.retry_at == pytest.approx(RESET)

    def test_a_header_tells_where_the_text_does_not(self):
        assert failed(429, coded("1303"), {"retry-after": "9"}).retry_at == NOW + 9
        assert failed(429, coded("1310")).retry_at is None

    def test_an_account_in_arrears_rests_and_is_told_both_reasons(self):
        failure = failed(429, coded("1113", "余额不足"))
        assert failure.retry_at == NOW + 3600
        assert "no balance" in failure.detail
        assert "余额不足" in failure.detail

    def test_a_restricted_account_is_told_what_that_means(self):
        failure = failed(429, coded("1313", "Fair use."))
        assert failure.retry_at is None
        assert "three violations" in failure.detail
        assert failure.detail.endswith("Fair use.")

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("1210", "Prompt exceeds max length"),
            ("1213", "输入内容超长"),
            ("1214", "Input is too long"),
        ],
    )
    def test_a_prompt_that_is_too_long(self, code, message):
        failure = failed(400, coded(code, message))
        assert failure.kind is FailureKind.TOO_LONG
        assert failure.detail.startswith("prompt is too long")

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (429, {"error": {"type": "rate_limit_error", "message": "x"}}, FailureKind.RATE),
            (
                401,
                {"code": 401, "msg": "token expired", "success": False},
                FailureKind.AUTH_REVOKED,
            ),
            (
                200,
                {"code": 401, "msg": "token expired", "success": False},
                FailureKind.AUTH_REVOKED,
            ),
            (200, {"code": 500, "msg": "404 NOT_FOUND", "success": False}, FailureKind.UPSTREAM),
            (400, coded("9999", "odd"), FailureKind.BAD_REQUEST),
            (400, coded("", "1024 tokens are too few"), FailureKind.BAD_REQUEST),
            (529, {"error": {"type": "overloaded_error", "message": "x"}}, FailureKind.CAPACITY),
            (502, b"<html><title>Bad gateway</title>", FailureKind.UPSTREAM),
        ],
    )
    def test_without_a_known_code_it_is_an_error_of_the_messages_api(self, status, body, kind):
        assert failed(status, body).kind is kind

    def test_its_own_words_are_kept_wherever_they_stand(self):
        assert failed(200, {"code": 401, "msg": "token expired"}).detail == "token expired"
        assert failed(200, {"code": 1001, "msg": "no key"}).detail == "no key"

    @given(
        st.integers(200, 599),
        st.binary(max_size=40)
        | st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9999) | st.text(max_size=5),
            lambda inner: st.dictionaries(
                st.sampled_from(["error", "code", "type", "message", "msg"]), inner
            ),
        ).map(orjson.dumps),
    )
    def test_any_body_is_one_failure(self, status, body):
        assert PROVIDER.read_failure(status, {}, body, now=NOW).detail
