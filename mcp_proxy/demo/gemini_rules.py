"""What Gemini wants of a conversation: the order of turns, as many results as calls, signatures.

Source: cloudcode.md 3.2, 3.4, 4.2, 4.3 and pitfalls 14, 15, 24, 27.
"""

from collections.abc import Iterator, Sequence

from mcp_proxy.demo import signatures
from mcp_proxy.demo.catalogue import DemoModel, Kind
from mcp_proxy.demo.generation import get
from mcp_proxy.demo.refusals import JsonObject

CORRUPTED = "Corrupted thought signature."


def problems(contents: Sequence[JsonObject], model: DemoModel) -> Iterator[str]:
    """Texts of everything that a Gemini (or GPT-OSS) model would refuse."""
    if contents[0].get("role") == "model":
        yield "Please ensure that multiturn requests start with a user turn."
    for at, content in enumerate(contents):
        before = contents[at - 1] if at else {}
        calls = _named(content, "functionCall")
        responses = _named(content, "functionResponse")
        if calls and at + 1 < len(contents) and not _named(contents[at + 1], "functionResponse"):
            yield "Please ensure that function call turns are followed by function response turns."
        if calls and before.get("role") == "model":
            yield (
                "Please ensure that function call turn comes immediately after a user turn or "
                "after a function response turn."
            )
        if responses:
            yield from _responses(responses, _named(before, "functionCall"))
        yield from _signatures(content, at, model)


def _responses(responses: list[JsonObject], calls: list[JsonObject]) -> Iterator[str]:
    if not calls:
        yield (
            "Please ensure that function response turn comes immediately after a function call "
            "turn."
        )
    elif len(responses) != len(calls):
        yield (
            "Please ensure that the number of function response parts is equal to the number of "
            "function call parts of the function call turn."
        )


def _signatures(content: JsonObject, at: int, model: DemoModel) -> Iterator[str]:
    is_first_call = True
    for nth, part in enumerate(content["parts"]):
        signature = get(part, "thoughtSignature")
        call = get(part, "functionCall")
        if call is not None:
            yield from _call_signature(signature, call, at, nth, model, first=is_first_call)
            is_first_call = False
        elif signature is not None and not _is_genuine(signature, model):
            yield CORRUPTED


def _call_signature(
    signature: str | None,
    call: JsonObject,
    at: int,
    nth: int,
    model: DemoModel,
    *,
    first: bool,
) -> Iterator[str]:
    if signature is None:
        if first and model.kind is Kind.GEMINI_3:
            yield (
                "Function call is missing a thought_signature in functionCall parts. This is "
                "required for tools to work correctly, and missing thought_signature may lead to "
                "degraded model performance. Additional data, function call "
                f"`default_api:{call.get('name')}` , position {at}.{nth}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )
    elif signature == signatures.SENTINEL:
        if not first:  # siblings of a parallel call carry none (pitfall 15)
            yield CORRUPTED
    elif not _is_genuine(signature, model):
        yield CORRUPTED


def _is_genuine(signature: str, model: DemoModel) -> bool:
    return model.is_gemini and signatures.is_genuine(signature, "gemini")


def _named(content: JsonObject, kind: str) -> list[JsonObject]:
    return [value for part in content.get("parts") or () if (value := get(part, kind)) is not None]
