"""The Cloud Code upstream: what is sent where, and what its answers mean."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.conversation import Conversation, Message, Text, Verbatim
from mcp_proxy.dialects.gemini import UPSTREAM
from mcp_proxy.errors import Failure, FailureKind, Scope
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.policy.models import info
from mcp_proxy.providers import Ask, ProviderSettings, TokenAnswer, UpstreamCall, provider
from mcp_proxy.providers.antigravity import DAILY, PROD, PROVIDER, USER_AGENT
from mcp_proxy.providers.details import MAX_DETAIL, scrubbed
from mcp_proxy.providers.google_answers import CodeAssist, Onboarding, read_models

NOW = 1_760_000_000.0
TOKEN = Secret("ya29.token")
ACCOUNT = Account(
    "work",
    "antigravity",
    Credential(refresh_token=Secret("1//refresh"), client_id="cid", client_secret=Secret("cs")),
)
DEFAULTS = ProviderSettings()
CLAUDE = "claude-opus-4-6-thinking"


def talk(text: str = "hi", **fields: Any) -> Conversation:
    return Conversation("anthropic", "m", (Message("user", (Text(text),)),), **fields)


def sent(
    conversation: Conversation | None = None,
    model: str = CLAUDE,
    account: Account = ACCOUNT,
    settings: ProviderSettings = DEFAULTS,
    project: str | None = "proj",
) -> UpstreamCall:
    conversation = conversation or talk()
    ask = Ask(
        account=account,
        token=TOKEN,
        model=info(model),
        dialect="gemini",
        conversation=conversation,
        identity=conversation.identity(),
        host="https://host",
        settings=settings,
        project=project,
    )
    return PROVIDER.build_call(UPSTREAM.render_request(conversation, info(model)), ask)


def envelope(*args: Any, **fields: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(sent(*args, **fields).body)
    return decoded


def test_is_listed_under_its_name():
    assert provider("antigravity") is PROVIDER
    assert PROVIDER.dialects(info(CLAUDE)) == ("gemini",)
    assert CLAUDE in {model.id for model in PROVIDER.models()}


class TestAddresses:
    def test_generation_prefers_daily_and_discovery_prefers_production(self):
        assert PROVIDER.hosts(ACCOUNT, DEFAULTS) == (DAILY, PROD)
        assert PROVIDER.project_hosts(ACCOUNT, DEFAULTS) == (PROD, DAILY)

    def test_settings_replace_and_the_account_replaces_those(self):
        settings = ProviderSettings(base_urls=("http://a/", "http://b"))
        own = replace(ACCOUNT, base_url="http://own/")
        assert PROVIDER.hosts(ACCOUNT, settings) == ("http://a", "http://b")
        assert PROVIDER.hosts(own, settings) == ("http://own",)
        assert PROVIDER.project_hosts(own, settings) == ("http://own",)

    def test_whose_token_it_is_is_asked_at_google_or_at_the_replaced_address(self):
        own = replace(ACCOUNT, base_url="http://own")
        default = PROVIDER.userinfo_call(ACCOUNT, TOKEN, DEFAULTS)
        assert default.url == "https://www.googleapis.com/oauth2/v1/userinfo?alt=json"
        assert default.method == "GET"
        replaced = PROVIDER.userinfo_call(own, TOKEN, DEFAULTS)
        assert replaced.url == "http://own/oauth2/v1/userinfo?alt=json"


class TestGeneration:
    def test_envelope(self):
        found = envelope()
        request_id, session = found.pop("requestId"), found["request"].pop("sessionId")
        contents = found["request"].pop("contents")
        found["request"].pop("generationConfig")
        assert found == {
            "project": "proj",
            "model": CLAUDE,
            "userAgent": "antigravity",
            "requestType": "agent",
            "request": {},
        }
        assert request_id.startswith("agent-")
        assert session.startswith("-")
        assert contents == [{"role": "user", "parts": [{"text": "hi"}]}]

    def test_goes_to_the_stream_path_with_just_these_headers(self):
        call = sent()
        assert call.url == "https://host/v1internal:streamGenerateContent?alt=sse"
        assert call.headers == {
            "Authorization": "Bearer ya29.token",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Accept": "text/event-stream",
            "anthropic-beta": "interleaved-thinking-2025-05-14",
        }

    @pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gemini-3-flash"])
    def test_only_claude_that_thinks_is_asked_to_think_between_calls(self, model):
        assert "anthropic-beta" not in sent(model=model).headers

    def test_user_agent_is_new_enough_and_replaced_as_a_whole(self):
        assert USER_AGENT.startswith("antigravity/hub/2.9.1 ")
        assert sent(settings=ProviderSettings(user_agent="x/1")).headers["User-Agent"] == "x/1"

    def test_unknown_project_is_left_out(self):
        assert "project" not in envelope(project=None)

    def test_outbound_proxy_of_the_account_is_used(self):
        assert sent(account=replace(ACCOUNT, proxy="http://p:1")).proxy == "http://p:1"

    def test_rendered_body_is_not_changed(self):
        conversation = talk()
        body = UPSTREAM.render_request(conversation, info(CLAUDE))
        before = dict(body)
        sent(conversation)
        assert body == before

    def test_request_ids_differ(self):
        assert envelope()["requestId"] != envelope()["requestId"]

    def test_picture_request_has_its_own_type_and_no_session(self):
        found = envelope(model="gemini-3-pro-image")
        kind, millis, _uuid, last = found["requestId"].split("/")
        assert (found["requestType"], kind, last) == ("image_gen", "image_gen", "12")
        assert int(millis) > NOW * 1000
        assert "sessionId" not in found["request"]

    def test_web_search_has_its_own_type_and_no_id(self):
        search = talk(server_tools=(Verbatim("anthropic", {"type": "web_search_20250305"}),))
        found = envelope(search, model="gemini-3-flash")
        assert found["requestType"] == "web_search"
        assert "requestId" not in found
        assert "sessionId" not in found["request"]

    def test_session_stays_through_a_conversation_and_differs_between_accounts(self):
        first = envelope(talk("q"))["request"]["sessionId"]
        later = Conversation(
            "anthropic",
            "m",
            (*talk("q").messages, Message("assistant", (Text("a"),)), *talk("more").messages),
        )
        assert envelope(later)["request"]["sessionId"] == first
        assert envelope(talk("other"))["request"]["sessionId"] != first
        other = envelope(talk("q"), account=replace(ACCOUNT, id="home"))
        assert other["request"]["sessionId"] != first

    def test_clients_own_session_beats_the_first_text(self):
        assert (
            envelope(talk("a", session="s"))["request"]["sessionId"]
            == envelope(talk("b", session="s"))["request"]["sessionId"]
        )

    def test_session_is_a_negative_number_of_63_bits(self):
        for text in map(str, range(50)):
            session = int(envelope(talk(text))["request"]["sessionId"])
            assert -(2**63) < session <= 0

    def test_answers_are_in_an_envelope_too(self):
        assert PROVIDER.envelope == "response"


class TestRefresh:
    def test_call(self):
        call = PROVIDER.refresh_call(ACCOUNT, DEFAULTS)
        assert call.url == "https://oauth2.googleapis.com/token"
        assert call.headers == {"Content-Type": "application/x-www-form-urlencoded"}
        assert parse_qs(call.body.decode()) == {
            "client_id": ["cid"],
            "client_secret": ["cs"],
            "refresh_token": ["1//refresh"],
            "grant_type": ["refresh_token"],
        }

    def test_account_beats_settings_beats_google(self):
        settings = ProviderSettings(
            token_url="http://s/token", client_id="sid", client_secret=Secret("ss")
        )
        assert PROVIDER.refresh_call(ACCOUNT, settings).url == "http://s/token"
        own = replace(ACCOUNT, token_url="http://a/token")
        assert PROVIDER.refresh_call(own, settings).url == "http://a/token"
        assert b"client_id=cid" in PROVIDER.refresh_call(own, settings).body
        bare = replace(ACCOUNT, credential=Credential(refresh_token=Secret("r")))
        assert b"client_id=sid" in PROVIDER.refresh_call(bare, settings).body

    @pytest.mark.parametrize(
        ("credential", "missing"),
        [
            (Credential(refresh_token=Secret("r")), "an OAuth client"),
            (Credential(client_id="c", client_secret=Secret("s")), "a refresh token"),
        ],
    )
    def test_that_cannot_be_made_says_what_to_do(self, credential, missing):
        with pytest.raises(UpstreamBroke) as broke:
            PROVIDER.refresh_call(replace(ACCOUNT, credential=credential), DEFAULTS)
        failure = broke.value.failure
        assert failure.kind is FailureKind.MISCONFIGURED
        assert missing in failure.detail
        assert "mcproxy accounts add --provider antigravity --id work" in failure.detail

    def read(self, status: int, body: Any) -> TokenAnswer | Failure:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return PROVIDER.read_refresh(status, {}, raw, now=NOW)

    def test_answer(self):
        assert self.read(200, {"access_token": "t", "expires_in": 3599}) == TokenAnswer(
            Secret("t"), 3599.0
        )

    def test_rotated_token_is_handed_on(self):
        found = self.read(200, {"access_token": "t", "refresh_token": "new"})
        assert found == TokenAnswer(Secret("t"), 3600.0, Secret("new"))

    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (
                400,
                {"error": "invalid_grant", "error_description": "Bad Request"},
                FailureKind.AUTH_REVOKED,
            ),
            (
                400,
                {"error": {"status": "INVALID_GRANT", "message": "gone"}},
                FailureKind.AUTH_REVOKED,
            ),
            (
                400,
                {"error": "x", "error_description": "Token has been expired or revoked."},
                FailureKind.AUTH_REVOKED,
            ),
            (401, {"error": "invalid_client"}, FailureKind.MISCONFIGURED),
            (500, {"error": "internal_failure"}, FailureKind.UPSTREAM),
            (503, b"<html>timeout, connection reset, invalid</html>", FailureKind.UPSTREAM),
            (200, b"not json", FailureKind.UPSTREAM),
            (200, {"access_token": ""}, FailureKind.UPSTREAM),
            (400, {"error": "temporarily_unavailable"}, FailureKind.UPSTREAM),
        ],
    )
    def test_only_the_providers_own_word_revokes(self, status, body, kind):
        found = self.read(status, body)
        assert isinstance(found, Failure)
        assert found.kind is kind
        assert found.detail


class TestFailures:
    def read(self, status: int, body: Any, headers: dict[str, str] | None = None) -> Failure:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return PROVIDER.read_failure(status, headers or {}, raw, now=NOW)

    def error(self, status: int, message: str, **more: Any) -> Failure:
        return self.read(status, {"error": {"code": status, "message": message, **more}})

    @pytest.mark.parametrize(
        ("status", "message", "kind"),
        [
            (400, "Invalid `signature` in `thinking` block", FailureKind.SEAL),
            (
                400,
                "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
                "`tool_use`",
                FailureKind.SEAL,
            ),
            (400, "a final `assistant` message must start with a thinking block", FailureKind.SEAL),
            (
                400,
                "When thinking is disabled, an assistant message cannot contain thinking",
                FailureKind.SEAL,
            ),
            (400, "Function call is missing a thought_signature", FailureKind.SEAL),
            (400, "Corrupted thought signature.", FailureKind.SEAL),
            (
                400,
                "tool_use ids were found without tool_result blocks immediately after",
                FailureKind.BAD_REQUEST,
            ),
            (400, "Extra inputs are not permitted", FailureKind.BAD_REQUEST),
            (400, "supported values are integers from 1 to 24576", FailureKind.BAD_REQUEST),
            (400, "User location is not supported for the API use.", FailureKind.MISCONFIGURED),
            (
                400,
                "This version of Antigravity is no longer supported.",
                FailureKind.MISCONFIGURED,
            ),
            (401, "Request had invalid authentication credentials.", FailureKind.AUTH_EXPIRED),
            (401, "Token has been expired or revoked.", FailureKind.AUTH_REVOKED),
            (403, "The caller does not have permission", FailureKind.MISCONFIGURED),
            (
                403,
                "Your account has been disabled for violation of Terms of Service",
                FailureKind.SUSPENDED,
            ),
            (
                403,
                "This account has been disabled for violation of the Terms of Service.",
                FailureKind.SUSPENDED,
            ),
            (403, "ACCOUNT_DISABLED", FailureKind.SUSPENDED),
            (403, "VALIDATION_REQUIRED: please", FailureKind.VERIFICATION),
            (404, "Requested entity was not found.", FailureKind.NOT_FOUND),
            (408, "slow", FailureKind.SLOW),
            (413, "too big", FailureKind.BAD_REQUEST),
            (500, "Internal error encountered.", FailureKind.UPSTREAM),
            (502, "bad gateway", FailureKind.UPSTREAM),
            (504, "deadline", FailureKind.UPSTREAM),
        ],
    )
    def test_kind(self, status, message, kind):
        found = self.error(status, message)
        assert (found.kind, found.status) == (kind, status)
        assert message in found.detail

    @pytest.mark.parametrize(
        ("message", "detail"),
        [
            (
                "prompt is too long: 210000 tokens > 200000 maximum",
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
            (
                "The input token count (1,200,000) exceeds the maximum number of tokens allowed "
                "(1048576).",
                "prompt is too long: 1200000 tokens > 1048576 maximum",
            ),
            ("Prompt is too long", "Prompt is too long"),
            ("exceeds the context window", "prompt is too long: exceeds the context window"),
        ],
    )
    def test_too_long_prompt_is_told_in_the_words_clients_look_for(self, message, detail):
        found = self.error(400, message)
        assert (found.kind, found.detail) == (FailureKind.TOO_LONG, detail)

    def test_limits_are_the_tables_business(self):
        found = self.error(429, "Resource has been exhausted (e.g. check quota).")
        assert found.kind in (FailureKind.RATE, FailureKind.QUOTA)

    def test_verification_has_its_address(self):
        url = "https://accounts.google.com/signin/continue?x=1"
        by_metadata = self.error(
            403, "VALIDATION_REQUIRED", details=[{"metadata": {"validation_url": url}}]
        )
        in_text = self.error(403, f"VALIDATION_REQUIRED: go to {url}.")
        for found in (by_metadata, in_text):
            assert (found.url, found.scope) == (url, Scope.ACCOUNT)

    def test_address_without_encryption_is_not_handed_on(self):
        details = [{"metadata": {"validation_url": "javascript:alert(1)"}}]
        assert self.error(403, "VALIDATION_REQUIRED", details=details).url is None

    def test_suspension_is_known_by_its_reason_and_has_the_address_of_an_appeal(self):
        url = "https://support.google.com/accounts/appeal"
        details = [{"reason": "TOS_VIOLATION", "metadata": {"appeal_url": url}}]
        found = self.error(403, "This service is not available for you.", details=details)
        assert found.kind is FailureKind.SUSPENDED
        assert (found.url, found.scope) == (url, Scope.ACCOUNT)

    def test_api_that_is_off_says_where_to_turn_it_on(self):
        details = [{"reason": "SERVICE_DISABLED", "metadata": {"activationUrl": "https://c/x"}}]
        found = self.error(403, "API has not been used", details=details)
        assert (found.kind, found.url) == (FailureKind.MISCONFIGURED, "https://c/x")

    def test_unknown_project_concerns_the_whole_account(self):
        found = self.error(404, "not found", details=[{"resourceName": "projects/p"}])
        assert (found.kind, found.scope) == (FailureKind.NOT_FOUND, Scope.ACCOUNT)
        assert self.error(404, "not found").scope is Scope.MODEL

    @pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 500, 502])
    def test_web_page_is_not_the_api(self, status):
        found = self.read(status, b"\n<!DOCTYPE html><title>Sorry\n</title>quota")
        assert found.kind is FailureKind.UPSTREAM
        assert found.detail == f"the upstream answered {status} with a web page: Sorry"

    @pytest.mark.parametrize("body", [b"", b"nope", b"[]", b"{}", b'{"error": "x"}', b"\xff\xfe"])
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 500])
    def test_any_body_is_one_failure(self, status, body):
        assert self.read(status, body).detail

    def test_list_of_one_error_is_read(self):
        found = self.read(404, [{"error": {"code": 404, "message": "gone"}}])
        assert found.detail == "gone"

    def test_error_inside_a_good_answer_counts_by_its_own_code(self):
        found = self.read(200, {"error": {"code": 401, "message": "x"}})
        assert (found.kind, found.status) == (FailureKind.AUTH_EXPIRED, 401)

    @pytest.mark.parametrize(
        "secret",
        ["ya29.a0AfB_x-y", "1//0gAbc-def", "AIza" + "x" * 35, "GOCSPX-abc", "sk-ant-123456789"],
    )
    def test_secrets_never_get_into_the_detail(self, secret):
        found = self.error(400, f"bad token {secret} and Bearer abc.def?key=xyz&a=1")
        assert secret not in found.detail
        assert "abc.def" not in found.detail
        assert "xyz" not in found.detail

    def test_detail_is_cut(self):
        assert len(self.error(400, "x" * 10_000).detail) == MAX_DETAIL
        assert scrubbed("short") == "short"


class TestProjectDiscovery:
    def test_calls(self):
        load = PROVIDER.load_code_assist_call(ACCOUNT, TOKEN, "https://h", DEFAULTS)
        assert load.url == "https://h/v1internal:loadCodeAssist"
        assert orjson.loads(load.body) == {"metadata": {"ideType": "ANTIGRAVITY"}}
        onboard = PROVIDER.onboard_call(ACCOUNT, TOKEN, "free-tier", "https://h", DEFAULTS)
        assert onboard.url == "https://h/v1internal:onboardUser"
        assert orjson.loads(onboard.body) == {
            "tierId": "free-tier",
            "metadata": {"ideType": "ANTIGRAVITY"},
        }

    @pytest.mark.parametrize(
        ("answer", "read"),
        [
            ({}, CodeAssist(None, "unknown", "free-tier")),
            ({"cloudaicompanionProject": "p"}, CodeAssist("p", "unknown", "free-tier")),
            ({"cloudaicompanionProject": {"id": "p"}}, CodeAssist("p", "unknown", "free-tier")),
            ({"projectId": "p"}, CodeAssist("p", "unknown", "free-tier")),
            (
                {"currentTier": {"id": "free-tier"}, "paidTier": {"id": "g1-pro-tier"}},
                CodeAssist(None, "pro", "free-tier"),
            ),
            ({"paidTier": {"id": "g1-ultra-tier"}}, CodeAssist(None, "ultra", "free-tier")),
            (
                {
                    "allowedTiers": [
                        {"id": "legacy-tier"},
                        {"id": "standard-tier", "isDefault": True},
                    ],
                },
                CodeAssist(None, "pro", "standard-tier"),
            ),
            ({"allowedTiers": [{"id": "free-tier"}]}, CodeAssist(None, "free", "free-tier")),
            ({"allowedTiers": "x", "currentTier": 1}, CodeAssist(None, "unknown", "free-tier")),
        ],
    )
    def test_project_and_tier(self, answer, read):
        assert PROVIDER.read_load_code_assist(orjson.dumps(answer)) == read

    @pytest.mark.parametrize(
        ("answer", "read"),
        [
            ({"name": "operations/x"}, Onboarding(False, None)),
            (
                {"done": True, "response": {"cloudaicompanionProject": {"id": "p"}}},
                Onboarding(True, "p"),
            ),
            ({"done": True, "response": {}}, Onboarding(True, None)),
        ],
    )
    def test_onboarding(self, answer, read):
        assert PROVIDER.read_onboard(orjson.dumps(answer)) == read

    @pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
    def test_something_else_is_a_value_error(self, body):
        for read in (PROVIDER.read_load_code_assist, PROVIDER.read_onboard):
            with pytest.raises(ValueError, match=r".+"):
                read(body)

    @pytest.mark.parametrize(
        ("body", "email"), [(b'{"email":"a@b.c"}', "a@b.c"), (b"{}", None), (b"<html>", None)]
    )
    def test_email(self, body, email):
        assert PROVIDER.read_userinfo(body) == email


class TestQuota:
    def test_call_names_the_project(self):
        call = PROVIDER.polls(ACCOUNT, TOKEN, "p", "https://h", DEFAULTS)[0].call
        assert call.url == "https://h/v1internal:fetchAvailableModels"
        assert orjson.loads(call.body) == {"project": "p"}
        assert PROVIDER.polls(ACCOUNT, TOKEN, None, "https://h", DEFAULTS)[0].call.body == b"{}"

    def figure(self, **quota: Any) -> tuple[float | None, float | None]:
        body = orjson.dumps({"models": {"m": {"quotaInfo": quota}}})
        (reading,) = read_models(body, NOW).figures
        return reading.remaining, reading.resets_at

    RESET = "2026-05-01T07:00:47Z"

    @pytest.mark.parametrize(
        ("quota", "read"),
        [
            ({"remainingFraction": 0.6, "resetTime": RESET}, (0.6, 1777618847.0)),
            ({"resetTime": RESET}, (0.0, 1777618847.0)),
            ({}, (None, None)),
            ({"remainingFraction": 1}, (1.0, None)),
            ({"remainingFraction": 1.2}, (1.0, None)),
            ({"remainingFraction": -0.1}, (0.0, None)),
            ({"remainingFraction": "0.5", "resetTime": RESET}, (0.5, 1777618847.0)),
            ({"remainingFraction": "half"}, (None, None)),
            ({"remainingFraction": True, "resetTime": "soon"}, (None, None)),
            ({"resetTime": "2026-05-01T09:00:47+02:00"}, (0.0, 1777618847.0)),
            ({"resetTime": "2026-05-01T07:00:47"}, (0.0, 1777618847.0)),
        ],
    )
    def test_figures(self, quota, read):
        assert self.figure(**quota) == read

    @pytest.mark.parametrize(
        ("listed", "searching"),
        [
            ({"webSearchModelIds": ["b", "x"]}, [False, True]),
            ({"webSearchModelIds": []}, [False, False]),
            ({}, [True, True]),
            ({"webSearchModelIds": None}, [True, True]),
        ],
    )
    def test_only_models_that_are_listed_for_it_search_the_web(self, listed, searching):
        read = read_models(orjson.dumps({"models": {"a": {}, "b": {}}, **listed}), NOW)
        assert [model.searches for model in read.models or ()] == searching

    def test_facts_and_order_are_the_upstreams_and_internal_models_stay_hidden(self):
        models = {
            "b": {"displayName": "B", "maxTokens": 200_000, "maxOutputTokens": 64_000},
            "chat_20706": {},
            "tab_flash_lite_preview": {},
            "a": {"displayName": "", "maxTokens": "x", "quotaInfo": None},
            "odd": 1,
        }
        read = read_models(orjson.dumps({"models": models}), NOW)
        b, a = read.models or ()
        assert (b.id, b.display_name, b.context_window, b.max_output) == ("b", "B", 200_000, 64_000)
        assert a == info("a")
        assert [(each.model, each.remaining) for each in read.figures] == [("b", None), ("a", None)]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models": []}', b"<html>"])
    def test_something_else_is_a_value_error(self, body):
        with pytest.raises(ValueError, match=r".+"):
            read_models(body, NOW)


def test_no_secret_is_printed():
    calls = (sent(), PROVIDER.refresh_call(ACCOUNT, DEFAULTS))
    printed = repr((ACCOUNT, TOKEN, *calls))
    assert not any(secret in printed for secret in ("ya29", "1%2F%2F", "1//refresh", "=cs"))
