"""What people see of every verb: at a terminal of any width, in a pipe, where there is only ASCII.

The tree of commands is walked: a verb that is in neither table fails. Each is a process with a
terminal or pipes of its own, in a home where the hard cases are: names that are too long, letters
that are two columns wide, accounts in all states.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from forked import Forks, Printed, forks
from harness import Home, free_port
from rich.cells import cell_len
from staged import LABEL, LONG_ID, LONG_MODEL, home_at, staged

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.manual.verbs import commands

pytestmark = pytest.mark.timeout(180)

WIDTHS = (40, 80, 200)

SILENT = {
    "mcproxy serve": "runs until it is ended; test_serve_terminal.py looks at it",
    "mcproxy run": "the terminal belongs to the client that it starts",
    "mcproxy service logs": "the terminal belongs to the manager's own program",
}
"""Verbs that are not looked at here -> why."""


@dataclass(frozen=True)
class Scene:
    """A command, and what has to be there whole in what it prints."""

    words: str
    shows: tuple[str, ...] = ()
    table: bool = False
    """It begins with one."""
    verbatim: bool = False
    """Has lines of files or scripts, which stay as they are, however wide."""
    changes: bool = False
    """To be run in a home that is made anew for it."""
    empty: bool = False
    """Run in a home with nothing in it."""
    slow: bool = False
    """Looked at once, narrowly, at a terminal."""

    @property
    def path(self) -> str:
        """The command without its arguments."""
        words = self.words.split()
        paths = (" ".join(["mcproxy", *words[:count]]) for count in range(len(words), -1, -1))
        return next(each for each in paths if each in COMMANDS)


COMMANDS = {command.context.command_path: command for command in commands(mcproxy)}
LEAVES = {path for path in COMMANDS if not any(other.startswith(f"{path} ") for other in COMMANDS)}
UNIT = "serve --port 8080"

SCENES = (
    Scene("", ("ready", "mcproxy --help")),
    Scene("", ("mcproxy accounts add", "mcproxy demo"), empty=True),
    Scene("accounts list", (LONG_ID, LABEL, "gone@example.org", "disabled"), table=True),
    Scene("accounts list", ("mcproxy accounts add",), empty=True),
    Scene("accounts verify", (LONG_ID, "invalid_grant:", "works")),
    Scene(
        "accounts add --provider openai-compatible --base-url http://127.0.0.1:9/v1"
        f" --id {LONG_ID} --model {LONG_MODEL}",
        (LONG_ID,),
        empty=True,
        changes=True,
    ),
    Scene("accounts remove work --yes", ("work",), changes=True),
    Scene("accounts remove wrok --yes", ("work?",), changes=True),
    Scene("accounts enable work", ("work",), changes=True),
    Scene("accounts disable work", ("work",), changes=True),
    Scene("limits", (LONG_ID, LONG_MODEL, "claude-opus-4-6-thinking", "exhausted"), table=True),
    Scene("limits --why", (LONG_ID, LONG_MODEL, "soft-limited"), table=True),
    Scene("limits gone", ("mcproxy accounts add --provider antigravity --id gone",), table=True),
    Scene("limits nobody", ("'nobody'",)),
    Scene("limits", ("mcproxy accounts add",), empty=True),
    Scene("health", ("ready", "disabled")),
    Scene("health", ("mcproxy serve",), empty=True),
    Scene("models", (LONG_ID, LONG_MODEL, "gemini-3.5-flash-extra-low"), table=True),
    Scene("models", ("mcproxy accounts add",), empty=True),
    Scene("route sonnet", (LONG_ID, "claude-sonnet-4-6", "mcproxy serve --fallback"), table=True),
    Scene("route claude-sonet-4-6", ("claude-sonnet-4-6",)),
    Scene("explain", ("considered", "what took the time")),
    Scene("explain --last 1000", ("gpt-4o-mini", "claude-sonnet-4-6", "404"), table=True),
    Scene("explain", ("no request",), empty=True),
    Scene("test", ("openai-responses", "8 of 8"), table=True),
    Scene("test", ("mcproxy serve",), empty=True),
    Scene("doctor", (LONG_ID, "mcproxy accounts add --provider antigravity --id gone")),
    Scene("doctor", ("mcproxy serve",), empty=True),
    Scene("paths", ("accounts.toml", "config.toml"), table=True),
    Scene("config show --origin", ("providers.antigravity.client_secret",), table=True),
    Scene("config show", ("server.cors_allow_methods",), table=True),
    Scene("config validate", ("config.toml:",)),
    Scene("config init", ("mcproxy config validate",), changes=True, empty=True),
    Scene("config init", ("mcproxy config init --force",), changes=True),
    Scene("env claude-code", ("ANTHROPIC_BASE_URL",), verbatim=True),
    Scene("setup codex --dry-run", ("model_provider",), verbatim=True),
    Scene("unsetup codex --dry-run", ("mcproxy setup codex --dry-run",)),
    Scene("completion bash", ("_mcproxy",), verbatim=True),
    Scene("completion bash --install", ("mcproxy",), changes=True),
    Scene("service install --dry-run", (), verbatim=True, changes=True, empty=True),
    Scene("service uninstall --dry-run", ()),
    Scene("service status", ()),
    Scene("help limits", ("--watch",), verbatim=True),
    Scene("help accounts ad", ("mcproxy help accounts-add",)),
    Scene("demo", ("claude-opus-4-5-thinking", "exhausted"), slow=True),
    Scene("nonsense", ("'nonsense'",)),
    *(Scene(f"{path.removeprefix('mcproxy')} --help".strip(), ("--help",)) for path in COMMANDS),
)


def named(scene: Scene) -> str:
    return f"{scene.words or 'mcproxy'}{', empty' if scene.empty else ''}"


def test_every_verb_is_looked_at() -> None:
    seen = {scene.path for scene in SCENES if not scene.words.endswith("--help")}
    assert LEAVES - seen == SILENT.keys()


@dataclass(frozen=True)
class Stage:
    """Where scenes are played."""

    full: Home
    bare: Path
    spare: Path
    unused_port: str
    usual: Forks
    ascii_only: Forks

    def home(self, scene: Scene) -> Path:
        """The directory to play it in."""
        if scene.changes:
            return self._anew(empty=scene.empty)
        return self.bare if scene.empty else self.full.root

    def variables(self, scene: Scene) -> dict[str, str]:
        """What keeps it from finding a server that somebody runs on this machine."""
        return {"PORT": self.unused_port} if scene.empty or scene.changes else {}

    def _anew(self, *, empty: bool) -> Path:
        shutil.rmtree(self.spare, ignore_errors=True)
        home = home_at(self.spare)
        if not empty:
            home.add(Account("work", "openai", Credential(api_key=Secret("sk-not-a-key"))))
            home.configure("[limits]\nsoft_limit = 0.1\n")
        return home.root


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("stage")
    bare = home_at(place / "bare").root
    with (
        staged(place / "full") as full,
        forks(LANG="C.UTF-8") as usual,
        # Python itself would take this C for UTF-8; what it is told by others, it must obey.
        forks(LC_ALL="C", PYTHONCOERCECLOCALE="0") as ascii_only,
    ):
        yield Stage(full, bare, place / "spare", str(free_port()), usual, ascii_only)


COLOURS = re.compile(r"\x1b\[[0-9;]*m")
MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")


def seen(printed: Printed) -> list[str]:
    """The lines as they can be read on the screen."""
    assert printed.code in {0, 1, 2, 78}, printed
    assert "Traceback" not in printed.stdout + printed.stderr
    return MOVES.sub("", COLOURS.sub("", printed.stdout)).splitlines()


scenes = pytest.mark.parametrize("scene", SCENES, ids=named)
quick_scenes = pytest.mark.parametrize(
    "scene", [scene for scene in SCENES if not scene.slow], ids=named
)


@pytest.mark.parametrize("columns", WIDTHS)
@scenes
def test_everything_fits_a_terminal(stage: Stage, scene: Scene, columns: int) -> None:
    if scene.slow and columns != min(WIDTHS):
        pytest.skip("looked at once")
    # Each width stands for a kind of terminal, too.
    kind = {40: {"TERM": "dumb"}, 80: {"NO_COLOR": "1"}, 200: {}}[columns]
    printed = stage.usual.at_terminal(
        columns, *scene.words.split(), home=stage.home(scene), **stage.variables(scene), **kind
    )
    assert not (kind and COLOURS.search(printed.stdout))
    lines = seen(printed)
    assert_tidy(lines)
    assert_whole(lines, scene.shows)
    if not scene.verbatim:
        too_wide = [line for line in lines if cell_len(line) > columns and not is_whole(line)]
        assert not too_wide


@scenes
def test_nothing_is_cut_or_coloured_in_a_pipe(stage: Stage, scene: Scene) -> None:
    printed = stage.usual.piped(
        *scene.words.split(), home=stage.home(scene), **stage.variables(scene)
    )
    lines = [*seen(printed), *printed.stderr.splitlines()]
    assert "\x1b" not in printed.stdout + printed.stderr
    assert_tidy(lines)
    assert_whole(lines, scene.shows)
    if scene.table:
        assert_table(printed.stdout.partition("\n\n")[0].splitlines())


@quick_scenes
def test_a_c_locale_is_given_ascii(stage: Stage, scene: Scene) -> None:
    words = scene.words.split()
    printed = stage.ascii_only.at_terminal(
        60, *words, home=stage.home(scene), **stage.variables(scene)
    )
    lines = seen(printed)
    assert printed.stdout.isascii()
    assert_tidy(lines)
    assert_whole(lines, [each for each in scene.shows if each.isascii()])


def test_a_locale_without_utf_8_is_given_question_marks_in_columns(stage: Stage) -> None:
    listed = stage.ascii_only.piped("accounts", "list", home=stage.full.root).stdout
    assert "Gr??e ??????" in listed
    assert_table(listed.partition("\n\n")[0].splitlines())


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR_FORCE": "0"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
    ],
)
def test_a_pipe_is_coloured_for_those_who_insist(
    stage: Stage, variables: dict[str, str], coloured: bool
) -> None:
    printed = stage.usual.piped("accounts", "list", home=stage.full.root, **variables)
    assert bool(COLOURS.search(printed.stdout)) == coloured
    assert not MOVES.search(printed.stdout)


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"CLICOLOR": "0"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)],
)
def test_a_terminal_is_coloured_unless_somebody_objects(
    stage: Stage, variables: dict[str, str], coloured: bool
) -> None:
    printed = stage.usual.at_terminal(80, "limits", home=stage.full.root, **variables)
    assert bool(COLOURS.search(printed.stdout)) == coloured


def test_columns_is_the_width_wherever_it_is_set(stage: Stage) -> None:
    home = stage.full.root
    piped = stage.usual.piped("accounts", "list", home=home, COLUMNS="40")
    shown = stage.usual.at_terminal(200, "accounts", "list", home=home, COLUMNS="40", NO_COLOR="1")
    assert piped.stdout == shown.stdout


def assert_tidy(lines: Sequence[str]) -> None:
    assert [line for line in lines if line != line.rstrip()] == []
    assert not lines or lines[-1], "nothing ends with an empty line"
    assert "" not in lines[:1]


def assert_whole(lines: Sequence[str], wanted: Sequence[str]) -> None:
    """Each stands in one line."""
    missing = [each for each in wanted if not any(each in line for line in lines)]
    assert not missing, "\n".join(lines)


LONGEST_LEAD = 20
"""Columns before what cannot be broken: an indentation, the name of a fact."""

WHOLE = re.compile(
    r"(?P<lead>\s*(?:[a-z]+ ){0,2} *)"
    r"(?:\S+|'?\(?`?(?:mcproxy|sudo|eval|source|curl) .*|[A-Z_]+ \S+)$"
)


def is_whole(line: str) -> bool:
    """Whether all of it that is too much for the terminal is one thing, to be copied as it is."""
    found = WHOLE.match(line)
    return found is not None and len(found["lead"]) <= LONGEST_LEAD


def assert_table(lines: Sequence[str]) -> None:
    """Headings over columns, so that all rows have the same number of parts."""
    head, *rows = lines
    columns = re.split(r" {2,}", head)
    assert rows
    assert all(re.fullmatch(r"[A-Z ]+", each) for each in columns)
    assert {len(re.split(r" {2,}", row.strip())) for row in rows} == {len(columns)}
    for first in gutters(head):
        assert any(all(cell_at(row, column) == " " for row in rows) for column in first)


def gutters(head: str) -> Iterator[range]:
    """The columns between one heading and the next."""
    words = [found.span() for found in re.finditer(r"\S+(?: \S+)*", head)]
    for (start, _), (_, end) in pairwise(words):
        yield range(start, end)


def cell_at(row: str, column: int) -> str:
    """What stands in a column of the screen."""
    for letter in row:
        if column < cell_len(letter):
            return letter
        column -= cell_len(letter)
    return " "
