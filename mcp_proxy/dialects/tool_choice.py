"""A client's choice among its tools, settled against what it declares."""

from mcp_proxy.conversation import ChoiceMode, Tool, ToolChoice, Verbatim
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import Where, spell

Names = list[tuple[str, Where]]
"""Names that a choice mentions, each with its place in the request."""


def settle_choice(
    mode: ChoiceMode,
    names: Names | None,
    tools: tuple[Tool, ...],
    server_tools: tuple[Verbatim, ...],
    *,
    where: Where,
    parallel: bool = True,
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """The choice, and the tools that remain to choose from. `names` None: every tool.

    BadRequest for a name that is not declared, and for a forced call of nothing.
    """
    declared = {tool.name for tool in tools}
    for name, at in names or ():
        if name not in declared:
            raise BadRequest(f'no tool "{name[:64]}" is declared', param=spell(at))
    if mode == "any" and not (tools or server_tools):
        raise BadRequest("a call is required, but no tool is declared", param=spell(where))
    chosen = tuple([name for name, _ in names or ()])
    if mode == "any":
        return ToolChoice(mode, chosen, parallel), tools
    if mode == "auto" and names is not None:
        # `ToolChoice.names` binds only a forced choice, so the others are not offered at all.
        tools = tuple([tool for tool in tools if tool.name in chosen])
    return ToolChoice(mode, parallel=parallel), tools
