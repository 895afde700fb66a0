"""What an answer says beside its text: pages that its searches found, and usage.

Searches are told as calls without titles, pages as citations of the text that follows; the two are
brought together here, at the end of the answer. Section numbers are those of client-apis.md.
"""

from mcp_proxy.conversation import JsonObject, SearchHit, WebSearch
from mcp_proxy.dialects.token_counts import token_count
from mcp_proxy.events import Usage


class Findings:
    """The web searches of one answer."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        """Id, queries and the URLs of its sources, where they are told."""
        self._cited: dict[str, SearchHit] = {}

    @property
    def count(self) -> int:
        """Searches that the upstream ran."""
        return len(self._calls)

    def add_call(self, item: JsonObject) -> None:
        """A `web_search_call` item."""
        action = item.get("action")
        if not isinstance(action, dict):
            action = {}
        asked = action.get("queries") or [action.get("query")]
        queries = tuple(query for query in asked if isinstance(query, str) and query)
        sources = action.get("sources") or ()
        urls = [source.get("url") for source in sources if isinstance(source, dict)]
        found = tuple(url for url in urls if isinstance(url, str) and url)
        self._calls.append((str(item.get("id") or ""), queries, found))

    def add_citation(self, annotation: JsonObject) -> None:
        """An annotation of the text; only citations of web pages count."""
        url, title = annotation.get("url"), annotation.get("title")
        if annotation.get("type") == "url_citation" and isinstance(url, str):
            known = self._cited.get(url)
            if known is None or not known.title:
                self._cited[url] = SearchHit(url, title if isinstance(title, str) else "")

    def searches(self) -> list[WebSearch]:
        """One for each call; pages whose call is not told belong to the last."""
        calls = self._calls or ([("", (), ())] if self._cited else [])
        left = dict(self._cited)
        searches = []
        for number, (call_id, queries, urls) in enumerate(calls, 1):
            hits = [left.pop(url, SearchHit(url)) for url in dict.fromkeys(urls)]
            if number == len(calls):
                hits += left.values()
            searches.append(WebSearch(queries, tuple(hits), call_id))
        return searches


def read_usage(usage: JsonObject, searches: int) -> Usage:
    """The prompt count includes what a cache gave and took, the output includes reasoning (5.2)."""
    asked, answered = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    read = token_count(asked, "cached_tokens")
    written = token_count(asked, "cache_write_tokens")
    return Usage(
        input=max(token_count(usage, "input_tokens") - read - written, 0),
        output=token_count(usage, "output_tokens"),
        thinking=token_count(answered, "reasoning_tokens"),
        cache_read=read,
        cache_write=written,
        searches=searches,
    )
