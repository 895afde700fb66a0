"""`python -m mcp_proxy.cli.reference --write|--check`: the files in completions/ and man/.

Made from what the program itself works by, so that a page cannot tell what the program does not
do. The same input gives the same bytes: the date is that of the newest version in CHANGELOG.md.
"""

import re
import sys
from pathlib import Path

import click

from mcp_proxy import __version__
from mcp_proxy.cli.manual.pages import all_pages
from mcp_proxy.cli.manual.roff import roff
from mcp_proxy.cli.shells import SHELLS

COMMAND = "python -m mcp_proxy.cli.reference --write"
ROOT = Path(__file__).parents[2]
FOLDERS = ("completions", "man")
_FIRST_DRAFT = "2026-11-21"
"""The date of the pages as long as no version has one."""
_RELEASE = re.compile(r"^## \S+ \((\d{4}-\d\d-\d\d)\)$", re.MULTILINE)


def generated(changelog: str) -> dict[str, str]:
    """Path below the root -> contents, of everything that is made here."""
    released = _RELEASE.search(changelog)
    date = released[1] if released else _FIRST_DRAFT
    scripts = {f"completions/{shell.file_name}": shell.script for shell in SHELLS.values()}
    pages = {
        f"man/{page.file_name}": roff(page, version=__version__, date=date) for page in all_pages()
    }
    return {**scripts, **pages}


def stale(root: Path) -> list[str]:
    """Files that are missing, differ, or should not be there."""
    wanted = generated(_changelog(root))
    there = _committed(root)
    return sorted(
        path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path)
    )


def write(root: Path) -> list[str]:
    """Makes them all what they should be. The paths that were changed."""
    changed = stale(root)
    wanted = generated(_changelog(root))
    for path in changed:
        file = root / path
        if path in wanted:
            file.parent.mkdir(exist_ok=True)
            file.write_text(wanted[path], encoding="utf-8")
        else:
            file.unlink()
    return changed


def _changelog(root: Path) -> str:
    return (root / "CHANGELOG.md").read_text(encoding="utf-8")


def _committed(root: Path) -> dict[str, str]:
    files = (file for folder in FOLDERS for file in (root / folder).glob("*"))
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in files}


@click.command()
@click.option(
    "--write/--check", "do_write", default=None, help="Bring the files up to date, or compare them."
)
def reference(*, do_write: bool | None) -> None:
    """Make completions/ and man/, or exit 1 when they are not what would be made."""
    if do_write is None:
        raise click.UsageError("one of --write and --check is needed")
    if do_write:
        for path in write(ROOT):
            click.echo(path)
        return
    if found := stale(ROOT):
        click.echo(f"stale: {', '.join(found)}. Run: {COMMAND}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    reference()
