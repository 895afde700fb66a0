"""What is handed out: the wheel, the source archive, and what an installation of them brings.

Built by the real backend, without a network, and installed into an environment of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable
from email.parser import HeaderParser
from pathlib import Path
from sysconfig import get_path

import pytest
from container_files import ROOT, read_image

from mcp_proxy import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SHARE = re.compile(r"^multi_claude_proxy-[^/]+\.data/data/(share/.+)$")
COMPLETIONS = {
    "completions/_mcproxy": "share/zsh/site-functions/_mcproxy",
    "completions/mcproxy.bash": "share/bash-completion/completions/mcproxy",
    "completions/mcproxy.fish": "share/fish/vendor_completions.d/mcproxy.fish",
}


def files_in(directory: str) -> list[str]:
    return [str(each.relative_to(ROOT)) for each in (ROOT / directory).glob("*")]


SHARED = {
    **{name: f"share/man/man{name[-1]}/{Path(name).name}" for name in files_in("man")},
    **{name: COMPLETIONS[name] for name in files_in("completions")},
}
"""Every file that is for other programs, and where they look for it."""


def build(kind: str, source: Path, target: Path) -> Path:
    """The file that the build backend makes of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", target]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def names(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# ------------------------------------------------------------------------------- the archives


def test_the_wheel_has_the_package_and_no_stray_file(names: list[str]) -> None:
    package = {name for name in names if name.startswith("mcp_proxy/")}
    strange = {name for name in package if not re.search(r"\.py$|/py\.typed$|/units/", name)}
    assert strange == set()
    assert {"mcp_proxy/py.typed", "mcp_proxy/cli/__init__.py"} <= package
    others = {name for name in names if not SHARE.match(name)} - package
    metadata = f"multi_claude_proxy-{__version__}.dist-info"
    expected = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    assert others == {f"{metadata}/{name}" for name in expected}


def test_every_file_of_the_package_is_in_the_wheel(names: list[str]) -> None:
    files = (each for each in (ROOT / "mcp_proxy").rglob("*") if each.is_file())
    there = {str(each.relative_to(ROOT)) for each in files if "__pycache__" not in each.parts}
    assert there - set(names) == set()


def test_pages_and_completions_go_where_they_are_looked_for(names: list[str]) -> None:
    shared = {found[1] for name in names if (found := SHARE.match(name))}
    assert shared == set(SHARED.values()), "see [tool.hatch.build.targets.wheel.shared-data]"


@pytest.mark.parametrize("kind", ["sdist", "image"])
def test_the_same_wheel_comes_from_other_places(
    kind: str, wheel: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = SOURCES[kind](tmp_path, request)
    assert contents(build("wheel", source, tmp_path / "built")) == contents(wheel)


def unpacked(directory: Path, request: pytest.FixtureRequest) -> Path:
    with tarfile.open(request.getfixturevalue("sdist")) as archive:
        archive.extractall(directory, filter="data")
    return directory / f"multi_claude_proxy-{__version__}"


def copied(directory: Path, _request: pytest.FixtureRequest) -> Path:
    """What the Dockerfile copies into its build stage."""
    source = directory / "source"
    for each in read_image().sources:
        (source / each).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / each).is_dir() else shutil.copy
        copy(ROOT / each, source / each)
    return source


SOURCES: dict[str, Callable[[Path, pytest.FixtureRequest], Path]] = {
    "sdist": unpacked,
    "image": copied,
}


def test_the_source_archive_can_be_tested(sdist: Path) -> None:
    top = f"multi_claude_proxy-{__version__}/"
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(top).partition("/")[0] for name in archive.getnames()}
    needed = {"tests", ".ci", "Dockerfile", "compose.yaml", "README.md", "CHANGELOG.md"}
    assert needed <= names
    assert not names & {".git", ".hypothesis", "dist", "build"}


def test_the_metadata_is_complete(wheel: Path) -> None:
    metadata = f"multi_claude_proxy-{__version__}.dist-info/METADATA"
    fields = HeaderParser().parsestr(contents(wheel)[metadata].decode())
    assert fields["Name"] == PROJECT["name"]
    assert fields["Version"] == __version__
    assert fields["License-Expression"] == "MIT"
    assert fields["Requires-Python"] == PROJECT["requires-python"]
    assert fields["Description-Content-Type"] == "text/markdown"
    assert str(fields.get_payload()).strip() == (ROOT / "README.md").read_text("utf-8").strip()


def test_every_way_to_install_names_the_distribution() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- install -->\n")[2].partition("<!-- /install -->")[0]
    named = re.findall(r"(?:install|upgrade) (?:--upgrade )?([\w.-]+)", table)
    assert len(named) == 12
    assert set(named) == {PROJECT["name"], "."}


# ----------------------------------------------------------------------------- an installation


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; what it depends on is borrowed from the one we run in."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, with_pip=False, symlinks=True)
    packages = Path(get_path("purelib", "venv", {"base": str(place)}))
    (packages / "borrowed.pth").write_text(get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", place, "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", wheel],
        check=True,
    )
    return place


def run(installed: Path, *words: str) -> str:
    """What a program of the environment prints, started far away from the sources."""
    program, *arguments = words
    return subprocess.run(
        [installed / "bin" / program, *arguments],
        cwd=installed,
        env={"HOME": str(installed / "home"), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_command_works_where_it_is_installed(installed: Path) -> None:
    assert run(installed, "mcproxy", "--version") == f"mcproxy {__version__}\n"
    assert run(installed, "python", "-m", "mcp_proxy", "--version") == f"mcproxy {__version__}\n"
    assert '"accounts": []' in run(installed, "mcproxy", "accounts", "list", "--json")
    found = run(installed, "python", "-c", "import mcp_proxy; print(mcp_proxy.__file__)")
    assert Path(found.strip()).is_relative_to(installed)


def test_what_is_shared_arrives_beside_the_command(installed: Path) -> None:
    arrived = {name: (installed / place).read_bytes() for name, place in SHARED.items()}
    assert arrived == {name: (ROOT / name).read_bytes() for name in SHARED}
