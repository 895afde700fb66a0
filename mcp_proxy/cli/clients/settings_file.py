"""Somebody else's settings file on the disk: read whole, replaced whole, with the mode it had."""

import os
import stat
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, count
from pathlib import Path

from mcp_proxy.cli.clients.text_edit import CannotEdit
from mcp_proxy.store.atomic import PRIVATE_FILE, make_private_directory, replace_file


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path now."""

    target: Path
    """The file itself, behind links: people keep their settings in a repository and link to it."""
    text: str | None
    """None: there is no file."""
    mode: int = PRIVATE_FILE


def look(path: Path) -> Found:
    """CannotEdit for whatever is not a plain text file of this user."""
    if path.is_symlink() and not path.exists():
        raise CannotEdit("it is a link that leads nowhere")
    target = path.resolve()
    try:
        facts = target.stat()
        content = _checked(facts, target)
    except FileNotFoundError:
        return Found(target, None)
    except OSError as cause:
        raise CannotEdit(f"it cannot be read: {cause.strerror}") from cause
    try:
        return Found(target, content.decode(), stat.S_IMODE(facts.st_mode))
    except UnicodeDecodeError as cause:
        raise CannotEdit("it is not UTF-8 text") from cause


def _checked(facts: os.stat_result, target: Path) -> bytes:
    if not stat.S_ISREG(facts.st_mode):
        raise CannotEdit("it is not a regular file")
    if facts.st_uid != os.geteuid():
        raise CannotEdit(f"it belongs to another user (uid {facts.st_uid})")
    if facts.st_nlink > 1:
        raise CannotEdit("it has a second name (hard link), which would keep the old content")
    return target.read_bytes()


def write(found: Found, text: str) -> None:
    """Replace it in one step. A new file is private: it may hold a key."""
    make_private_directory(found.target.parent)
    replace_file(found.target, text.encode())
    found.target.chmod(found.mode)


def back_up(path: Path, found: Found, text: str) -> Path:
    """A copy beside it, with its mode, under a name that is free."""
    backup = _free_name(path)
    write(Found(backup, None, found.mode), text)
    return backup


def _free_name(path: Path) -> Path:
    """`settings.json.mcproxy.bak`, or the same with a number."""
    endings = chain([".mcproxy.bak"], (f".mcproxy.bak.{number}" for number in count(2)))
    names = (path.with_name(path.name + ending) for ending in endings)
    return next(name for name in names if not name.is_symlink() and not name.exists())


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
