"""A value in the bytes of a JSON object found, so that it can be replaced and all else stays."""

import json

import orjson

from mcp_proxy.strict_json import JsonObject, encode

_DECODER = json.JSONDecoder()


def with_model(raw: bytes, parsed: JsonObject, model: str) -> bytes:
    """The bytes of a body with another value of its top-level `model`, all else untouched."""
    name = parsed.get("model")
    if name is None or name == model:
        return raw
    place = place_of(raw, "model")
    if place is not None:
        replaced = raw[: place.start] + encode(model) + raw[place.stop :]
        # A key that is there twice counts where it is last.
        if b'"model"' not in raw[place.stop :] or orjson.loads(replaced)["model"] == model:
            return replaced
    return encode({**parsed, "model": model})


def place_of(raw: bytes, *path: str) -> slice | None:
    """Where the value of a member is; `path`: the keys that lead to it from the top.

    None when it is not found, for there is none or its key is written with escapes.
    """
    key = encode(path[-1])
    at = raw.find(key)
    while at != -1:
        if _is_in(raw[:at], path[:-1]):
            start = raw.index(b":", at + len(key)) + 1
            while raw[start] in b" \t\r\n":
                start += 1
            return slice(start, _end_of_value(raw, start))
        at = raw.find(key, at + 1)
    return None


def _is_in(before: bytes, parents: tuple[str, ...]) -> bool:
    """Whether what follows these first bytes of an object is a key of what `parents` lead to."""
    closing = b"}" * (len(parents) + 1)
    try:
        found = orjson.loads(before.rstrip().removesuffix(b",") + closing)
    except orjson.JSONDecodeError:
        return False
    for parent in parents:
        if type(found) is not dict or next(reversed(found), None) != parent:
            return False
        found = found[parent]
    return type(found) is dict


def _end_of_value(raw: bytes, start: int) -> int:
    """The place after the JSON value that begins at `start`."""
    if raw[start] == 0x22:
        return _end_of_string(raw, start)
    text = raw[start:].decode()
    return start + len(text[: _DECODER.raw_decode(text)[1]].encode())


def _end_of_string(raw: bytes, start: int) -> int:
    at = start + 1
    while raw[at] != 0x22:
        at += 2 if raw[at] == 0x5C else 1
    return at + 1
