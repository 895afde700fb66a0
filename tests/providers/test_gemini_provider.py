"""The Gemini API: what is sent where, how bodies are fitted, and what its answers mean."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from asks import DEFAULTS, ask_of, sent_json
from talking import talk

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import (
    Conversation,
    Media,
    Message,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Verbatim,
)
from mcp_proxy.dialects.gemini import UPSTREAM
from mcp_proxy.dialects.gemini.contents import SENTINEL
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, ProviderSettings, UpstreamCall, provider
from mcp_proxy.providers.features import without
from mcp_proxy.providers.gemini import PROVIDER
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.providers.rests import next_pacific_midnight

NOW = 1_763_720_000.0  # 2025-11-21T10:13:20Z
KEY = Secret("AIza-key")
ACCOUNT = Account("g", "gemini", Credential(api_key=KEY))
OLD, NEW, PRO = "gemini-2.5-flash", "gemini-3-flash-preview", "gemini-2.5-pro"
OFF = Reasoning(by_default=False)


def ask(conversation: Conversation, model: str = NEW, **fields: Any) -> Ask:
    usual = {"account": ACCOUNT, "token": KEY, "dialect": "gemini"}
    return ask_of(model=info(model, "gemini"), conversation=conversation, **{**usual, **fields})


def sent(conversation: Conversation, model: str = NEW, **fields: Any) -> UpstreamCall:
    body = UPSTREAM.render_request(conversation, info(model, "gemini"))
    return PROVIDER.build_call(body, ask(conversation, model, **fields))


def body_of(conversation: Conversation, model: str = NEW, **fields: Any) -> dict[str, Any]:
    return sent_json(sent(conversation, model, **fields))


PICTURE = Media("image/png", "aGk=")
LOOP = (
    Message("user", (Text("look"),)),
    Message("assistant", (ToolCall("c1", "see", "{}"), ToolCall("c2", "see", "{}"))),
    Message("user", (ToolResult("c1", (PICTURE,)), ToolResult("c2", (Text("ok"),)), Text("go on"))),
)
SEE = Tool("see", "", {"type": "object", "properties": {}})


def test_is_listed_under_its_name():
    assert provider("gemini") is PROVIDER
    assert PROVIDER.dialects(info(NEW, "gemini")) == ("gemini",)
    assert NEW in {model.id for model in PROVIDER.models()}


class TestCalls:
    def test_rendered_requests_are_streamed_with_the_key_in_a_header(self):
        call = sent(talk(), stream=False)
        assert call.url == f"https://h/v1beta/models/{NEW}:streamGenerateContent?alt=sse"
        assert call.headers == {
            "x-goog-api-key": "AIza-key",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }
        assert call.secrets == (KEY,)

    @pytest.mark.parametrize(
        ("stream", "method"),
        [(True, "streamGenerateContent?alt=sse"), (False, "generateContent")],
    )
    def test_forwarded_bytes_are_sent_as_they_are(self, stream: bool, method: str):
        raw = b'{ "contents":[] }'
        call = PROVIDER.build_call(raw, ask(talk(), stream=stream))
        assert call.body is raw
        assert call.url == f"https://h/v1beta/models/{NEW}:{method}"

    def test_an_address_that_names_a_version_keeps_it(self):
        call = sent(talk(), host="http://h/v1")
        assert call.url.startswith("http://h/v1/models/")

    def test_a_name_cannot_lead_elsewhere(self):
        model = replace(info(NEW, "gemini"), id="a?b#c d")
        call = PROVIDER.build_call(b"{}", replace(ask(talk()), model=model))
        assert call.url.endswith("/models/a%3Fb%23c%20d:streamGenerateContent?alt=sse")

    def test_a_body_is_forwarded_as_it_is_unless_a_json_list_is_wanted(self):
        body = {"contents": []}
        assert PROVIDER.forwardable(body, ask(talk())) is body
        listing = talk(wants_array=True)
        assert PROVIDER.forwardable(body, ask(listing)) is None
        assert PROVIDER.forwardable(body, ask(listing, stream=False)) is body

    def test_a_body_is_rendered_when_something_has_to_be_taken_out(self):
        body = {"contents": []}
        refused = ask(talk(), avoided=frozenset({"thinkingConfig"}))
        assert PROVIDER.forwardable(body, refused) is None
        elsewhere = ask(talk(), avoided=frozenset({"dialect:openai_chat"}))
        assert PROVIDER.forwardable(body, elsewhere) is body

    def test_hosts(self):
        assert PROVIDER.hosts(ACCOUNT, DEFAULTS) == ("https://generativelanguage.googleapis.com",)
        own = replace(ACCOUNT, base_url="http://own/")
        assert PROVIDER.hosts(own, ProviderSettings(base_urls=("http://a",))) == ("http://own",)


class TestFitting:
    @pytest.mark.parametrize(
        ("model", "thinking"),
        [
            (NEW, {"thinkingLevel": "minimal"}),
            ("gemini-3-pro-preview", {"thinkingLevel": "low"}),
            (OLD, {"thinkingBudget": 0}),
            (PRO, {"thinkingBudget": 128}),
        ],
    )
    @pytest.mark.parametrize("reasoning", [OFF, Reasoning(mode="off")])
    def test_no_thinking_has_to_be_said(
        self, model: str, thinking: dict[str, Any], reasoning: Reasoning
    ):
        found = body_of(talk(reasoning=reasoning), model)
        assert found["generationConfig"]["thinkingConfig"] == thinking

    def test_thinking_that_cannot_be_off_takes_nothing_from_the_answer(self):
        short = talk(reasoning=OFF, sampling=Sampling(max_tokens=100))
        assert body_of(short, PRO)["generationConfig"]["maxOutputTokens"] == 228
        assert body_of(short, OLD)["generationConfig"]["maxOutputTokens"] == 100

    def test_nothing_said_leaves_an_older_model_as_it_likes(self):
        assert "generationConfig" not in body_of(talk(), OLD)

    def test_what_the_client_wants_is_left_as_rendered(self):
        wanted = talk(reasoning=Reasoning(mode="on", budget=2000))
        config = body_of(wanted, OLD)["generationConfig"]["thinkingConfig"]
        assert config == {"includeThoughts": True, "thinkingBudget": 2000}

    def test_budget_and_level_never_meet(self):
        for model in PROVIDER.models():
            for reasoning in (Reasoning(), OFF, Reasoning(mode="on", budget=2000, effort="low")):
                found = body_of(talk(reasoning=reasoning), model.id)
                config = found.get("generationConfig", {}).get("thinkingConfig", {})
                assert not {"thinkingLevel", "thinkingBudget"} <= config.keys()

    def test_the_sentinel_is_for_models_that_check_signatures(self):
        conversation = talk(*LOOP, tools=(SEE,))
        first = body_of(conversation, NEW)["contents"][1]["parts"][0]
        assert first["thoughtSignature"] == SENTINEL
        assert SENTINEL not in str(body_of(conversation, OLD))
        assert SENTINEL in str(body_of(conversation, "gemini-flash-latest"))

    def test_older_models_see_pictures_of_results_after_all_results(self):
        new = body_of(talk(*LOOP, tools=(SEE,)), NEW)["contents"][2]["parts"]
        assert [next(iter(part)) for part in new] == [
            "functionResponse",
            "functionResponse",
            "text",
        ]
        assert new[0]["functionResponse"]["parts"]
        old = body_of(talk(*LOOP, tools=(SEE,)), OLD)["contents"][2]["parts"]
        kinds = ["functionResponse", "functionResponse", "inlineData", "text"]
        assert [next(iter(part)) for part in old] == kinds
        assert "parts" not in old[0]["functionResponse"]

    def test_the_rendered_body_is_not_changed(self):
        conversation = talk(*LOOP, tools=(SEE,), reasoning=OFF)
        body = UPSTREAM.render_request(conversation, info(OLD, "gemini"))
        before = orjson.dumps(body)
        PROVIDER.build_call(body, ask(conversation, OLD, avoided=frozenset({"functionCall.id"})))
        assert orjson.dumps(body) == before


class TestRefusedFeatures:
    def test_search_goes_and_with_it_an_empty_list_of_tools(self):
        search = talk(server_tools=(Verbatim("gemini", {"googleSearch": {}}),))
        assert body_of(search)["tools"] == [{"googleSearch": {}}]
        assert "tools" not in body_of(search, avoided=frozenset({"googleSearch"}))

    def test_instructions_become_the_first_words_of_the_user(self):
        found = body_of(talk(system=(Text("be brief"),)), avoided=frozenset({"systemInstruction"}))
        assert "systemInstruction" not in found
        assert found["contents"][0]["parts"] == [{"text": "be brief"}, {"text": "hi"}]

    def test_instructions_before_a_models_turn_are_a_turn_of_their_own(self):
        body = {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [{"role": "model", "parts": [{"text": "m"}]}],
        }
        roles = [
            each["role"]
            for each in without(body, frozenset({"systemInstruction"}), "gemini")["contents"]
        ]
        assert roles == ["user", "model"]

    def test_ids_of_calls_and_results_go(self):
        found = body_of(talk(*LOOP, tools=(SEE,)), avoided=frozenset({"functionCall.id"}))
        assert '"id"' not in orjson.dumps(found).decode()

    def test_nothing_avoided_is_the_same_object(self):
        body: dict[str, Any] = {}
        assert without(body, frozenset(), "gemini") is body
        assert without(body, frozenset({"dialect:gemini"}), "gemini") is body


class TestModels:
    def read(self, answer: Any) -> tuple[Any, ...]:
        (poll,) = PROVIDER.polls(ACCOUNT, KEY, None, "https://h", DEFAULTS)
        models = poll.read(orjson.dumps(answer), NOW).models
        assert models is not None
        return models

    def test_are_asked_for_in_one_page(self):
        (poll,) = PROVIDER.polls(ACCOUNT, KEY, None, "https://h", DEFAULTS)
        assert poll.call.url == "https://h/v1beta/models?pageSize=1000"
        assert (poll.call.method, poll.call.headers["x-goog-api-key"]) == ("GET", "AIza-key")
        assert poll.required

    def test_those_that_generate_are_listed_with_their_limits(self):
        generating = {"supportedGenerationMethods": ["generateContent", "countTokens"]}
        (made,) = self.read(
            {
                "models": [
                    {
                        "name": "models/gemini-3-flash-preview",
                        "displayName": "Gemini 3 Flash",
                        "inputTokenLimit": 5,
                        "outputTokenLimit": 7,
                        **generating,
                    },
                    {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]},
                    {"name": 5, **generating},
                    "nonsense",
                ]
            }
        )
        assert (made.id, made.display_name) == (NEW, "Gemini 3 Flash")
        assert (made.context_window, made.max_output) == (5, 7)
        assert made.thinking == info(NEW, "gemini").thinking

    def test_a_model_that_is_said_not_to_think_does_not(self):
        row = {"name": f"models/{OLD}", "supportedGenerationMethods": ["generateContent"]}
        (made,) = self.read({"models": [{**row, "thinking": False}]})
        assert made.thinking is None

    @pytest.mark.parametrize("answer", [[], {}, {"models": 5}, "x"])
    def test_something_else_is_not_taken_for_a_list(self, answer: Any):
        with pytest.raises(ValueError, match="answer"):
            self.read(answer)


def exhausted(quota_id: str, message: str = "Quota exceeded.", **violation: Any) -> dict[str, Any]:
    return {
        "code": 429,
        "message": message,
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": quota_id, **violation}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46s"},
        ],
    }


def key_error(reason: str, message: str) -> dict[str, Any]:
    return {
        "code": 400,
        "message": message,
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}],
    }


class TestFailures:
    def read(self, status: int, error: Any) -> Failure:
        body = error if isinstance(error, bytes) else orjson.dumps({"error": error})
        return PROVIDER.read_failure(status, {}, body, now=NOW)

    @pytest.mark.parametrize(
        ("status", "error", "kind"),
        [
            (400, key_error("API_KEY_INVALID", "API key not valid."), FailureKind.AUTH_REVOKED),
            (400, key_error("API_KEY_INVALID", "API key expired."), FailureKind.AUTH_REVOKED),
            (401, {"message": "API keys are not supported"}, FailureKind.AUTH_REVOKED),
            (403, {"message": "Your API key was reported as leaked."}, FailureKind.AUTH_REVOKED),
            (403, {"message": "The caller does not have permission"}, FailureKind.MISCONFIGURED),
            (
                403,
                {"message": "Consumer 'api_key:x' has been suspended."},
                FailureKind.SUSPENDED,
            ),
            (
                400,
                {
                    "message": "Gemini API free tier is not available in your country. Please "
                    "enable billing on your project in Google AI Studio.",
                    "status": "FAILED_PRECONDITION",
                },
                FailureKind.MISCONFIGURED,
            ),
            (404, {"message": "models/x is not found for API v1beta"}, FailureKind.NOT_FOUND),
            (
                400,
                {"message": "The input token count (2000000) exceeds the maximum (1048576)."},
                FailureKind.TOO_LONG,
            ),
            (
                400,
                {"message": "Function call `x` is missing a thought_signature"},
                FailureKind.SEAL,
            ),
            (400, {"message": "* GenerateContentRequest.contents: empty"}, FailureKind.BAD_REQUEST),
            (499, {"message": "The operation was cancelled."}, FailureKind.UPSTREAM),
            (500, {"message": "An internal error has occurred."}, FailureKind.UPSTREAM),
            (503, {"message": "The model is overloaded."}, FailureKind.CAPACITY),
            (504, {"message": "Deadline expired"}, FailureKind.UPSTREAM),
            (502, b"<html><title>Bad gateway</title>", FailureKind.UPSTREAM),
            (200, {"code": 503, "message": "overloaded"}, FailureKind.CAPACITY),
        ],
    )
    def test_kinds(self, status: int, error: Any, kind: FailureKind):
        assert self.read(status, error).kind is kind

    @pytest.mark.parametrize(
        ("message", "feature"),
        [
            ("Thinking level is not supported for this model.", "thinkingConfig"),
            ("Budget 0 is invalid. This model only works in thinking mode.", "thinkingConfig"),
            ("Tool use with function calling is unsupported", "googleSearch"),
            ("Search Grounding is not supported.", "googleSearch"),
            ("Developer instruction is not enabled for models/gemma-3", "systemInstruction"),
            (
                'Invalid JSON payload received. Unknown name "id" at '
                "'contents[1].parts[0].function_call': Cannot find field.",
                "functionCall.id",
            ),
            (
                "Unknown name \"parts\" at 'contents[2].parts[0].function_response'",
                "functionResponse.parts",
            ),
        ],
    )
    def test_a_feature_that_a_model_lacks_is_named(self, message: str, feature: str):
        found = self.read(400, {"message": message, "status": "INVALID_ARGUMENT"})
        assert (found.kind, found.feature) == (FailureKind.UNSUPPORTED, feature)

    def test_a_quota_by_the_minute_is_a_rate_with_the_wait_that_is_told(self):
        found = self.read(429, exhausted("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"))
        assert (found.kind, found.retry_at) == (FailureKind.RATE, NOW + 46)

    def test_a_wait_in_prose_is_read(self):
        error = {"code": 429, "message": "per minute. Please retry in 1m5.72s."}
        assert self.read(429, error).retry_at == pytest.approx(NOW + 65.72)

    @pytest.mark.parametrize(
        ("quota_id", "scope"),
        [
            ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", Scope.MODEL),
            ("GenerateRequestsPerDayPerProject", Scope.ACCOUNT),
        ],
    )
    def test_a_quota_by_the_day_lasts_until_midnight_in_california(
        self, quota_id: str, scope: Scope
    ):
        found = self.read(429, exhausted(quota_id))
        assert (found.kind, found.scope) == (FailureKind.QUOTA, scope)
        assert found.retry_at == datetime(2025, 11, 22, 8, tzinfo=UTC).timestamp()

    @pytest.mark.parametrize(
        "error",
        [
            exhausted("PerDay", "Quota exceeded for metric: x, limit: 0"),
            exhausted("GenerateRequestsPerMinute", quotaValue="0"),
        ],
    )
    def test_a_model_outside_the_tier_is_not_waited_for(self, error: dict[str, Any]):
        found = self.read(429, error)
        assert (found.kind, found.retry_at) == (FailureKind.NOT_FOUND, None)
        assert "tier" in found.detail

    def test_a_limit_that_only_begins_with_zero_is_no_such_limit(self):
        assert self.read(429, exhausted("PerMinute", "limit: 0.5")).kind is FailureKind.RATE

    def test_a_bill_rests_the_whole_account(self):
        found = self.read(402, {"message": "Payment required"})
        assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.ACCOUNT)
        assert found.retry_at is not None
        assert found.retry_at > NOW + 600

    def test_an_error_in_a_list_is_read_too(self):
        body = orjson.dumps([{"error": exhausted("GenerateRequestsPerMinute")}])
        assert self.read(429, body).kind is FailureKind.RATE

    @pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"error": {"details": [5]}}'])
    def test_nonsense_is_a_failure_with_words(self, body: bytes):
        for status in (200, 400, 403, 429, 500):
            assert self.read(status, body).detail


@pytest.mark.parametrize(
    ("moment", "midnight"),
    [
        (datetime(2026, 3, 8, 9, tzinfo=UTC), datetime(2026, 3, 9, 7, tzinfo=UTC)),
        (datetime(2026, 7, 1, 6, 59, tzinfo=UTC), datetime(2026, 7, 1, 7, tzinfo=UTC)),
        (datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2027, 1, 1, 8, tzinfo=UTC)),
    ],
)
def test_midnight_in_california_heeds_the_seasons(moment: datetime, midnight: datetime):
    assert next_pacific_midnight(moment.timestamp()) == midnight.timestamp()
