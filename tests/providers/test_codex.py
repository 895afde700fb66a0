"""The Codex back end: what is sent where, what its answers say of accounts and mean."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from asks import DEFAULTS, ask_of, sent_json
from talking import talk

from mcp_proxy import __version__
from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import Conversation, Sampling, Text, Tool, Verbatim
from mcp_proxy.dialects import upstream_dialect
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.model import ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.providers import (
    Ask,
    ProviderSettings,
    QuotaReading,
    Reading,
    SignIn,
    TokenAnswer,
    UpstreamCall,
    provider,
)
from mcp_proxy.providers.codex import CLIENT_ID, CLIENT_VERSION, PROVIDER

NOW = 1_760_000_000.0
MODEL = info("gpt-5.5", "codex")
ACCOUNT = Account(
    "gpt", "codex", Credential(refresh_token=Secret("rt-single-use")), workspace="acc-1"
)
Json = dict[str, Any]


def jwt(**claims: Any) -> str:
    middle = urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{middle}.c2ln"


TOKEN = Secret(jwt(exp=NOW + 864_000))


def ask(conversation: Conversation | None = None, token: Secret = TOKEN, **fields: Any) -> Ask:
    usual: Json = {
        "account": ACCOUNT,
        "model": MODEL,
        "dialect": "openai_responses",
        "conversation": conversation or talk(),
        "host": "https://host/backend-api/codex",
        "client_headers": {"originator": "codex_exec"},
    }
    return ask_of(token=token, **{**usual, **fields})


def rendered(conversation: Conversation, **fields: Any) -> Json:
    body = upstream_dialect("openai_responses").render_request(conversation, MODEL)
    return sent_json(PROVIDER.build_call(body, ask(conversation, **fields)))


def test_only_codex_itself_is_forwarded():
    body = {"model": "m", "stream": True, "input": []}
    assert PROVIDER.forwardable(body, ask()) is not None
    assert PROVIDER.forwardable(body, ask(client_headers={"originator": "other"})) is None
    assert PROVIDER.forwardable(body, ask(client_headers={})) is None


def test_is_listed_under_its_name():
    assert provider("codex") is PROVIDER
    assert PROVIDER.sign_in is SignIn.CODEX
    assert PROVIDER.makes_tokens
    assert PROVIDER.dialects(MODEL) == ("openai_responses",)
    assert "OpenAI" in PROVIDER.risk
    assert MODEL.id in {model.id for model in PROVIDER.models()}


def test_address_is_replaced_by_settings_and_those_by_the_account():
    assert PROVIDER.hosts(ACCOUNT, DEFAULTS) == ("https://chatgpt.com/backend-api/codex",)
    settings = ProviderSettings(base_urls=("http://s/",))
    assert PROVIDER.hosts(ACCOUNT, settings) == ("http://s",)
    assert PROVIDER.hosts(replace(ACCOUNT, base_url="http://a"), settings) == ("http://a",)


class TestHeaders:
    def sent(self, **fields: Any) -> Mapping[str, str]:
        return PROVIDER.build_call(b"{}", ask(**fields)).headers

    def test_just_these(self):
        call = PROVIDER.build_call(b"{}", ask())
        assert call.url == "https://host/backend-api/codex/responses"
        assert call.secrets == (TOKEN,)
        assert call.headers == {
            "Authorization": f"Bearer {TOKEN.value}",
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "User-Agent": f"mcproxy/{__version__}",
            "originator": "mcproxy",
            "chatgpt-account-id": "acc-1",
        }

    def test_account_id_is_read_off_the_token_when_the_account_names_none(self):
        claims = {"chatgpt_account_id": "acc-2", "chatgpt_account_is_fedramp": True}
        token = Secret(jwt(**{"https://api.openai.com/auth": claims}))
        bare = replace(ACCOUNT, workspace=None)
        assert self.sent(account=bare, token=token)["chatgpt-account-id"] == "acc-2"
        assert self.sent(token=token)["chatgpt-account-id"] == "acc-1"
        assert self.sent(token=token)["X-OpenAI-Fedramp"] == "true"
        assert "chatgpt-account-id" not in self.sent(account=bare, token=Secret("opaque"))

    def test_session_keeps_the_prompt_cache(self):
        assert self.sent(conversation=talk(session="s-1"))["session_id"] == "s-1"

    @pytest.mark.parametrize("session", ["with\r\nnewline", "ümlaut", "x" * 129, " "])
    def test_session_that_cannot_be_a_header_is_left_out(self, session):
        assert "session_id" not in self.sent(conversation=talk(session=session))

    def test_forwarded_request_keeps_the_headers_it_depends_on_and_no_others(self):
        client = {
            "Session-Id": "theirs",
            "thread-id": "t",
            "X-Codex-Turn-State": "state",
            "x-openai-internal-codex-responses-lite": "true",
            "Authorization": "Bearer clients-own",
            "User-Agent": "codex_exec/0.169.0",
            "originator": "codex_exec",
            "Cookie": "c",
            "x-api-key": "k",
        }
        found = self.sent(client_headers=client, conversation=talk(session="ours"))
        extra = {name: found[name] for name in found if name not in self.sent()}
        assert extra == {
            "session-id": "theirs",
            "thread-id": "t",
            "x-codex-turn-state": "state",
            "x-openai-internal-codex-responses-lite": "true",
        }
        assert found["Authorization"] == f"Bearer {TOKEN.value}"
        assert found["originator"] == "mcproxy"
        assert found["User-Agent"].startswith("mcproxy/")


class TestRenderedBodies:
    def test_demands_are_met_and_what_is_refused_is_gone(self):
        found = rendered(talk(sampling=Sampling(max_tokens=50_000, temperature=0.5)))
        assert found["instructions"] == ""
        assert found["include"] == ["reasoning.encrypted_content"]
        assert found["store"] is False
        assert found["stream"] is True
        assert not {"max_output_tokens", "temperature", "tools", "parallel_tool_calls"} & {*found}

    def test_web_search_asks_for_no_sources(self):
        search = Verbatim("anthropic", {"type": "web_search_20250305"})
        found = rendered(talk(server_tools=(search,)))
        assert found["tools"] == [{"type": "web_search"}]
        assert found["include"] == ["reasoning.encrypted_content"]

    def test_tools_keep_their_settings(self):
        found = rendered(talk(tools=(Tool("f", "", {}),), system=(Text("Be."),)))
        assert found["parallel_tool_calls"] is True
        assert found["instructions"] == "Be."

    def test_what_was_refused_before_is_left_out(self):
        assert "reasoning" in rendered(talk())
        assert "reasoning" not in rendered(talk(), avoided=frozenset({"reasoning"}))


def forwarded(**body: Any) -> Json | None:
    full = {"model": "gpt-5.5", "stream": True, "input": "hi", **body}
    before = orjson.dumps(full)
    found = PROVIDER.forwardable(full, ask())
    assert orjson.dumps(full) == before
    return found


GOOD: Json = {
    "instructions": "Be.",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "e"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "r"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
    "parallel_tool_calls": False,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
    "client_metadata": {"a": "b"},
    "text": {"verbosity": "low"},
}


class TestForwardedBodies:
    def test_body_that_meets_every_demand_is_the_same_object(self):
        body = {"model": "m", "stream": True, **GOOD}
        assert PROVIDER.forwardable(body, ask()) is body

    @pytest.mark.parametrize("stream", [False, None, "true"])
    def test_client_that_wants_no_stream_has_its_request_rendered(self, stream):
        assert forwarded(stream=stream, **GOOD) is None

    def test_demands_are_met(self):
        assert forwarded(store=True, include=["x"]) == {
            "model": "gpt-5.5",
            "stream": True,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "instructions": "",
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "hi"}],
                }
            ],
        }

    @pytest.mark.parametrize(
        "name",
        ["max_output_tokens", "temperature", "user", "truncation", "previous_response_id"],
    )
    def test_refused_parameters_are_left_out(self, name):
        assert name not in forwarded(**{name: 1}, **GOOD)

    @pytest.mark.parametrize(("tier", "is_sent"), [("priority", True), ("auto", False)])
    def test_only_the_fast_tier_is_named(self, tier, is_sent):
        assert ("service_tier" in forwarded(service_tier=tier)) is is_sent

    def test_system_becomes_developer_and_ids_and_marks_go(self):
        part = {"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}}
        found = forwarded(
            input=[
                {"role": "system", "content": "s"},
                {"type": "message", "id": "msg_1", "role": "user", "content": [part, "odd"]},
                {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f"},
                {"type": "web_search_call", "id": "ws_1"},
                {"type": "web_search_call", "id": "w" * 65},
                {"type": "item_reference", "id": "gone"},
            ]
        )
        assert found["input"] == [
            {"role": "developer", "content": "s"},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "t"}, "odd"],
            },
            {"type": "function_call", "call_id": "c", "name": "f"},
            {"type": "web_search_call", "id": "ws_1"},
            {"type": "web_search_call"},
        ]

    def test_choice_about_parallel_calls_goes_with_the_tools_wherever_they_are(self):
        assert "parallel_tool_calls" not in forwarded(parallel_tool_calls=True)
        inside = [{"type": "additional_tools", "role": "developer", "tools": []}]
        found = forwarded(parallel_tool_calls=False, input=inside)
        assert found["parallel_tool_calls"] is False

    @pytest.mark.parametrize(
        "body",
        [
            {"input": [{"type": "function_call", "call_id": "c" * 65, "name": "f"}]},
            {"tools": [{"type": "function", "name": "n" * 65}]},
            {"input": None},
            {"input": ["text"]},
        ],
    )
    def test_what_cannot_go_unchanged_is_rendered(self, body):
        assert forwarded(**body) is None

    def test_real_codex_requests_are_forwarded_with_nothing_lost_but_ids(self, codex_bodies):
        for body in codex_bodies:
            found = PROVIDER.forwardable(body, ask())
            bare = [{k: v for k, v in item.items() if k != "id"} for item in body["input"]]
            assert found["input"] == bare
            assert {**found, "input": 0, "instructions": 0} == {
                **body,
                "input": 0,
                "instructions": 0,
            }


@pytest.fixture(params=["codex-tool-loop", "codex-gpt-5.5-tool-loop", "codex-gpt-6-sol-tool-loop"])
def codex_bodies(request):
    path = Path(__file__).parents[1] / "recordings" / f"{request.param}.json"
    return [entry["body"] for entry in orjson.loads(path.read_bytes())]


class TestRefresh:
    def test_call(self):
        call = PROVIDER.refresh_call(ACCOUNT, DEFAULTS)
        assert call.url == "https://auth.openai.com/oauth/token"
        assert call.headers["Content-Type"] == "application/json"
        assert call.secrets == (Secret("rt-single-use"),)
        assert orjson.loads(call.body) == {
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": "rt-single-use",
        }

    def test_account_beats_settings(self):
        settings = ProviderSettings(token_url="http://s/t", client_id="sid")
        assert PROVIDER.refresh_call(ACCOUNT, settings).url == "http://s/t"
        assert b'"sid"' in PROVIDER.refresh_call(ACCOUNT, settings).body
        own = replace(ACCOUNT, token_url="http://a/t")
        assert PROVIDER.refresh_call(own, settings).url == "http://a/t"

    def test_without_a_token_it_says_what_to_do(self):
        with pytest.raises(UpstreamBroke) as broke:
            PROVIDER.refresh_call(replace(ACCOUNT, credential=Credential()), DEFAULTS)
        assert broke.value.failure.kind is FailureKind.MISCONFIGURED
        assert "mcproxy accounts add --provider codex --id gpt" in broke.value.failure.detail

    def read(self, status: int, body: Any) -> TokenAnswer | Failure:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return PROVIDER.read_refresh(status, {}, raw, now=NOW)

    def test_rotated_token_is_handed_on(self):
        body = {"access_token": "a", "refresh_token": "next", "expires_in": 600}
        assert self.read(200, body) == TokenAnswer(Secret("a"), 600.0, Secret("next"))

    @pytest.mark.parametrize(
        ("token", "life"),
        [(jwt(exp=NOW + 900), 900.0), (jwt(exp=NOW - 5), 0.0), (jwt(), 3600.0), ("x", 3600.0)],
    )
    def test_life_is_the_tokens_own_when_nothing_is_said(self, token, life):
        assert self.read(200, {"access_token": token}) == TokenAnswer(Secret(token), life)

    @pytest.mark.parametrize(
        "body",
        [
            {"error": {"code": "refresh_token_expired", "message": "m"}},
            {"error": {"code": "refresh_token_reused", "message": "m"}},
            {"error": {"code": "refresh_token_invalidated"}},
            {"error": "invalid_grant", "error_description": "gone"},
            {"error": "refresh_token_reused"},
            {"code": "refresh_token_expired", "message": "m"},
        ],
    )
    @pytest.mark.parametrize("status", [400, 401])
    def test_grant_that_is_gone(self, status, body):
        found = self.read(status, body)
        assert isinstance(found, Failure)
        assert found.kind is FailureKind.AUTH_REVOKED
        assert found.detail

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (401, {"error": {"code": "something_new"}}, FailureKind.UPSTREAM),
            (500, {"error": {"message": "oops"}}, FailureKind.UPSTREAM),
            (403, b"<html><title>Just a moment...</title>", FailureKind.UPSTREAM),
            (200, {"token_type": "bearer"}, FailureKind.UPSTREAM),
            (200, b"not json", FailureKind.UPSTREAM),
            (429, {"error": {"message": "slow down", "code": "slow"}}, FailureKind.RATE),
        ],
    )
    def test_nothing_else_ends_a_sign_in(self, status, body, kind):
        found = self.read(status, body)
        assert isinstance(found, Failure)
        assert found.kind is kind
        assert found.detail


USAGE: Json = {
    "plan_type": "plus",
    "rate_limit": {
        "allowed": True,
        "limit_reached": False,
        "primary_window": {
            "used_percent": 25,
            "limit_window_seconds": 18_000,
            "reset_after_seconds": 60,
            "reset_at": NOW + 61,
        },
        "secondary_window": {
            "used_percent": 104,
            "limit_window_seconds": 604_800,
            "reset_after_seconds": 120,
        },
    },
}


class TestPolls:
    def calls(self, host: str = "https://chatgpt.com/backend-api/codex") -> list[UpstreamCall]:
        return [poll.call for poll in PROVIDER.polls(ACCOUNT, TOKEN, None, host, DEFAULTS)]

    def read(self, which: int, body: Any) -> Reading:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return PROVIDER.polls(ACCOUNT, TOKEN, None, "http://h", DEFAULTS)[which].read(raw, NOW)

    def test_models_verify_the_account_and_usage_is_optional(self):
        polls = PROVIDER.polls(ACCOUNT, TOKEN, None, "http://h/codex", DEFAULTS)
        assert [poll.required for poll in polls] == [True, False]
        models, usage = self.calls()
        assert models.url == (
            f"https://chatgpt.com/backend-api/codex/models?client_version={CLIENT_VERSION}"
        )
        assert usage.url == "https://chatgpt.com/backend-api/wham/usage"
        for call in (models, usage):
            assert (call.method, call.body) == ("GET", b"")
            assert call.headers["chatgpt-account-id"] == "acc-1"
            assert call.headers["Authorization"] == f"Bearer {TOKEN.value}"

    @pytest.mark.parametrize(
        ("host", "usage"),
        [
            ("http://h:1/x/backend-api/codex", "http://h:1/x/backend-api/wham/usage"),
            ("http://h:1/codex", "http://h:1/wham/usage"),
            ("http://h:1", "http://h:1/wham/usage"),
        ],
    )
    def test_usage_is_beside_a_replaced_address(self, host, usage):
        assert self.calls(host)[1].url == usage

    def test_models(self):
        row = {
            "slug": "gpt-6-new",
            "display_name": "GPT-6 New",
            "visibility": "list",
            "context_window": 400_000,
            "input_modalities": ["text"],
            "supported_reasoning_levels": [
                {"effort": effort} for effort in ("ultra", "high", "low")
            ],
        }
        reading = self.read(
            0,
            {
                "models": [
                    row,
                    {"slug": "codex-auto-review", "visibility": "hide"},
                    {"slug": "secret", "visibility": "none"},
                    {"display_name": "no slug"},
                    "odd",
                ]
            },
        )
        new, hidden = reading.models
        assert (new.id, new.display_name) == ("gpt-6-new", "GPT-6 New")
        assert (new.context_window, new.takes_images) == (400_000, False)
        assert new.thinking == ThinkingSpec(levels=("low", "high"), can_be_off=False)
        assert hidden == info("codex-auto-review", "codex")

    def test_usage(self):
        assert self.read(1, USAGE) == Reading(
            figures=(
                QuotaReading(None, 0.75, NOW + 61, window="5h"),
                QuotaReading(None, 0.0, NOW + 120, window="7d"),
            ),
            plan="plus",
        )

    def test_usage_of_a_single_model(self):
        windows = {"primary_window": {"used_percent": 90, "limit_window_seconds": 18_000}}
        extra = {"limit_name": "GPT-5.3-Codex-Spark", "rate_limit": windows}
        reading = self.read(1, {"additional_rate_limits": [extra, {"limit_name": None}]})
        (figure,) = reading.figures
        assert figure.model == "gpt-5.3-codex-spark"
        assert figure.remaining == pytest.approx(0.1)

    @pytest.mark.parametrize(
        "body",
        [
            {"rate_limit": None},
            {"rate_limit": {"primary_window": None}},
            {"rate_limit": {"primary_window": {"used_percent": "x"}}},
            {},
        ],
    )
    def test_plan_without_windows_has_no_figures(self, body):
        assert self.read(1, body).figures == ()

    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
    def test_something_else_is_a_value_error(self, which, body):
        with pytest.raises(ValueError):
            self.read(which, body)

    def test_list_without_models_is_a_value_error(self):
        with pytest.raises(ValueError):
            self.read(0, {"data": []})


class TestHeaderFigures:
    def read(self, model: str = MODEL.id, **headers: str) -> tuple[QuotaReading, ...]:
        sent = {f"X-Codex-{name.replace('_', '-')}": value for name, value in headers.items()}
        return PROVIDER.read_headers(sent, info(model, "codex"), now=NOW)

    def test_windows_are_known_by_their_length(self):
        found = self.read(
            primary_used_percent="40.5",
            primary_window_minutes="10080",
            primary_reset_at=str(int(NOW) + 9),
            secondary_used_percent="0",
            secondary_window_minutes="300",
            secondary_reset_after_seconds="30",
            credits_balance="0",
        )
        assert found == (
            QuotaReading(None, 0.595, NOW + 9, window="7d"),
            QuotaReading(None, 1.0, NOW + 30, window="5h"),
        )

    @pytest.mark.parametrize(
        ("minutes", "name"), [("300", "5h"), ("10080", "7d"), ("90", "90m"), ("1440", "1d")]
    )
    def test_name_of_a_window(self, minutes, name):
        (found,) = self.read(primary_used_percent="1", primary_window_minutes=minutes)
        assert found.window == name

    def test_limits_of_a_single_model_count_for_it_alone(self):
        headers = {
            "bengal_limit_name": "GPT-5.3-Codex-Spark",
            "bengal_primary_used_percent": "50",
            "bengal_primary_window_minutes": "300",
            "bengal_secondary_used_percent": "80",
            "bengal_secondary_window_minutes": "10080",
        }
        assert self.read(**headers) == ()
        (found,) = self.read("gpt-5.3-codex-spark", **headers)
        assert (found.model, found.window) == ("gpt-5.3-codex-spark", None)
        assert found.remaining == pytest.approx(0.2)

    @pytest.mark.parametrize(
        "headers",
        [
            {"primary_used_percent": "x", "primary_window_minutes": "300"},
            {"primary_used_percent": "5"},
            {"primary_used_percent": "5", "primary_window_minutes": "0"},
            {},
        ],
    )
    def test_unreadable_windows_are_no_figures(self, headers):
        assert self.read(**headers) == ()


class TestFailures:
    def read(self, status: int, body: Any, headers: Mapping[str, str] = {}) -> Failure:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return PROVIDER.read_failure(status, headers, raw, now=NOW)

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (429, {"error": {"message": "too many"}}, FailureKind.RATE),
            (
                401,
                {"error": {"message": "expired", "code": "token_expired"}},
                FailureKind.AUTH_EXPIRED,
            ),
            (401, {"detail": "Unauthorized"}, FailureKind.AUTH_EXPIRED),
            (403, {"detail": "This region is not served"}, FailureKind.MISCONFIGURED),
            (403, b"<!DOCTYPE html><title>Just a moment...</title>", FailureKind.UPSTREAM),
            (
                400,
                {"error": {"code": "invalid_encrypted_content", "message": "m"}},
                FailureKind.SEAL,
            ),
            (
                400,
                {"error": {"code": "context_length_exceeded", "message": "m"}},
                FailureKind.TOO_LONG,
            ),
            (400, {"detail": "Something about the input"}, FailureKind.BAD_REQUEST),
            (
                400,
                {"detail": "The 'gpt-9' model is not supported with a ChatGPT account."},
                FailureKind.NOT_FOUND,
            ),
            (404, {"detail": "Model gpt-9 is not available on your plan"}, FailureKind.NOT_FOUND),
            (503, {"error": {"code": "server_is_overloaded"}}, FailureKind.CAPACITY),
            (500, b"", FailureKind.UPSTREAM),
            # Inside a stream that began with 200.
            (
                200,
                {"error": {"code": "server_is_overloaded", "message": "m"}},
                FailureKind.CAPACITY,
            ),
            (200, {"error": {"code": "slow_down", "message": "m"}}, FailureKind.CAPACITY),
            (200, {"error": {"message": "Selected model is at capacity."}}, FailureKind.CAPACITY),
            (200, {"error": {"code": "cyber_policy", "message": "m"}}, FailureKind.BAD_REQUEST),
            (200, {"error": {"code": "invalid_prompt", "message": "m"}}, FailureKind.BAD_REQUEST),
            (200, {"error": {"code": "insufficient_quota", "message": "m"}}, FailureKind.QUOTA),
            (200, {"error": {"code": "context_length_exceeded"}}, FailureKind.TOO_LONG),
            (200, {"error": {"message": "the response failed"}}, FailureKind.UPSTREAM),
        ],
    )
    def test_kinds(self, status, body, kind):
        found = self.read(status, body)
        assert found.kind is kind
        assert found.detail

    @pytest.mark.parametrize("when", [{"resets_at": NOW + 7200}, {"resets_in_seconds": 7200}])
    def test_used_up_plan_rests_the_whole_account_until_it_resets(self, when):
        error = {"type": "usage_limit_reached", "message": "limit", "plan_type": "plus", **when}
        found = self.read(429, {"error": error})
        assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.ACCOUNT)
        assert found.retry_at == NOW + 7200

    @pytest.mark.parametrize("status", [429, 403, 200])
    @pytest.mark.parametrize("key", ["type", "code"])
    def test_plan_without_codex_closes_the_account(self, status, key):
        found = self.read(status, {"error": {key: "usage_not_included", "message": "m"}})
        assert (found.kind, found.scope) == (FailureKind.SUSPENDED, Scope.ACCOUNT)
        assert "does not include Codex" in found.detail

    def test_wait_is_read_off_the_words_of_a_failed_response(self):
        message = "Rate limit reached. Please try again in 1.5s."
        found = self.read(200, {"error": {"code": "rate_limit_exceeded", "message": message}})
        assert found.kind is FailureKind.RATE
        assert found.retry_at == pytest.approx(NOW + 1.5)

    def test_error_in_a_header_counts_when_the_body_is_empty(self):
        error = b64encode(orjson.dumps({"error": {"message": "identity is gone"}})).decode()
        found = self.read(401, b"", {"X-Error-Json": error})
        assert (found.kind, found.detail) == (FailureKind.AUTH_EXPIRED, "identity is gone")
        assert self.read(401, b"", {"x-error-json": "!"}).kind is FailureKind.AUTH_EXPIRED

    def test_tokens_are_kept_out_of_what_is_told(self):
        found = self.read(400, {"detail": f"bad token {jwt(sub='somebody at home')}"})
        assert "eyJ" not in found.detail
