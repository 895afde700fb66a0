"""The requests that are sent: a small one of 4 KB and a turn of Claude Code of 300 KB.

Deterministic, so that figures of different days compare. Texts that the recording leaves out
(`<text 306 chars>`) are filled with words of that length. Prose has a character beyond ASCII, code
has none, as it mostly is: it decides how fast JSON is read.
"""

import json
import re
from itertools import count
from pathlib import Path
from typing import Any, Final

from .upstream import marker

RECORDING: Final = Path(__file__).parent.parent / "recordings" / "claude-code-tool-loop.json"
SMALL_SIZE: Final = 4 * 1024
TURN_SIZE: Final = 300 * 1024
TURN_TOOLS: Final = 20
MODEL: Final = "claude-sonnet-4-6"

_LEFT_OUT = re.compile(r"<(?:text|description,) (\d+) char(?:acter)?s>")
_CODE = (
    "def scan(source: str) -> list[Token]:\n"
    '    """Reads "source" once; raises Malformed at the first bad byte."""\n'
    "    return [Token(kind, text) for kind, text in pairs(source) if kind != 'blank']\n"
    "# The cache under C:\\Users\\me is stale; run `make clean` before the tests.\n"
)
_PROSE = (
    "Runs the command in the user's shell – and returns what it printed. Quote paths that have "
    'blanks, as in "my file.txt".\n'
)


def small(answer: str, *, stream: bool) -> bytes:
    """A chat question of 4 KB."""
    question = f"{_filler(_CODE, SMALL_SIZE - 900)} {marker(answer)}"
    return _encoded(
        {
            "model": MODEL,
            "max_tokens": 1024,
            "system": _filler(_PROSE, 600),
            "messages": [{"role": "user", "content": question}],
            "stream": stream,
        }
    )


def turn(answer: str) -> bytes:
    """A turn deep in a session of Claude Code: 20 tools and a history of calls and results."""
    body = _filled(_recorded()["body"])
    body["model"] = MODEL
    body["tools"] = body["tools"][:TURN_TOOLS]
    body["messages"] = body["messages"][:2]
    size = len(_encoded(body))
    for at in count():
        exchange = _tool_exchange(at)
        size += len(_encoded(exchange))
        if size > TURN_SIZE:
            break
        body["messages"] += exchange
    body["messages"][-1]["content"].append({"type": "text", "text": marker(answer)})
    return _encoded(body)


def headers() -> dict[str, str]:
    """What Claude Code sends beside the body, without what the connection decides."""
    recorded = _recorded()["headers"]
    ours = {"host", "connection", "content-length", "authorization", "accept-encoding"}
    return {name: value for name, value in recorded.items() if name.lower() not in ours}


def post(host: str, path: str, body: bytes) -> bytes:
    """A whole HTTP request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers().items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _tool_exchange(at: int) -> list[Any]:
    call_id = f"toolu_{at:024d}"
    call = {"type": "tool_use", "id": call_id, "name": "Bash", "input": _bash(at)}
    said = {"type": "text", "text": _filler(_PROSE, 80 + at % 5 * 40)}
    result = {
        "type": "tool_result",
        "tool_use_id": call_id,
        "content": _filler(_CODE, 900 + at % 7 * 500),
    }
    return [
        {"role": "assistant", "content": [said, call]},
        {"role": "user", "content": [result]},
    ]


def _bash(at: int) -> dict[str, Any]:
    return {"command": f"grep -rn 'scan_{at}' src | head -{at}", "description": "Finds callers"}


def _recorded() -> Any:
    """The request that carries the tool's result back."""
    recorded = json.loads(RECORDING.read_text())
    return max(recorded, key=lambda request: len(json.dumps(request["body"])))


def _filled(value: Any) -> Any:
    match value:
        case str():
            return _LEFT_OUT.sub(lambda found: _filler(_PROSE, int(found[1])), value)
        case list():
            return [_filled(item) for item in value]
        case dict():
            return {key: _filled(item) for key, item in value.items()}
    return value


def _filler(sample: str, length: int) -> str:
    return (sample * (length // len(sample) + 1))[:length]


def _encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
