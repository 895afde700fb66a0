"""What a setup or its undoing would do to one file: worked out first, shown, then done.

Nothing here writes. A setup over an earlier one begins with what the earlier one would leave.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mcp_proxy.cli.clients.client import FileWish
from mcp_proxy.cli.clients.formats import FORMATS
from mcp_proxy.cli.clients.receipt import FileRecord, KeyRecord
from mcp_proxy.cli.clients.settings_file import Found, digest, look
from mcp_proxy.cli.clients.text_edit import CannotEdit, Format, Json, KeyPath


@dataclass(frozen=True, slots=True)
class Change:
    """One file as it is and as it would be."""

    path: Path
    found: Found
    text: str | None
    """None: the file goes."""
    record: FileRecord
    """The receipt's part: of this setup, or of the one that is undone."""
    kept: tuple[KeyPath, ...] = ()
    """Ours once, but changed since: left as they are."""

    @property
    def is_needed(self) -> bool:
        return self.text != self.found.text


@dataclass(frozen=True, slots=True)
class _Undone:
    text: str | None
    kept: tuple[KeyPath, ...] = ()


def wished(wish: FileWish, earlier: FileRecord | None) -> Change:
    """CannotEdit when the file cannot be changed without harm."""
    found, form = look(wish.path), FORMATS[wish.form]
    base = found.text if earlier is None else _undone(found, earlier).text
    text, keys = base or "", list[KeyRecord]()
    for path, value in wish.values:
        source, was = form.source(value), form.get(text, path)
        if was is not None and form.value(was) == form.value(source):
            continue  # the user has said so already; it stays theirs
        keys.append(KeyRecord(path, was, source, _missing_parents(form, text, path)))
        text = form.put(text, path, source)
    if wish.unread(text) is not None:
        raise CannotEdit(str(wish.unread(base or "")))
    record = FileRecord(
        path=wish.path,
        form=wish.form,
        existed=base is not None,
        keys=tuple(keys),
        before=digest(base or ""),
        after=digest(text),
        backup=None if earlier is None else earlier.backup,
    )
    return Change(wish.path, found, text, record)


def undone(record: FileRecord) -> Change:
    """What gives back what was there before, without touching what was changed since."""
    found = look(record.path)
    result = _undone(found, record)
    return Change(record.path, found, result.text, record, result.kept)


def with_backup(change: Change, backup: Path | None) -> Change:
    return replace(change, record=replace(change.record, backup=backup))


def backup_text(record: FileRecord) -> str | None:
    """The file as it was before the setup; None when there is no such copy any more."""
    try:
        text = look(record.backup).text if record.backup is not None else None
    except CannotEdit:
        return None
    return text if text is not None and digest(text) == record.before else None


def _undone(found: Found, record: FileRecord) -> _Undone:
    if found.text is None:
        return _Undone(None)
    if digest(found.text) == record.after:
        if not record.existed:
            return _Undone(None)
        original = backup_text(record)
        if original is not None:
            return _Undone(original)
    return _key_by_key(found.text, record)


def _key_by_key(text: str, record: FileRecord) -> _Undone:
    form, kept = FORMATS[record.form], list[KeyPath]()
    for key in reversed(record.keys):
        now = form.get(text, key.path)
        if now is None:
            continue  # removed since, which is as it should be
        if not _same(form, now, form.value(key.now)):
            kept.append(key.path)
        elif key.was is None:
            text = form.drop(text, key.path, key.parents)
        else:
            text = form.put(text, key.path, key.was)
    gone = not record.existed and form.is_blank(text)
    return _Undone(None if gone else text, tuple(kept))


def _same(form: Format, source: str, value: Json) -> bool:
    return form.value(source) == value


def _missing_parents(form: Format, text: str, path: KeyPath) -> int:
    prefixes = (path[:length] for length in range(1, len(path)))
    return sum(form.get(text, prefix) is None for prefix in prefixes)
