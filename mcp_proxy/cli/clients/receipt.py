"""What a setup changed, key by key, so that it can be taken back; kept in the state directory.

Without it nothing is undone: that a value points here does not say what was there before.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mcp_proxy.cli.clients.text_edit import KeyPath
from mcp_proxy.errors import UserError
from mcp_proxy.store.atomic import make_private_directory, replace_file

SCHEMA = "mcproxy.receipt/1"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One value that was set."""

    path: KeyPath
    was: str | None
    """Its source before; None: it was not set."""
    now: str
    parents: int = 0
    """How many of the tables around it were made for it."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file that was changed."""

    path: Path
    form: str
    existed: bool
    keys: tuple[KeyRecord, ...]
    before: str
    """Digest of the text without our keys."""
    after: str
    """Digest of the text with them."""
    backup: Path | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Everything that the setup of a client changed."""

    client: str
    files: tuple[FileRecord, ...]

    def of(self, path: Path) -> FileRecord | None:
        return next((each for each in self.files if each.path == path), None)


class Receipts:
    """One file per client. They hold keys that were replaced, hence private files."""

    def __init__(self, state_directory: Path) -> None:
        self.directory = state_directory / "clients"

    def read(self, client: str) -> Receipt | None:
        """None when there is none. UserError when it cannot be understood."""
        file = self._file(client)
        try:
            return _receipt(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise UserError(
                f"{file}: the receipt of an earlier setup cannot be read. Look at the backups"
                " beside the client's settings, then delete this file."
            ) from cause

    def write(self, receipt: Receipt) -> None:
        make_private_directory(self.directory)
        document = {"schema": SCHEMA, **asdict(receipt)}
        replace_file(self._file(receipt.client), json.dumps(document, default=str).encode())

    def delete(self, client: str) -> None:
        self._file(client).unlink(missing_ok=True)

    def _file(self, client: str) -> Path:
        return self.directory / f"{client}.json"


def _receipt(document: Mapping[str, Any]) -> Receipt:
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    return Receipt(document["client"], tuple(_file_record(each) for each in document["files"]))


def _file_record(row: Mapping[str, Any]) -> FileRecord:
    keys = tuple(KeyRecord(**{**each, "path": tuple(each["path"])}) for each in row["keys"])
    backup = Path(row["backup"]) if row["backup"] else None
    return FileRecord(**{**row, "path": Path(row["path"]), "keys": keys, "backup": backup})
