"""`groundingMetadata` <-> WebSearch: what Gemini says of the searches behind an answer.

Tolerant in reading: the pages are worth having even when what cites them is of another shape.
"""

from typing import Any

from mcp_proxy.conversation import JsonObject, SearchHit, WebSearch


def read_grounding(metadata: Any) -> WebSearch | None:
    """None when nothing was searched."""
    if not isinstance(metadata, dict):
        return None
    queries = tuple(q for q in _list(metadata, "webSearchQueries") if isinstance(q, str))
    cited = _cited_texts(_list(metadata, "groundingSupports"))
    hits = []
    for at, chunk in enumerate(_list(metadata, "groundingChunks")):
        web = chunk.get("web") if isinstance(chunk, dict) else None
        url = web.get("uri") if isinstance(web, dict) else None
        if isinstance(web, dict) and isinstance(url, str) and url:
            title = web.get("title")
            hits.append(SearchHit(url, title if isinstance(title, str) else "", cited.get(at, "")))
    return WebSearch(queries, tuple(hits)) if queries or hits else None


def _cited_texts(supports: list[Any]) -> dict[int, str]:
    """Number of a page -> the first piece of the answer that rests on it."""
    cited: dict[int, str] = {}
    for support in supports:
        if not isinstance(support, dict):
            continue
        segment = support.get("segment")
        text = segment.get("text") if isinstance(segment, dict) else None
        for number in _list(support, "groundingChunkIndices"):
            if isinstance(text, str) and isinstance(number, int):
                cited.setdefault(number, text)
    return cited


def _list(value: JsonObject, name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []
