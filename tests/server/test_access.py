"""Host, Origin and key: who is let in."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from mcp_proxy.account import Secret
from mcp_proxy.errors import ErrorKind, ProxyError
from mcp_proxy.server.access import Cors, Door

KEY = "a-key-of-decent-length"


def door(host="127.0.0.1", keys=(), origins=()):
    return Door.of(host, tuple(map(Secret, keys)), Cors(origins=frozenset(origins)))


def headers(*pairs, **named):
    return CIMultiDictProxy(CIMultiDict([*pairs, *named.items()]))


def refusal(check, *arguments):
    with pytest.raises(ProxyError) as caught:
        check(*arguments)
    return caught.value.kind


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8080"],
)
def test_own_names_are_accepted_whatever_the_port(host):
    door().check_host(headers(Host=host), "/v1/messages")


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "127.0.0.1@evil.com",
        "localhost.",
        "0.0.0.0",
        "",
        "127.0.0.1:8080.evil.com",
        "[::1].evil.com",
        "::1",
    ],
)
def test_other_names_are_refused_on_loopback(host):
    assert refusal(door().check_host, headers(Host=host), "/") is ErrorKind.FORBIDDEN


def test_a_request_with_two_hosts_or_none_is_refused():
    two = headers(("Host", "127.0.0.1"), ("Host", "evil.com"))
    assert refusal(door().check_host, two, "/") is ErrorKind.FORBIDDEN
    assert refusal(door().check_host, headers(), "/") is ErrorKind.FORBIDDEN


def test_an_absolute_target_counts_as_much_as_the_host_header():
    own = headers(Host="127.0.0.1")
    door().check_host(own, "http://127.0.0.1:8080/health")
    assert refusal(door().check_host, own, "http://evil.com/health") is ErrorKind.FORBIDDEN


def test_beyond_loopback_the_name_is_the_users_business():
    door("192.0.2.7", keys=[KEY]).check_host(headers(Host="box.lan"), "/")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://localhost:3000"])
def test_own_origins_may_post(origin):
    door().check_origin(headers(Origin=origin))


@pytest.mark.parametrize("origin", ["https://evil.com", "null", "http://127.0.0.1.evil.com", ""])
def test_foreign_origins_may_not(origin):
    assert refusal(door().check_origin, headers(Origin=origin)) is ErrorKind.FORBIDDEN


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_that_hides_its_origin_is_known_by_its_site(site):
    named = headers(("Sec-Fetch-Site", site))
    assert refusal(door().check_origin, named) is ErrorKind.FORBIDDEN


def test_a_configured_origin_is_matched_exactly():
    allowed = door(origins=["https://app.example"])
    allowed.check_origin(headers(Origin="https://app.example"))
    assert refusal(allowed.check_origin, headers(Origin="https://app.example.evil.com"))
    assert allowed.cors.headers_for("https://app.example")["Vary"] == "Origin"
    assert allowed.cors.headers_for("https://app.example:444") == {}
    assert allowed.cors.preflight_for("https://evil.com") == {}


@pytest.mark.parametrize(
    ("named", "query"),
    [
        ({"x-api-key": KEY}, None),
        ({"Authorization": f"Bearer {KEY}"}, None),
        ({"authorization": f"bearer {KEY}"}, None),
        ({"x-goog-api-key": KEY}, None),
        ({}, KEY),
        ({"x-api-key": "wrong", "Authorization": f"Bearer {KEY}"}, None),
    ],
)
def test_the_key_is_taken_in_every_spelling(named, query):
    door(keys=["another-key-as-long", KEY]).check_key(headers(**named), query)


def received(value):
    """Bytes of a header as the server reads them."""
    return value.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("key", ["my key with spaces", "schlüssel"])
def test_a_key_of_several_words_or_other_letters_is_taken(key, encoding):
    guarded = door(keys=[key])
    sent = received(key.encode(encoding))
    guarded.check_key(headers(**{"x-api-key": sent}), None)
    guarded.check_key(headers(Authorization=f"Bearer {sent}"), None)
    guarded.check_key(headers(), key)
    with pytest.raises(ProxyError):
        guarded.check_key(headers(Authorization=f"Bearer {sent[:-1]}"), None)


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": KEY + " "},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"x-api-key": "' OR 1=1 --"},
        {"x-api-key": "\udcff\udcfe"},
        {"x-api-key": "ключ"},
    ],
)
def test_anything_else_is_refused_without_a_crash(named):
    guarded = door(keys=[KEY])
    assert refusal(guarded.check_key, headers(**named), None) is ErrorKind.UNAUTHENTICATED


def test_without_a_configured_key_everybody_may_enter():
    door().check_key(headers(**{"x-api-key": "anything"}), None)


def test_keys_do_not_print():
    assert KEY not in repr(door(keys=[KEY]))
