"""The program itself: Python, the libraries that decide about speed, and whose package it is."""

import platform
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from mcp_proxy import __version__
from mcp_proxy.cli.checks.finding import Finding, Look, ok, problem, warning

OLDEST_PYTHON = (3, 11)
PACKAGE = "mcp_proxy"
DISTRIBUTION = "multi-claude-proxy"
LIBRARIES = ("aiohttp", "click", "orjson", "platformdirs", "rich", "tomli-w", "google-auth")
REINSTALL = f"pipx reinstall {DISTRIBUTION}"


def findings(_look: Look) -> Iterator[Finding]:
    yield _python()
    yield _package()
    missing = [name for name in LIBRARIES if _version(name) is None]
    if missing:
        yield problem(f"not installed: {', '.join(missing)}", REINSTALL)
        return
    yield _parser()


def versions() -> dict[str, str | None]:
    """For bug reports."""
    libraries = {name: _version(name) for name in (*LIBRARIES, "uvloop")}
    return {
        "mcproxy": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **libraries,
    }


def _python() -> Finding:
    said = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        return problem(f"{said} is older than 3.11", REINSTALL)
    return ok(said)


def _package() -> Finding:
    """Other projects install a package of the same name (`mcp-proxy`), one over the other."""
    place = Path(__file__).parents[2]
    owners = {name.lower() for name in packages_distributions().get(PACKAGE, ())}
    strangers = sorted(owners - {DISTRIBUTION})
    if strangers:
        return problem(
            f"{', '.join(strangers)} has put its own files into {place}",
            f"install it alone: pipx install {DISTRIBUTION}",
        )
    return ok(f"mcproxy {__version__} in {place}")


def _parser() -> Finding:
    """aiohttp works without its C parser, several times slower; it is looked for, not imported."""
    said = f"aiohttp {_version('aiohttp')}"
    spec = find_spec("aiohttp")
    places = (spec.submodule_search_locations if spec else None) or ()
    if any(
        Path(place, f"_http_parser{suffix}").exists()
        for place in places
        for suffix in EXTENSION_SUFFIXES
    ):
        return ok(f"{said} with its parser in C")
    return warning(f"{said} has no parser in C here: all traffic is slower", REINSTALL)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
