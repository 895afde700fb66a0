"""What the model says: one turn, decided by the prompt, the tools on offer and the tool results.

Nothing is random, so a test can foretell an answer and a retry repeats it. Prompts that steer it:

    say X                   answers X
    words=N                 answers N words
    events=N                answers in N stream events of some 20 bytes each
    pace=N                  N stream events a second
    long                    a long text, in several alphabets
    weather, run, read, call, a tool's name    calls a fitting tool, when tools are offered
    both, parallel          ... and calls twice in one turn
    `X`                     is what a tool that takes code is handed
    finish=REASON           says nothing and ends for that reason (Gemini's names: SAFETY)
    fault=KIND              plays that fault (faults.py has the kinds) on this prompt, every time

A tool result is quoted. JSON is answered when JSON is asked for, an image by the image models.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from mcp_proxy.demo.generation import CHARACTERS_PER_TOKEN, Declaration, Generation
from mcp_proxy.demo.instance import instance
from mcp_proxy.demo.refusals import JsonObject
from mcp_proxy.strict_json import encode

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mPQz7+PFTEMLQkAC/NfQca0VdEAAAAA"
    "SUVORK5CYII="
)
"""A small square, base64."""

_SENTENCES = (
    "The quick brown fox jumps over the lazy dog. ",
    "Zwölf große Boxkämpfer jagen Viktor quer über den Sylter Deich. ",
    "いろはにほへと ちりぬるを。 ",
    "Съешь же ещё этих мягких французских булок. ",
    "Emoji arrive whole: 🦊 👩‍💻 🇪🇺. ",
)
_LONG_SENTENCES = 60
_WORDS_PER_PIECE = 3

_SAY = re.compile(r"^\W*(?:please )?(?:say|reply with|answer with|respond with)\b[ :]*(.+)", re.I)
_DIRECTIVE = re.compile(r"\b(words|events|pace|fault|finish)=([\w-]+)")
_WORD = re.compile(r"\S+\s*")
_QUOTED = 400

_ASKS_FOR = {
    "weather": ("weather", "forecast"),
    "run": ("bash", "shell", "run", "exec", "terminal", "command"),
    "execute": ("bash", "shell", "run", "exec", "terminal", "command"),
    "read": ("read", "cat", "open", "view"),
    "list": ("ls", "list", "glob", "bash"),
    "tool": ("",),
    "call": ("",),
}
"""A word of the prompt -> fragments of the names of tools that it asks for, best first."""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer, before it is put into stream records."""

    thoughts: str = ""
    pieces: tuple[str, ...] = ()
    """The text, cut as it is streamed."""
    calls: tuple[Call, ...] = ()
    image: str | None = None
    """base64 of a PNG"""
    grounding: JsonObject | None = None
    finish: str = "STOP"
    stopped_by: str | None = None
    """The stop sequence that cut it."""
    pace: float | None = None
    """Stream events a second; None: as fast as they can be written."""


def perform(asked: Generation) -> Turn:
    """The model's turn, cut to the tokens and stop sequences that the request allows."""
    turn = _uncut(asked)
    if asked.shows_thoughts:
        turn = replace(turn, thoughts=_thoughts(asked))
    if pace := directives(asked.prompt).get("pace"):
        turn = replace(turn, pace=float(pace))
    return _within_limits(turn, asked)


def directives(prompt: str) -> dict[str, str]:
    """`words=20 pace=5` anywhere in the prompt."""
    return dict(_DIRECTIVE.findall(prompt))


def _uncut(asked: Generation) -> Turn:
    if reason := directives(asked.prompt).get("finish"):
        return Turn(finish=reason)
    if asked.model.image:
        return Turn(pieces=("Here is the picture.",), image=PNG)
    if asked.searches:
        return _search_turn(asked)
    if calls := _calls(asked):
        return _calling_turn(calls, asked)
    return Turn(pieces=_text(asked))


def _calling_turn(calls: tuple[Call, ...], asked: Generation) -> Turn:
    if asked.model.family != "claude":
        return Turn(calls=calls)
    # Claude says what it is about to do, and ends tool calls with OTHER (5.3).
    return Turn(pieces=("I will use ", f"{calls[0].name}."), calls=calls, finish="OTHER")


def _calls(asked: Generation) -> tuple[Call, ...]:
    forced = asked.calling == "ANY"
    if asked.calling == "NONE" or not asked.tools or (asked.results and not forced):
        return ()
    chosen = _fitting_tools(asked)
    if not chosen and forced:
        chosen = [asked.tools[0]]
    if not chosen:
        return ()
    if re.search(r"\b(both|parallel|twice)\b", asked.prompt, re.I):
        pair = chosen[:2] if len(chosen) > 1 else [chosen[0], chosen[0]]
    else:
        pair = chosen[:1]
    return tuple(
        Call(tool.name, instance({"type": "object", **tool.parameters}, asked.prompt, nth))
        for nth, tool in enumerate(pair)
    )


def _fitting_tools(asked: Generation) -> list[Declaration]:
    words = set(re.findall(r"[\w-]+", asked.prompt.lower()))
    named = [tool for tool in asked.tools if tool.name.lower() in words]
    if named:
        return named
    for word, fragments in _ASKS_FOR.items():
        if word in words or word + "s" in words:
            for fragment in fragments:
                found = [tool for tool in asked.tools if fragment in tool.name.lower()]
                if found:
                    return found[:1]
    return []


def _text(asked: Generation) -> tuple[str, ...]:
    told = directives(asked.prompt)
    if asked.wants_json:
        return in_pieces(encode(_json_answer(asked)).decode())
    if asked.results:
        return in_pieces(_quotation(asked.results))
    if "events" in told:
        return _event_pieces(int(told["events"]))
    if "words" in told:
        return _word_pieces(int(told["words"]))
    if match := _SAY.match(asked.prompt):
        return in_pieces(match[1])
    if re.search(r"\blong\b", asked.prompt, re.I):
        return _long_pieces()
    leaked = "<thinking>Which words fit here?</thinking>" if asked.leaks_thoughts else ""
    return in_pieces(f"{leaked}Hello from the embedded upstream. You wrote: “{asked.prompt[:200]}”")


def _json_answer(asked: Generation) -> Any:
    if asked.schema is None:
        return {"answer": asked.prompt[:200]}
    return instance(asked.schema, asked.prompt)


def _quotation(results: tuple[str, ...]) -> str:
    shown = "\n".join(f"“{text.strip()[:_QUOTED]}”" for text in results)
    return f"The tool answered: {shown}"


def _search_turn(asked: Generation) -> Turn:
    text = "According to the web, mcproxy is a local proxy server."
    grounding = {
        "webSearchQueries": [asked.prompt[:100]],
        "groundingChunks": [{"web": {"uri": "https://example.com/", "title": "example.com"}}],
        "groundingSupports": [
            {
                "segment": {"startIndex": 0, "endIndex": len(text), "text": text},
                "groundingChunkIndices": [0],
            }
        ],
    }
    return Turn(pieces=in_pieces(text), grounding=grounding)


def _thoughts(asked: Generation) -> str:
    about = "what the tools answered" if asked.results else f"“{asked.prompt[:80]}”"
    return f"Let me consider {about}.\nA short answer will do – nothing more is needed."


def in_pieces(text: str) -> tuple[str, ...]:
    """The text as it is streamed, a few words at a time; joined it is the text again."""
    words = _WORD.findall(text)
    # Leading white space belongs to no word and must not get lost.
    lead = text[: len(text) - len("".join(words))]
    grouped = [
        "".join(words[at : at + _WORDS_PER_PIECE]) for at in range(0, len(words), _WORDS_PER_PIECE)
    ]
    return tuple([lead, *grouped] if lead else grouped)


@lru_cache(maxsize=32)
def _event_pieces(count: int) -> tuple[str, ...]:
    return tuple(f"event {nth} of {count}. " for nth in range(1, count + 1))


@lru_cache(maxsize=32)
def _word_pieces(count: int) -> tuple[str, ...]:
    words = "".join(_SENTENCES).split()
    return in_pieces(" ".join(words[nth % len(words)] for nth in range(count)))


@lru_cache(maxsize=1)
def _long_pieces() -> tuple[str, ...]:
    repeats = _LONG_SENTENCES // len(_SENTENCES)
    return in_pieces("".join(_SENTENCES) * repeats)


def _within_limits(turn: Turn, asked: Generation) -> Turn:
    room = asked.max_tokens * CHARACTERS_PER_TOKEN
    length = sum(map(len, turn.pieces))
    if not asked.stops and len(turn.thoughts) + length <= room:
        return turn
    text = "".join(turn.pieces)
    hits = ((at, word) for word in asked.stops if (at := text.find(word)) >= 0)
    stop = min(hits, default=None)
    if stop is not None:
        text, turn = text[: stop[0]], replace(turn, calls=(), stopped_by=stop[1])
    # Thinking counts inside maxOutputTokens, so it can use up an answer altogether.
    thoughts = turn.thoughts[:room]
    room -= len(thoughts)
    if len(text) > room:
        return replace(
            turn, thoughts=thoughts, pieces=in_pieces(text[:room]), calls=(), finish="MAX_TOKENS"
        )
    return replace(turn, pieces=in_pieces(text))
