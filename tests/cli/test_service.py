"""`mcproxy service`: what it shows, writes, runs and removes. The managers' programs are played by
scripts on PATH; what they would read is judged by systemd-analyze and plistlib."""

import json
import os
import plistlib
import pty
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_proxy.cli.services.launchd import Launchd
from mcp_proxy.cli.services.plan import Kind, Plan, Service
from mcp_proxy.cli.services.systemd import Systemd
from mcp_proxy.cli.services.templates import MARK
from mcp_proxy.errors import UserError
from mcp_proxy.store.paths import Paths

MOST_EXPOSED = 2.0
"""On the scale of `systemd-analyze security`, which ends at 10."""

SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> "$CALLS"
case "$*" in
  *"--property=Version"*) echo "${SYSTEMD:-252.38-1}" ;;
  *"show mcproxy.service"*) printf "%b" "$SHOWN" ;;
  *"$REFUSED"*) [ -n "$REFUSED" ] && { echo "Job for mcproxy.service failed." >&2; exit 1; } ;;
esac
exit 0
"""
SYSTEMD_RUN = """#!/bin/sh
echo "systemd-run $*" >> "$CALLS"
exit "${SANDBOX:-0}"
"""
JOURNALCTL = """#!/bin/sh
echo "journalctl $*" >> "$CALLS"
case "$*" in
  *json*) printf '%s\\n' \
    '{"__REALTIME_TIMESTAMP":"1800000000123456","PRIORITY":"4","MESSAGE":"careful"}' \
    '{"__REALTIME_TIMESTAMP":"1800000001000000","MESSAGE":[104,255,105]}' ;;
  *) echo "a line of the journal" ;;
esac
"""
LAUNCHCTL = """#!/bin/sh
echo "launchctl $*" >> "$CALLS"
case "$*" in
  print*) [ -e "$LOADED" ] || exit 113
    printf '\\t%s\\n' 'state = running' 'pid = 77' 'last exit code = 78: EX_CONFIG' ;;
  bootstrap*) : > "$LOADED" ;;
  bootout*) rm "$LOADED" ;;
esac
"""

analyzed = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


@dataclass(slots=True)
class Machine:
    """Programs on a PATH of their own, and what they were called with."""

    programs: Path
    log: Path
    units: Path

    def has(self, **programs: str) -> None:
        for name, script in programs.items():
            file = self.programs / name.replace("_", "-")
            file.write_text(script)
            file.chmod(0o755)

    def calls(self) -> list[str]:
        """Since the last time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def commands(self) -> list[str]:
        """What the manager was told, without what it was asked."""
        return [line for line in self.calls() if " show " not in line]


@pytest.fixture
def machine(home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One with systemd."""
    programs = tmp_path / "programs"
    programs.mkdir()
    made = Machine(programs, tmp_path / "calls", home.root / ".config/systemd/user")
    made.has(systemctl=SYSTEMCTL, systemd_run=SYSTEMD_RUN, journalctl=JOURNALCTL)
    made.has(launchctl=LAUNCHCTL)
    monkeypatch.setenv("PATH", f"{programs}:/bin")
    if Path("/bin").resolve() != Path("/bin"):
        # Where /bin is /usr/bin, the real systemctl would be found behind ours.
        monkeypatch.setenv("PATH", str(programs))
        for name in ("rm", "tail"):
            (programs / name).symlink_to(shutil.which(name, path="/usr/bin:/bin") or "")
    monkeypatch.setenv("CALLS", str(made.log))
    monkeypatch.setenv("LOADED", str(tmp_path / "loaded"))
    for name in ("REFUSED", "SANDBOX", "SYSTEMD", "SHOWN"):
        monkeypatch.delenv(name, raising=False)
    return made


def tree(root: Path) -> set[Path]:
    return set(root.rglob("*"))


# ------------------------------------------------------------------------- before anything is done


def test_a_dry_run_shows_everything_and_needs_no_manager(cli, home, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    before = tree(home.root)
    ran = cli("service", "install", "--dry-run")
    assert ran.code == 0, ran.stderr
    assert tree(home.root) == before
    for expected in ("mcproxy.socket", "mcproxy.service", "Type=notify", "RestartPreventExit"):
        assert expected in ran.stdout
    assert "    ListenStream=127.0.0.1:8080" in ran.stdout.splitlines()
    assert "run systemctl --user enable mcproxy.socket mcproxy.service" in ran.stdout
    assert "is installed" not in ran.stdout


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_without_a_terminal_the_flag_is_named_and_nothing_done(cli, home, machine, verb):
    before = tree(home.root)
    ran = cli("service", verb)
    assert ran.code == 2
    assert "--yes" in ran.stderr
    assert tree(home.root) == before
    assert machine.calls() == []


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_on_a_terminal_it_asks_after_it_has_shown(cli, home, machine, answer, code):
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard:
        keyboard.write(f"{answer}\n".encode())
        done = subprocess.run(
            cli.command("service", "install"),
            stdin=theirs,
            capture_output=True,
            encoding="utf-8",
            cwd=home.root,
            timeout=30,
            check=False,
        )
        os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "Write these files and start the service?" in done.stderr
    assert "ExecStart=" in done.stdout
    assert (machine.units / "mcproxy.service").exists() == (answer == "y")
    assert bool(machine.commands()[1:]) == (answer == "y")


def test_where_there_is_no_systemd_it_says_so(cli, home, machine):
    (machine.programs / "systemctl").unlink()
    ran = cli("service", "install", "--yes")
    assert ran.code == 1
    assert "systemctl" in ran.stderr
    assert "mcproxy serve" in ran.stderr
    assert not machine.units.exists()


def test_a_manager_that_cannot_be_reached_is_told_of_before_anything_is_written(cli, home, machine):
    machine.has(systemctl='#!/bin/sh\necho "Failed to connect to bus" >&2; exit 1\n')
    ran = cli("service", "install", "--yes")
    assert ran.code == 1
    assert "Failed to connect to bus" in ran.stderr
    assert not machine.units.exists()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("[server]\nport = 0\n", "port"),
        ('[server]\nhost = "0.0.0.0"\n', "without a key"),
        ("[limits]\nsoft_limit = 7\n", "soft_limit"),
    ],
)
def test_what_could_not_serve_is_not_installed(cli, home, machine, config, says):
    home.configure(config)
    ran = cli("service", "install", "--yes")
    assert ran.code == 78
    assert says in ran.stderr
    assert not machine.units.exists()


# ----------------------------------------------------------------------------- installing, systemd


def test_install_writes_the_units_then_starts_them(cli, home, machine):
    ran = cli("service", "install", "--yes")
    assert ran.code == 0, ran.stderr
    assert "is installed and runs" in ran.stdout
    user = "systemctl --user"
    assert [line for line in machine.commands() if line.startswith(user)] == [
        f"{user} daemon-reload",
        f"{user} reset-failed mcproxy.*",
        f"{user} enable mcproxy.socket mcproxy.service",
        f"{user} start mcproxy.socket mcproxy.service",
    ]
    for unit in ("mcproxy.socket", "mcproxy.service", "mcproxy.service.d/sandbox.conf"):
        file = machine.units / unit
        assert MARK in file.read_text().splitlines()[0]
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert stat.S_IMODE(home.paths.state.stat().st_mode) == 0o700, "made, since the unit may not"


def test_the_unit_starts_this_very_mcproxy_on_these_very_files(cli, home, machine):
    other = home.root / "my accounts.toml"
    ran = cli("service", "install", "--yes", env={"ACCOUNTS_CONFIG_PATH": str(other)})
    assert ran.code == 0, ran.stderr
    unit = (machine.units / "mcproxy.service").read_text()
    python = cli.command()[0]
    assert f"ExecStart={python} -P -m mcp_proxy serve\n" in unit
    assert f'Environment="ACCOUNTS_CONFIG_PATH={other}"' in unit
    assert f"Environment=MCPROXY_STATE_DIR={home.paths.state}" in unit


def test_again_changes_nothing_and_stops_nothing(cli, home, machine):
    cli("service", "install", "--yes")
    before = {file: file.stat().st_mtime_ns for file in machine.units.rglob("*")}
    machine.calls()
    ran = cli("service", "install", "--yes", "--json")
    assert {row["change"] for row in json.loads(ran.stdout)["files"]} == {"keep"}
    assert {file: file.stat().st_mtime_ns for file in machine.units.rglob("*")} == before
    assert not [line for line in machine.commands() if " stop " in line or "reload" in line]


def test_another_port_is_taken_over_by_a_restart(cli, home, machine):
    cli("service", "install", "--yes")
    machine.calls()
    home.configure("[server]\nport = 9123\n")
    ran = cli("service", "install", "--yes")
    assert ran.code == 0, ran.stderr
    assert "ListenStream=127.0.0.1:9123" in (machine.units / "mcproxy.socket").read_text()
    told = [line for line in machine.commands() if line.startswith("systemctl")]
    assert told[0] == "systemctl --user stop mcproxy.service mcproxy.socket"
    assert told[-1] == "systemctl --user start mcproxy.socket mcproxy.service"


@pytest.mark.parametrize(
    ("host", "listens"),
    [
        ("localhost", "ListenStream=127.0.0.1:8080"),
        ("192.0.2.7", "ListenStream=192.0.2.7:8080"),
        ("::1", "ListenStream=[::1]:8080"),
    ],
)
def test_the_socket_has_the_configured_address(cli, home, machine, host, listens):
    home.configure(f'[server]\nhost = "{host}"\napi_keys = ["k-3f9a7c21d5e84b60"]\n')
    ran = cli("service", "install", "--dry-run", "--json")
    assert ran.code == 0, ran.stderr
    socket_unit = json.loads(ran.stdout)["files"][0]["content"]
    assert listens in socket_unit.splitlines()


def test_hardening_that_this_system_refuses_is_left_out_with_a_note(cli, home, machine):
    ran = cli("service", "install", "--yes", env={"SANDBOX": "226"})
    assert ran.code == 0, ran.stderr
    assert "user namespaces" in ran.stdout
    assert "226" in ran.stdout
    assert not (machine.units / "mcproxy.service.d").exists()
    tried = next(line for line in machine.calls() if line.startswith("systemd-run"))
    assert "--property=ProtectSystem=strict" in tried
    assert "mcp_proxy --version" in tried


def test_hardening_that_is_refused_from_now_on_is_taken_back(cli, home, machine):
    cli("service", "install", "--yes")
    ran = cli("service", "install", "--yes", env={"SANDBOX": "226"})
    assert ran.code == 0, ran.stderr
    assert not (machine.units / "mcproxy.service.d").exists()


@pytest.mark.parametrize(
    ("version", "drop_ins"),
    [
        ("252.38-1~deb12u1", {"sandbox.conf"}),
        ("253", {"sandbox.conf", "reload.conf"}),
        ("257.2-1", {"sandbox.conf", "reload.conf", "patience.conf"}),
    ],
)
def test_a_newer_systemd_gets_what_only_it_understands(cli, home, machine, version, drop_ins):
    cli("service", "install", "--yes", env={"SYSTEMD": version})
    written = {file.name for file in (machine.units / "mcproxy.service.d").iterdir()}
    assert written == drop_ins


def test_a_failure_of_the_manager_is_told_in_its_words(cli, home, machine):
    ran = cli("service", "install", "--yes", env={"REFUSED": " start "})
    assert ran.code == 1
    assert "Job for mcproxy.service failed." in ran.stderr
    assert "is installed and runs" not in ran.stdout


def test_no_secret_of_the_shell_gets_into_a_file_and_its_loss_is_told(cli, home, machine):
    secret = "k-4c1f9a7d2e60b835"
    ran = cli(
        "service",
        "install",
        "--yes",
        env={"PROXY_API_KEY": secret, "OPENAI_API_KEY": secret, "PORT": "9999"},
    )
    assert ran.code == 0, ran.stderr
    written = "".join(file.read_text() for file in machine.units.rglob("*") if file.is_file())
    assert secret not in written + ran.stdout + ran.stderr
    assert "9999" not in written
    note = next(line for line in ran.stdout.splitlines() if "not passed on" in line)
    assert all(name in note for name in ("PROXY_API_KEY", "OPENAI_API_KEY", "PORT"))


# ------------------------------------------------------------------------- what is not ours


@pytest.mark.parametrize("is_link", [True, False])
def test_somebody_elses_unit_is_neither_replaced_nor_removed(cli, home, machine, is_link):
    machine.units.mkdir(parents=True)
    unit = machine.units / "mcproxy.service"
    if is_link:
        (home.root / "theirs").write_text(f"# {MARK}\n")
        unit.symlink_to(home.root / "theirs")
    else:
        unit.write_text("[Service]\nExecStart=/usr/bin/true\n")
    before = unit.read_text()
    ran = cli("service", "install", "--yes")
    assert ran.code == 1
    assert str(unit) in ran.stderr
    ran = cli("service", "uninstall", "--yes")
    assert ran.code == 0
    assert "not written by mcproxy" in ran.stdout
    assert "removed" not in ran.stdout
    assert unit.read_text() == before
    assert machine.commands() == [], "nor is it stopped"


def test_uninstall_removes_what_install_wrote_and_nothing_else(cli, home, machine):
    machine.units.mkdir(parents=True)
    before = tree(home.root)
    cli("service", "install", "--yes")
    own = machine.units / "mcproxy.service.d" / "override.conf"
    own.write_text("[Service]\nNice=5\n")
    machine.calls()
    ran = cli("service", "uninstall", "--yes")
    assert ran.code == 0, ran.stderr
    assert machine.commands() == [
        "systemctl --user disable --now mcproxy.socket mcproxy.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed mcproxy.*",
    ]
    assert own.exists()
    own.unlink()
    own.parent.rmdir()
    kept = {home.paths.state, *home.paths.state.parents, home.paths.config.parent}
    assert tree(home.root) - kept == before - kept


def test_uninstall_twice_is_no_error(cli, home, machine):
    cli("service", "install", "--yes")
    cli("service", "uninstall", "--yes")
    machine.calls()
    ran = cli("service", "uninstall", "--yes")
    assert ran.code == 0
    assert "No service of mcproxy is installed." in ran.stdout
    assert machine.calls() == []


def test_a_dry_uninstall_removes_nothing(cli, home, machine):
    cli("service", "install", "--yes")
    before = tree(home.root)
    machine.calls()
    ran = cli("service", "uninstall", "--dry-run")
    assert ran.code == 0
    assert f"remove {machine.units / 'mcproxy.service'}" in ran.stdout
    assert tree(home.root) == before
    assert machine.calls() == []


# ------------------------------------------------------------------------------ status and logs

RUNNING = (
    "LoadState=loaded\\nActiveState=active\\nUnitFileState=enabled\\nMainPID=4711\\n"
    "StatusText=serving at http://127.0.0.1:8080 (2 accounts)\\nNRestarts=1\\n"
    "ActiveEnterTimestamp=@1800000000\\nExecMainStatus=0\\n"
)
FAILED = (
    "LoadState=loaded\\nActiveState=failed\\nUnitFileState=enabled\\nMainPID=0\\n"
    "StatusText=\\nNRestarts=0\\nActiveEnterTimestamp=\\nExecMainStatus=78\\n"
)
ABSENT = "LoadState=not-found\\nActiveState=inactive\\nUnitFileState=\\nMainPID=0\\n"


def test_status_says_what_the_manager_knows(cli, home, machine):
    cli("service", "install", "--yes")
    ran = cli("service", "status", "--json", env={"SHOWN": RUNNING})
    assert ran.code == 0
    status = json.loads(ran.stdout)
    assert status["schema"] == "mcproxy.service-status/1"
    assert (status["state"], status["runs"], status["enabled"]) == ("active", True, True)
    assert (status["pid"], status["restarts"], status["last_exit"]) == (4711, 1, None)
    assert status["since"] == "2027-01-15T08:00:00Z"
    assert status["says"] == "serving at http://127.0.0.1:8080 (2 accounts)"
    assert status["problems"] == []
    assert "4711" in cli("service", "status", env={"SHOWN": RUNNING}).stdout


def test_a_service_that_failed_is_exit_1_with_the_next_command(cli, home, machine):
    cli("service", "install", "--yes")
    ran = cli("service", "status", env={"SHOWN": FAILED})
    assert ran.code == 1
    assert "78" in ran.stdout
    for command in ("config validate", "service install", "service logs"):
        assert f"Run: mcproxy {command}" in ran.stdout


@pytest.mark.parametrize(
    ("shown", "level", "said", "mend"),
    [
        (RUNNING, "ok", "the service is active", None),
        (RUNNING.replace("=enabled", "=disabled"), "warning", "start with the machine", "install"),
        (FAILED, "warning", "its settings have to be mended", "config validate"),
    ],
)
def test_the_doctor_says_the_same(cli, home, machine, shown, level, said, mend):
    cli("service", "install", "--yes")
    ran = cli("doctor", "--json", env={"SHOWN": shown})
    rows = [row for row in json.loads(ran.stdout)["findings"] if row["theme"] == "service"]
    (row,) = [row for row in rows if said in row["what"]]
    assert row["level"] == level
    assert (row["mend"] or "").endswith(mend or "")


def test_no_service_is_exit_1_with_the_next_command(cli, home, machine):
    ran = cli("service", "status", env={"SHOWN": ABSENT})
    assert ran.code == 1
    assert "not installed" in ran.stdout
    assert "mcproxy service install" in ran.stdout


def test_status_needs_no_manager(cli, home, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    ran = cli("service", "status", "--json")
    assert ran.code == 1
    status = json.loads(ran.stdout)
    assert status["state"] == "unknown"
    assert "systemctl" in status["problem"]


def test_a_program_that_is_gone_is_noticed(cli, home, machine):
    cli("service", "install", "--yes")
    unit = machine.units / "mcproxy.service"
    unit.write_text(
        re.sub("ExecStart=.*", 'ExecStart="/gone/my 50%%/mcproxy" serve', unit.read_text())
    )
    ran = cli("service", "status", "--json", env={"SHOWN": RUNNING})
    (problem,) = json.loads(ran.stdout)["problems"]
    assert "/gone/my 50%/mcproxy" in problem["problem"]
    assert problem["mend"] == "mcproxy service install"


def test_logs_are_the_journals(cli, home, machine):
    ran = cli("service", "logs", "-n", "7", "--follow")
    assert ran.code == 0
    assert ran.stdout == "a line of the journal\n"
    assert machine.calls() == ["journalctl --user-unit=mcproxy.service --lines=7 --follow"]


def test_logs_as_json_are_one_document(cli, home, machine):
    ran = cli("service", "logs", "--system", "--json")
    assert json.loads(ran.stdout) == {
        "schema": "mcproxy.service-logs/1",
        "lines": [
            {"time": "2027-01-15T08:00:00Z", "priority": 4, "message": "careful"},
            {"time": "2027-01-15T08:00:01Z", "priority": 6, "message": "h\ufffdi"},
        ],
    }
    assert "--unit=mcproxy.service" in machine.calls()[0]
    assert cli("service", "logs", "--json", "--follow").code == 2


# ----------------------------------------------------------- what systemd makes of the units


def rendered(into: Path, plan: Plan) -> list[Path]:
    """The plan's files, written where systemd-analyze can look at them."""
    for change in plan.changes:
        file = into / change.path.relative_to(change.path.parents[-2])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(change.content or "")
    return [file for file in into.rglob("mcproxy.s*") if file.is_file()]


def a_service(command: Path, tmp_path: Path) -> Service:
    paths = Paths(tmp_path / "a b" / "accounts.toml", tmp_path / "50%.toml", tmp_path / '"q"')
    return Service((str(command),), paths, ("127.0.0.1:8080", "[::1]:8080"))


def units_of(tmp_path: Path, *, system: bool, command: Path) -> list[Path]:
    directory = Path("/run/units") if system else Path("/run/user-units")
    manager = Systemd(Paths(*[tmp_path] * 3), directory=directory, system=system)
    return rendered(tmp_path, manager.install(a_service(command, tmp_path), dry_run=True))


@pytest.fixture
def strange_command(tmp_path: Path) -> Path:
    """A program whose path needs quoting."""
    command = tmp_path / "my $HOME, 50%" / "mcproxy"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    return command


@analyzed
@pytest.mark.parametrize("system", [True, False], ids=["system", "user"])
def test_systemd_finds_no_fault_with_the_units(tmp_path, strange_command, system):
    units = units_of(tmp_path, system=system, command=strange_command)
    (tmp_path / "runtime").mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(() if system else ("--user",)), *units],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "runtime")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "mcproxy" in line or str(tmp_path) in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


def exposure(unit: Path) -> float:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


@analyzed
def test_the_system_service_is_hardly_exposed(tmp_path):
    units = units_of(tmp_path, system=True, command=Path("/bin/true"))
    (unit,) = (unit for unit in units if unit.suffix == ".service")
    assert exposure(unit) <= MOST_EXPOSED


@analyzed
def test_the_sandbox_is_what_protects_the_users_service(tmp_path):
    units = units_of(tmp_path, system=False, command=Path("/bin/true"))
    (unit,) = (unit for unit in units if unit.suffix == ".service")
    (sandbox,) = tmp_path.rglob("sandbox.conf")
    protected = exposure(unit)
    sandbox.unlink()
    assert protected <= MOST_EXPOSED < exposure(unit)


def test_only_what_a_restart_mends_is_restarted(tmp_path):
    for system in (True, False):
        units = units_of(tmp_path, system=system, command=Path("/bin/true"))
        text = next(unit for unit in units if unit.suffix == ".service").read_text()
        assert "\nRestart=on-failure\n" in text
        assert "\nRestartPreventExitStatus=2 78\n" in text, "exit codes that a mended file ends"


def test_the_system_service_is_shown_without_being_root(cli, home):
    ran = cli("service", "install", "--system", "--dry-run", "--json")
    assert ran.code == 0, ran.stderr
    plan = json.loads(ran.stdout)
    assert (plan["scope"], plan["done"]) == ("system", False)
    paths = [Path(row["path"]) for row in plan["files"]]
    assert {path.parent for path in paths} == {Path("/etc/systemd/system")}
    assert any("DynamicUser=yes" in row["content"] for row in plan["files"])
    assert any("systemd-run" in note and "accounts add" in note for note in plan["notes"])


def test_the_system_service_is_not_installed_from_a_place_it_cannot_see(tmp_path, machine):
    manager = Systemd(Paths(*[tmp_path] * 3), directory=tmp_path / "units", system=True)
    with pytest.raises(UserError, match="cannot see /home/ada/bin/mcproxy"):
        manager.install(a_service(Path("/home/ada/bin/mcproxy"), tmp_path), dry_run=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may install the system's service")
def test_the_system_service_is_roots_to_install(cli, home, machine):
    ran = cli("service", "install", "--system", "--yes")
    assert ran.code == 1
    assert "sudo" in ran.stderr


@pytest.mark.parametrize("name", ["two\nlines", 'a "quote"', "it's", "back\\slash"])
def test_a_path_that_no_unit_can_have_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="characters"):
        units_of(tmp_path, system=False, command=Path(f"/opt/{name}/mcproxy"))


# -------------------------------------------------------------------------------------- launchd


@pytest.fixture
def mac(tmp_path: Path, machine: Machine) -> Launchd:
    return Launchd(Paths(*[tmp_path] * 3), home=tmp_path / "Users" / "ada & co", uid=501)


def test_the_agent_is_what_launchd_reads(mac, tmp_path):
    service = a_service(Path("/opt/R&D/<bin>/mcproxy"), tmp_path)
    (change,) = mac.install(service, dry_run=True).changes
    assert change.path == tmp_path / "Users/ada & co/Library/LaunchAgents/local.mcproxy.plist"
    assert change.content is not None
    agent = plistlib.loads(change.content.encode())
    assert agent == {
        "Label": "local.mcproxy",
        "ProgramArguments": ["/opt/R&D/<bin>/mcproxy", "serve"],
        "EnvironmentVariables": {
            "PATH": agent["EnvironmentVariables"]["PATH"],
            **service.variables,
        },
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ProcessType": "Background",
        "Umask": 0o077,
        "StandardErrorPath": str(tmp_path / "Users/ada & co/Library/Logs/mcproxy/mcproxy.log"),
        "ExitTimeOut": 40,
    }
    assert "/usr/bin" in agent["EnvironmentVariables"]["PATH"].split(":")


def test_the_agent_is_loaded_replaced_and_unloaded(mac, machine, tmp_path):
    target, agent = "gui/501/local.mcproxy", mac.places()[0]
    mac.install(a_service(Path("/opt/mcproxy"), tmp_path), dry_run=False).carry_out()
    told = [f"launchctl enable {target}", f"launchctl bootstrap gui/501 {agent}"]
    assert machine.calls()[1:] == told
    assert mac.program() == Path("/opt/mcproxy")

    mac.install(a_service(Path("/opt/mcproxy"), tmp_path), dry_run=False).carry_out()
    assert machine.calls()[1:] == told[:1], "as it is, it need not be loaded anew"

    mac.install(a_service(Path("/opt/newer/mcproxy"), tmp_path), dry_run=False).carry_out()
    assert machine.calls()[1:] == [f"launchctl bootout {target}", *told]

    status = mac.status()
    assert (status.state, status.runs, status.pid, status.last_exit) == ("running", True, 77, 78)

    machine.calls()
    mac.uninstall().carry_out()
    assert machine.calls()[1:] == [f"launchctl bootout {target}"]
    assert not agent.exists()
    assert mac.status().state == "not installed"
    assert mac.uninstall().changes == ()


def test_somebody_elses_agent_is_left(mac, machine, tmp_path):
    agent = mac.places()[0]
    agent.parent.mkdir(parents=True)
    agent.write_bytes(plistlib.dumps({"Label": "local.mcproxy"}))
    with pytest.raises(UserError, match="was not written by mcproxy"):
        mac.install(a_service(Path("/opt/mcproxy"), tmp_path), dry_run=False)
    plan = mac.uninstall()
    assert [change.kind for change in plan.changes] == [Kind.LEAVE]
    assert plan.before == ()


def test_the_agents_log_is_a_file(mac, machine, tmp_path):
    mac.install(a_service(Path("/opt/mcproxy"), tmp_path), dry_run=False).carry_out()
    log = Path(mac.log_command(3, follow=False)[-1])
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    log.write_text("one\ntwo\nthree\nfour\n")
    assert [each["message"] for each in mac.log_records(3)] == ["two", "three", "four"]
    assert mac.log_command(3, follow=True)[:4] == ("tail", "-n", "3", "-F")
