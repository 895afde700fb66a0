"""What a service manager hears of several workers, and what its journal reads of a level."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_proxy.cli.chorus import Chorus
from mcp_proxy.cli.journal import priority
from mcp_proxy.server.notify import Notifier

BOTH = frozenset({0, 1})


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """The manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def chorus(ear: socket.socket) -> Iterator[Chorus]:
    with Chorus(Notifier(ear.getsockname()), 2) as made:
        yield made


def worker(chorus: Chorus, number: int) -> Notifier:
    return Notifier.of_process(chorus.variables(number), pid=1)


def heard(ear: socket.socket) -> list[str]:
    """First lines of what has come."""
    lines = []
    while True:
        try:
            lines.append(ear.recv(4096).decode().partition("\n")[0])
        except BlockingIOError:
            return lines


def test_what_one_worker_says_is_not_yet_so(chorus, ear):
    worker(chorus, 0).ready("serving")
    worker(chorus, 0).ready("serving")
    chorus.listen(0.01, BOTH)
    assert heard(ear) == []


def test_what_all_have_said_is_passed_on_once_and_in_order(chorus, ear):
    for number in (1, 0):
        worker(chorus, number).reloading()
        worker(chorus, number).ready("serving")
    chorus.listen(0.01, BOTH)
    assert heard(ear) == ["RELOADING=1", "READY=1"]
    worker(chorus, 0).ready("serving")
    chorus.listen(0.01, BOTH)
    assert heard(ear) == [], "the next time begins anew"


def test_nobody_waits_for_a_worker_that_has_ended(chorus, ear):
    worker(chorus, 1).stopping("ending", within=1.0)
    chorus.listen(0.01, frozenset({1}))
    assert heard(ear) == ["STOPPING=1"]


def test_without_a_manager_workers_are_told_of_none() -> None:
    with Chorus(Notifier(), 2) as chorus:
        assert chorus.variables(1) == {}


def test_a_worker_speaks_in_a_place_that_others_cannot_write_to(chorus):
    place = Path(chorus.variables(0)["NOTIFY_SOCKET"]).parent
    assert place.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("level", "begins"),
    [
        (logging.CRITICAL, "<2>"),
        (logging.ERROR, "<3>"),
        (logging.WARNING, "<4>"),
        (logging.INFO, "<6>"),
        (logging.DEBUG, "<7>"),
        (1, "<7>"),
    ],
)
def test_every_level_has_its_priority(level, begins):
    assert priority(level) == begins
