"""Who may import whom, from the AST. The rule and its reason are below `FLOORS`.

An import counts wherever it stands: inside a function, under TYPE_CHECKING. A type that a lower
floor has to know is a dependency as much as a call.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "mcp_proxy"

FLOORS = {
    "__main__": 8,
    "cli": 7,
    "demo": 6,
    "server": 5,
    "engine": 4,
    "signin": 3,
    "store": 3,
    "providers": 2,
    "dialects": 1,
    "policy": 1,
}
"""Folder (or module) -> floor; every other module of the package is on floor 0.

A module imports from lower floors or its own folder only: what translates and decides can then be
read, tested and changed without what talks to networks, disks and people.
The demo is above the server because its show plays the main job through the real one.
"""

ANYWHERE = ""

HOMES = {
    "aiohttp": ("engine/", "server/", "demo/"),
    "click": ("cli/",),
    "cryptography": ("store/tokens.py", "demo/"),
    "google": ("signin/adc.py",),
    "google_auth_oauthlib": ("signin/google.py",),
    "multidict": ("engine/", "server/", "demo/"),
    "oauthlib": ("signin/google.py",),
    "orjson": (ANYWHERE,),
    "platformdirs": ("store/",),
    "requests": ("signin/google.py",),
    "rich": ("cli/",),
    "sqlite3": ("store/", "signin/local_apps.py"),
    "tomli_w": ("store/",),
    "uvloop": ("cli/",),
    "yarl": ("engine/", "server/", "demo/"),
}
"""Where a package from outside (and sqlite3) may be imported; what is not listed may nowhere."""


class Import(NamedTuple):
    """One imported module, and where it is imported."""

    line: int
    module: str


def imports(source: str) -> Iterator[Import]:
    """Every import of a module, those of functions and of type checkers included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "mcp_proxy":
                # `from mcp_proxy import errors` is about errors, `... import __version__` is not.
                yield from (Import(node.lineno, f"mcp_proxy.{a.name}") for a in node.names)
            else:
                yield Import(node.lineno, module)


def offences(path: str, source: str) -> list[str]:
    """What a module (its path inside the package) imports although it may not."""
    found = ((each, _refusal(path, each.module)) for each in imports(source))
    return [f"mcp_proxy/{path}:{each.line}: {reason}" for each, reason in found if reason]


def _refusal(path: str, module: str) -> str | None:
    if module.startswith("."):
        return f"{module} is a relative import; write it out"
    top, _, rest = module.partition(".")
    if top == "mcp_proxy":
        return _upward(path, rest.partition(".")[0])
    if top in HOMES:
        homes = HOMES[top]
        return None if path.startswith(homes) else f"{top} is imported in {', '.join(homes)} only"
    if top in sys.stdlib_module_names:
        return None
    return f"{top} has no place in HOMES of {Path(__file__).name}"


def _upward(path: str, folder: str) -> str | None:
    own = path.partition("/")[0].removesuffix(".py")
    here, there = FLOORS.get(own, 0), FLOORS.get(folder, 0)
    if folder == own or there < here or here == there == 0:
        return None
    direction = "above" if there > here else "beside"
    return f"{own} (floor {here}) must not know {folder} (floor {there}, {direction} it)"


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", MODULES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_a_module_imports_from_lower_floors_or_its_own_folder_only(file: Path) -> None:
    found = offences(file.relative_to(PACKAGE).as_posix(), file.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


def test_every_folder_of_the_package_has_its_floor() -> None:
    folders = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
    assert folders == FLOORS.keys() - {"__main__"}


@pytest.mark.parametrize(
    ("path", "source", "reason"),
    [
        ("events.py", "import mcp_proxy.policy.ledger", "policy (floor 1, above it)"),
        ("policy/a.py", "from mcp_proxy.dialects import inline_data", "beside it"),
        ("store/state.py", "from mcp_proxy.signin import pkce", "beside it"),
        ("server/app.py", "from mcp_proxy.demo import cloudcode", "above it"),
        ("policy/a.py", "def f():\n    import mcp_proxy.engine.quota", "policy/a.py:2"),
        ("policy/a.py", "if TYPE_CHECKING:\n    from mcp_proxy import store", "policy/a.py:2"),
        ("dialects/a/b.py", "import aiohttp.web", "aiohttp is imported in engine/"),
        ("store/state.py", "from rich.table import Table", "rich is imported in cli/"),
        ("cli/limits.py", "import numpy", "numpy has no place"),
        ("cli/limits.py", "from .render import show", "relative"),
    ],
)
def test_an_import_out_of_place_is_named_with_its_line(path: str, source: str, reason: str) -> None:
    assert reason in "\n".join(offences(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cli/limits.py", "from mcp_proxy.engine import report"),
        ("cli/limits.py", "from mcp_proxy import __version__"),
        ("dialects/a/b.py", "from mcp_proxy.dialects.c import d"),
        ("events.py", "from mcp_proxy.errors import Failure"),
        ("__main__.py", "from mcp_proxy.cli import main"),
        ("engine/transport.py", "import asyncio\nimport aiohttp"),
    ],
)
def test_an_import_from_below_is_no_offence(path: str, source: str) -> None:
    assert offences(path, source) == []
