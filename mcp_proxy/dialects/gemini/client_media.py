"""`inlineData` and `fileData` of a Gemini request -> media (client-apis.md 4.1).

SDKs write base64 in the URL-safe alphabet; upstreams take the standard one.
"""

import base64
import mimetypes
from typing import Final

from mcp_proxy.conversation import Media, Text
from mcp_proxy.dialects.gemini.client_fields import get, spelling, standard_base64
from mcp_proxy.dialects.inline_data import media_at, read_base64
from mcp_proxy.strict_json import JsonObject, Where

_ANY_IMAGE: Final = "image/*"
_BUCKET: Final = "gs://"


def read_blob(blob: JsonObject, where: Where) -> Text | Media:
    """`inlineData`; plain text becomes text, which every model reads."""
    mime_type = get(blob, "mimeType", str, where).lower()
    data = read_base64(standard_base64(get(blob, "data", str, where)), (*where, "data"))
    if mime_type.startswith("text/"):
        try:
            return Text(base64.b64decode(data).decode())
        except UnicodeDecodeError:
            pass  # text in another encoding: whoever can read it gets the file
    return Media(mime_type, data, name=get(blob, "displayName", str, where, None))


def read_file(file: JsonObject, where: Where) -> Media:
    """`fileData`: a file by its address."""
    url = get(file, "fileUri", str, where)
    mime_type = get(file, "mimeType", str, where, None)
    if not mime_type:
        mime_type = mimetypes.guess_type(url.partition("?")[0])[0] or _ANY_IMAGE
    name = get(file, "displayName", str, where, None)
    if url.startswith(_BUCKET):
        # Vertex AI reads it with its own rights; whoever has to fetch it refuses it.
        return Media(mime_type, url=url, name=name)
    return media_at(url, (*where, spelling(file, "fileUri")), mime_type, name)
