"""What becomes of each feature on its way from a client's API to an upstream's.

A request with the feature and one without it are parsed and rendered, and the two bodies compared.
Knows dialects by their protocols only; what is expected of them is in `losses.md`.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from mcp_proxy.conversation import Conversation
from mcp_proxy.dialects import PathTarget, client_dialect, upstream_dialect
from mcp_proxy.errors import BadRequest
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.models import info
from mcp_proxy.policy.seals import StoredSeals, settle
from mcp_proxy.providers.gemini_bodies import fitted

Json = dict[str, Any]

DIALECTS = ("anthropic", "openai_chat", "openai_responses", "gemini")

MODELS: Mapping[str, Mapping[str, ModelInfo]] = {
    "anthropic": {"plain": info("claude-sonnet-4-6", "anthropic")},
    # Open weights: takes settings, efforts, and its own thoughts back.
    "openai_chat": {"plain": info("gpt-oss:20b", "openai-compatible")},
    "openai_responses": {
        "plain": info("gpt-4.1", "openai"),
        "thinking": info("gpt-5.5", "openai"),
        "budget": info("gpt-5.5", "openai"),
    },
    "gemini": {
        "plain": info("gemini-3-flash-preview", "gemini"),
        "budget": info("gemini-2.5-flash", "gemini"),
    },
}
"""Dialect -> need -> a model that meets it; "plain" where there is none of its own."""

KEPT = "kept"
DROPPED = "dropped"
NAMED = "dropped, named"
"""Named in `Conversation.ignored`, which `--debug` shows."""
CHANGED = "changed"
REFUSED = "400"
DONE_HERE = "done here"

ABSENT = "(absent)"
"""In a proof: the field is not there."""


@dataclass(frozen=True)
class Feature:
    """One thing to ask for, in the words of each API that has any."""

    name: str
    spelled: Mapping[str, Json]
    shown: Mapping[str, Json]
    """What proves it in a request of that API, where that is not its spelling."""
    beside: str | None
    model: str
    is_foreign: bool
    """Whether signatures in it were made by another kind of model."""
    only_beside: bool
    """Whether it is there for others to go beside, and no row of a table."""

    @classmethod
    def read(cls, name: str, entry: Json) -> "Feature":
        return cls(
            name,
            spelled={api: json.loads(entry[api]) for api in DIALECTS if api in entry},
            shown={api: json.loads(text) for api, text in entry.get("shown", {}).items()},
            beside=entry.get("beside"),
            model=entry.get("model", "plain"),
            is_foreign=entry.get("signed_by") == "another",
            only_beside=entry.get("only_beside", False),
        )


_DATA = tomllib.loads((Path(__file__).parent / "features.toml").read_text(encoding="utf-8"))
SMALLEST = {api: json.loads(text) for api, text in _DATA["smallest"].items()}
FEATURES = {name: Feature.read(name, entry) for name, entry in _DATA["features"].items()}
CHANGES = {
    (feature, api): {how: json.loads(shown) for how, shown in ways.items()}
    for feature, apis in _DATA["changes"].items()
    for api, ways in apis.items()
}
"""(feature, upstream API) -> how it is said there instead -> the proof."""
HERE: Mapping[str, Mapping[str, str]] = _DATA["done_here"]
"""Feature -> upstream API, or "all" -> what the proxy does itself."""


def fate(feature: Feature, source: str, target: str) -> str | None:
    """What becomes of the feature; None when the client's API cannot ask for it."""
    if source not in feature.spelled:
        return None
    try:
        asked, with_it = _translated(feature, asked_for(feature, source), source, target)
    except BadRequest as refusal:
        return f"{REFUSED}: `{refusal.param}`"
    here = HERE.get(feature.name, {})
    if done := here.get(target, here.get("all")):
        return f"{DONE_HERE}: {done}"
    unasked, without_it = _translated(feature, _plain(feature, source), source, target)
    if with_it == without_it:
        return NAMED if len(asked.ignored) > len(unasked.ignored) else DROPPED
    kept = feature.shown.get(target, feature.spelled.get(target))
    if kept is not None and _proves(kept, with_it, without_it):
        return KEPT
    ways = CHANGES.get((feature.name, target), {})
    how = next((how for how, shown in ways.items() if _proves(shown, with_it, without_it)), None)
    return CHANGED if how is None else f"{CHANGED}: {how}"


def asked_for(feature: Feature, source: str) -> Json:
    """A request with the feature, in the words of an API."""
    return _laid_over(_plain(feature, source), feature.spelled[source])


def _plain(feature: Feature, source: str) -> Json:
    """The same without it."""
    if feature.beside is None:
        return SMALLEST[source]
    return asked_for(FEATURES[feature.beside], source)


def _laid_over(base: Json, overlay: Json) -> Json:
    """Objects are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        below = merged.get(key)
        is_object = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _laid_over(below, value) if is_object else value
    return merged


def _translated(
    feature: Feature, body: Json, source: str, target: str
) -> tuple[Conversation, Json]:
    """The request as it is understood, and as it goes on."""
    model = MODELS[target].get(feature.model, MODELS[target]["plain"])
    asked = client_dialect(source).parse_request(body, {}, PathTarget("m", stream=True))
    signed_by = {"origin": "another" if feature.is_foreign else model.origin}
    seals = StoredSeals(lambda key: signed_by if key.startswith("sig:") else None)
    settled, _ = settle(
        asked, model, seals, keeps_unsigned=target == "openai_chat", identity=asked.identity()
    )
    return asked, sent(settled, model, target)


def sent(conversation: Conversation, model: ModelInfo, target: str) -> Json:
    """The body for an upstream, as plain JSON; that of the Gemini API gets its finish there."""
    body = upstream_dialect(target).render_request(conversation, model)
    plain: Json = orjson.loads(orjson.dumps(body))
    return fitted(plain, conversation, model) if target == "gemini" else plain


def _proves(shown: Json, with_it: Json, without_it: Json) -> bool:
    return _contains(with_it, shown) and not _contains(without_it, shown)


def _contains(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is in there; of a list in any order, beside whatever else."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key not in found if value == ABSENT else _contains(found.get(key), value)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and all(
            any(_contains(each, value) for each in found) for value in wanted
        )
    return bool(found == wanted)
