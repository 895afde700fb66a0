"""The OpenAI API: what is sent where, and what its answers mean."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from asks import DEFAULTS, ask_of
from talking import talk

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.dialects import upstream_dialect
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, QuotaReading, UpstreamCall, provider
from mcp_proxy.providers.openai import CHAT, PROVIDER, RESPONSES
from mcp_proxy.providers.plain import USER_AGENT
from mcp_proxy.providers.rests import BILLING_REST

NOW = 1_760_000_000.0
KEY = Secret("sk-proj-secret")
ACCOUNT = Account("work", "openai", Credential(api_key=KEY))
TALK = talk()


def ask(account: Account = ACCOUNT, model: str = "gpt-4o", **fields: Any) -> Ask:
    usual = {"dialect": CHAT, "host": "https://host/v1", "conversation": TALK}
    return ask_of(account=account, token=KEY, model=info(model, "openai"), **{**usual, **fields})


def call(body: Any = None, **fields: Any) -> UpstreamCall:
    asked = ask(**fields)
    body = body or upstream_dialect(asked.dialect).render_request(TALK, asked.model)
    return PROVIDER.build_call(body, asked)


def test_is_listed_under_its_name() -> None:
    assert provider("openai") is PROVIDER
    assert "gpt-5" in {model.id for model in PROVIDER.models()}


@pytest.mark.parametrize(
    ("model", "preferred"),
    [("gpt-5", RESPONSES), ("o3", RESPONSES), ("gpt-4o", CHAT), ("gpt-4.1-mini", CHAT)],
)
def test_models_that_reason_are_spoken_to_in_responses(model: str, preferred: str) -> None:
    spoken = PROVIDER.dialects(info(model, "openai"))
    assert spoken[0] == preferred
    assert set(spoken) == {CHAT, RESPONSES}


class TestCalls:
    def test_the_usual_address_and_the_accounts_own(self) -> None:
        own = replace(ACCOUNT, base_url="http://own/v1/")
        assert PROVIDER.hosts(ACCOUNT, DEFAULTS) == ("https://api.openai.com/v1",)
        assert PROVIDER.hosts(own, DEFAULTS) == ("http://own/v1",)

    def test_a_call_with_the_key_alone(self) -> None:
        made = call()
        assert made.url == "https://host/v1/chat/completions"
        assert made.headers == {
            "Authorization": "Bearer sk-proj-secret",
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        }
        assert made.secrets == (KEY,)
        assert orjson.loads(made.body)["model"] == "gpt-4o"

    def test_responses_have_their_own_path(self) -> None:
        made = call({"model": "gpt-5"}, model="gpt-5", dialect=RESPONSES)
        assert made.url == "https://host/v1/responses"

    def test_organization_and_project_are_named(self) -> None:
        headers = call(account=replace(ACCOUNT, workspace="org-1", project="proj_1")).headers
        assert headers["OpenAI-Organization"] == "org-1"
        assert headers["OpenAI-Project"] == "proj_1"

    def test_forwarded_bytes_stay_as_they_are_and_few_headers_go_with_them(self) -> None:
        made = call(
            b'{"model":"gpt-4o" }',
            stream=False,
            client_headers={"openai-beta": "x=1", "authorization": "Bearer client", "cookie": "c"},
        )
        assert made.body == b'{"model":"gpt-4o" }'
        assert made.headers["openai-beta"] == "x=1"
        assert made.headers["Accept"] == "application/json"
        assert made.headers["Authorization"] == "Bearer sk-proj-secret"
        assert "cookie" not in made.headers

    def test_no_secret_is_printed(self) -> None:
        assert "sk-proj" not in repr(call())

    def test_a_rendered_body_goes_without_what_was_refused(self) -> None:
        made = call(avoided=frozenset({"stream_options"}))
        assert "stream_options" not in orjson.loads(made.body)


class TestForwarding:
    def test_a_body_is_forwarded_as_it_is(self) -> None:
        body = {"model": "m", "messages": []}
        assert PROVIDER.forwardable(body, ask()) is body

    def test_it_goes_without_what_was_refused(self) -> None:
        body = {"model": "m", "temperature": 1, "messages": []}
        assert PROVIDER.forwardable(body, ask(avoided=frozenset({"temperature"}))) == {
            "model": "m",
            "messages": [],
        }

    def test_a_stream_that_the_place_does_not_give_is_made_here(self) -> None:
        refused = ask(avoided=frozenset({"stream"}))
        assert PROVIDER.forwardable({"stream": True}, refused) is None
        whole = replace(refused, stream=False)
        assert PROVIDER.forwardable({"stream": False, "n": 1}, whole) == {"n": 1}


class TestModels:
    def poll(self, body: bytes) -> list[str]:
        (poll,) = PROVIDER.polls(ACCOUNT, KEY, None, "https://host/v1", DEFAULTS)
        assert poll.required
        assert (poll.call.method, poll.call.url) == ("GET", "https://host/v1/models")
        return [model.id for model in poll.read(body, NOW).models or ()]

    def test_models_that_talk_are_listed_with_what_is_known_of_them(self) -> None:
        ids = ["gpt-5", "gpt-5", "text-embedding-3-small", "whisper-1", "tts-1", "gpt-99"]
        rows = [{"id": one, "object": "model"} for one in ids]
        assert self.poll(orjson.dumps({"object": "list", "data": [*rows, {"id": 5}, 7]})) == [
            "gpt-5",
            "gpt-99",
        ]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":5}', b"<html>"])
    def test_another_answer_is_no_list(self, body: bytes) -> None:
        with pytest.raises(ValueError):
            self.poll(body)


def limits(
    *, requests: tuple[str, str, str] | None, tokens: tuple[str, str, str]
) -> dict[str, str]:
    told = {"requests": requests, "tokens": tokens}
    return {
        f"X-RateLimit-{kind}-{counted}": value
        for counted, values in told.items()
        if values
        for kind, value in zip(("Limit", "Remaining", "Reset"), values, strict=True)
    }


class TestHeaders:
    model = info("gpt-4o", "openai")

    def test_the_tighter_limit_is_told(self) -> None:
        headers = limits(requests=("500", "499", "120ms"), tokens=("30000", "15000", "1m0.5s"))
        assert PROVIDER.read_headers(headers, self.model, now=NOW) == (
            QuotaReading("gpt-4o", 0.5, NOW + 60.5),
        )

    @pytest.mark.parametrize(
        ("tokens", "reading"),
        [
            (("100", "0", "6m0s"), QuotaReading("gpt-4o", 0.0, NOW + 360)),
            (("100", "25", ""), QuotaReading("gpt-4o", 0.25, None)),
            (("100", "200", "5"), QuotaReading("gpt-4o", 1.0, NOW + 5)),
        ],
    )
    def test_figures(self, tokens: tuple[str, str, str], reading: QuotaReading) -> None:
        headers = limits(requests=None, tokens=tokens)
        assert PROVIDER.read_headers(headers, self.model, now=NOW) == (reading,)

    @pytest.mark.parametrize("tokens", [("", "5", "1s"), ("0", "0", "1s"), ("many", "5", "1s")])
    def test_what_cannot_be_read_is_no_figure(self, tokens: tuple[str, str, str]) -> None:
        headers = limits(requests=None, tokens=tokens)
        assert PROVIDER.read_headers(headers, self.model, now=NOW) == ()


def error(message: str, **fields: Any) -> bytes:
    fields = {"type": "invalid_request_error", "param": None, "code": None, **fields}
    return orjson.dumps({"error": {"message": message, **fields}})


def failure(status: int, body: bytes, headers: dict[str, str] | None = None) -> Failure:
    return PROVIDER.read_failure(status, headers or {}, body, now=NOW)


class TestLimits:
    @pytest.mark.parametrize(
        "code",
        [
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_hard_limit_reached",
        ],
    )
    def test_a_bill_rests_the_whole_account_whatever_its_headers_say(self, code: str) -> None:
        found = failure(429, error("pay", type="x", code=code), {"retry-after": "2"})
        assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.ACCOUNT)
        assert found.retry_at == NOW + BILLING_REST

    def test_a_bill_without_a_code_is_told_by_its_type_or_text(self) -> None:
        by_type = error("x", type="insufficient_quota")
        by_text = error("You exceeded your current quota, please check your plan and billing")
        for body in (by_type, by_text):
            found = failure(429, body)
            assert (found.kind, found.scope) == (FailureKind.QUOTA, Scope.ACCOUNT)

    def test_where_to_pay_is_kept(self) -> None:
        text = "Add credits at https://platform.openai.com/billing."
        found = failure(429, error(text, code="insufficient_quota"))
        assert found.url == "https://platform.openai.com/billing"

    def test_a_rate_limit_is_for_a_while(self) -> None:
        text = "Rate limit reached for gpt-4o on tokens per min (TPM). Please try again in 1.5s."
        found = failure(429, error(text, type="tokens", code="rate_limit_exceeded"))
        assert (found.kind, found.scope) == (FailureKind.RATE, Scope.MODEL)
        assert found.retry_at == NOW + 1.5

    def test_a_limit_of_the_day_is_a_quota(self) -> None:
        text = "Rate limit reached on requests per day (RPD). Please try again in 7m12s."
        found = failure(429, error(text, code="rate_limit_exceeded"))
        assert (found.kind, found.retry_at) == (FailureKind.QUOTA, NOW + 432)

    def test_a_long_rate_limit_is_a_quota(self) -> None:
        found = failure(429, error("slow", code="rate_limit_exceeded"), {"retry-after": "7200"})
        assert (found.kind, found.retry_at) == (FailureKind.QUOTA, NOW + 7200)

    def test_a_request_above_the_limit_of_a_minute_never_fits(self) -> None:
        text = (
            "Request too large for gpt-4o-2024-08-06 on tokens per min (TPM): Limit 30000, "
            "Requested 50000. The input or output tokens must be reduced."
        )
        found = failure(429, error(text, type="tokens", code="rate_limit_exceeded"))
        assert found.kind is FailureKind.TOO_LONG
        assert found.detail == "prompt is too long: 50000 tokens > 30000 maximum"

    @pytest.mark.parametrize(
        ("status", "code"), [(503, "server_is_overloaded"), (503, "slow_down"), (503, None)]
    )
    def test_load_is_nobodys_quota(self, status: int, code: str | None) -> None:
        found = failure(status, error("busy", type="service_unavailable_error", code=code))
        assert found.kind is FailureKind.CAPACITY


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error("Incorrect API key", code="invalid_api_key"), FailureKind.AUTH_REVOKED),
        (401, error("You must be a member of an organization"), FailureKind.AUTH_REVOKED),
        (
            403,
            error("Country not supported", code="unsupported_country_region_territory"),
            FailureKind.MISCONFIGURED,
        ),
        (403, error("account was deactivated", code="account_deactivated"), FailureKind.SUSPENDED),
        (404, error("The model does not exist", code="model_not_found"), FailureKind.NOT_FOUND),
        (400, error("bad", code="invalid_value", param="messages"), FailureKind.BAD_REQUEST),
        (400, error("no", code="content_policy_violation"), FailureKind.BAD_REQUEST),
        (400, error("x", code="invalid_encrypted_content"), FailureKind.SEAL),
        (
            404,
            error("Item with id 'rs_1' not found. Items are not persisted when `store` is false."),
            FailureKind.SEAL,
        ),
        (413, b"", FailureKind.BAD_REQUEST),
        (500, error("The server had an error", type="server_error"), FailureKind.UPSTREAM),
        (502, b"<html><title>Bad gateway</title></html>", FailureKind.UPSTREAM),
        (403, b"<html><title>Just a moment...</title></html>", FailureKind.UPSTREAM),
        (200, error("The server had an error", type="server_error"), FailureKind.UPSTREAM),
        (200, error("slow down", code="rate_limit_exceeded"), FailureKind.RATE),
        (200, error("what", type="something"), FailureKind.UPSTREAM),
    ],
)
def test_other_failures(status: int, body: bytes, kind: FailureKind) -> None:
    assert failure(status, body).kind is kind


def test_an_overflow_is_told_in_the_words_that_clients_look_for() -> None:
    text = (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in "
        "130123 tokens."
    )
    found = failure(400, error(text, code="context_length_exceeded"))
    assert found.kind is FailureKind.TOO_LONG
    assert found.detail == "prompt is too long: 130123 tokens > 128000 maximum"


def test_a_refused_parameter_is_a_feature_to_do_without() -> None:
    body = error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        param="max_tokens",
        code="unsupported_parameter",
    )
    found = failure(400, body)
    assert found.kind is FailureKind.UNSUPPORTED
    assert found.feature == "max_tokens->max_completion_tokens"


def test_keys_that_are_quoted_back_are_not_told() -> None:
    found = failure(401, error("Incorrect API key provided: sk-proj-abcdefgh1234."))
    assert found.detail == "Incorrect API key provided: …."
