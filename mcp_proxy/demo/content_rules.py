"""What every content must be, whichever model reads it. Source: cloudcode.md 3.3, 3.4, 4.2."""

import base64
import binascii
from collections.abc import Iterator

from mcp_proxy.demo.generation import get
from mcp_proxy.demo.refusals import JsonObject

_URL_SAFE = str.maketrans("-_", "+/")
_DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse")


def problems(request: JsonObject) -> Iterator[str]:
    """Texts of everything wrong with the shape of contents and system instruction."""
    contents = request.get("contents")
    if not contents:
        yield "* GenerateContentRequest.contents: contents is not specified"
    system = get(request, "systemInstruction")
    if system is not None:
        yield from _parts(system, "system_instruction")
    for at, content in enumerate(contents or ()):
        if content.get("role", "user") not in ("user", "model"):
            yield "Please use a valid role: user, model."
        yield from _parts(content, f"contents[{at}]")


def has_bare_thought(request: JsonObject) -> bool:
    """A thought part without a text key, on which the real one answers 500 (pitfall 20)."""
    return any(
        part.get("thought") and "text" not in part
        for content in request.get("contents") or ()
        for part in content.get("parts") or ()
    )


def _parts(content: JsonObject, where: str) -> Iterator[str]:
    parts = content.get("parts")
    path = f"GenerateContentRequest.{where}"
    if not parts:
        yield f"* {path}.parts: contents.parts must not be empty."
    for at, part in enumerate(parts or ()):
        yield from _part(part, f"{path}.parts[{at}]")


def _part(part: JsonObject, path: str) -> Iterator[str]:
    kinds = [kind for kind in _DATA if get(part, kind) is not None]
    if not kinds:
        yield f"* {path}.data: required oneof field 'data' must have one initialized field"
    elif len(kinds) > 1:
        yield (f"* {path}.data: oneof field 'data' is already set. Cannot set '{kinds[1]}'")
    blob = get(part, "inlineData")
    if blob is not None:
        yield from _blob(blob, f"{path}.inline_data")
    call = get(part, "functionCall")
    if call is not None and not call.get("name"):
        yield f"* {path}.function_call.name: Name cannot be empty."
    response = get(part, "functionResponse")
    if response is not None:
        yield from _response(response, f"{path}.function_response")


def _response(response: JsonObject, path: str) -> Iterator[str]:
    if not response.get("name"):
        yield f"* {path}.name: Name cannot be empty."
    if response.get("response") is None:
        yield f"* {path}.response: Response must be set."
    for at, part in enumerate(response.get("parts") or ()):
        blob = get(part, "inlineData")
        if blob is None:
            yield (
                f"* {path}.parts[{at}].data: required oneof field 'data' must have one "
                "initialized field"
            )
        else:
            yield from _blob(blob, f"{path}.parts[{at}].inline_data")


def _blob(blob: JsonObject, path: str) -> Iterator[str]:
    if not get(blob, "mimeType"):
        yield f"* {path}.mime_type: Unsupported MIME type: "
    try:
        # Both alphabets are fine, as in every JSON that becomes a protocol buffer.
        base64.b64decode((blob.get("data") or "").translate(_URL_SAFE), validate=True)
    except binascii.Error:
        yield f"Invalid value at '{path}.data' (TYPE_BYTES), Base64 decoding failed"
