"""Changes to a client's settings files, all or none: shown as diffs, written with a receipt."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from mcp_proxy.cli.clients.change import Change, backup_text, undone, wished, with_backup
from mcp_proxy.cli.clients.client import FileWish
from mcp_proxy.cli.clients.formats import FORMATS
from mcp_proxy.cli.clients.receipt import FileRecord, Receipt, Receipts
from mcp_proxy.cli.clients.settings_file import back_up, look, write
from mcp_proxy.cli.clients.text_edit import CannotEdit
from mcp_proxy.cli.concealing import concealed_diff
from mcp_proxy.errors import UserError
from mcp_proxy.store.locks import FileLock


class Refused(Exception):
    """A file that is left alone; `by_hand`: the lines that somebody would have to write there."""

    def __init__(self, path: Path, reason: str, by_hand: tuple[str, ...]) -> None:
        super().__init__(f"{path}: {reason}. Nothing was changed")
        self.by_hand = by_hand


def planned(wishes: Iterable[FileWish], receipt: Receipt | None) -> list[Change]:
    """What a setup would do. Refused as soon as one of the files has to be left alone."""
    changes = []
    for wish in wishes:
        try:
            changes.append(wished(wish, receipt.of(wish.path) if receipt else None))
        except CannotEdit as cause:
            raise Refused(wish.path, str(cause), _by_hand(wish)) from cause
    return changes


def planned_back(receipt: Receipt) -> list[Change]:
    """What undoing it would do. Refused as soon as one of the files has to be left alone."""
    changes = []
    for record in receipt.files:
        try:
            changes.append(undone(record))
        except CannotEdit as cause:
            keys = tuple(f"{'.'.join(key.path)} = {key.was or ''}" for key in record.keys)
            raise Refused(record.path, str(cause), keys) from cause
    return changes


def set_up(
    client: str, changes: list[Change], receipts: Receipts, earlier: Receipt | None
) -> Receipt:
    """Write them. The receipt comes first: a key in it that was never set does no harm."""
    with FileLock(receipts.directory / f"{client}.lock"):
        _still_as_shown(changes)
        kept = [_backed_up(change) for change in changes]
        records = [change.record for change in kept]
        paths = {each.path for each in records}
        # Files that the client had elsewhere at an earlier setup are still to be undone.
        records += [each for each in (earlier.files if earlier else ()) if each.path not in paths]
        receipt = Receipt(client, tuple(records))
        receipts.write(receipt)
        for change in kept:
            _carry_out(change)
    return receipt


def take_back(client: str, changes: list[Change], receipts: Receipts) -> list[Path]:
    """Write them. The backups that have something that the files now have not."""
    with FileLock(receipts.directory / f"{client}.lock"):
        _still_as_shown(changes)
        for change in changes:
            _carry_out(change)
        receipts.delete(client)
    return [path for change in changes if (path := _left_backup(change)) is not None]


def diff(change: Change) -> str:
    """Unified, without what is none of our business; see `concealing.py`."""
    name = str(change.path)
    before = (change.found.text or "").splitlines(keepends=True)
    after = (change.text or "").splitlines(keepends=True)
    lines = difflib.unified_diff(
        before,
        after,
        "/dev/null" if change.found.text is None else name,
        "/dev/null" if change.text is None else name,
    )
    return concealed_diff(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _by_hand(wish: FileWish) -> tuple[str, ...]:
    """The lines that an empty file of that format would get."""
    form, text = FORMATS[wish.form], ""
    for path, value in wish.values:
        text = form.put(text, path, form.source(value))
    return tuple(text.splitlines())


def _still_as_shown(changes: list[Change]) -> None:
    """Clients write their settings themselves, and a person may think for a while."""
    for change in changes:
        try:
            now = look(change.path)
        except CannotEdit as cause:
            raise UserError(f"{change.path}: {cause}. Nothing was changed") from cause
        if now != change.found:
            raise UserError(
                f"{change.path} was changed by somebody else just now. Nothing was changed here;"
                " run the command again"
            )


def _backed_up(change: Change) -> Change:
    """With a copy of the file as it is, unless there is one from before our first setup."""
    text, backup = change.found.text, change.record.backup
    if text is None or not change.is_needed or (backup is not None and backup.exists()):
        return change
    return with_backup(change, back_up(change.path, change.found, text))


def _carry_out(change: Change) -> None:
    if not change.is_needed:
        return
    if change.text is None:
        change.found.target.unlink(missing_ok=True)
    else:
        write(change.found, change.text)


def _left_backup(change: Change) -> Path | None:
    """Removes the backup when the file has become what it is a copy of."""
    record: FileRecord = change.record
    if record.backup is None or not record.backup.exists():
        return None
    if backup_text(record) == change.text:
        record.backup.unlink()
        return None
    return record.backup
