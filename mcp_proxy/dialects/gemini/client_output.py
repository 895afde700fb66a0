"""The form in which a Gemini client wants its answer: JSON, one of some words, pictures; no speech.

Three spellings of one wish: `responseMimeType` with `responseSchema` (Google's schema) or with
`responseJsonSchema`, and the list `responseFormat`, which is to replace both.
"""

from typing import Final, NamedTuple

from mcp_proxy.conversation import OutputFormat
from mcp_proxy.dialects.gemini.client_fields import get, listed, spelling, value_of
from mcp_proxy.dialects.gemini.client_schemas import as_json_schema
from mcp_proxy.errors import BadRequest
from mcp_proxy.strict_json import JsonObject, Where, check, encode, spell

_JSON: Final = "application/json"
_ENUM: Final = "text/x.enum"
_UNDERSTOOD: Final = (_JSON, _ENUM, "text/plain", "")


class Output(NamedTuple):
    format: OutputFormat | None = None
    instruction: str | None = None
    """How to answer, where no upstream has a field for it."""
    aspect_ratio: str | None = None
    """Of a picture."""
    ignored: tuple[str, ...] = ()


def read_output(config: JsonObject, where: Where) -> Output:
    """The form of the answer as `generationConfig` has it. BadRequest for speech."""
    modalities, at = listed(config, "responseModalities", where)
    _refuse_speech(modalities, at)
    image = get(config, "imageConfig", dict, where, {})
    ratio = get(image, "aspectRatio", str, (*where, "imageConfig"), None)
    formats, at = listed(config, "responseFormat", where)
    for index, item in enumerate(formats):
        wanted, here = check(item, dict, (*at, index)), (*at, index)
        _refuse_speech([name for name in wanted if wanted[name] is not None], here)
        image = get(wanted, "image", dict, here, {})
        ratio = get(image, "aspectRatio", str, (*here, "image"), ratio)
        text = get(wanted, "text", dict, here, None)
        if text is not None:
            return _text_output(text, ("schema",), "mimeType", (*here, "text"), ratio)
    schemas = ("responseJsonSchema", "_responseJsonSchema", "responseSchema")
    return _text_output(config, schemas, "responseMimeType", where, ratio)


def _refuse_speech(names: list[object], where: Where) -> None:
    for name in names:
        if isinstance(name, str) and name.upper() == "AUDIO":
            raise BadRequest("spoken answers are not available", param=spell(where))


def _text_output(
    config: JsonObject, schemas: tuple[str, ...], mime: str, where: Where, ratio: str | None
) -> Output:
    given = get(config, mime, str, where, "")
    # The newer field takes the name of an enum, TEXT_PLAIN, as well.
    mime_type = given.lower().replace("application_", "application/").replace("text_", "text/")
    schema = next((found for name in schemas if (found := value_of(config, name))), None)
    if mime_type == _ENUM:
        return Output(instruction=_one_word(schema), aspect_ratio=ratio)
    if mime_type == _JSON or (schema is not None and not mime_type):
        usable = as_json_schema(schema) if isinstance(schema, dict) else None
        return Output(OutputFormat(usable), aspect_ratio=ratio)
    known = mime_type in _UNDERSTOOD
    ignored = () if known else (spell((*where, spelling(config, mime))),)
    return Output(aspect_ratio=ratio, ignored=ignored)


def _one_word(schema: object) -> str | None:
    values = schema.get("enum") if isinstance(schema, dict) else None
    if not isinstance(values, list):
        return None
    words = ", ".join(encode(value).decode() for value in values)
    return f"Answer with exactly one of these and nothing else, without quotes: {words}"
