"""A directory that looks like the user's own, save for some settings. It keeps the run's changes.

What the user has in theirs is linked, so that logs, histories and keys are read and written where
they belong; only the files with our settings are copies, which go away with the run.
"""

from collections.abc import Mapping
from pathlib import Path

from mcp_proxy.cli.clients.client import FileWish
from mcp_proxy.cli.clients.formats import FORMATS


def in_private_home(
    original: Path, scratch: Path, wishes: tuple[FileWish, ...]
) -> tuple[Mapping[Path, str], Mapping[Path, Path]]:
    """(file to write -> text, name to make -> what it links to). CannotEdit as for a setup."""
    own = {wish.path: _wished(wish) for wish in wishes}
    files = {scratch / path.relative_to(original): text for path, text in own.items()}
    entries = sorted(original.iterdir()) if original.is_dir() else []
    return files, {scratch / each.name: each for each in entries if each not in own}


def _wished(wish: FileWish) -> str:
    form = FORMATS[wish.form]
    text = wish.path.read_text(encoding="utf-8") if wish.path.exists() else ""
    for path, value in wish.values:
        text = form.put(text, path, form.source(value))
    return text
