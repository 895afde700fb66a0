"""Anthropic's stateful threads: clients that send only what is new, and count on the rest here.

`thread: create` keeps the request with its answer under the answer's id; `thread: continue` names
that id. Kept for a day, within bounds; for upstreams it is always the whole history.
"""

from dataclasses import field
from typing import Any, Final

from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.errors import BadRequest, ErrorKind, ProxyError
from mcp_proxy.store.state import StateStore
from mcp_proxy.strict_json import encode
from mcp_proxy.values import stateful

JsonObject = dict[str, Any]

LIFETIME: Final = 24 * 3600.0
"""Seconds that a thread is kept after its last answer."""

MAX_THREAD: Final = 16 * 1024 * 1024
"""Bytes of one thread; a longer one cannot be continued."""

MAX_THREADS: Final = 500
"""Beyond them the oldest go: at the usual 100 KB that is 50 MB of state."""

_CARRIED: Final[tuple[str, ...]] = (
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "temperature",
)
"""What a continued request has from the one before unless it says something else."""


@stateful
class Thread:
    """A request that belongs to a thread, with its whole history."""

    body: JsonObject = field(repr=False)

    def keep(self, runtime: Runtime, message: JsonObject) -> None:
        """Stores the request with the answer, to be continued by the answer's id."""
        answer = {"role": "assistant", "content": message["content"]}
        kept = {name: self.body[name] for name in _CARRIED if name in self.body}
        kept["messages"] = [*self.body["messages"], answer]
        kept["at"] = runtime.clock()
        if len(encode(kept)) > MAX_THREAD:
            return
        _make_room(runtime.state)
        runtime.state.put("threads", message["id"], kept)


def thread_of(runtime: Runtime, body: JsonObject) -> Thread | None:
    """The thread that a Messages request begins or goes on with; None when it does neither.

    Raises ProxyError (404) for one that is not kept, as the real API does.
    """
    asked = body.get("thread")
    if not isinstance(asked, dict):
        return None
    own = {name: value for name, value in body.items() if name != "thread"}
    match asked.get("type"):
        case "create":
            return Thread(own)
        case "continue":
            return Thread(_continued(runtime, own, asked.get("previous_message_id")))
        case _:
            raise BadRequest('expected "create" or "continue"', param="thread.type")


def _continued(runtime: Runtime, body: JsonObject, message_id: Any) -> JsonObject:
    if not isinstance(message_id, str) or not message_id:
        raise BadRequest("field required, expected text", param="thread.previous_message_id")
    kept = runtime.state.get("threads", message_id)
    if kept is None or runtime.clock() - kept["at"] > LIFETIME:
        raise ProxyError(
            ErrorKind.NOT_FOUND,
            f"thread.previous_message_id: no thread with the message {message_id[:128]!r} is kept "
            "here; threads last a day",
            param="thread.previous_message_id",
        )
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadRequest("field required, expected a list", param="messages")
    carried = {name: kept[name] for name in _CARRIED if name in kept}
    return {**carried, **body, "messages": [*kept["messages"], *messages]}


def _make_room(state: StateStore) -> None:
    rows = state.items("threads")
    if len(rows) >= MAX_THREADS:
        oldest = sorted(rows, key=lambda key: rows[key].get("at", 0.0))
        for key in oldest[: len(rows) - MAX_THREADS + 1]:
            state.delete("threads", key)
