"""The endpoints that generate: one request in, one answer or stream out, in one dialect."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from aiohttp import web

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import (
    ClientDialect,
    PathTarget,
    ReplyFrame,
    StreamRenderer,
    client_dialect,
)
from mcp_proxy.engine.answering import Answering
from mcp_proxy.engine.exchange import Exchange
from mcp_proxy.engine.rendering import Incoming
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import ErrorKind, FailureKind, ProxyError
from mcp_proxy.events import Event, Folder, UpstreamBroke
from mcp_proxy.ids import new_id
from mcp_proxy.server.answers import Call, json_answer, raw_answer, read_body, unforeseen
from mcp_proxy.server.client_stream import ClientStream
from mcp_proxy.server.debug_log import shown
from mcp_proxy.server.threads import Thread, thread_of
from mcp_proxy.strict_json import JsonObject, read_object

log = logging.getLogger(__name__)

COMMIT_AFTER = 10.0
"""Seconds without an answer after which a stream is committed, so that it can be kept alive."""


async def generate(
    runtime: Runtime, call: Call, target: PathTarget | None = None
) -> web.StreamResponse:
    """Answers one generation request. Raises ProxyError while nothing has been sent.

    `target`: what the path says, in dialects that name the model there.
    """
    dialect, incoming, thread, again = await _received(runtime, call, target)
    exchange = Exchange(runtime, incoming, again)
    # An answer may take minutes, in which nobody but `exchange` should hold the history.
    conversation = exchange.asked
    del incoming, again
    call.outcome = exchange.outcome
    frame = ReplyFrame(
        id=new_id(),
        model=conversation.model,
        created=int(time.time()),
        prompt_estimate=exchange.prompt_estimate,
        conversation=conversation,
    )
    try:
        if conversation.wants_stream:
            keeper = _Keeper(runtime, thread, dialect, frame) if thread is not None else None
            return await _stream(runtime, call, exchange, dialect, frame, keeper)
        return await _whole(runtime, call, exchange, dialect, frame, thread)
    finally:
        exchange.close()


class _Keeper:
    """Folds the events of a stream, so that its thread can be continued."""

    def __init__(
        self, runtime: Runtime, thread: Thread, dialect: ClientDialect, frame: ReplyFrame
    ) -> None:
        self._runtime = runtime
        self._thread = thread
        self._dialect = dialect
        self._frame = frame
        self._folder = Folder()

    def add(self, events: list[Event]) -> None:
        self._folder.add(events)

    def keep(self) -> None:
        message = self._dialect.render_reply(self._folder.reply(), self._frame)
        self._thread.keep(self._runtime, message)


async def _whole(
    runtime: Runtime,
    call: Call,
    exchange: Exchange,
    dialect: ClientDialect,
    frame: ReplyFrame,
    thread: Thread | None,
) -> web.Response:
    reply, document = await exchange.reply()
    told = facts(exchange)
    if exchange.outcome.forwarded:
        return raw_answer(call, document, headers={**exchange.relayed, **told})
    rendered = dialect.render_reply(reply, frame)
    if thread is not None:
        thread.keep(runtime, rendered)
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s answer: %s", call.id, shown(rendered))
    return json_answer(call, rendered, headers=told)


async def _received(
    runtime: Runtime, call: Call, target: PathTarget | None
) -> tuple[ClientDialect, Incoming, Thread | None, Callable[[], Incoming] | None]:
    """The request, and what reads its body once more unless the request is more than its body."""
    settings = runtime.settings.server
    body = await read_body(call.request, limit=settings.max_body, timeout=settings.read_timeout)
    dialect = client_dialect(call.dialect)
    is_shown = log.isEnabledFor(logging.DEBUG)
    # Whole only for those who want to see all of it: a long history is mostly known already.
    is_whole = is_shown or runtime.names.forwards(dialect.name)
    parsed = read_object(body) if is_whole else dialect.read(body)
    if is_shown:
        log.debug("%s request: %s", call.id, shown(parsed))
    thread = None
    if call.dialect == "anthropic" and "thread" in parsed:
        parsed = read_object(body)
        thread = thread_of(runtime, parsed)
        parsed = parsed if thread is None else thread.body
    conversation = dialect.parse_request(parsed, call.request.headers, target)
    call.model = conversation.model
    for field in conversation.ignored:
        log.debug("%s: %s has no counterpart upstream and is left out", call.id, field)
    if not runtime.names.lead_to_somebody(conversation.model):
        await runtime.look_for(conversation.model)  # it may show who takes the bytes as they are
    if thread is not None:
        return dialect, Incoming(conversation, len(body)), thread, None
    headers = call.request.headers

    def incoming(parsed: JsonObject, conversation: Conversation) -> Incoming:
        if not runtime.names.forwards(dialect.name):
            return Incoming(conversation, len(body))
        whole = parsed if is_whole else read_object(body)
        return Incoming(conversation, len(body), body, whole, headers)

    def again() -> Incoming:
        parsed = read_object(body) if is_whole else dialect.read(body)
        return incoming(parsed, dialect.parse_request(parsed, headers, target))

    return dialect, incoming(parsed, conversation), None, again


async def _stream(
    runtime: Runtime,
    call: Call,
    exchange: Exchange,
    dialect: ClientDialect,
    frame: ReplyFrame,
    keeper: _Keeper | None,
) -> web.StreamResponse:
    client = ClientStream(
        call.request,
        keep_alive=dialect.keep_alive,
        write_timeout=runtime.settings.server.write_timeout,
    )
    renderer = dialect.stream_renderer(frame)
    try:
        return await _stream_to(client, call, exchange, renderer, keeper)
    except ProxyError as error:
        if not await client.decide():
            raise
        return await _fail(client, renderer, error, call)
    except asyncio.CancelledError:
        # Either the client is gone, and nobody reads this, or the server stops.
        if client.committed and call.request.transport is not None:
            stopping = ProxyError(ErrorKind.UPSTREAM, "the proxy was stopped during this answer")
            await _fail(client, renderer, stopping, call)
        raise
    except ConnectionError:
        raise
    except Exception as cause:
        if not await client.decide():
            raise
        return await _fail(client, renderer, unforeseen(call, cause), call)
    finally:
        client.stop()


async def _stream_to(
    client: ClientStream,
    call: Call,
    exchange: Exchange,
    renderer: StreamRenderer,
    keeper: _Keeper | None,
) -> web.StreamResponse:
    client.commit_after(COMMIT_AFTER, call.headers, renderer.content_type)
    answering = await exchange.stream()
    if not await client.decide():
        headers = {**call.headers(), **exchange.relayed, **facts(exchange)}
        await client.commit(headers, renderer.content_type)
    call.status = 200
    if exchange.outcome.forwarded:
        return await _forward_to(client, call, exchange, answering, renderer)

    def rendered(events: list[Event]) -> bytes:
        if keeper is not None:
            keeper.add(events)
        return renderer.render(events)

    def pass_through(events: list[Event]) -> bool:
        if not client.is_free:
            return False
        client.write_now(rendered(events))
        return True

    try:
        events = answering.first
        while True:
            data = rendered(events)
            if answering.finished:
                break
            if data:
                await client.write(data)
            events = await answering.more(pass_through)
    except UpstreamBroke as broke:
        return await _fail(client, renderer, exchange.broke(answering, broke.failure), call)
    await exchange.completed(answering)
    if keeper is not None:
        keeper.keep()
    return await client.end(data)


async def _forward_to(
    client: ClientStream,
    call: Call,
    exchange: Exchange,
    answering: Answering,
    renderer: StreamRenderer,
) -> web.StreamResponse:
    """The upstream's own bytes, to their end. Its events only say how the answer went."""
    client.hand_over()

    def pass_through(_: list[Event]) -> bool:
        if not client.is_free:
            return False
        client.write_now(answering.take_bytes())
        return True

    try:
        while not answering.ended:
            data = answering.take_bytes()
            if data:
                await client.write(data)
            await answering.more(pass_through)
    except UpstreamBroke as broke:
        error = exchange.broke(answering, broke.failure)
        rest = answering.take_bytes()
        if answering.told or broke.failure.kind is FailureKind.EMPTY:
            # The client hears of it in the upstream's own words.
            call.error = error
            return await client.end(rest)
        if rest:
            await client.write(rest)
        return await _fail(client, renderer, error, call)
    await exchange.completed(answering)
    return await client.end(answering.take_bytes())


async def _fail(
    client: ClientStream, renderer: StreamRenderer, error: ProxyError, call: Call
) -> web.StreamResponse:
    call.status, call.error = 200, error
    return await client.end(renderer.fail(error, call.id))


def facts(exchange: Exchange) -> dict[str, str]:
    """Headers that say who really answered."""
    outcome = exchange.outcome
    told = {
        "x-mcproxy-account": outcome.account,
        "x-mcproxy-provider": outcome.provider,
        "x-mcproxy-model": outcome.model,
    }
    if outcome.fallback_from is not None:
        told["x-mcproxy-fallback"] = f"{outcome.fallback_from} -> {outcome.model}"
    return told


COUNTS: Mapping[str, Callable[[int], dict[str, object]]] = {
    "anthropic": lambda tokens: {"input_tokens": tokens},
    "openai_responses": lambda tokens: {
        "object": "response.input_tokens",
        "input_tokens": tokens,
    },
    "gemini": lambda tokens: {"totalTokens": tokens},
}
"""How each API that counts tokens says it."""


async def count_tokens(
    runtime: Runtime, call: Call, target: PathTarget | None = None
) -> web.Response:
    """How long a prompt is, from a calibrated estimate; no upstream is asked."""
    settings = runtime.settings.server
    body = await read_body(call.request, limit=settings.max_body, timeout=settings.read_timeout)
    dialect = client_dialect(call.dialect)
    conversation: Conversation = dialect.parse_count_request(
        dialect.read(body), call.request.headers, target
    )
    call.model = conversation.model
    await runtime.look_for(conversation.model)
    return json_answer(call, COUNTS[call.dialect](runtime.estimates.count(conversation)))
