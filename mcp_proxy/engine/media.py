"""Fetches the images and documents that a conversation names by URL, for upstreams that take none.

The only requests whose address a client chooses, so everything here is a bound: public addresses
(`public_addresses.py`), size, time, redirects, MIME types. Each refusal is the client's own 400.
"""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus

import aiohttp
from yarl import URL

from mcp_proxy import trust
from mcp_proxy.conversation import Conversation, Media, Message, Part, Text, ToolResult
from mcp_proxy.dialects.inline_data import is_data_url, read_data_url
from mcp_proxy.engine.public_addresses import AddressRefused, CheckedResolver, Rule, is_elsewhere
from mcp_proxy.errors import BadRequest

MAX_BYTES = 20 * 1024 * 1024
"""Bytes of one image or document."""

MAX_TOTAL = 64 * 1024 * 1024
"""Bytes fetched for one request; as much as a request may bring along itself."""

TIMEOUT = 20.0
"""Seconds for one URL, redirects included."""

MAX_REDIRECTS = 3
MAX_AT_ONCE = 4

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TYPES = ("application/pdf", "text/plain")

_HEADERS = {
    "Accept": "image/*, application/pdf, text/plain",
    # What arrives is what is counted: an answer that would have to be inflated is refused.
    "Accept-Encoding": "identity",
    "User-Agent": "mcproxy",
}

_Content = Text | Media


class MediaFetcher:
    """Fetches for all conversations of a process. Opens nothing before the first URL."""

    def __init__(self, *, allow: Rule = is_elsewhere, timeout: float = TIMEOUT) -> None:
        self._resolver = CheckedResolver(allow)
        self._timeout = timeout
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def inline(self, conversation: Conversation) -> Conversation:
        """The conversation with its media inside; the same object when it names no URL."""
        urls = list(dict.fromkeys(_urls(conversation)))
        if not urls:
            return conversation
        fetched = await self._fetch_all(urls)
        messages = tuple(_with_content(message, fetched) for message in conversation.messages)
        return replace(conversation, messages=messages)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _fetch_all(self, urls: list[str]) -> dict[str, _Content]:
        budget = _Budget()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._fetch(url, budget)) for url in urls]
        except ExceptionGroup as failed:
            # The first failure cancels the others: the request is refused as a whole.
            raise failed.exceptions[0] from None
        return {url: task.result() for url, task in zip(urls, tasks, strict=True)}

    async def _fetch(self, url: str, budget: "_Budget") -> _Content:
        if is_data_url(url):
            mime_type, data = read_data_url(url, ("url",))
            return _content(mime_type or "text/plain", data)
        async with self._slots:
            return await self._fetch_address(_address(url), budget)

    async def _fetch_address(self, url: URL, budget: "_Budget") -> _Content:
        try:
            async with asyncio.timeout(self._timeout):
                mime_type, body = await self._follow(url, budget)
        except AddressRefused:
            raise _refusal(url, "it does not lead to a public address") from None
        except TimeoutError as cause:
            raise _refusal(url, f"no answer within {self._timeout:g} s") from cause
        except (aiohttp.ClientError, OSError) as cause:
            raise _refusal(url, "the connection failed") from cause
        return _content(mime_type, b64encode(body).decode("ascii"))

    async def _follow(self, url: URL, budget: "_Budget") -> tuple[str, bytes]:
        """MIME type and body behind at most three redirects, each checked like the first URL."""
        here = url
        for _ in range(MAX_REDIRECTS + 1):
            self._resolver.check_literal(here.host or "")
            async with self._open().get(here, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    return await _read(response, url, budget)
                here = _address(response.headers.get("location", ""), base=here)
        raise _refusal(url, f"more than {MAX_REDIRECTS} redirects")

    def _open(self) -> aiohttp.ClientSession:
        """A session made late, inside the running loop, that keeps no connection and no cookie."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver,
                    use_dns_cache=False,
                    force_close=True,
                    ssl=trust.authorities(),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class _Budget:
    """Bytes that one request may still fetch."""

    def __init__(self) -> None:
        self._left = MAX_TOTAL

    def take(self, count: int) -> bool:
        self._left -= count
        return self._left >= 0


def _refusal(url: URL, reason: str) -> BadRequest:
    return BadRequest(f"cannot fetch the image or document from {url.host!r}: {reason}")


def _address(text: str, base: URL | None = None) -> URL:
    """An http or https URL. The parser is the one that the connection is made by: no two opinions.

    A user name in a URL is refused, for it is only ever there to make it look like another one.
    """
    try:
        url = base.join(URL(text)) if base else URL(text)
    except ValueError as cause:
        raise BadRequest(f"cannot fetch an image or document: {text[:80]!r} is no URL") from cause
    if url.scheme not in ("http", "https") or not url.host:
        raise BadRequest(f"cannot fetch an image or document: {text[:80]!r} is no http(s) URL")
    if url.user is not None or url.password is not None:
        raise _refusal(url, "the URL has a user name in it")
    return url


async def _read(response: aiohttp.ClientResponse, url: URL, budget: _Budget) -> tuple[str, bytes]:
    """MIME type and body of an answer that is neither an error nor too large."""
    if response.status != HTTPStatus.OK:
        raise _refusal(url, f"the answer was {response.status}")
    mime_type = response.content_type.lower()
    if not mime_type.startswith("image/") and mime_type not in _TYPES:
        raise _refusal(url, f"it is neither an image nor a document but {mime_type[:80]!r}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise _refusal(url, "the answer is compressed")
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > MAX_BYTES:
            raise _refusal(url, f"it is larger than {MAX_BYTES >> 20} MiB")
        if not budget.take(len(chunk)):
            raise _refusal(url, f"all together are larger than {MAX_TOTAL >> 20} MiB")
    if not body:
        raise _refusal(url, "it is empty")
    return mime_type, bytes(body)


def _content(mime_type: str, data: str) -> _Content:
    """Plain text as text, which every model reads; anything else as media."""
    if mime_type == "text/plain":
        return Text(b64decode(data).decode(errors="replace"))
    return Media(mime_type, data)


def _urls(conversation: Conversation) -> Iterator[str]:
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Media):
                if part.url:
                    yield part.url
            elif isinstance(part, ToolResult):
                yield from (each.url for each in part.parts if isinstance(each, Media) and each.url)


def _with_content(message: Message, fetched: Mapping[str, _Content]) -> Message:
    parts = tuple(_part_with_content(part, fetched) for part in message.parts)
    return message if parts == message.parts else Message(message.role, parts)


def _part_with_content(part: Part, fetched: Mapping[str, _Content]) -> Part:
    if isinstance(part, Media):
        return _inlined(part, fetched)
    if isinstance(part, ToolResult):
        parts = tuple(
            _inlined(each, fetched) if isinstance(each, Media) else each for each in part.parts
        )
        return replace(part, parts=parts)
    return part


def _inlined(media: Media, fetched: Mapping[str, _Content]) -> _Content:
    if not media.url:
        return media
    content = fetched[media.url]
    return replace(content, name=media.name) if isinstance(content, Media) else content
