"""Which feature of a request a server refuses, from the words of its refusal.

There is no common code for it; this is the table of what servers say (providers.md 3). The names
that come out are those of `openai_features.py`, which knows how to do without them.
"""

import re
from typing import Final

from mcp_proxy.providers.error_bodies import ErrorBody
from mcp_proxy.providers.features import DIALECT, DROPPABLE
from mcp_proxy.providers.openai_features import ADAPTATIONS


def refused_feature(error: ErrorBody) -> str | None:
    """The feature without which the server would take the request; None: it is about none."""
    for pattern, feature in _TELLING:
        if pattern.search(error.message):
            return feature
    field = _field_of(error.param) or _named_in(error.message)
    if field is None:
        return None
    if error.code in _CODES or _REFUSAL.search(error.message):
        return _STANDS_FOR.get(field, field)
    return field if field in _ENUMERATED and _WRONG_VALUE.search(error.message) else None


_CODES: Final = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})

_REFUSAL: Final = re.compile(
    r"unsupported|not supported|n[o']t support|isn't supported|only supported|not allowed"
    r"|unrecogni[sz]ed|unknown (?:field|parameter|argument|name|variant|key)"
    r"|unexpected (?:keyword|field|parameter|property)|was unexpected|invalid (?:field|parameter)"
    r"|extra (?:inputs|fields)|extra_forbidden|not permitted|additional propert|unavailable"
    r"|deprecated for this model|is not a valid (?:field|parameter)",
    re.IGNORECASE,
)
"""What a server says when it minds that something is there, not that its value is wrong."""

_ENUMERATED: Final = frozenset(
    {"reasoning_effort", "verbosity", "service_tier", "prompt_cache_retention"}
)
_WRONG_VALUE: Final = re.compile(
    r"invalid value|supported values|(?:expected|must be|should be|not) (?:one of|in)\b"
    r"|literal_error",
    re.IGNORECASE,
)
"""A value of these that a server lacks is no mistake of the client's: others have it."""

_STANDS_FOR: Final = {
    "max_tokens": "max_tokens->max_completion_tokens",
    "max_completion_tokens": "max_completion_tokens->max_tokens",
}
"""Fields that have another name elsewhere; every other field is its own feature."""

_NAMES: Final = (
    *DROPPABLE,
    *_STANDS_FOR,
    *(name for name in ADAPTATIONS if name.isidentifier()),
)
_ANY: Final = "(" + "|".join(sorted(set(_NAMES), key=len, reverse=True)) + ")"
_PLAIN: Final = frozenset({"temperature", "seed", "logprobs", "verbosity"})
_NAMED: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[\"'`“\[]{_ANY}[\"'`”\]]",
        rf"(?i:parameters?|arguments?|fields?|key|supplied|variant)[:\s]+{_ANY}\b",
        rf"(?:^|\. |; |\n)(?:body\.)?{_ANY}: ",
        # Without a mark of any kind only what cannot be an ordinary word ("user", "stop").
        r"(?<![\w-])(" + "|".join(n for n in _NAMES if "_" in n or n in _PLAIN) + r")(?![\w-])",
    )
)
"""How messages name a field, the surest first."""

_TELLING: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), feature)
    for pattern, feature in (
        # "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        (r"max_tokens\b.{0,60}\buse\b.{0,20}max_completion_tokens", _STANDS_FOR["max_tokens"]),
        (
            r"max_(?:completion_|output_)?tokens\b.{0,60}"
            r"(?:too (?:large|high|big)|exceed|at most|less than|greater than|<=|maximum)"
            r"|at most \d+ (?:completion|output) tokens",
            "max_tokens",
        ),
        # Also where it stands among roles that would do: "unknown variant `developer`".
        (
            r"(?:role|variant|expected|unexpected|unknown|invalid).{0,60}\bdeveloper\b"
            r"|\bdeveloper\b.{0,40}(?:role|is not|not one of|unsupported)",
            "developer->system",
        ),
        (r"response_format.{0,30}type is unavailable", "response_format.json_schema"),
        (r"response_format.{0,40}must be.{0,10}json_schema", "response_format"),
        (
            r"(?:n't|not|un)\s?support\w*.{0,60}(?:json_schema|json schema|structured output)"
            r"|(?:json_schema|json schema|structured output).{0,80}(?:n't|not|un)\s?(?:be )?support"
            r"|unknown variant .json_schema",
            "response_format.json_schema",
        ),
        # A function in the list of tools, and the messages' own fields.
        (
            r"\bstrict\b.{0,60}(?:support|permitted|forbidden|allowed|unknown|unexpected)"
            r"|(?:unsupported|unknown|unexpected|unrecogni[sz]ed).{0,40}\bstrict\b",
            "strict",
        ),
        (
            r"(?:missing|requires?|must have|must include).{0,20}\breasoning_content\b"
            r"|\breasoning_content\b.{0,40}(?:missing|required|must be (?:passed|provided|sent))",
            "+reasoning_content",
        ),
        (r"parallel tool call", "parallel_tool_calls"),
        (
            # Ollama and others, of a model that does not think.
            r"(?:n't|not) support (?:thinking|reasoning|reasoning effort)(?:$|[\s.,\"'])",
            "reasoning_effort",
        ),
        (
            r"(?:n't|not) (?:support|accept|take|have)\w*.{0,30}(?:image|vision|multimodal)"
            r"|(?:image|vision)\w*.{0,30} (?:input )?(?:is|are)(?:n't| not) (?:supported|enabled)"
            r"|unknown variant .image_url"
            r"|not a multimodal model|no endpoints found that support image",
            "images",
        ),
        (r"verified to stream", "stream"),
        (r"tool call id.{0,120}length of 9", "short_call_ids"),
        (
            r"only supported in /?v1/responses|use /?v1/responses|not a chat model"
            r"|not supported (?:in|by|with) (?:the )?/?(?:v1/)?chat/completions",
            f"{DIALECT}openai_chat",
        ),
        (
            r"only supported in /?v1/chat/completions|use /?v1/chat/completions"
            r"|not supported (?:in|by|with) (?:the )?/?(?:v1/)?responses",
            f"{DIALECT}openai_responses",
        ),
    )
)
"""Refusals that say it in words of their own; the first match decides."""


def _field_of(param: str) -> str | None:
    """`tools[0].function.strict` -> `strict`: the innermost step that is the name of a feature."""
    steps = [step for step in re.split(r"[.\[\]]+", param) if step in _NAMES]
    return steps[-1] if steps else None


def _named_in(message: str) -> str | None:
    for pattern in _NAMED:
        if found := pattern.search(message):
            return found[1]
    return None
