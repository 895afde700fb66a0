"""Fetching by URL: what comes back inline, and everything that is refused (faults.md T19)."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mcp_proxy.conversation import Conversation, Media, Message, Part, Text, ToolResult
from mcp_proxy.engine import media
from mcp_proxy.engine.media import MediaFetcher
from mcp_proxy.errors import BadRequest

PNG = b"\x89PNG\r\n\x1a\n not much of an image"
PNG_64 = base64.b64encode(PNG).decode()


def conversation(*parts: Part) -> Conversation:
    return Conversation("openai_chat", "m", (Message("user", parts),))


def image(url: str) -> Media:
    return Media("image/*", url=url)


class Site:
    """A web server with one page for every way an answer can be."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.open_now = 0
        self.most_open = 0
        self.four_are_open = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.base = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.hosts.append(request.host)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        if self.open_now == 4:
            self.four_are_open.set()
        try:
            await self.gate.wait()
        finally:
            self.open_now -= 1
        return self.page(request)

    def page(self, request: web.Request) -> web.StreamResponse:
        match request.path.strip("/").split("/"):
            case ["redirect", times]:
                left = int(times)
                to = f"/redirect/{left - 1}" if left else "/png"
                return web.Response(status=302, headers={"location": to})
            case ["to"]:
                return web.Response(status=307, headers={"location": request.query["url"]})
            case ["status", status]:
                return web.Response(status=int(status), body=PNG, content_type="image/png")
            case ["size", size]:
                return web.Response(body=bytes(int(size)), content_type="image/png")
            case ["type", *kind]:
                return web.Response(body=PNG, content_type="/".join(kind))
            case ["text"]:
                return web.Response(text="plain ☃", content_type="text/plain")
            case ["gzip"]:
                return web.Response(
                    body=PNG, content_type="image/png", headers={"content-encoding": "gzip"}
                )
            case _:
                return web.Response(body=PNG, content_type="image/png")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.handle)
    async with TestServer(app) as server:
        site.base = f"http://127.0.0.1:{server.port}"
        yield site


@pytest.fixture
async def fetcher() -> AsyncIterator[MediaFetcher]:
    """One that may fetch from loopback, where the tests' site is, and from nowhere else."""
    fetcher = MediaFetcher(allow=lambda address: address == ip_address("127.0.0.1"))
    yield fetcher
    await fetcher.close()


Names = dict[str, list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[[Names], Names]:
    """Makes DNS answer from a table; a name with several addresses gives one per question."""

    def install(table: Names) -> Names:
        async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            address = table[host].pop(0)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return table

    return install


async def refusal(fetcher: MediaFetcher, *urls: str) -> str:
    with pytest.raises(BadRequest) as refused:
        await fetcher.inline(conversation(*(image(url) for url in urls)))
    return refused.value.message


# What comes back


async def test_conversation_without_urls_is_returned_as_it_is(fetcher):
    given = conversation(Text("hi"), Media("image/png", PNG_64), ToolResult("a", (Text("x"),)))
    assert await fetcher.inline(given) is given


async def test_url_becomes_inline_data_of_the_served_type(fetcher, site):
    given = replace(conversation(), messages=(
        Message("user", (Text("look"), replace(image(f"{site.base}/png"), name="a.png"))),
        Message("assistant", (Text("nice"),)),
    ))  # fmt: skip
    found = await fetcher.inline(given)
    assert found.messages[0].parts == (Text("look"), Media("image/png", PNG_64, name="a.png"))
    assert found.messages[1] is given.messages[1]


async def test_url_inside_a_tool_result_is_fetched_too(fetcher, site):
    result = ToolResult("a", (Text("x"), image(f"{site.base}/png")), is_error=True, name="t")
    found = await fetcher.inline(conversation(result))
    assert found.messages[0].parts == (
        ToolResult("a", (Text("x"), Media("image/png", PNG_64)), is_error=True, name="t"),
    )


async def test_url_named_twice_is_fetched_once(fetcher, site):
    url = f"{site.base}/png"
    found = await fetcher.inline(conversation(image(url), ToolResult("a", (image(url),))))
    assert found.messages[0].parts[0] == Media("image/png", PNG_64)
    assert len(site.hosts) == 1


async def test_plain_text_becomes_text(fetcher, site):
    found = await fetcher.inline(conversation(image(f"{site.base}/text")))
    assert found.messages[0].parts == (Text("plain ☃"),)


async def test_data_url_is_decoded_without_a_request(fetcher):
    given = conversation(image(f"data:image/gif;base64,{PNG_64}"), image("data:,a%20b"))
    found = await fetcher.inline(given)
    assert found.messages[0].parts == (Media("image/gif", PNG_64), Text("a b"))


@pytest.mark.parametrize("kind", ["image/png", "image/webp", "application/pdf"])
async def test_allowed_type(fetcher, site, kind):
    found = await fetcher.inline(conversation(image(f"{site.base}/type/{kind}")))
    assert found.messages[0].parts == (Media(kind, PNG_64),)


async def test_three_redirects_are_followed(fetcher, site):
    found = await fetcher.inline(conversation(image(f"{site.base}/redirect/2")))
    assert found.messages[0].parts == (Media("image/png", PNG_64),)


async def test_request_carries_the_name_and_goes_to_the_checked_address(fetcher, site, names):
    names({"pictures.example": ["127.0.0.1"]})
    port = site.base.rpartition(":")[2]
    await fetcher.inline(conversation(image(f"http://pictures.example:{port}/png")))
    assert site.hosts == [f"pictures.example:{port}"]


async def test_request_carries_no_cookie_and_asks_for_no_compression(fetcher, site):
    await fetcher.inline(conversation(image(f"{site.base}/png")))
    assert site.headers[0]["accept-encoding"] == "identity"
    assert not {"cookie", "authorization"} & site.headers[0].keys()


async def test_proxy_of_the_environment_is_not_used(fetcher, site, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    found = await fetcher.inline(conversation(image(f"{site.base}/png")))
    assert found.messages[0].parts == (Media("image/png", PNG_64),)


async def test_four_urls_are_fetched_at_once_and_no_more(fetcher, site):
    site.gate.clear()
    urls = [image(f"{site.base}/png?{number}") for number in range(9)]
    fetching = asyncio.ensure_future(fetcher.inline(conversation(*urls)))
    await site.four_are_open.wait()
    site.gate.set()
    await fetching
    assert (len(site.hosts), site.most_open) == (9, 4)


# What is refused


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/v1/models",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://①②⑦.⓪.⓪.①/",
    ],
)
async def test_address_that_is_not_public_is_refused_by_default(url):
    fetcher = MediaFetcher()
    try:
        assert "public address" in await refusal(fetcher, url)
    finally:
        await fetcher.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org@127.0.0.1/",
        "http://127.0.0.1@example.org/",
        "http://user:pass@example.org/",
    ],
)
async def test_user_name_in_a_url_is_refused(fetcher, url):
    assert "user name" in await refusal(fetcher, url)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/a", "gopher://example.org/", "//a/b", "x", "http://"],
)
async def test_other_scheme_or_no_url_at_all_is_refused(fetcher, url):
    assert repr(url) in await refusal(fetcher, url)


async def test_name_with_a_private_address_is_refused(fetcher, names):
    names({"intranet.example": ["10.0.0.1"]})
    message = await refusal(fetcher, "http://intranet.example/a.png")
    assert "intranet.example" in message
    assert "10.0.0.1" not in message


async def test_name_that_changes_its_address_after_the_check_gains_nothing(fetcher, site, names):
    table = names({"rebinding.example": ["127.0.0.1", "10.0.0.1"]})
    port = site.base.rpartition(":")[2]
    await fetcher.inline(conversation(image(f"http://rebinding.example:{port}/png")))
    assert table["rebinding.example"] == ["10.0.0.1"]
    assert len(site.hosts) == 1


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", "public address"),
        ("http://[::1]/", "public address"),
        ("file:///etc/passwd", "no http(s) URL"),
        ("http://a@127.0.0.1/", "user name"),
    ],
)
async def test_redirect_is_checked_like_the_first_url(fetcher, site, target, reason):
    assert reason in await refusal(fetcher, f"{site.base}/to?url={target}")
    assert len(site.hosts) == 1


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("redirect/3", "more than 3 redirects"),
        ("status/404", "404"),
        ("status/204", "204"),
        ("type/text/html", "'text/html'"),
        ("type/application/octet-stream", "'application/octet-stream'"),
        ("gzip", "compressed"),
        ("size/0", "empty"),
    ],
)
async def test_answer_that_is_no_image_or_document_is_refused(fetcher, site, page, reason):
    message = await refusal(fetcher, f"{site.base}/{page}")
    assert reason in message
    assert "127.0.0.1" in message


async def test_size_is_bounded_for_one_and_for_all(fetcher, site, monkeypatch):
    monkeypatch.setattr(media, "MAX_BYTES", 1000)
    monkeypatch.setattr(media, "MAX_TOTAL", 1500)
    await fetcher.inline(conversation(image(f"{site.base}/size/1000")))
    assert "larger" in await refusal(fetcher, f"{site.base}/size/1001")
    both = [f"{site.base}/size/1000", f"{site.base}/size/999"]
    assert "all together" in await refusal(fetcher, *both)


async def test_site_that_does_not_answer_is_given_up(site):
    site.gate.clear()
    fetcher = MediaFetcher(allow=lambda _: True, timeout=0.05)
    assert "no answer within 0.05 s" in await refusal(fetcher, f"{site.base}/png")
    await fetcher.close()
    site.gate.set()


async def test_site_that_is_not_there_is_a_refusal(fetcher):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert "connection failed" in await refusal(fetcher, f"http://127.0.0.1:{port}/")


async def test_first_refusal_ends_the_other_fetches(fetcher, site):
    site.gate.clear()
    message = await refusal(fetcher, f"{site.base}/png", "http://10.0.0.1/a.png")
    assert "10.0.0.1" in message
    site.gate.set()
