"""Vertex AI: what is sent where for Gemini and Claude, and what its answers mean."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from asks import DEFAULTS, ask_of, sent_json
from talking import talk

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import Reasoning
from mcp_proxy.dialects.gemini import UPSTREAM
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, ProviderSettings, Reading, UpstreamCall, provider
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.providers.vertex import PROVIDER

NOW = 1_763_720_000.0
TOKEN = Secret("ya29.vertex-token")
ACCOUNT = Account("v", "vertex", Credential(source="gcloud"), project="proj", location="us-east5")
CLAUDE, GEMINI = "claude-sonnet-4-5@20250929", "gemini-2.5-flash"
TALK = talk()
BASE = "https://h/v1/projects/proj/locations/us-east5/publishers"


def ask(model: str = CLAUDE, **fields: Any) -> Ask:
    dialect = "anthropic" if "claude" in model else "gemini"
    usual = {"account": ACCOUNT, "token": TOKEN, "dialect": dialect}
    return ask_of(model=info(model, "vertex"), **{**usual, **fields})


def sent(body: dict[str, Any] | bytes, model: str = CLAUDE, **fields: Any) -> UpstreamCall:
    return PROVIDER.build_call(body, ask(model, **fields))


def test_is_listed_under_its_name_and_speaks_by_model():
    assert provider("vertex") is PROVIDER
    for model in PROVIDER.models():
        assert PROVIDER.dialects(model) == model.dialects
    assert PROVIDER.dialects(info("claude-new", "vertex")) == ("anthropic",)


class TestAddresses:
    @pytest.mark.parametrize(
        ("location", "host"),
        [
            (None, "https://aiplatform.googleapis.com"),
            ("global", "https://aiplatform.googleapis.com"),
            ("us", "https://aiplatform.us.rep.googleapis.com"),
            ("eu", "https://aiplatform.eu.rep.googleapis.com"),
            ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
        ],
    )
    def test_a_location_has_its_host(self, location: str | None, host: str):
        assert PROVIDER.hosts(replace(ACCOUNT, location=location), DEFAULTS) == (host,)

    def test_replaced_addresses_know_no_locations(self):
        settings = ProviderSettings(base_urls=("http://a/", "http://b"))
        assert PROVIDER.hosts(ACCOUNT, settings) == ("http://a", "http://b")
        own = replace(ACCOUNT, base_url="http://own")
        assert PROVIDER.hosts(own, settings) == ("http://own",)

    def test_no_location_is_the_global_one_in_the_path_too(self):
        call = sent({}, account=replace(ACCOUNT, location=None))
        assert "/locations/global/publishers/" in call.url

    def test_a_project_that_was_found_stands_in_for_none(self):
        call = sent({}, account=replace(ACCOUNT, project=None), project="found")
        assert "/projects/found/" in call.url
        assert "/projects/proj/" in sent({}, project="found").url

    def test_no_project_says_what_to_do(self):
        bare = replace(ACCOUNT, project=None)
        for call in (
            lambda: sent({}, account=bare),
            lambda: PROVIDER.polls(bare, TOKEN, None, "https://h", DEFAULTS),
        ):
            with pytest.raises(UpstreamBroke) as broke:
                call()
            assert broke.value.failure.kind is FailureKind.MISCONFIGURED
            assert "--id v --project PROJECT" in broke.value.failure.detail


class TestGemini:
    def test_is_streamed_from_googles_models(self):
        body = UPSTREAM.render_request(TALK, info(GEMINI, "vertex"))
        call = sent(body, GEMINI)
        assert call.url == f"{BASE}/google/models/{GEMINI}:streamGenerateContent?alt=sse"
        assert call.headers == {
            "Authorization": "Bearer ya29.vertex-token",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }
        assert call.secrets == (TOKEN,)

    def test_bodies_are_fitted(self):
        silent = replace(TALK, reasoning=Reasoning(mode="off"))
        body = UPSTREAM.render_request(silent, info(GEMINI, "vertex"))
        found = sent_json(sent(body, GEMINI, conversation=silent))
        assert found["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}

    def test_forwarded_bytes_are_sent_as_they_are(self):
        raw = b'{ "contents":[] }'
        call = sent(raw, GEMINI, stream=False)
        assert call.body is raw
        assert call.url.endswith(":generateContent")
        body = {"contents": []}
        assert PROVIDER.forwardable(body, ask(GEMINI)) is body


class TestClaude:
    def test_the_model_is_in_the_path_and_the_version_in_the_body(self):
        call = sent({"model": CLAUDE, "messages": [], "stream": True})
        assert call.url == f"{BASE}/anthropic/models/{CLAUDE}:streamRawPredict"
        assert sent_json(call) == {
            "messages": [],
            "stream": True,
            "anthropic_version": "vertex-2023-10-16",
        }
        assert "anthropic-version" not in call.headers

    @pytest.mark.parametrize(
        ("stream", "method"), [(True, "streamRawPredict"), (False, "rawPredict")]
    )
    def test_a_forwarded_body_loses_its_model_too(self, stream: bool, method: str):
        raw = orjson.dumps({"model": CLAUDE, "messages": [], "service_tier": "auto"})
        call = sent(raw, stream=stream)
        assert call.url.endswith(f":{method}")
        assert sent_json(call) == {"messages": [], "anthropic_version": "vertex-2023-10-16"}

    def test_what_only_anthropics_servers_run_is_left_out(self):
        tools = [{"type": "web_search_20250305", "name": "s"}, {"type": "web_fetch_1", "name": "f"}]
        control = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
        found = sent_json(
            sent({"tools": tools, "system": [{"type": "text", "cache_control": control}]})
        )
        assert found["tools"] == tools[:1]
        assert found["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}

    def test_only_known_betas_pass(self):
        headers = {"anthropic-beta": "oauth-2025-04-20,context-1m-2025-08-07"}
        call = sent(b"{}", client_headers=headers)
        assert call.headers["anthropic-beta"] == "context-1m-2025-08-07"

    def test_pictures_by_address_are_rendered(self):
        block = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
        body: dict[str, Any] = {"messages": [{"role": "user", "content": [block]}]}
        assert PROVIDER.forwardable(body, ask()) is None
        plain: dict[str, Any] = {"messages": []}
        assert PROVIDER.forwardable(plain, ask()) is plain

    def test_what_was_refused_before_is_left_out(self):
        found = sent_json(sent({"temperature": 1}, avoided=frozenset({"temperature"})))
        assert "temperature" not in found

    def test_a_body_of_the_client_does_without_it_too(self):
        avoided = frozenset({"thinking.adaptive"})
        body = {"max_tokens": 9, "thinking": {"type": "adaptive"}}
        assert PROVIDER.forwardable(body, ask(avoided=avoided)) == {"max_tokens": 9}
        assert PROVIDER.forwardable(body, ask()) is body


class TestVerifying:
    def test_counts_one_word_which_costs_nothing(self):
        (poll,) = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)
        assert poll.call.url == f"{BASE}/google/models/gemini-2.5-flash:countTokens"
        assert poll.call.method == "POST"
        assert poll.required
        assert poll.read(b'{"totalTokens": 1}', NOW) == Reading()

    @pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>"])
    def test_something_else_verifies_nothing(self, body: bytes):
        (poll,) = PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)
        with pytest.raises(ValueError):
            poll.read(body, NOW)

    def test_there_is_nothing_to_trade_for_a_token(self):
        with pytest.raises(UpstreamBroke) as broke:
            PROVIDER.refresh_call(ACCOUNT, DEFAULTS)
        assert "accounts add --provider vertex --id v" in broke.value.failure.detail


MODEL_PATH = "projects/proj/locations/us-east5/publishers/anthropic/models/claude-x@20250101"


class TestFailures:
    def read(self, status: int, body: Any) -> Failure:
        return PROVIDER.read_failure(status, {}, orjson.dumps(body), now=NOW)

    def google(self, status: int, message: str, **more: Any) -> Failure:
        return self.read(status, {"error": {"code": status, "message": message, **more}})

    def anthropic(self, status: int, kind: str, message: str = "m") -> Failure:
        error = {"type": kind, "message": message}
        return self.read(status, {"type": "error", "error": error})

    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (404, f"Publisher Model `{MODEL_PATH}` was not found or your project has no access."),
            (403, f"{MODEL_PATH} is not enabled in Model Garden."),
        ],
    )
    def test_a_model_that_is_not_enabled_says_where_to_enable_it(self, status: int, message: str):
        found = self.google(status, message)
        assert (found.kind, found.scope) == (FailureKind.NOT_FOUND, Scope.MODEL)
        assert found.url == (
            "https://console.cloud.google.com/vertex-ai/publishers/anthropic/model-garden/claude-x"
            "?project=proj"
        )
        assert found.url in found.detail
        assert "another location" in found.detail

    def test_a_model_below_a_project_is_no_missing_project(self):
        found = self.google(404, "not found", details=[{"resourceName": MODEL_PATH}])
        assert found.scope is Scope.MODEL

    def test_an_api_that_is_off_says_where_to_switch_it_on(self):
        url = "https://console.developers.google.com/apis/api/aiplatform.googleapis.com/overview"
        found = self.google(
            403,
            "Agent Platform API has not been used in project 1 before or it is disabled.",
            details=[{"reason": "SERVICE_DISABLED", "metadata": {"activationUrl": url}}],
        )
        assert (found.kind, found.url) == (FailureKind.MISCONFIGURED, url)
        assert f"Enable it at {url}" in found.detail
        bare = self.google(403, "SERVICE_DISABLED")
        assert bare.url == (
            "https://console.cloud.google.com/apis/library/aiplatform.googleapis.com"
        )

    def test_a_missing_role_is_named(self):
        found = self.google(403, "Permission 'aiplatform.endpoints.predict' denied on resource")
        assert found.kind is FailureKind.MISCONFIGURED
        assert "Vertex AI User" in found.detail

    @pytest.mark.parametrize(
        "message",
        [
            "Resource exhausted. Please try again later.",
            "Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per"
            "_project_per_base_model with base model: gemini-2.5-pro.",
            "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model"
            " with base model: anthropic-claude-opus-4-5.",
        ],
    )
    def test_limits_without_a_wait_are_rates(self, message: str):
        found = self.google(429, message)
        assert (found.kind, found.retry_at) == (FailureKind.RATE, None)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, FailureKind.AUTH_EXPIRED),
            (403, FailureKind.MISCONFIGURED),
            (400, FailureKind.BAD_REQUEST),
            (500, FailureKind.UPSTREAM),
            (503, FailureKind.CAPACITY),
        ],
    )
    def test_googles_envelope(self, status: int, kind: FailureKind):
        assert self.google(status, "no").kind is kind

    @pytest.mark.parametrize(
        ("status", "name", "kind"),
        [
            (400, "invalid_request_error", FailureKind.BAD_REQUEST),
            (401, "authentication_error", FailureKind.AUTH_EXPIRED),
            (429, "rate_limit_error", FailureKind.RATE),
            (529, "overloaded_error", FailureKind.CAPACITY),
            (200, "overloaded_error", FailureKind.CAPACITY),
        ],
    )
    def test_anthropics_envelope(self, status: int, name: str, kind: FailureKind):
        assert self.anthropic(status, name).kind is kind

    def test_a_prompt_that_is_too_long_is_one_for_claude_too(self):
        text = "prompt is too long: 210000 tokens > 200000 maximum"
        assert self.anthropic(400, "invalid_request_error", text).kind is FailureKind.TOO_LONG
