"""Names and ids of tool calls as an upstream takes them, and the names' way back.

Knows alphabets and lengths; which ones an upstream takes is its dialect's to say.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from mcp_proxy.ids import new_id

LONGEST_ID: Final = 64
"""Characters of ids, names and keys at OpenAI and everybody who copies it (providers.md 2)."""

NAME_64: Final = re.compile(rf"[a-zA-Z0-9_-]{{1,{LONGEST_ID}}}")
"""Tool names there."""

_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_-]")

_DIGITS: Final = 12
"""Hex digits by which ids that differ only in what is illegal are told apart."""


class SentNames:
    """The client's names <-> the upstream's, one to one.

    Made from the declared tools alone, so that a request and its answer agree. A name that is
    legal as it is stays, also when an illegal one that is declared before would become it.
    """

    __slots__ = ("_legal", "_longest", "_original", "_sent", "known")

    def __init__(
        self, declared: Iterable[str], legal: re.Pattern[str] = NAME_64, longest: int = LONGEST_ID
    ) -> None:
        self._legal = legal
        self._longest = longest
        self._sent: dict[str, str] = {}
        self.known: Mapping[str, str] = self._sent
        """Those that have been sent, for who asks for hundreds of them."""
        self._original: dict[str, str] = {}
        others = []
        for name in declared:
            if legal.fullmatch(name):
                self._sent[name] = self._original[name] = name
            else:
                others.append(name)
        for name in others:
            self.sent(name)

    def sent(self, name: str) -> str:
        """The name for the upstream; also for calls in the history that nobody declares now."""
        known = self._sent.get(name)
        if known is not None:
            return known
        legal = self._legal.fullmatch(name) and name not in self._original
        chosen = name if legal else self._made_legal(name)
        self._sent[name] = chosen
        self._original[chosen] = name
        return chosen

    def original(self, sent: str) -> str:
        """The client's name; a name that was never sent is the model's own invention."""
        return self._original.get(sent, sent)

    def _made_legal(self, name: str) -> str:
        made = legal(name)
        if not self._legal.fullmatch(made[:1]):
            made = f"_{made}"
        chosen, number = made[: self._longest], 2
        while chosen in self._original:
            suffix = f"_{number}"
            chosen, number = made[: self._longest - len(suffix)] + suffix, number + 1
        return chosen


class CallIds:
    """The ids of one answer's calls: clients tell the calls apart by nothing else."""

    __slots__ = ("_given", "_prefix")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        """Of ids that have to be made up."""
        self._given: set[str] = set()

    def unique(self, told: str | None) -> str:
        """The upstream's id where it has one that it gave to no other call."""
        call_id = told if told and told not in self._given else f"{self._prefix}{new_id()}"
        self._given.add(call_id)
        return call_id


def within(longest: int, text: str) -> str:
    """An id or key as it is, or a digest of it where it is too long; the same one every time."""
    if len(text) <= longest:
        return text
    return _digest(text)[:longest]


def legal(name: str) -> str:
    """Letters, digits, "_" and "-" only."""
    return _ILLEGAL.sub("_", name)


def legal_id(call_id: str) -> str:
    """The same of an id; calls and results are mapped alike, and different ids stay different."""
    if call_id.isascii() and call_id.isidentifier():
        return call_id  # what nearly all are; ten times as fast as looking for the others
    found = legal(call_id)
    if found == call_id:
        return call_id
    mark = "_" + _digest(call_id)[:_DIGITS]
    return found[: LONGEST_ID - len(mark)] + mark


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
