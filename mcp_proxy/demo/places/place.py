"""What every place has: a name, a prefix, a desk, routes, its own words for a refusal."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import ClassVar

from aiohttp import web

from mcp_proxy.demo.catalogue import DemoModel
from mcp_proxy.demo.places.desk import Desk, PlayedStream
from mcp_proxy.demo.places.models import Models
from mcp_proxy.demo.refusals import Answer, JsonObject, Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Place(ABC):
    """One provider's addresses below `prefix`."""

    provider: ClassVar[str]
    prefix: ClassVar[str]
    key_prefix: ClassVar[str] = "sk-"
    """How keys begin."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @abstractmethod
    def routes(self) -> list[web.RouteDef]: ...

    @abstractmethod
    def refusal(self, status: int, message: str) -> Answer:
        """An error in this API's shape."""

    def new_key(self, account: str) -> str:
        return self.desk.issue_key(self.provider, account, self.key_prefix)

    def post(self, path: str, handler: Handler) -> web.RouteDef:
        return web.post(self.prefix + path, self._playing(handler))

    def get(self, path: str, handler: Handler) -> web.RouteDef:
        return web.get(self.prefix + path, handler)

    async def body(self, request: web.Request, account: str) -> JsonObject:
        """What was sent, remembered. Refusal when it is no JSON object."""
        malformed = self.refusal(400, "We could not parse the JSON body of your request.")
        return await self.desk.read(request, self.provider, account, malformed)

    def known(self, models: Models, name: object, refusal: Answer) -> DemoModel:
        """The model of that name."""
        found = models.get(name) if isinstance(name, str) else None
        if found is None:
            raise Refusal(refusal)
        return found

    def _playing(self, handler: Handler) -> Handler:
        """The handler, or the stream that is played in place of its answer."""

        @wraps(handler)
        async def play(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except PlayedStream as played:
                return await self.desk.deliver_played(request, self.provider, played.delivery)

        return play


def listing(models: Models, row: Callable[[DemoModel], JsonObject]) -> Sequence[JsonObject]:
    return [row(model) for model in models.values()]
