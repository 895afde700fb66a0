"""The committed manual and completions are what the program of today makes, and are well formed."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.manual.files import FIELDS
from mcp_proxy.cli.manual.page import Entry, Page, Paragraph, Section, Verbatim
from mcp_proxy.cli.manual.pages import all_pages
from mcp_proxy.cli.manual.roff import roff
from mcp_proxy.cli.manual.verbs import commands
from mcp_proxy.cli.reference import COMMAND, generated, stale, write
from mcp_proxy.store.entries import FIELD_NAMES
from mcp_proxy.store.settings import SETTINGS

ROOT = Path(__file__).parents[1]
"""Of the repository; the package may be installed elsewhere."""

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
PAGES = {page.file_name: page for page in all_pages()}
SOURCES = {path: text for path, text in generated(CHANGELOG).items() if path.startswith("man/")}
SCRIPTS = {path: text for path, text in generated(CHANGELOG).items() if path not in SOURCES}

MACROS = {".TH", ".SH", ".SS", ".PP", ".TP", ".RS", ".RE", ".nf", ".fi", '.\\"'}
ORDER = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "COMMANDS",
    "OPTIONS",
    "DOCUMENTS",
    "EXIT STATUS",
    "ENVIRONMENT",
    "FILES",
    "EXAMPLES",
    "SECURITY",
    "SEE ALSO",
]


def test_what_is_committed_is_what_would_be_made() -> None:
    assert not stale(ROOT), f"completions/ or man/ is stale. Run: {COMMAND}"


def test_every_command_both_files_and_the_documents_have_a_page() -> None:
    names = {f"{command.name}.1" for command in commands(mcproxy)}
    assert {"mcproxy.1", "mcproxy-accounts-add.1", "mcproxy-help.1"} <= names
    assert PAGES.keys() == names | {
        "mcproxy-accounts.toml.5",
        "mcproxy-config.toml.5",
        "mcproxy-json.5",
    }


def test_every_field_of_an_account_and_every_setting_is_told() -> None:
    assert FIELDS.keys() == FIELD_NAMES
    page = PAGES["mcproxy-config.toml.5"]
    terms = {block.term for s in page.sections for block in s.blocks if isinstance(block, Entry)}
    keys = {term.partition(" = ")[0] for term in terms}
    assert {row.path.rpartition(".")[2] for row in SETTINGS} <= keys


@pytest.mark.parametrize("path", SOURCES)
def test_a_page_is_well_formed(path: str) -> None:
    lines = SOURCES[path].splitlines()
    assert {line.split(" ")[0] for line in lines if line.startswith(".")} <= MACROS
    assert not [line for line in lines if line != line.rstrip() or not line.isascii()]
    titles = [line.removeprefix(".SH ") for line in lines if line.startswith(".SH ")]
    assert titles == sorted(titles, key=ORDER.index)
    assert {"NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "FILES"} <= set(titles)
    assert {"SECURITY", "SEE ALSO"} <= set(titles)
    for before, after in pairwise(lines):
        assert not (before.startswith((".SH", ".SS")) and after == ".PP")
        assert not (before == ".TP" and after.startswith("."))


@pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.file_name)
def test_every_page_that_is_pointed_to_exists(page: Page) -> None:
    see_also = page.sections[-1]
    (block,) = see_also.blocks
    assert isinstance(block, Paragraph)
    known = {each.reference for each in PAGES.values()}
    assert set(block.text.split(", ")) <= known - {page.reference}


CHECKERS = {"mandoc": ["mandoc", "-Tlint"], "groff": ["groff", "-man", "-ww", "-z"]}


@pytest.mark.parametrize("program", CHECKERS)
def test_other_programs_find_nothing_wrong_with_the_pages(program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    files = [tmp_path / Path(path).name for path in SOURCES]
    for file in files:
        file.write_text(SOURCES[f"man/{file.name}"], encoding="utf-8")
    command = [*CHECKERS[program], *(file.name for file in files)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    # Pages that are not installed yet are no fault of the page that points to them.
    said = [line for line in (ran.stdout + ran.stderr).splitlines() if "Xr" not in line]
    assert (ran.returncode, said) == (0, [])


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_shell_takes_its_script(path: str, tmp_path: Path) -> None:
    shell = {"completions/_mcproxy": "zsh", "completions/mcproxy.fish": "fish"}.get(path, "bash")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(SCRIPTS[path], encoding="utf-8")
    ran = subprocess.run([shell, "-n", file], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_texts_cannot_become_macros() -> None:
    blocks = (
        Paragraph(".TH is 'no' macro here"),
        Verbatim((".SH", "'x", "a\\b")),
        Entry(".x", "-"),
    )
    source = roff(
        Page("p", 1, 'quotes "here"', (Section("DESCRIPTION", blocks),)), version="1", date="2026"
    )
    assert "\n\\&.TH is \\(aqno\\(aq macro here\n" in source
    assert "\n\\&.SH\n\\&\\(aqx\na\\eb\n" in source
    assert "\n\\fB.x\\fR\n\\-\n" in source


def test_the_date_is_that_of_the_newest_version() -> None:
    changelog = "# Changes\n\n## 0.2.0 (2027-01-05)\n\n## 0.1.0 (2026-12-01)\n"
    first = generated(changelog)["man/mcproxy.1"].splitlines()[1]
    assert re.fullmatch(r'\.TH "MCPROXY" 1 2027-01-05 "mcproxy [\d.]+"', first)


def test_writing_mends_what_is_stale_and_removes_what_is_no_longer_made(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    assert len(write(tmp_path)) == len(SOURCES) + len(SCRIPTS)
    (tmp_path / "man/mcproxy.1").write_text("old", encoding="utf-8")
    (tmp_path / "man/mcproxy-gone.1").write_text("old", encoding="utf-8")
    assert stale(tmp_path) == ["man/mcproxy-gone.1", "man/mcproxy.1"]
    assert write(tmp_path) == ["man/mcproxy-gone.1", "man/mcproxy.1"]
    assert stale(tmp_path) == []
