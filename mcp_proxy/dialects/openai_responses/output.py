"""Items of the output (client-apis.md 3.2) that grow, and the events that tell of each (3.3).

An item is announced, grows by deltas, and is done; clients check that it stays the same item. Knows
nothing of bytes and sequence numbers: an event here is its type and its other fields.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple

from mcp_proxy.conversation import (
    Conversation,
    JsonObject,
    Seal,
    SearchHit,
    Tool,
)
from mcp_proxy.dialects.openai_responses.names import inner_name
from mcp_proxy.dialects.openai_tools import free_text
from mcp_proxy.events import PartOpened


class Said(NamedTuple):
    """One event of the stream."""

    type: str
    fields: JsonObject


class Place(NamedTuple):
    """Where an item stands in one answer; its id follows from that."""

    answer: str
    at: int

    def id(self, prefix: str) -> str:
        return f"{prefix}_{self.answer}{self.at:02x}"


def added(place: Place, item: JsonObject) -> Said:
    return Said("response.output_item.added", {"output_index": place.at, "item": item})


def done(place: Place, item: JsonObject) -> Said:
    return Said("response.output_item.done", {"output_index": place.at, "item": item})


class OpenItem(ABC):
    """An item that grows."""

    prefix: ClassVar[str]
    """Of its id."""
    delta_type: ClassVar[str]
    delta_end: ClassVar[bytes] = b""
    """Fields, as JSON, that the event of a delta has behind the text."""
    default: ClassVar[str] = ""
    """The text of an item that got none."""
    streams: ClassVar[bool] = True
    """Whether its deltas are sent as they come."""

    def __init__(self, place: Place) -> None:
        self.place: Final = place
        self.id: Final = place.id(self.prefix)
        self.where: JsonObject = {"item_id": self.id, "output_index": place.at}

    @property
    def delta(self) -> Said:
        """The event of a delta, without its text."""
        return Said(self.delta_type, self.where)

    @abstractmethod
    def opening(self) -> list[Said]:
        """What is said when the item begins."""

    def before_text(self) -> list[Said]:
        """What is said before the first delta only if there comes one."""
        return []

    @abstractmethod
    def closing(self, text: str) -> tuple[list[Said], JsonObject]:
        """What is said after the last delta but `output_item.done`, and the item."""


class MessageItem(OpenItem):
    """Text. It can have citations, and be cut short, which is known only after its end."""

    prefix = "msg"
    delta_type = "response.output_text.delta"
    delta_end = b',"logprobs":[]'

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.where["content_index"] = 0
        self.hits: list[SearchHit] = []
        self.status = "completed"

    def opening(self) -> list[Said]:
        part = _output_text("", [])
        return [
            added(self.place, self._item([], "in_progress")),
            Said("response.content_part.added", {**self.where, "part": part}),
        ]

    def closing(self, text: str) -> tuple[list[Said], JsonObject]:
        annotations = [_citation(hit, text) for hit in self.hits]
        part = _output_text(text, annotations)
        said = [
            Said(
                "response.output_text.annotation.added",
                {**self.where, "annotation_index": at, "annotation": annotation},
            )
            for at, annotation in enumerate(annotations)
        ]
        said += (
            Said("response.output_text.done", {**self.where, "text": text, "logprobs": []}),
            Said("response.content_part.done", {**self.where, "part": part}),
        )
        return said, self._item([part], self.status)

    def _item(self, content: list[JsonObject], status: str) -> JsonObject:
        return {
            "type": "message",
            "id": self.id,
            "role": "assistant",
            "status": status,
            "content": content,
        }


class ReasoningItem(OpenItem):
    """Thinking, shown as a summary of one part; none when there was no text."""

    prefix = "rs"
    delta_type = "response.reasoning_summary_text.delta"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.where["summary_index"] = 0
        self.seal: Seal | None = None

    def opening(self) -> list[Said]:
        return [added(self.place, reasoning_item(self.id, ""))]

    def before_text(self) -> list[Said]:
        part = {"type": "summary_text", "text": ""}
        return [Said("response.reasoning_summary_part.added", {**self.where, "part": part})]

    def closing(self, text: str) -> tuple[list[Said], JsonObject]:
        item = reasoning_item(self.id, text, self.seal.value if self.seal else "")
        if not text:
            return [], item
        (part,) = item["summary"]
        return [
            Said("response.reasoning_summary_text.done", {**self.where, "text": text}),
            Said("response.reasoning_summary_part.done", {**self.where, "part": part}),
        ], item


class CallItem(OpenItem):
    """A call of one of the client's tools."""

    default = "{}"
    item_type: ClassVar[str]
    field: ClassVar[str]
    """What the item calls that with which the tool is called."""
    done_type: ClassVar[str]

    def __init__(self, place: Place, call: PartOpened, tool: Tool | None) -> None:
        super().__init__(place)
        self._naming = _naming(call, tool)

    def opening(self) -> list[Said]:
        return [added(self.place, self._item("", "in_progress"))]

    def closing(self, text: str) -> tuple[list[Said], JsonObject]:
        said = [Said(self.done_type, {**self.where, self.field: text})]
        return said, self._item(text, "completed")

    def _item(self, given: str, status: str) -> JsonObject:
        return {
            "type": self.item_type,
            "id": self.id,
            **self._naming,
            self.field: given,
            "status": status,
        }


class FunctionItem(CallItem):
    """A call with JSON arguments."""

    prefix = "fc"
    item_type = "function_call"
    field = "arguments"
    delta_type = "response.function_call_arguments.delta"
    done_type = "response.function_call_arguments.done"


class CustomItem(CallItem):
    """A call with free text. It is taken out of the JSON around it when that is whole."""

    prefix = "ctc"
    item_type = "custom_tool_call"
    field = "input"
    delta_type = "response.custom_tool_call_input.delta"
    done_type = "response.custom_tool_call_input.done"
    streams = False

    def closing(self, text: str) -> tuple[list[Said], JsonObject]:
        given = free_text(text)
        said, item = super().closing(given)
        return [Said(self.delta_type, {**self.where, "delta": given}), *said], item


class Callables:
    """The client's tools, as far as calls of them differ from plain function calls."""

    def __init__(self, conversation: Conversation) -> None:
        self._special = {
            tool.name: tool
            for tool in conversation.tools
            if tool.namespace is not None or tool.freeform is not None
        }

    def open(self, place: Place, call: PartOpened) -> CallItem:
        tool = self._special.get(call.name)
        if tool is not None and tool.freeform is not None:
            return CustomItem(place, call, tool)
        return FunctionItem(place, call, tool)


def _naming(call: PartOpened, tool: Tool | None) -> JsonObject:
    if tool is None or tool.namespace is None:
        return {"call_id": call.id, "name": call.name}
    name = inner_name(tool.namespace, call.name)
    return {"call_id": call.id, "name": name, "namespace": tool.namespace}


def reasoning_item(item_id: str, text: str, encrypted: str = "") -> JsonObject:
    item: JsonObject = {
        "type": "reasoning",
        "id": item_id,
        "summary": [{"type": "summary_text", "text": text}] if text else [],
    }
    if encrypted:
        item["encrypted_content"] = encrypted
    return item


def _output_text(text: str, annotations: list[JsonObject]) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _citation(hit: SearchHit, text: str) -> JsonObject:
    """A page that was found, cited for the words taken from it, or else for all of the text."""
    start = text.find(hit.text) if hit.text else -1
    length = len(text) if start < 0 else len(hit.text)
    start = max(start, 0)
    return {
        "type": "url_citation",
        "url": hit.url,
        "title": hit.title or hit.url,
        "start_index": start,
        "end_index": start + length,
    }
