"""Dockerfile and compose.yaml against the code, and the command line of the image as it would run.

No Docker engine is needed: the files are read, and the command is started with the environment, the
user and the rights that the image gives it.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from container_files import ROOT, compose_text, read_image, read_services
from harness import Home, Ran

from mcp_proxy.cli import mcproxy
from mcp_proxy.cli.running_server import CONNECT_WITHIN, HEALTH_WITHIN
from mcp_proxy.loopback import is_loopback
from mcp_proxy.signin import codex, loopback
from mcp_proxy.store.paths import find_paths
from mcp_proxy.store.secret_files import SECRETS, SUFFIX
from mcp_proxy.store.settings import SETTINGS, ServerSettings

IMAGE = read_image()
SERVICES = read_services()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VOLUME = IMAGE.single["VOLUME"]
USER = IMAGE.single["USER"]
ENTRYPOINT = IMAGE.command("ENTRYPOINT")
SERVE = IMAGE.command("CMD")
HEALTH, HEALTH_OPTIONS = IMAGE.health_check
KEY = "the-key-of-the-container-1"


def parsed(words: Sequence[str]) -> tuple[click.Command, click.Context]:
    """The command and its options. click's UsageError when there is none like it."""
    program, verb, *rest = words
    assert [program] == ENTRYPOINT
    assert program in PROJECT["scripts"]
    context = mcproxy.make_context(program, [verb, *rest])
    command = mcproxy.get_command(context, verb)
    rest = context.args  # without the global options, which may stand anywhere
    if isinstance(command, click.Group):
        command = command.get_command(context, rest.pop(0))
    assert command is not None
    return command, command.make_context(command.name, rest, parent=context)


# --------------------------------------------------------------------------------- Dockerfile


def test_what_is_copied_is_there() -> None:
    assert {"pyproject.toml", "mcp_proxy"} <= set(IMAGE.sources)
    assert [each for each in IMAGE.sources if not (ROOT / each).exists()] == []


def test_the_python_of_the_image_is_one_that_is_supported() -> None:
    name, _, version = IMAGE.base.partition(":")
    assert name == "python"
    minor = re.match(r"\d+\.\d+", version)
    assert minor is not None
    assert f"Programming Language :: Python :: {minor[0]}" in PROJECT["classifiers"]
    assert "slim" in version


def test_what_was_built_is_brought_and_found() -> None:
    ((built, installed),) = IMAGE.brought
    # The scripts of an environment name its interpreter by path: it must not move.
    assert built == installed
    assert any(f"venv --without-pip {built}" in run for run in IMAGE.runs)
    assert IMAGE.environment["PATH"] == f"{installed}/bin:$PATH"


def test_everything_that_is_kept_is_on_the_volume() -> None:
    paths = find_paths(IMAGE.environment)
    places = {paths.accounts, paths.config, paths.state}
    assert len(places) == 3
    assert {place.parent for place in places} == {Path(VOLUME)}
    assert IMAGE.single["WORKDIR"] == VOLUME


def test_the_user_has_no_rights_and_owns_the_volume_alone() -> None:
    uid, _, gid = USER.partition(":")
    assert int(uid) > 0
    set_up = " ".join(IMAGE.runs)
    assert f"--uid {uid} --gid {gid} --home-dir {VOLUME} " in set_up
    assert f"--owner={uid} --group={gid} --mode=0700 {VOLUME}" in set_up


def test_it_serves_beyond_loopback_on_the_port_that_is_exposed() -> None:
    command, context = parsed([*ENTRYPOINT, *SERVE])
    assert command.name == "serve"
    assert not is_loopback(context.params["host"])
    assert context.params["port"] is None
    assert int(IMAGE.single["EXPOSE"]) == ServerSettings().port


def test_docker_waits_for_the_health_check_until_it_has_given_up_itself() -> None:
    command, _ = parsed(HEALTH)
    assert command.name == "health"
    assert seconds(HEALTH_OPTIONS["timeout"]) > CONNECT_WITHIN + HEALTH_WITHIN


def seconds(span: str) -> int:
    return int(span.removesuffix("s"))


# ------------------------------------------------------------------------------- compose.yaml


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_service_is_confined(service: Mapping[str, object]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["volumes"] == [f"data:{VOLUME}"]


KNOWN_VARIABLES = {
    *(row.env for row in SETTINGS if row.env),
    *(name + suffix for name in SECRETS for suffix in ("", SUFFIX)),
    "GOOGLE_CLIENT_ID",
}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_the_key_is_required_and_every_variable_is_known(
    service: Mapping[str, Mapping[str, str | None]],
) -> None:
    environment = service["environment"]
    assert str(environment["PROXY_API_KEY"]).startswith("${PROXY_API_KEY:?")
    assert environment.keys() <= KNOWN_VARIABLES


def test_every_variable_of_a_comment_is_known() -> None:
    named = re.findall(r"^ *# ([A-Z_]+): ", compose_text(), re.MULTILINE)
    assert named == ["PROXY_API_KEY_FILE", "GOOGLE_CLIENT_SECRET_FILE"]
    assert set(named) <= KNOWN_VARIABLES


def test_the_port_is_open_to_this_machine_alone() -> None:
    exposed = IMAGE.single["EXPOSE"]
    assert SERVICES["mcproxy"]["ports"] == [f"127.0.0.1:{exposed}:{exposed}"]
    assert all("ports" not in each for name, each in SERVICES.items() if name != "mcproxy")


def test_streams_may_end_before_docker_kills() -> None:
    assert seconds(SERVICES["mcproxy"]["stop_grace_period"]) > ServerSettings().drain


def test_the_ports_of_signing_in_are_those_of_the_code() -> None:
    ports = dict(re.findall(r"(\d{4,5}) \((\w+)\)", compose_text()))
    assert ports == {str(loopback.FIRST_PORT): "Google", str(codex.CALLBACK_PORTS[0]): "Codex"}
    (tunnel,) = re.findall(r"ssh -L (\d+):127\.0\.0\.1:(\d+) ", compose_text())
    assert tunnel == (str(loopback.FIRST_PORT),) * 2


def test_signing_in_comes_back_to_the_machine_itself() -> None:
    service = SERVICES["sign-in"]
    assert service["network_mode"] == "host"
    assert service["profiles"] == ["sign-in"], "`up` does not start it"


README = (ROOT / "README.md").read_text(encoding="utf-8")
COMPOSE_COMMANDS = [
    *re.findall(r"^#   docker compose (run|exec) (.+)$", compose_text(), re.MULTILINE),
    *re.findall(r"`docker compose (run|exec) ([^`]+)`", README),
]


@pytest.mark.parametrize(("how", "rest"), COMPOSE_COMMANDS)
def test_a_command_for_compose_exists(how: str, rest: str) -> None:
    words = shlex.split(rest)
    if how == "run":
        assert words[:2] == ["--rm", "sign-in"]
        words = [*SERVICES["sign-in"]["entrypoint"], *words[2:]]
    else:
        assert words.pop(0) == "mcproxy"
    command, context = parsed(words)
    assert command.name == "add"
    assert context.params["no_browser"] is (how == "exec")


# ----------------------------------------------------------------------------- the image's run


UID, _, GID = USER.partition(":")
UNPRIVILEGED = (
    *("setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups"),
    *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
)
READ_ONLY_ROOT = (
    *("unshare", "--mount", "sh", "-c"),
    'mount --bind "$PWD" "$PWD" && mount -o remount,bind,ro / && cd "$PWD" && exec "$0" "$@"',
)
"""All but the working directory."""


@dataclass(frozen=True, slots=True)
class Container:
    """The image's environment and user on this machine, with another directory as its volume."""

    data: Path
    confined: tuple[str, ...]
    """A command that takes rights away and then becomes its arguments."""
    port: int

    @property
    def environment(self) -> dict[str, str]:
        there = {
            name: value.replace(VOLUME, str(self.data), 1)
            for name, value in IMAGE.environment.items()
        }
        scripts = Path(sys.executable).parent
        path = f"{scripts}:{os.defpath}"
        return {**there, "PATH": path, "HOME": str(self.data), "PORT": str(self.port)}

    def start(self, words: Sequence[str], **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.confined, *words],
            cwd=self.data,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, words: Sequence[str], **variables: str) -> Ran:
        process = self.start(words, **variables)
        stdout, stderr = process.communicate(timeout=30)
        return Ran(process.returncode, stdout, stderr)

    @contextmanager
    def serving(self, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """What the image runs, once it is ready; with a key unless other variables are given."""
        with self.start([*ENTRYPOINT, *SERVE], **variables or {"PROXY_API_KEY": KEY}) as process:
            assert process.stderr is not None
            said = []
            try:
                for line in process.stderr:
                    said.append(line)
                    if "ready at http://" in line:
                        break
                else:
                    pytest.fail(f"it ended with {process.wait()} instead of serving: {said}")
                yield process
            finally:
                process.kill()


@pytest.fixture(
    params=[UNPRIVILEGED, (*READ_ONLY_ROOT, *UNPRIVILEGED)],
    ids=["unprivileged", "read-only-root"],
)
def container(request: pytest.FixtureRequest, home: Home, unused_port: int) -> Iterator[Container]:
    """A new volume, and the rights that compose.yaml leaves. Skipped where they cannot be set."""
    # Not below pytest's own directory, which is closed to other users.
    with tempfile.TemporaryDirectory() as outside:
        Path(outside).chmod(0o755)
        data = Path(outside) / "data"
        data.mkdir(0o700)
        container = Container(data, request.param, unused_port)
        try:
            os.chown(data, int(UID), int(GID))
            tried = container.run([sys.executable, "-c", "import mcp_proxy"])
        except OSError as cause:
            pytest.skip(f"the rights of a container cannot be set here: {cause}")
        if tried.code != 0:
            pytest.skip(f"the rights of a container cannot be set here: {tried.stderr.strip()}")
        yield container


def test_without_a_key_it_does_not_start(container: Container) -> None:
    ran = container.run([*ENTRYPOINT, *SERVE])
    assert ran.code == 78
    assert "PROXY_API_KEY" in ran.stderr
    assert list(container.data.iterdir()) == []


def test_with_a_key_it_serves_and_is_healthy_until_it_is_stopped(container: Container) -> None:
    with container.serving() as process:
        healthy = container.run(HEALTH, PROXY_API_KEY=KEY)
        assert (healthy.code, healthy.stdout, healthy.stderr) == (0, "", "")
        process.send_signal(signal.Signals[IMAGE.single["STOPSIGNAL"]])
        assert process.wait(timeout=10) == 0
    assert container.run(HEALTH, PROXY_API_KEY=KEY).code == 1


def test_a_key_from_a_mounted_secret_will_do(container: Container) -> None:
    secret = container.data.parent / "secret"
    secret.write_text(f"{KEY}\n")
    with container.serving(PROXY_API_KEY_FILE=str(secret)):
        assert container.run(HEALTH, PROXY_API_KEY_FILE=str(secret)).code == 0


def test_what_it_keeps_is_on_the_volume_and_its_users_alone(container: Container) -> None:
    place = ["--base-url", "http://127.0.0.1:9", "--api-key", "k-e-y"]  # nobody answers there
    container.run(
        [*ENTRYPOINT, "accounts", "add", "--provider", "openai-compatible", "--id", "here", *place]
    )
    with container.serving() as process:
        process.terminate()
        process.wait(timeout=10)
    kept = {each.name: each.stat() for each in container.data.iterdir()}
    assert {"accounts.toml", "state"} <= kept.keys()
    assert {facts.st_uid for facts in kept.values()} == {int(UID)}
    assert not any(facts.st_mode & 0o077 for facts in kept.values())
    listed = json.loads(container.run([*ENTRYPOINT, "accounts", "list", "--json"]).stdout)
    assert [row["id"] for row in listed["accounts"]] == ["here"]
