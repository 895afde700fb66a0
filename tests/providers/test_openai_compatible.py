"""Servers with OpenAI's API: addresses, headers, lists of models, failures in every shape."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import Conversation
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.model import ModelInfo, ThinkingSpec
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, ProviderSettings, SignIn, UpstreamCall, provider
from mcp_proxy.providers.openai_compatible import OLLAMA, PROVIDER
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.providers.rests import BILLING_REST

NOW = 1_760_000_000.0
NONE = Secret("")
ACCOUNT = Account("local", "openai-compatible", base_url="http://127.0.0.1:9/v1")
DEFAULTS = ProviderSettings()
MODEL = info("qwen3", "openai-compatible")
JsonObject = dict[str, Any]


def call(account: Account = ACCOUNT, token: Secret = NONE) -> UpstreamCall:
    (host,) = PROVIDER.hosts(account, DEFAULTS)
    talk = Conversation("openai_chat", "m", ())
    return PROVIDER.build_call(
        {"model": "qwen3"}, Ask(account, token, MODEL, "openai_chat", talk, "", host, DEFAULTS)
    )


def test_is_listed_under_its_name() -> None:
    assert provider("openai-compatible") is PROVIDER
    assert PROVIDER.sign_in is SignIn.OPTIONAL_KEY
    assert PROVIDER.dialects(MODEL) == ("openai_chat",)


class TestCalls:
    @pytest.mark.parametrize(
        ("base", "url"),
        [
            ("https://api.deepseek.com", "https://api.deepseek.com/chat/completions"),
            ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1/chat/completions"),
            ("http://a/v1/chat/completions", "http://a/v1/chat/completions"),
            (None, f"{OLLAMA}/chat/completions"),
        ],
    )
    def test_the_base_is_taken_as_it_is(self, base: str | None, url: str) -> None:
        assert call(replace(ACCOUNT, base_url=base)).url == url

    def test_without_a_key_none_is_sent(self) -> None:
        made = call()
        assert made.headers == {
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        }
        assert made.secrets == ()

    def test_with_a_key_and_headers_of_its_owner(self) -> None:
        headers = {"HTTP-Referer": "https://me", "user-agent": "mine", "X-Key": "a-long-secret"}
        key = Secret("sk-or-12345678")
        made = call(
            replace(ACCOUNT, headers=headers, credential=Credential(api_key=key)), token=key
        )
        assert made.headers == {
            "Authorization": "Bearer sk-or-12345678",
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            **headers,
        }
        assert Secret("a-long-secret") in made.secrets
        assert key in made.secrets
        assert "a-long-secret" not in repr(made)

    def test_the_owners_authorization_replaces_the_usual(self) -> None:
        own = replace(ACCOUNT, headers={"authorization": "Basic abcdefgh"})
        made = call(own, token=Secret("unused-key"))
        assert {name.lower() for name in made.headers if "auth" in name.lower()} == {
            "authorization"
        }
        assert made.headers["authorization"] == "Basic abcdefgh"


def listed(value: Any, account: Account = ACCOUNT) -> list[ModelInfo]:
    (poll,) = PROVIDER.polls(account, NONE, None, "http://h/v1", DEFAULTS)
    assert poll.call.url == "http://h/v1/models"
    return list(poll.read(orjson.dumps(value), NOW).models or ())


class TestModels:
    @pytest.mark.parametrize(
        "value",
        [
            {"object": "list", "data": [{"id": "a", "object": "model"}, {"id": "b"}]},
            {"models": [{"name": "a"}, {"name": "b"}]},
            {"models": [{"key": "a"}, {"slug": "b"}]},
            {"models": [{"name": "models/a"}, {"model": "b"}]},
            [{"id": "a"}, {"id": "b"}, {"id": "a"}],
            ["a", "b"],
            {"data": [{"id": "a"}, {"id": None}, 5, {"id": "b"}]},
        ],
    )
    def test_lists_of_any_shape(self, value: Any) -> None:
        assert [model.id for model in listed(value)] == ["a", "b"]

    @pytest.mark.parametrize("value", [{}, {"data": None}, 5, "x", {"detail": "Not Found"}])
    def test_another_answer_is_no_list(self, value: Any) -> None:
        with pytest.raises(ValueError):
            listed(value)

    def test_a_list_is_needed_only_where_the_account_names_no_models(self) -> None:
        named = replace(ACCOUNT, models=("a",))
        (needed,) = PROVIDER.polls(ACCOUNT, NONE, None, "http://h", DEFAULTS)
        (optional,) = PROVIDER.polls(named, NONE, None, "http://h", DEFAULTS)
        assert (needed.required, optional.required) == (True, False)

    @pytest.mark.parametrize(
        ("row", "window", "most"),
        [
            ({"max_model_len": 8192}, 8192, None),  # vLLM
            ({"context_window": 131072, "max_completion_tokens": 8192}, 131072, 8192),  # Groq
            ({"context_length": 4096, "top_provider": {"max_completion_tokens": 99}}, 4096, 99),
            ({"max_context_length": 32768}, 32768, None),  # LM Studio, Mistral
            ({"max_context_length": 32768, "loaded_context_length": 4096}, 4096, None),
            ({"meta": {"n_ctx_train": 40960}}, 40960, None),  # llama.cpp
            ({"context_length": "big", "top_provider": None, "meta": 5}, None, None),
        ],
    )
    def test_windows_are_read_where_they_are_given(
        self, row: JsonObject, window: int | None, most: int | None
    ) -> None:
        usual = info("x", "openai-compatible")
        (model,) = listed([{"id": "x", **row}])
        assert model.context_window == (window or usual.context_window)
        assert model.max_output == (most or usual.max_output)

    @pytest.mark.parametrize(
        ("row", "sees", "paints"),
        [
            ({}, True, False),
            ({"architecture": {"input_modalities": ["text"]}}, False, False),
            ({"architecture": {"input_modalities": ["text", "image"]}}, True, False),
            ({"architecture": {"output_modalities": ["text", "image"]}}, True, True),
            ({"capabilities": {"vision": False}}, False, False),
        ],
    )
    def test_what_goes_in_and_comes_out(self, row: JsonObject, sees: bool, paints: bool) -> None:
        (model,) = listed([{"id": "x", **row}])
        assert (model.takes_images, model.makes_images) == (sees, paints)

    @pytest.mark.parametrize(
        ("row", "levels"),
        [
            ({}, ("low", "medium", "high")),
            ({"supported_parameters": ["temperature", "reasoning"]}, ("low", "medium", "high")),
            ({"supported_parameters": ["temperature"]}, None),
        ],
    )
    def test_an_effort_may_be_asked_for_unless_the_list_says_no(
        self, row: JsonObject, levels: tuple[str, ...] | None
    ) -> None:
        (model,) = listed([{"id": "x", **row}])
        assert model.thinking == (levels and ThinkingSpec(levels=levels))

    @pytest.mark.parametrize(
        "row",
        [
            {"id": "nomic-embed-text"},
            {"id": "whisper-large-v3"},
            {"id": "x", "type": "embeddings"},
            {"id": "x", "active": False},
            {"id": "x", "capabilities": {"completion_chat": False}},
            {"id": "bge-reranker-v2"},
        ],
    )
    def test_what_does_not_talk_is_left_out(self, row: JsonObject) -> None:
        assert listed([row, {"id": "y", "type": ["odd"]}])[0].id == "y"

    def test_seals_are_good_only_there(self) -> None:
        (model,) = listed([{"id": "anthropic/claude-sonnet-4.5"}])
        assert model.origin == "openai-compatible"


def failure(status: int, body: Any, headers: dict[str, str] | None = None) -> Failure:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return PROVIDER.read_failure(status, headers or {}, raw, now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no such luck", "type": "x", "code": None}},
        {"error": "no such luck"},
        {"object": "error", "message": "no such luck", "type": "BadRequestError", "code": 400},
        {"detail": "no such luck"},
        {"detail": {"message": "no such luck"}},
        {"message": "no such luck"},
        {"object": "error", "message": {"detail": "no such luck"}},
        [{"error": {"code": 400, "message": "no such luck", "status": "INVALID_ARGUMENT"}}],
        "no such luck",
        b"no such luck",
        b"  no such luck\n",
    ],
)
def test_errors_of_every_shape_say_the_same(body: Any) -> None:
    found = failure(400, body)
    assert (found.kind, found.detail) == (FailureKind.BAD_REQUEST, "no such luck")


def test_pydantics_list_is_told_with_its_places() -> None:
    detail = [{"loc": ["body", "messages", 0], "msg": "Field required", "type": "missing"}]
    assert failure(422, {"detail": detail}).detail == "messages.0: Field required (missing)"


def test_the_server_behind_openrouter_is_quoted() -> None:
    error = {
        "code": 400,
        "message": "Provider returned error",
        "metadata": {"provider_name": "X", "raw": '{"error":{"message":"too many tools"}}'},
    }
    assert failure(400, {"error": error}).detail == "Provider returned error: too many tools"


@pytest.mark.parametrize("levels", [3, 300, 1000])
@pytest.mark.parametrize(
    "error",
    [
        '{"detail":%s}',
        '{"message":"no such luck","metadata":{"raw":%s}}',
        '{"error":{"message":"no such luck","metadata":{"raw":%s}}}',
        '{"message":"no such luck","more":%s}',
    ],
)
def test_an_error_that_nests_without_end_is_one_all_the_same(error: str, levels: int) -> None:
    before, _, behind = error.partition("%s")
    depth = levels // before.count("{")
    body = before * depth + '"no such luck"' + behind * depth
    found = PROVIDER.read_failure(400, {}, body.encode(), now=NOW)
    assert found.kind is FailureKind.BAD_REQUEST


@pytest.mark.parametrize("place", [True, 3, "messages", {"a": 1}, [None, [1]]])
def test_a_place_of_any_kind_is_told(place: Any) -> None:
    detail = [{"loc": place, "msg": "Field required", "type": "missing"}]
    assert "Field required (missing)" in failure(422, {"detail": detail}).detail


class TestOfOneKind:
    @pytest.mark.parametrize(
        "text",
        [
            "This model's maximum context length is 8192 tokens. However, you sent 9000 tokens",
            "the request exceeds the available context size. try increasing the context size",
            "Trying to keep the first 5000 tokens when context the overflows. However, the model "
            "is loaded with context length of only 4096 tokens",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "Your input exceeds the context window of this model.",
            "Please reduce the length of the messages or completion.",
            "Input token count exceeds the limit",
            "This endpoint's maximum context length is 32768 tokens. However, you requested about "
            "50000 tokens (50000 of text input).",
        ],
    )
    def test_overflow_in_many_wordings(self, text: str) -> None:
        found = failure(400, {"error": {"message": text}})
        assert found.kind is FailureKind.TOO_LONG
        assert found.detail.startswith("prompt is too long")

    @pytest.mark.parametrize(
        ("status", "text"),
        [
            (404, 'model "llama3" not found, try pulling it first'),
            (404, "The model `x` does not exist."),
            (404, "No endpoints found for x/y."),
            (400, "x/y is not a valid model ID"),
            (400, "Model Not Exist"),
        ],
    )
    def test_models_that_are_not_there(self, status: int, text: str) -> None:
        assert failure(status, {"error": {"message": text}}).kind is FailureKind.NOT_FOUND

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (
                503,
                {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
            ),
            (500, {"error": "model is loading"}),
            (503, {"error": {"message": "no provider", "code": 503}}),
            (502, {"error": {"message": "The model is overloaded", "code": 502}}),
            (498, {"error": {"message": "capacity", "code": "capacity_exceeded"}}),
            (529, b""),
        ],
    )
    def test_loading_and_load(self, status: int, body: Any) -> None:
        assert failure(status, body).kind is FailureKind.CAPACITY

    @pytest.mark.parametrize("body", [b"404 page not found", {"detail": "Not Found"}, b""])
    def test_a_path_that_is_not_there_is_the_addresss_fault(self, body: Any) -> None:
        found = failure(404, body)
        assert found.kind is FailureKind.MISCONFIGURED
        assert "base URL" in found.detail

    def test_credits_rest_the_account(self) -> None:
        body = {"error": {"code": 402, "message": "Insufficient credits. Add more."}}
        found = failure(402, body)
        assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.ACCOUNT)
        assert found.retry_at == NOW + BILLING_REST

    def test_credits_for_a_shorter_request_do_not(self) -> None:
        text = "This request requires more credits, or fewer max_tokens. You can only afford 3000."
        found = failure(402, {"error": {"code": 402, "message": text}})
        assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.MODEL)

    def test_openrouters_reset_is_in_milliseconds_in_the_body(self) -> None:
        told = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((NOW + 90) * 1000))}
        error = {
            "code": 429,
            "message": "Rate limit exceeded: free-models-per-min",
            "metadata": {"headers": told},
        }
        found = failure(429, {"error": error})
        assert (found.kind, found.retry_at) == (FailureKind.RATE, NOW + 90)

    def test_too_many_at_once_narrows_the_account(self) -> None:
        found = failure(429, b'"too many concurrent requests"')
        assert (found.kind, found.crowded) == (FailureKind.RATE, True)

    def test_moderation_is_about_the_request(self) -> None:
        body = {"error": {"code": 403, "message": "Your input was flagged"}}
        assert failure(403, body).kind is FailureKind.BAD_REQUEST

    def test_a_server_without_its_tool_parser_has_to_be_started_in_another_way(self) -> None:
        text = (
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        )
        assert failure(400, {"object": "error", "message": text}).kind is FailureKind.MISCONFIGURED

    def test_an_error_inside_a_stream_has_its_own_status(self) -> None:
        assert failure(200, {"error": {"code": 429, "message": "slow"}}).kind is FailureKind.RATE
        assert failure(200, {"error": {"code": "502", "message": "x"}}).status == 502


@given(
    st.integers(100, 599), st.one_of(st.binary(max_size=60), st.text(max_size=30).map(str.encode))
)
def test_whatever_comes_is_a_failure(status: int, body: bytes) -> None:
    assert isinstance(failure(status, body), Failure)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "detail", "metadata", "raw", "headers", "loc"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from([200, 400, 402, 422, 429, 500]), _JSON)
def test_whatever_json_comes_is_a_failure(status: int, value: Any) -> None:
    assert isinstance(failure(status, value), Failure)
