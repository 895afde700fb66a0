"""What Claude wants of a conversation: calls with results, thinking in front, its own signatures.

The texts are Anthropic's, since Google passes them on. Source: cloudcode.md 3.2-3.4, 4.5-4.7.
"""

import re
from collections.abc import Iterator, Sequence

from mcp_proxy.demo import signatures
from mcp_proxy.demo.generation import get
from mcp_proxy.demo.refusals import JsonObject

_ID = re.compile(r"[A-Za-z0-9_-]+")
_DOCUMENTATION = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"


def problems(
    contents: Sequence[JsonObject], *, thinking: bool, family: str = "claude"
) -> Iterator[str]:
    """Texts of everything that Claude would refuse. `thinking`: this request asks for it.

    `family`: whose signatures are good.
    """
    seen: set[str] = set()
    for at, content in enumerate(contents):
        before = contents[at - 1] if at else {}
        after = contents[at + 1] if at + 1 < len(contents) else {}
        if content.get("role") == "model":
            yield from _assistant(content, after, at, seen, family)
        else:
            yield from _user(content, before, at)
        yield from _texts(content)
    yield from _last_turn(contents, thinking=thinking)


def _assistant(
    content: JsonObject, after: JsonObject, at: int, seen: set[str], family: str
) -> Iterator[str]:
    ids: list[str] = []
    for nth, part in enumerate(content["parts"]):
        path = f"messages.{at}.content.{nth}"
        call = get(part, "functionCall")
        if call is not None:
            yield from _call_id(call.get("id"), path, seen)
            ids.append(call.get("id") or "")
        elif ids:
            # Anything behind a call separates it from its result (pitfall 23).
            yield _unanswered(at, ids)
        yield from _seal(part, path, family)
    if content["parts"][-1].get("thought"):
        yield f"messages.{at}: The final block in an assistant message cannot be `thinking`."
    answered = set(_response_ids(after)) if after.get("role") != "model" else set()
    missing = [each for each in ids if each not in answered]
    if missing:
        yield _unanswered(at, missing)


def _user(content: JsonObject, before: JsonObject, at: int) -> Iterator[str]:
    calls = [get(part, "functionCall") for part in before.get("parts") or ()]
    expected = {call.get("id") for call in calls if call is not None}
    others_began = False
    for nth, part in enumerate(content["parts"]):
        response = get(part, "functionResponse")
        if response is None:
            others_began = True
            continue
        identifier = response.get("id")
        if identifier not in expected:
            yield (
                f"messages.{at}.content.{nth}: unexpected `tool_use_id` found in `tool_result` "
                f"blocks: {identifier}. Each `tool_result` block must have a corresponding "
                "`tool_use` block in the previous message."
            )
        if others_began:
            # Results stand first and together (pitfall 21).
            yield _unanswered(at - 1, [str(identifier)])


def _seal(part: JsonObject, path: str, family: str) -> Iterator[str]:
    signature = get(part, "thoughtSignature")
    if part.get("thought"):
        text = part["text"] or None  # thinking may come back without its text, not with another
        if not signature:
            yield f"{path}.thinking.signature: Field required"
        elif not signatures.is_genuine(signature, family, text=text):
            yield f"{path}: Invalid `signature` in `thinking` block"
    elif signature is not None:
        yield f"{path}.signature: Extra inputs are not permitted"


def _texts(content: JsonObject) -> Iterator[str]:
    for part in content["parts"]:
        if part.get("text") is None or part.get("thought"):
            continue
        if not part["text"]:
            yield "messages: text content blocks must be non-empty"
        elif not part["text"].strip():
            yield "messages: text content blocks must contain non-whitespace text"


def _last_turn(contents: Sequence[JsonObject], *, thinking: bool) -> Iterator[str]:
    """The turn that is still open: since the last time a person spoke."""
    start = _open_turn(contents)
    turn = [
        (at, content)
        for at, content in enumerate(contents[start:], start)
        if content.get("role") == "model"
    ]
    if not turn:
        return
    if contents[-1].get("role") == "model" and _ends_in_space(contents[-1]):
        yield "messages: final assistant content cannot end with trailing whitespace"
    if thinking:
        at, first = turn[0]
        part = first["parts"][0]
        if not part.get("thought"):
            found = "tool_use" if get(part, "functionCall") is not None else "text"
            yield (
                f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
                f"found `{found}`. When `thinking` is enabled, a final `assistant` message must "
                "start with a thinking block (preceeding the lastmost set of `tool_use` and "
                "`tool_result` blocks). To avoid this requirement, disable `thinking`. Please "
                f"consult our documentation at {_DOCUMENTATION}"
            )
        return
    for at, content in turn:
        if any(part.get("thought") for part in content["parts"]):
            yield (
                f"messages.{at}.content.0: When `thinking` is disabled, an `assistant` message in "
                "the final position cannot contain `thinking`. To use thinking blocks, enable "
                f"`thinking` in your request. Please consult our documentation at {_DOCUMENTATION}"
            )


def _open_turn(contents: Sequence[JsonObject]) -> int:
    for at in range(len(contents) - 1, -1, -1):
        content = contents[at]
        if content.get("role") != "model" and not _response_ids(content):
            return at + 1
    return 0


def _response_ids(content: JsonObject) -> list[str]:
    responses = [get(part, "functionResponse") for part in content.get("parts") or ()]
    return [response.get("id") or "" for response in responses if response is not None]


def _call_id(identifier: str | None, path: str, seen: set[str]) -> Iterator[str]:
    if not identifier:
        yield f"{path}.tool_use.id: Field required"
    elif not _ID.fullmatch(identifier):
        yield f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    elif identifier in seen:
        yield "messages: `tool_use` ids must be unique"
    else:
        seen.add(identifier)


def _ends_in_space(content: JsonObject) -> bool:
    text: str = content["parts"][-1].get("text") or ""
    return text != text.rstrip()


def _unanswered(at: int, ids: list[str]) -> str:
    return (
        f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. Each `tool_use` block must have a corresponding `tool_result` block in "
        "the next message."
    )
