"""Items of the output that arrive whole: searches, pictures, what nobody may read, what came from
this very API. The others grow, in `output.py`.
"""

from collections.abc import Iterable

from mcp_proxy.conversation import JsonObject, Media, Seal, SearchHit, Thinking, Verbatim, WebSearch
from mcp_proxy.dialects.openai_responses.names import NAME, REDACTED
from mcp_proxy.dialects.openai_responses.output import (
    Place,
    ReasoningItem,
    Said,
    added,
    reasoning_item,
)


def whole_item(
    whole: Media | Verbatim | Thinking | WebSearch, place: Place
) -> tuple[list[Said], JsonObject] | None:
    """All that is said of the item but `output_item.done`, and the item; None: it is not shown."""
    match whole:
        case WebSearch():
            return _search(whole, place)
        case Media(data=data) if data and whole.mime_type.startswith("image/"):
            return _image(whole, place)
        case Thinking(seal=Seal(value=sealed)):
            item_id = place.id(ReasoningItem.prefix)
            item = reasoning_item(item_id, "", REDACTED + sealed if whole.redacted else sealed)
            return [added(place, reasoning_item(item_id, ""))], item
        case Verbatim(dialect=dialect, value=item) if dialect == NAME:
            return [added(place, item)], item
        case _:
            return None


def _search(search: WebSearch, place: Place) -> tuple[list[Said], JsonObject]:
    item = {
        "type": "web_search_call",
        "id": place.id("ws"),
        "status": "completed",
        "action": {
            "type": "search",
            "query": search.queries[0] if search.queries else "",
            "queries": list(search.queries),
            "sources": [{"type": "url", "url": url} for url in _urls(search.hits)],
        },
    }
    said = _steps(
        "response.web_search_call", ("in_progress", "searching", "completed"), item, place
    )
    return said, item


def _urls(hits: Iterable[SearchHit]) -> list[str]:
    return list(dict.fromkeys(hit.url for hit in hits))


def _image(image: Media, place: Place) -> tuple[list[Said], JsonObject]:
    item = {
        "type": "image_generation_call",
        "id": place.id("ig"),
        "status": "completed",
        "output_format": image.mime_type.removeprefix("image/"),
        "result": image.data,
    }
    steps = ("in_progress", "generating", "completed")
    said = _steps("response.image_generation_call", steps, {**item, "result": None}, place)
    return said, item


def _steps(prefix: str, steps: tuple[str, ...], item: JsonObject, place: Place) -> list[Said]:
    where = {"item_id": item["id"], "output_index": place.at}
    begun = added(place, {**item, "status": "in_progress"})
    return [begun, *(Said(f"{prefix}.{step}", where) for step in steps)]
