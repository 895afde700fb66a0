"""Reads Dockerfile and compose.yaml as Docker does, as far as these two files go."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Image:
    """The last stage of a Dockerfile, and what the build needs."""

    base: str
    environment: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    """What is copied from the directory that it is built in."""
    runs: tuple[str, ...] = ()
    """The shell commands of all stages."""
    brought: tuple[tuple[str, str], ...] = ()
    """(from, to) of what comes from earlier stages."""
    single: dict[str, str] = field(default_factory=dict)
    """Instructions of which the last one counts, as written: USER, VOLUME, STOPSIGNAL, ..."""

    def command(self, instruction: str) -> list[str]:
        """The words of an exec form. ValueError for the shell form, which loses signals."""
        words: list[str] = json.loads(self.single[instruction])
        return words

    @property
    def health_check(self) -> tuple[list[str], dict[str, str]]:
        """The command, and Docker's options for it."""
        options, _, command = self.single["HEALTHCHECK"].partition("CMD ")
        return json.loads(command), dict(re.findall(r"--([\w-]+)=(\S+)", options))


def read_image() -> Image:
    arguments: dict[str, str] = {}
    sources: list[str] = []
    runs: list[str] = []
    stage = Image("")
    for instruction, rest in _instructions((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        match instruction:
            case "ARG":
                name, _, default = rest.partition("=")
                arguments[name] = default
            case "FROM":
                base = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], rest.split()[0])
                stage = Image(base)
            case "ENV":
                stage.environment.update(word.split("=", 1) for word in shlex.split(rest))
            case "COPY" if rest.startswith("--from="):
                _, here, there = rest.split()
                stage = replace(stage, brought=(*stage.brought, (here, there)))
            case "COPY":
                sources += rest.split()[:-1]
            case "RUN":
                runs.append(rest)
            case _:
                stage.single[instruction] = rest
    return replace(stage, sources=tuple(sources), runs=tuple(runs))


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, the rest on one line); comments may stand between continued lines, too."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        instruction, _, rest = line.partition(" ")
        yield instruction, rest.strip()


def compose_text() -> str:
    return (ROOT / "compose.yaml").read_text(encoding="utf-8")


def read_services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(compose_text())["services"]
    return services
