"""Tools and `tool_choice` of a Responses request (client-apis.md 3.1).

Knows the kinds of tools: functions and custom tools, which the client runs, alone or in
namespaces; web search, which an upstream may run; and others, which nobody here can.
"""

from collections.abc import Callable
from dataclasses import field
from typing import Any, Final, NamedTuple

from mcp_proxy.conversation import ChoiceMode, JsonObject, Tool, ToolChoice, Verbatim
from mcp_proxy.dialects.openai_fields import read_name
from mcp_proxy.dialects.openai_responses.names import NAME, flat_name
from mcp_proxy.dialects.openai_tools import ALLOWED_MODES, MODES, freeform_tool, plain_mode
from mcp_proxy.dialects.recent_tools import ReadTools
from mcp_proxy.dialects.tool_choice import Names, settle_choice
from mcp_proxy.errors import BadRequest
from mcp_proxy.jsonschema import as_schema
from mcp_proxy.strict_json import Where, check, get, one_of, spell
from mcp_proxy.values import stateful

_WEB_SEARCH = "web_search"
"""With what the types of the search tool begin; later versions append their date."""


class Tools(NamedTuple):
    """What a request offers."""

    own: tuple[Tool, ...]
    """Tools the client runs, each name once: the first counts."""
    server: tuple[Verbatim, ...]
    ignored: tuple[str, ...]
    """Places and types of the tools that are left out."""


_NONE: Final = Tools((), (), ())
_read: Final = ReadTools[Tools]()


def read_tools(body: JsonObject) -> Tools:
    """The tools of `tools`, and those that `additional_tools` items bring along in the input."""
    items = body.get("input")
    brought = [
        (at, item)
        for at, item in enumerate(items if isinstance(items, list) else ())
        if isinstance(item, dict) and item.get("type") == "additional_tools"
    ]
    if "tools" not in body and not brought:
        return _NONE
    return _read.of((body.get("tools"), brought), lambda: _tools_in(body, brought))


def _tools_in(body: JsonObject, brought: list[tuple[int, JsonObject]]) -> Tools:
    found = _Found()
    found.add_all(get(body, "tools", list, default=()), ("tools",))
    for at, item in brought:
        where: Where = ("input", at)
        found.add_all(get(item, "tools", list, where, default=()), (*where, "tools"))
    return Tools(tuple(found.own.values()), tuple(found.server), tuple(found.ignored))


@stateful
class _Found:
    own: dict[str, Tool] = field(default_factory=dict)
    server: list[Verbatim] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def add_all(self, items: list[Any], where: Where, namespace: str | None = None) -> None:
        for at, item in enumerate(items):
            here: Where = (*where, at)
            self._add(check(item, dict, here), here, namespace)

    def _add(self, entry: JsonObject, where: Where, namespace: str | None) -> None:
        kind = get(entry, "type", str, where, default="function")
        if read := _READERS.get(kind):
            tool = read(entry, where, namespace)
            self.own.setdefault(tool.name, tool)
        elif kind == "namespace" and namespace is None:
            inner = get(entry, "tools", list, where, default=())
            self.add_all(inner, (*where, "tools"), read_name(entry, where))
        elif kind.startswith(_WEB_SEARCH):
            self.server.append(Verbatim(NAME, entry))
        else:
            self.ignored.append(f"{spell(where)} ({kind[:64]})")


def _function(entry: JsonObject, where: Where, namespace: str | None) -> Tool:
    # `strict` is true here when left out, but many clients leave it out beside schemas that break
    # its rules, and only OpenAI itself mends those.
    return Tool(
        name=flat_name(namespace, read_name(entry, where)),
        description=get(entry, "description", str, where, default=""),
        schema=as_schema(entry.get("parameters")),
        strict=get(entry, "strict", bool, where, default=None),
        namespace=namespace,
    )


def _custom(entry: JsonObject, where: Where, namespace: str | None) -> Tool:
    return freeform_tool(
        flat_name(namespace, read_name(entry, where)),
        get(entry, "description", str, where, default=""),
        get(entry, "format", dict, where, default={}),
        (*where, "format"),
        namespace,
    )


_READERS: dict[str, Callable[[JsonObject, Where, str | None], Tool]] = {
    "function": _function,
    "custom": _custom,
}


def read_choice(body: JsonObject, tools: Tools) -> tuple[ToolChoice, Tools]:
    """The choice, and the tools that remain to choose from."""
    choice, where = body.get("tool_choice"), ("tool_choice",)
    mode, names = _asked(choice, where)
    server = tools.server if names is None or _allows_search(choice) else ()
    parallel = get(body, "parallel_tool_calls", bool, default=True)
    settled, own = settle_choice(mode, names, tools.own, server, where=where, parallel=parallel)
    return settled, tools._replace(own=own, server=server)


def _asked(choice: Any, where: Where) -> tuple[ChoiceMode, Names | None]:
    """Mode, and the names with their places; None: every tool."""
    mode = plain_mode(choice, where)
    if mode is not None:
        return mode, None
    kind = get(choice, "type", str, where)
    if kind == "allowed_tools":
        return _allowed(choice, where)
    if kind in _READERS:
        return "any", [_named(choice, where)]
    # A tool that the upstream runs itself: it is offered, but cannot be forced everywhere.
    return "auto", None


def _allowed(choice: JsonObject, where: Where) -> tuple[ChoiceMode, Names | None]:
    mode = MODES[one_of(get(choice, "mode", str, where), ALLOWED_MODES, (*where, "mode"))]
    inside: Where = (*where, "tools")
    items = get(choice, "tools", list, where)
    if not items:
        raise BadRequest("expected at least one tool", param=spell(inside))
    names = []
    for at, item in enumerate(items):
        here: Where = (*inside, at)
        entry = check(item, dict, here)
        if get(entry, "type", str, here, default="function") in _READERS:
            names.append(_named(entry, here))
    return (mode if names else "auto"), names


def _named(entry: JsonObject, where: Where) -> tuple[str, Where]:
    namespace = get(entry, "namespace", str, where, default=None)
    return flat_name(namespace, read_name(entry, where)), (*where, "name")


def _allows_search(choice: Any) -> bool:
    """Whether a choice that names tools names the search among them."""
    return any(
        str(entry.get("type", "")).startswith(_WEB_SEARCH) for entry in choice.get("tools", ())
    )
