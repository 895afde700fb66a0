"""The running server as a client sees it: an address, a key, the list of its models.

`running_server.py` asks what only the command line asks, and faster; this is what is common to
those that want to know how clients fare.
"""

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from mcp_proxy.cli.probes import error_text
from mcp_proxy.errors import UserError
from mcp_proxy.store.settings import ServerSettings
from mcp_proxy.strict_json import decode

if TYPE_CHECKING:
    from http.client import HTTPConnection

NO_KEY = "none-needed"


class Place(NamedTuple):
    """Where the server is, and what it is to be shown."""

    url: str
    key: str
    """As `http.client` takes it: with a character for each byte of its UTF-8."""

    def connected(self, within: float) -> "HTTPConnection":
        """Not connected yet, in truth; `within` bounds each wait on it."""
        from http.client import HTTPConnection

        parts = urlsplit(self.url)
        return HTTPConnection(str(parts.hostname), parts.port, timeout=within)


def place_of(url: str, settings: ServerSettings) -> Place:
    keys = settings.api_keys
    return Place(url, keys[0].value.encode().decode("latin-1") if keys else NO_KEY)


def models_of(place: Place, within: float) -> list[str]:
    """The names that the server lists, aliases among them. UserError when it lists nothing."""
    from http.client import HTTPException

    with closing(place.connected(within)) as connection:
        try:
            connection.request("GET", "/v1/models", headers={"x-api-key": place.key})
            response = connection.getresponse()
            document = decode(response.read())
        except (OSError, HTTPException, ValueError) as cause:
            raise UserError(f"{place.url} did not list its models: {cause}") from cause
    if response.status == 401:
        raise UserError(
            f"the server at {place.url} has another key than these settings. Restart it, or set "
            "PROXY_API_KEY to its key"
        )
    if response.status != 200:
        raise UserError(f"{place.url} did not list its models: {error_text(document)}")
    return [str(row["id"]) for row in document["data"]]
