"""What is no ordinary request: wrong paths, methods, hosts, keys and bodies, told in due form."""

import asyncio
import json

import pytest
from served import CLAUDE, Answer, Rig, message_body, serve, settings_with

from mcp_proxy.account import Secret
from mcp_proxy.server.app import OPEN_PATHS, PREFIXES, ROUTES

KEY = "a-key-of-decent-length"
JSON_BODY = {"Content-Type": "application/json"}


def assert_anthropic_error(answer: Answer, status: int, kind: str) -> None:
    assert answer.status == status, answer.body
    assert answer.json.keys() == {"type", "error", "request_id"}
    assert answer.json["error"]["type"] == kind
    assert answer.json["request_id"] == answer.headers["request-id"]


def assert_openai_error(answer: Answer, status: int) -> None:
    assert answer.status == status, answer.body
    assert answer.json["error"].keys() == {"message", "type", "param", "code"}
    assert answer.headers["request-id"]


# ---------------------------------------------------------------------------- paths and methods


@pytest.mark.parametrize(
    "path", ["/v1/messages/", "//v1//messages", "/v1/v1/messages", "/messages", "/v1/messages?a=b"]
)
async def test_every_spelling_of_a_path_is_understood(tmp_path, path):
    async with serve(tmp_path) as rig:
        assert (await rig.post(path, message_body())).status == 200


async def test_unknown_paths_and_methods_are_errors_in_the_dialect_of_the_path(tmp_path):
    async with serve(tmp_path) as rig:
        assert_anthropic_error(await rig.call("GET", "/v1/messages"), 405, "invalid_request_error")
        assert (await rig.call("GET", "/v1/messages")).headers["Allow"] == "POST"
        assert_anthropic_error(
            await rig.call("POST", "/v1/messages/batches", b"{}"), 404, "not_found_error"
        )
        version = {"anthropic-version": "2023-06-01"}
        assert_anthropic_error(
            await rig.call("GET", "/v1/nothing", None, version), 404, "not_found_error"
        )
        assert_openai_error(await rig.call("GET", "/v1/chat/completions"), 405)
        assert_openai_error(await rig.call("POST", "/v1/nothing", b"{}"), 404)
        assert_openai_error(await rig.call("DELETE", "/health"), 405)


async def test_the_path_alone_says_which_api_a_request_is_of(tmp_path):
    """Some clients send the headers of one API with everything."""
    async with serve(tmp_path) as rig:
        version = {"anthropic-version": "2023-06-01"}
        body = {"model": CLAUDE, "messages": [{"role": "system", "content": "Be brief."}]}
        body["messages"].append({"role": "user", "content": "say yes"})
        answer = await rig.call("POST", "/v1/chat/completions", json.dumps(body).encode(), version)
        assert answer.status == 200
        assert answer.json["object"] == "chat.completion"
        assert answer.headers["x-request-id"] == answer.headers["request-id"]
        wrong = await rig.call("POST", "/v1/chat/completions", b"{}", version)
        assert_openai_error(wrong, 400)
        assert_openai_error(await rig.call("POST", "/v1/images/generations", b"{}", version), 400)


async def test_an_unknown_model_is_a_404_that_names_it_and_its_neighbours(tmp_path):
    async with serve(tmp_path) as rig:
        answer = await rig.messages(model="gemini-3-flesh")
        assert_anthropic_error(answer, 404, "not_found_error")
        assert "gemini-3-flesh" in answer.message
        assert "gemini-3-flash" in answer.message
        chat = await rig.chat(model="no-such-model")
        assert_openai_error(chat, 404)
        assert chat.json["error"]["code"] == "model_not_found"


async def test_probes_are_answered_at_once(tmp_path):
    async with serve(tmp_path) as rig:
        for method, path in (("HEAD", "/"), ("GET", "/"), ("POST", "/api/event_logging/batch")):
            answer = await rig.call(method, path, b"{}" if method == "POST" else None)
            assert answer.status == 200
            assert answer.headers["request-id"]
        assert not rig.upstream.requests


# ------------------------------------------------------------------------- who may come in


async def test_another_hosts_name_is_refused_on_every_route(tmp_path):
    async with serve(tmp_path) as rig:
        for path, methods in ROUTES.items():
            for method in methods:
                answer = await rig.call(method, path, None, {"Host": "evil.com"})
                assert answer.status == 403, (method, path)
        options = await rig.call("OPTIONS", "/v1/messages", None, {"Host": "evil.com"})
        assert options.status == 403


async def test_a_foreign_page_may_not_post(tmp_path):
    async with serve(tmp_path) as rig:
        for origin in ("https://evil.com", "null"):
            answer = await rig.post("/v1/messages", message_body(), {"Origin": origin})
            assert_anthropic_error(answer, 403, "permission_error")
            assert "Access-Control-Allow-Origin" not in answer.headers
        assert not rig.upstream.requests


async def test_cors_is_off_until_an_origin_is_named(tmp_path):
    page = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with serve(tmp_path / "off") as rig:
        answer = await rig.call("OPTIONS", "/v1/messages", None, page)
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    settings = settings_with(server={"cors_allow_origin": ("https://app.example",)})
    async with serve(tmp_path / "on", settings=settings) as rig:
        answer = await rig.call("OPTIONS", "/v1/messages", None, page)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        # By itself the * would not let a key pass that is sent as a bearer.
        assert answer.headers["Access-Control-Allow-Headers"] == "*, Authorization"
        for stream in (True, False):
            said = await rig.post("/v1/messages", message_body(stream=stream), page)
            assert said.status == 200
            assert said.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert said.headers["Access-Control-Expose-Headers"] == "*"
        failed = await rig.call("POST", "/v1/messages", b"{", page)
        assert failed.headers["Access-Control-Allow-Origin"] == "https://app.example"
        other = await rig.call("OPTIONS", "/v1/messages", None, {"Origin": "https://evil.com"})
        assert other.status == 403


async def test_every_route_but_health_needs_the_key(tmp_path):
    settings = settings_with(server={"api_keys": (Secret(KEY),)})
    routes = [(path, method) for path, methods in ROUTES.items() for method in methods]
    routes += [(f"{prefix}x", method) for prefix, methods in PREFIXES.items() for method in methods]
    assert {"/health"} == OPEN_PATHS
    async with serve(tmp_path, settings=settings) as rig:
        for path, method in routes:
            answer = await rig.call(method, path)
            is_open = path in OPEN_PATHS
            assert (answer.status == 401) is not is_open, (method, path, answer.status)
            if not is_open:
                assert answer.headers["x-should-retry"] == "false"
        assert_openai_error(await rig.call("GET", "/nothing"), 401)
        assert not rig.upstream.requests
        for header in ({"x-api-key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            assert (await rig.post("/v1/messages", message_body(), header)).status == 200
        wrong = await rig.post("/v1/messages", message_body(), {"x-api-key": KEY + "x"})
        assert_anthropic_error(wrong, 401, "authentication_error")
        assert KEY not in wrong.body.decode()


async def test_health_names_no_account(tmp_path):
    async with serve(tmp_path) as rig:
        await rig.messages()
        answer = await rig.call("GET", "/health")
        assert answer.json["status"] == "ok"
        assert answer.json["version"]
        assert sum(answer.json["accounts"].values()) == 2
        assert b"ada" not in answer.body


# ------------------------------------------------------------------------------------- bodies

NOT_A_REQUEST = {
    "empty": b"",
    "not JSON": b"model=claude",
    "half": b'{"model": "claude-sonnet-4-6"',
    "a list": b"[]",
    "a string": b'"hello"',
    "not UTF-8": b'{"model": "\xff"}',
    "NaN": b'{"model": "claude-sonnet-4-6", "max_tokens": NaN, "messages": []}',
    "Infinity": b'{"model": "claude-sonnet-4-6", "temperature": Infinity, "messages": []}',
    "too deep": b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a huge number": b'{"model": "claude-sonnet-4-6", "max_tokens": 1' + b"0" * 5000 + b"}",
    "no messages": b'{"model": "claude-sonnet-4-6", "max_tokens": 5}',
    "a wrong type": b'{"model": "claude-sonnet-4-6", "max_tokens": 5, "messages": "hi"}',
}


@pytest.mark.parametrize("case", NOT_A_REQUEST)
async def test_what_is_no_request_is_a_400_with_a_reason(tmp_path, case):
    async with serve(tmp_path) as rig:
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            answer = await rig.call("POST", path, NOT_A_REQUEST[case], JSON_BODY)
            assert_anthropic_error(answer, 400, "invalid_request_error")
            assert answer.message
            assert answer.headers["x-should-retry"] == "false"
        chat = await rig.call("POST", "/v1/chat/completions", NOT_A_REQUEST[case], JSON_BODY)
        assert_openai_error(chat, 400)
        assert not rig.upstream.requests


@pytest.mark.parametrize(
    "kind",
    [
        "Application/JSON",
        "application/json; a=b",
        'application/json; charset="UTF-8"',
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "",
    ],
)
async def test_a_body_is_taken_that_may_be_json(tmp_path, kind):
    async with serve(tmp_path) as rig:
        body = json.dumps(message_body()).encode()
        answer = await rig.call("POST", "/v1/messages", body, {"Content-Type": kind})
        assert answer.status == 200


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text/plain", "text/plain"),
        ("text/plain;charset=UTF-8", "text/plain"),
        ("multipart/form-data; boundary=x", "multipart/form-data"),
        ("application/xml", "application/xml"),
        ("application/json; charset=latin1", "latin1"),
        ("application/json; charset=utf-16", "utf-16"),
    ],
)
async def test_a_body_that_says_that_it_is_something_else_is_a_415(tmp_path, kind, said):
    async with serve(tmp_path) as rig:
        body, headers = json.dumps(message_body()).encode(), {"Content-Type": kind}
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            answer = await rig.call("POST", path, body, headers)
            assert_anthropic_error(answer, 415, "invalid_request_error")
            assert said in answer.message
        chat = await rig.call("POST", "/v1/chat/completions", body, headers)
        assert_openai_error(chat, 415)
        assert not rig.upstream.requests


async def test_a_compressed_body_is_a_415(tmp_path):
    async with serve(tmp_path) as rig:
        answer = await rig.call("POST", "/v1/messages", b"\x1f\x8b", {"Content-Encoding": "gzip"})
        assert_anthropic_error(answer, 415, "invalid_request_error")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    async with serve(tmp_path, settings=settings_with(server={"max_body": 5000})) as rig:
        head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
        said = await raw(rig, head)
        assert b" 413 " in said.splitlines()[0]
        assert b"request_too_large" in said
        chunked = await raw(rig, CHUNKED_HEAD + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 3)
        assert b" 413 " in chunked.splitlines()[0]
        assert (await rig.messages()).status == 200


async def test_a_client_that_waits_is_told_to_send_its_body_if_it_may(tmp_path):
    body = json.dumps(message_body()).encode()
    head = (
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    )
    async with serve(tmp_path, settings=settings_with(server={"max_body": 5000})) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.url.split(":")[-1]))
        async with asyncio.timeout(3):
            writer.write(head % len(body))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        refused = await raw(rig, head % 5001)
        assert refused.startswith(b"HTTP/1.1 413 ")


CHUNKED_HEAD = (
    b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
)


async def test_a_chunked_body_is_put_together(tmp_path):
    body = json.dumps(message_body()).encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (1, body[at : at + 1]) for at in range(len(body)))
    async with serve(tmp_path) as rig:
        said = await raw(rig, CHUNKED_HEAD + pieces + b"0\r\n\r\n")
        assert b" 200 " in said.splitlines()[0]


async def test_a_body_that_does_not_arrive_is_a_400_in_time(tmp_path):
    async with serve(tmp_path, settings=settings_with(server={"read_timeout": 0.2})) as rig:
        head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"
        async with asyncio.timeout(3):
            said = await raw(rig, head)
        assert b" 400 " in said.splitlines()[0]
        assert b"did not arrive" in said


@pytest.mark.parametrize("sent", [b"", b"POST /v1/messages HTTP/1.1\r\nHost: loc"])
async def test_half_a_head_is_not_waited_for_for_ever(tmp_path, sent):
    async with serve(tmp_path, settings=settings_with(server={"read_timeout": 0.2})) as rig:
        async with asyncio.timeout(3):
            assert await raw(rig, sent) == b""
        assert (await rig.messages()).status == 200


async def raw(rig: Rig, sent: bytes) -> bytes:
    """What the server says to these bytes: one JSON answer, or nothing when it hangs up."""
    host, _, port = rig.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    said = b""
    try:
        writer.write(sent)
        while chunk := await reader.read(65536):
            said += chunk
            if b"\r\n\r\n" in said and said.endswith(b"}"):
                break
    finally:
        writer.close()
    return said


@pytest.mark.parametrize(
    "name", ["x-claude-code-session-id", "x-session-id", "session_id", "user-agent", "origin"]
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
async def test_headers_that_are_no_text_are_survived(tmp_path, name, path):
    asked = {"model": "gemini-3-flash", "max_tokens": 99, "input": "say hi"}
    body = json.dumps({**asked, "messages": [{"role": "user", "content": "say hi"}]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
    async with serve(tmp_path) as rig:
        said = await raw(rig, head + name.encode() + b": \xff\xfe\r\n\r\n" + body)
        refused = name == "origin"
        assert said.startswith(b"HTTP/1.1 403" if refused else b"HTTP/1.1 200"), said
        figures = (await rig.call("GET", "/metrics")).body.decode()
        assert ('code="200"' in figures) is not refused
        assert bool(rig.runtime.state.items("decisions")) is not refused


async def test_a_path_that_is_no_text_is_survived(tmp_path):
    body = b'{"contents": [{"parts": [{"text": "say hi"}]}]}'
    line = b"POST /v1beta/models/%ff%fe:generateContent HTTP/1.1\r\nHost: localhost\r\n"
    async with serve(tmp_path) as rig:
        said = await raw(rig, line + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert said.startswith(b"HTTP/1.1 404"), said
        assert len(rig.runtime.state.items("decisions")) <= 1


async def test_what_goes_on_unread_and_nests_without_end_is_a_400(tmp_path):
    """JSON is read four times as deep as it is written."""
    body = b'{"contents": [{"parts": [{"text": "say hi"}, {"executableCode": %b}]}]}'
    async with serve(tmp_path) as rig:
        path = "/v1beta/models/gemini-3-flash:generateContent"
        answer = await rig.call("POST", path, body % (b'{"a":' * 300 + b"1" + b"}" * 300))
        assert answer.status == 400, answer.body
        assert "cannot be sent on" in answer.json["error"]["message"]
        assert not rig.generations


async def test_parts_and_fields_that_nobody_knows_reach_no_upstream(tmp_path):
    parts = [{"hologram": {"a": 1}}, {"type": "x"}, {"text": "say hi", "foo": 1}]
    async with serve(tmp_path) as rig:
        body = {"contents": [{"role": "user", "parts": parts}]}
        answer = await rig.post("/v1beta/models/gemini-3-flash:generateContent", body)
        assert answer.status == 200, answer.body
        [sent] = rig.generations
        [turn] = sent.body["request"]["contents"]
        assert turn["parts"] == [{"text": "say hi"}]


async def test_what_nests_without_end_has_a_size_all_the_same(tmp_path):
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    block = b'{"type": "younger", "value": %b}' % deep
    tool = b'{"name": "run", "input_schema": {"type": "object", "properties": %b}}' % deep
    body = b'{"model": "%b", "messages": [{"role": "user", "content": [%b]}], "tools": [%b]}'
    async with serve(tmp_path) as rig:
        path = "/v1/messages/count_tokens"
        answer = await rig.call("POST", path, body % (CLAUDE.encode(), block, tool))
        assert answer.status == 200, answer.body
        assert answer.json["input_tokens"] > 0
