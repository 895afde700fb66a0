"""accounts.toml: reading it, and changing one thing in it without losing another.

Every change reads the file afresh under a lock between processes, alters the fields it is about,
and puts the whole in place at once. Knows nothing of providers beyond their names.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from mcp_proxy.account import Account, Secret
from mcp_proxy.errors import UserError
from mcp_proxy.spelling import did_you_mean
from mcp_proxy.store.atomic import (
    Refused,
    leftovers,
    read_private_file,
    replace_file,
    tighten,
)
from mcp_proxy.store.entries import (
    FIELD_NAMES,
    NotSignedIn,
    WrongEntry,
    entry_fields,
    read_entry,
)
from mcp_proxy.store.environment import NOTHING_SET, Environment
from mcp_proxy.store.locks import FileLock
from mcp_proxy.store.toml_text import MalformedToml, TomlTable, parse_toml
from mcp_proxy.values import value

_VERSION = 1
_HEADER = (
    "# Accounts of mcproxy: credentials, keep private. The program rewrites this file: values and\n"
    "# unknown keys are kept, comments are not.\n\n"
)


@value
class Problem:
    """One entry that was passed over."""

    where: str
    reason: str
    id: str | None = None
    unsigned: Account | None = None
    """The account, where nothing is missing but its sign-in."""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@value
class Loaded:
    """What accounts.toml holds, in its order, and behind it the accounts of the environment."""

    accounts: tuple[Account, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    is_emptied: bool = False
    """There is a file, and nothing in it: something went wrong with it."""
    is_missing: bool = False
    """There is no file, or none at this moment."""

    def problem_of(self, account_id: str) -> Problem | None:
        """What is wrong with the entry of that id."""
        return next((each for each in self.problems if each.id == account_id), None)

    def lacks(self, account_id: str) -> bool:
        """Whether the account is surely gone: neither its entry wrong nor the file put aside."""
        ids = {*(each.id for each in self.accounts), *(each.id for each in self.problems)}
        # A wrong entry that has no id may be anybody's.
        return not (self.is_emptied or self.is_missing or None in ids or account_id in ids)


class IdTaken(UserError):
    """An entry has this id already."""

    def __init__(self, account_id: str) -> None:
        super().__init__(f"there is already an account {account_id!r}")


class WrongAccount(UserError):
    """There is an entry of this id, and it cannot be used as it is."""

    def __init__(self, problem: Problem) -> None:
        mend = f"Mend this entry of accounts.toml, or run: mcproxy accounts remove {problem.id}"
        if problem.unsigned is not None:
            provider = problem.unsigned.provider
            mend = f"Run: mcproxy accounts add --provider {provider} --id {problem.id}"
        super().__init__(f"{problem}. {mend}")


class UnknownAccount(UserError):
    """No entry has this id."""

    def __init__(self, account_id: str, ids: Iterable[str]) -> None:
        hint = did_you_mean(account_id, ids) or " See: mcproxy accounts list"
        super().__init__(f"there is no account {account_id[:128]!r}.{hint}")


def credential_id(account: Account) -> str:
    """Fingerprint of what signs the account in: a mark against one sign-in dies with it."""
    secret = account.credential.refresh_token or account.credential.api_key
    borrowed = account.credential.source or account.credential.file
    material = secret.value if secret else borrowed or ""
    return hashlib.sha256(f"{account.provider}\0{material}".encode()).hexdigest()[:16]


class AccountStore:
    """The file at `path`. Cheap to make; holds nothing open and caches nothing."""

    def __init__(
        self,
        path: Path,
        *,
        environment: Environment = NOTHING_SET,
        lock_timeout: float = 10.0,
    ) -> None:
        """`environment`: accounts that are there beside those of the file, and never get into it.

        Where both have an id, the file's counts.
        """
        self.path = path
        self._environment = environment
        self._lock_timeout = lock_timeout

    @property
    def _household(self) -> tuple[str, ...]:
        """Beginnings of the names that may be beside the file for its directory to be ours."""
        return (self.path.name, f".{self.path.name}.", "config.toml")

    def load(self) -> Loaded:
        """The accounts; wrong entries apart. UserError when the file as a whole is unusable."""
        self._sweep()
        found, warnings = self._content()
        content = found or b""
        if found == b"":
            warnings.append(self._empty)
        document = self._parsed(content)
        places = _places(content, document["accounts"])
        accounts: dict[str, Account] = {}
        problems: list[Problem] = []
        for entry, place in zip(document["accounts"], places, strict=True):
            try:
                account = read_entry(entry, taken=accounts)
            except WrongEntry as wrong:
                unsigned = wrong.account if isinstance(wrong, NotSignedIn) else None
                problems.append(Problem(place, str(wrong), _entry_id(entry), unsigned))
            else:
                accounts[account.id] = account
        taken = {*accounts, *(problem.id for problem in problems)}
        others = [each for each in self._environment.accounts if each.id not in taken]
        return Loaded(
            (*accounts.values(), *others),
            tuple(problems),
            (*warnings, *self._environment.warnings),
            is_emptied=found == b"",
            is_missing=found is None,
        )

    def require_changeable(self) -> None:
        """UserError when a change would be refused now: the file or its place is not usable.

        Only looks: nothing is made or written for that.
        """
        self._changeable()
        place = next(each for each in self.path.parents if each.exists())
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise UserError(f"{self.path}: cannot be written: {place} is not a writable directory")

    def add(self, account: Account) -> None:
        """Append an entry. IdTaken when there is one of that id."""
        with self._editing() as entries:
            if any(_entry_id(each) == account.id for each in entries):
                raise IdTaken(account.id)
            entry: TomlTable = {}
            _become(entry, entry_fields(account))
            entries.append(entry)

    def replace(self, account: Account) -> None:
        """Set every field this version knows; keys of the entry that it does not know stay."""
        fields = entry_fields(account)
        with self._editing() as entries:
            old = self._entry(entries, account.id)
            kept = {key: value for key, value in old.items() if key not in FIELD_NAMES}
            _become(old, {**fields, **kept})

    def remove(self, account_id: str) -> None:
        """Drop every entry of that id. UnknownAccount when there is none."""
        with self._editing() as entries:
            self._entry(entries, account_id)
            entries[:] = [each for each in entries if _entry_id(each) != account_id]

    def set_enabled(self, account_id: str, enabled: bool) -> None:
        """Idempotent. Works for an entry that is wrong in another field, too."""
        with self._editing() as entries:
            self._entry(entries, account_id)["enabled"] = enabled

    def update_fields(self, account_id: str, fields: Mapping[str, Any]) -> None:
        """Set single fields by their names in the file; None removes one."""
        with self._editing() as entries:
            entry = self._entry(entries, account_id)
            changed = {**entry, **fields}
            _become(entry, {key: value for key, value in changed.items() if value is not None})

    def save_rotation(
        self, account_id: str, refresh_token: Secret, *, is_before: Callable[[Account], bool]
    ) -> bool:
        """Put the token that a provider has given in place of the one before it.

        `is_before` knows the account with that one. False, and nothing changed, when the file has
        neither: its owner has signed in anew or removed it, and that counts.
        """
        try:
            with self._editing() as entries:
                entry = self._entry(entries, account_id)
                if not is_before(_read(entry)):
                    return False
                _become(entry, {**entry, "refresh_token": refresh_token.value})
        except UnknownAccount:
            if self.load().lacks(account_id):
                return False
            raise
        return True

    @contextmanager
    def _editing(self) -> Iterator[list[TomlTable]]:
        """The entries as they are now; what the block leaves in the list becomes the file."""
        with self._lock(self._lock_timeout):
            _remove_leftovers(self.path)
            document = self._changeable()
            before = deepcopy(document)
            yield document["accounts"]
            if document != before:
                self._write(document)

    def _changeable(self) -> TomlTable:
        """What is in the file. UserError when nobody knows what to make of it."""
        content, _ = self._content()
        if content == b"":
            raise UserError(
                f"{self._empty}. Put back what was in it, or delete it to begin anew. Nothing was"
                " changed"
            )
        return self._parsed(content or b"")

    def _lock(self, timeout: float) -> FileLock:
        return FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=timeout)

    def _sweep(self) -> None:
        """Remove what a killed writer left, unless somebody is writing just now."""
        if leftovers(self.path):
            with suppress(UserError), self._lock(0.0):
                _remove_leftovers(self.path)

    @property
    def _empty(self) -> str:
        """What this program writes is never empty, and neither is what a person writes."""
        return f"{self.path}: is empty, as a full disk or a power cut may leave it"

    def _content(self) -> tuple[bytes | None, list[str]]:
        """Bytes of the file, None when there is no file, and what had to be mended."""
        try:
            content, was_loose = read_private_file(self.path)
            warnings = [tighten(self.path.parent, self._household)]
        except FileNotFoundError:
            return None, []
        except Refused as refusal:
            raise UserError(f"{self.path}: {refusal}") from refusal
        except OSError as cause:
            raise UserError(f"{self.path}: cannot be read: {cause.strerror}") from cause
        if was_loose:
            warnings.append(f"{self.path}: could be read by other users; its mode is now 0600")
        return content, [each for each in warnings if each]

    def _parsed(self, content: bytes) -> TomlTable:
        """The document with `version` and `accounts` in it. UserError tells line and column."""
        try:
            document = parse_toml(content)
        except MalformedToml as malformed:
            raise UserError(f"{self.path}: {malformed}") from malformed
        version = document.setdefault("version", _VERSION)
        entries = document.setdefault("accounts", [])
        if version != _VERSION or isinstance(version, bool):
            raise self._unusable(content, "version", _of_version(version))
        if not isinstance(entries, list):
            raise self._unusable(content, "accounts", "must be a list, written [[accounts]]")
        return document

    def _unusable(self, content: bytes, key: str, reason: str) -> UserError:
        before = re.split(
            rb"^[ \t\[]*%s\b" % key.encode(), content, maxsplit=1, flags=re.MULTILINE
        )[0]
        line = before.count(b"\n") + 1
        return UserError(f"{self.path}: line {line}, column 1: {key} {reason}")

    def _write(self, document: TomlTable) -> None:
        try:
            replace_file(self.path, _rendered(document))
        except OSError as cause:
            raise UserError(
                f"{self.path}: cannot be written: {cause.strerror}. Nothing was changed."
            ) from cause

    def _entry(self, entries: list[TomlTable], account_id: str) -> TomlTable:
        for entry in entries:
            if _entry_id(entry) == account_id:
                return entry
        if any(each.id == account_id for each in self._environment.accounts):
            raise UserError(
                f"{account_id} comes from the environment, not from {self.path.name}: it is there"
                " as long as its variable is set"
            )
        raise UnknownAccount(account_id, filter(None, map(_entry_id, entries)))


def _remove_leftovers(path: Path) -> None:
    """Under the lock nobody is writing: what looks like it is nobody's any more."""
    for leftover in leftovers(path):
        leftover.unlink(missing_ok=True)


def _entry_id(entry: object) -> str | None:
    identifier = entry.get("id") if isinstance(entry, dict) else None
    return identifier if isinstance(identifier, str) else None


def _become(entry: TomlTable, fields: TomlTable) -> None:
    """Give the entry these fields. UserError, and nothing changed, when they do not work."""
    _read(fields)
    entry.clear()
    entry.update(fields)


def _read(entry: TomlTable) -> Account:
    """The account of an entry. UserError when it does not work."""
    try:
        return read_entry(entry)
    except WrongEntry as wrong:
        raise UserError(f"account {entry.get('id')!r}: {wrong}") from wrong


_TABLE_HEADER = re.compile(rb"^[ \t]*\[\[[ \t]*accounts[ \t]*\]\]", re.MULTILINE)


def _places(content: bytes, entries: list[object]) -> list[str]:
    """How to call each entry: by id and line where these can be told."""
    lines = [content.count(b"\n", 0, each.start()) + 1 for each in _TABLE_HEADER.finditer(content)]
    places = []
    for number, entry in enumerate(entries, 1):
        name = f"account {_entry_id(entry)!r}" if _entry_id(entry) else f"account number {number}"
        # Headers inside a multi-line string would shift the count: then no line is better.
        line = f" (line {lines[number - 1]})" if len(lines) == len(entries) else ""
        places.append(f"{name}{line}")
    return places


_TOO_LONG_FOR_A_LINE = {"": "x" * 100}


def _rendered(document: TomlTable) -> bytes:
    import tomli_w

    entries = document["accounts"]
    if not all(isinstance(each, dict) for each in entries):
        return (_HEADER + tomli_w.dumps(document)).encode()
    # The writer puts a list of short tables on one line each; one that is too long for that makes
    # it write all of them as [[accounts]]. It comes first and is cut off again.
    text = tomli_w.dumps({**document, "accounts": [_TOO_LONG_FOR_A_LINE, *entries]})
    first = tomli_w.dumps({"accounts": [_TOO_LONG_FOR_A_LINE]})
    return (_HEADER + text.replace(first, "", 1).replace("\n\n\n", "\n\n")).encode()


def _of_version(version: object) -> str:
    if type(version) is int and version > _VERSION:
        return f"is {version}: a newer mcproxy has written it. Run: pipx upgrade multi-claude-proxy"
    return f"must be {_VERSION}; this mcproxy knows no other"
