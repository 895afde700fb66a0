"""State: seen at once, on the disk soon, whatever happens to process, disk or file."""

import logging
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_proxy.store.database import TABLES, connect
from mcp_proxy.store.state import StateReader, StateStore


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


def names(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


def test_a_value_is_seen_before_it_is_on_the_disk(directory: Path) -> None:
    with StateStore.open(directory) as state:
        state.put("marks", "a", {"n": 1})
        state.put("marks", "a", {"n": 2})
        assert state.get("marks", "a") == {"n": 2}
        assert state.items("marks") == {"a": {"n": 2}}
        assert state.flush()
        assert state.get("marks", "a") == StateReader(directory).get("marks", "a") == {"n": 2}


def test_a_value_is_on_the_disk_within_two_seconds_unasked(directory: Path) -> None:
    with StateStore.open(directory) as state:
        state.put("standings", "a|m", {"n": 1})
        reader, until = StateReader(directory), time.monotonic() + 2.0
        while reader.get("standings", "a|m") is None:
            assert time.monotonic() < until
            threading.Event().wait(0.02)


def test_everything_is_there_after_a_restart(directory: Path) -> None:
    with StateStore.open(directory) as state:
        for table in TABLES:
            state.put(table, "kept", {"table": table})
            state.put(table, "gone", {})
            state.delete(table, "gone")
    with StateStore.open(directory) as state:
        assert {table: state.items(table) for table in TABLES} == {
            table: {"kept": {"table": table}} for table in TABLES
        }
        assert state.get("seals", "kept") == {"table": "seals"}
        assert state.get("seals", "gone") is None


def test_a_deleted_key_is_gone_at_once_and_on_the_disk(directory: Path) -> None:
    with StateStore.open(directory) as state:
        state.put("seals", "a", {})
        state.flush()
        state.delete("seals", "a")
        assert state.get("seals", "a") is None
        assert state.items("seals") == {}
        state.flush()
        assert StateReader(directory).items("seals") == {}


def test_keys_come_in_the_order_in_which_they_were_put(directory: Path) -> None:
    with StateStore.open(directory) as state:
        for key in ("b", "c", "a", "d"):
            state.put("decisions", key, {})
        state.delete("decisions", "c")
        assert state.keys("decisions") == ["b", "a", "d"]
        state.flush()
        assert state.keys("decisions") == ["b", "a", "d"]
        state.put("decisions", "b", {"again": True})
        assert state.keys("decisions") == ["a", "d", "b"]
        state.flush()
    with StateStore.open(directory) as state:
        state.put("decisions", "c", {})
        assert state.keys("decisions") == ["a", "d", "b", "c"]
        state.delete("decisions", "d")
        assert state.keys("decisions") == ["a", "b", "c"]
        assert state.keys("marks") == []


def test_pruning_forgets_what_is_older(directory: Path) -> None:
    now = [100.0]
    with StateStore.open(directory, clock=lambda: now[0]) as state:
        state.put("seals", "old", {})
        state.flush()
        state.put("seals", "noted", {})
        now[0] = 200.0
        state.put("seals", "new", {})
        state.prune("seals", older_than=150.0)
        state.flush()
        assert set(state.items("seals")) == {"new"}


def test_a_table_that_does_not_exist_is_a_mistake_of_ours(directory: Path) -> None:
    with StateStore.open(directory) as state:
        for act in (lambda: state.put("nope", "a", {}), lambda: state.get("nope", "a")):
            with pytest.raises(KeyError):
                act()


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "delete", "flush"]), st.sampled_from("abc")), max_size=12
    )
)
def test_it_is_a_dictionary_whatever_is_flushed_when(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    expected: dict[str, dict[str, int]] = {}
    with StateStore.open(tmp_path_factory.mktemp("s")) as state:
        for number, (act, key) in enumerate(steps):
            if act == "put":
                expected[key] = {"n": number}
                state.put("sessions", key, expected[key])
            elif act == "delete":
                expected.pop(key, None)
                state.delete("sessions", key)
            else:
                state.flush()
            assert state.items("sessions") == expected
            assert state.get("sessions", key) == expected.get(key)


def test_what_reaches_the_disk_while_it_is_read_is_seen(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader sees the disk as it was when it began, so that a note which is written just then
    is neither there nor still a note."""
    meanwhile: list[Callable[[], object]] = []

    def connect_and_do_that(file: Path) -> sqlite3.Connection:
        database = connect(file)

        def during_a_read() -> int:
            while meanwhile and threading.current_thread() is threading.main_thread():
                meanwhile.pop()()
            return 0

        database.set_progress_handler(during_a_read, 1)
        return database

    with monkeypatch.context() as patch:
        patch.setattr("mcp_proxy.store.state.connect", connect_and_do_that)
        state = StateStore.open(directory)
    with state:
        state.put("sessions", "a", {"n": 1})
        assert state.flush()
        for number, keys in enumerate((["a", "b"], ["a", "b", "c"])):
            state.put("sessions", keys[-1], {"n": number})
            meanwhile.append(state.flush)
            seen = list(state.items("sessions")) if number == 0 else state.keys("sessions")
            assert (seen, meanwhile) == (keys, [])
        state.put("seals", "other", {})
        assert state.flush()
        meanwhile.append(lambda: state.put("seals", "a", {"n": 3}))
        state.get("seals", "a")
        assert (state.get("seals", "a"), meanwhile) == ({"n": 3}, [])


def test_it_may_be_closed_under_those_who_read(directory: Path) -> None:
    """Threads that an interruption leaves behind. In C, a closed connection is a crash."""
    ended = threading.Event()

    def read(state: StateStore) -> None:
        while not ended.is_set():
            state.get("marks", "a")
            state.items("marks")
            state.changed_elsewhere()

    for _ in range(10):
        with StateStore.open(directory) as state:
            state.put("marks", "a", {})
            threads = [threading.Thread(target=read, args=(state,)) for _ in range(4)]
            ended.clear()
            for each in threads:
                each.start()
        assert state.get("marks", "a") is None
        ended.set()
        for each in threads:
            each.join()


def test_many_threads_lose_nothing(directory: Path) -> None:
    with StateStore.open(directory) as state:

        def write(thread: int) -> None:
            for number in range(200):
                state.put("seals", f"{thread}-{number}", {"n": number})

        threads = [threading.Thread(target=write, args=(each,)) for each in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert state.flush()
        assert len(StateReader(directory).items("seals")) == 1200


def test_a_note_never_waits_for_the_disk(directory: Path) -> None:
    with StateStore.open(directory) as state:
        other = sqlite3.connect(directory / "state.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            before = time.perf_counter()
            for number in range(1000):
                state.put("standings", str(number), {"n": number})
            assert state.get("standings", "999") == {"n": 999}
            assert time.perf_counter() - before < 0.5
        finally:
            other.execute("ROLLBACK")
            other.close()
        assert state.flush()


# ------------------------------------------------------------------------------ files


def test_a_file_that_somebody_removes_is_begun_anew(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with StateStore.open(directory) as state:
        state.put("marks", "before", {"n": 1})
        assert state.flush()
        shutil.rmtree(directory)
        for number in (1, 2):
            state.put("marks", "after", {"n": number})
            assert state.flush()
            assert StateReader(directory).items("marks") == {"after": {"n": number}}
        assert state.items("marks") == {"after": {"n": 2}}
        assert not state.changed_elsewhere()
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert "was removed" in caplog.text
    assert stat.S_IMODE((directory / "state.db").stat().st_mode) == 0o600
    with StateStore.open(directory) as state:
        assert state.items("marks") == {"after": {"n": 2}}


def test_a_directory_that_cannot_be_made_again_costs_no_note(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with StateStore.open(directory) as state:
        shutil.rmtree(directory)
        directory.symlink_to(directory.with_name("nowhere"))
        state.put("marks", "after", {"n": 1})
        assert not state.flush()
        assert state.items("marks") == {"after": {"n": 1}}
        directory.unlink()
    assert "kept in memory" in caplog.text
    assert StateReader(directory).items("marks") == {"after": {"n": 1}}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    directory = tmp_path / "deep" / "state"
    before = os.umask(umask)
    try:
        with StateStore.open(directory) as state:
            state.put("marks", "a", {})
            state.flush()
            modes = {stat.S_IMODE(each.stat().st_mode) for each in directory.iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


DAMAGE = {
    "garbage": b"this is no database" * 100,
    "a torn header": b"SQLite format 3\0" + b"\xff" * 5000,
}


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_database_is_set_aside(
    directory: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    directory.mkdir()
    (directory / "state.db").write_bytes(content)
    with caplog.at_level(logging.WARNING), StateStore.open(directory) as state:
        state.put("marks", "a", {"n": 1})
        assert state.is_durable
    (aside,) = (each for each in directory.iterdir() if ".damaged-" in each.name)
    assert aside.read_bytes() == content
    assert "was damaged" in caplog.text
    assert StateReader(directory).get("marks", "a") == {"n": 1}


def test_damage_in_the_middle_is_noticed_at_the_start(directory: Path) -> None:
    with StateStore.open(directory) as state:
        for number in range(300):
            state.put("seals", f"{number}", {"x": "y" * 300})
    file = directory / "state.db"
    content = bytearray(file.read_bytes())
    content[4096:-4096] = os.urandom(len(content) - 8192)
    file.write_bytes(content)
    with StateStore.open(directory) as state:
        assert state.items("seals") == {}
    assert any(".damaged-" in each for each in names(directory))


def test_a_file_or_a_link_in_the_wrong_place_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "state.db").symlink_to("/etc/passwd")
    for name in ("state", "other"):
        with StateStore.open(tmp_path / name) as state:
            assert state.is_durable
            assert not (tmp_path / name / "state.db").is_symlink()


def test_a_directory_that_cannot_be_written_costs_only_the_memory_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), StateStore.open(Path("/proc/mcproxy")) as state:
        assert not state.is_durable
        state.put("seals", "a", {"n": 1})
        state.put("seals", "b", {})
        state.delete("seals", "b")
        assert state.items("seals") == {"a": {"n": 1}}
        assert state.get("seals", "a") == {"n": 1}
        assert not state.flush()
    assert "kept in memory" in caplog.text


def test_a_row_that_is_not_ours_is_no_row(directory: Path) -> None:
    StateStore.open(directory).close()
    with sqlite3.connect(directory / "state.db") as database:
        rows = [("a", b"{", 0), ("b", b"[1]", 0), ("c", b'{"n":1}', 0)]
        database.executemany("INSERT INTO marks VALUES (?, ?, ?)", rows)
    database.close()
    with StateStore.open(directory) as state:
        assert state.items("marks") == {"c": {"n": 1}}


def test_a_reader_without_a_server_finds_nothing_and_makes_nothing(directory: Path) -> None:
    reader = StateReader(directory)
    assert reader.items("marks") == {}
    assert reader.get("marks", "a") is None
    assert not directory.exists()


def test_a_failing_disk_is_survived_and_caught_up_with(directory: Path) -> None:
    with StateStore.open(directory) as state:
        other = sqlite3.connect(directory / "state.db", isolation_level=None)
        other.execute("ALTER TABLE marks RENAME TO elsewhere")
        state.put("marks", "a", {"n": 1})
        assert not state.flush(timeout=2.0)
        assert state.get("marks", "a") == {"n": 1}
        other.execute("ALTER TABLE elsewhere RENAME TO marks")
        other.close()
        assert state.flush(timeout=5.0)
    assert StateReader(directory).get("marks", "a") == {"n": 1}


# ------------------------------------------------------------------------------ processes

WRITE_ON = """
import sys
from itertools import count
from pathlib import Path
from mcp_proxy.store.state import StateStore
state = StateStore.open(Path(sys.argv[1]))
for number in count():
    state.put("marks", "a", {"n": number, "x": "y" * 1000})
    state.put("seals", str(number), {"x": "y" * 1000})
    if number % 50 == 0:
        state.flush()
        print(number, flush=True)
"""


def test_what_was_flushed_survives_kill_9(directory: Path) -> None:
    for _ in range(3):
        command = [sys.executable, "-c", WRITE_ON, str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(4):
                flushed = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
        with StateStore.open(directory) as state:
            mark = state.get("marks", "a")
            assert mark is not None
            assert mark["n"] >= flushed
    assert not any(".damaged-" in each for each in names(directory))


def test_two_stores_share_a_directory_and_notice_each_other(directory: Path) -> None:
    with StateStore.open(directory) as one, StateStore.open(directory) as other:
        one.put("marks", "a", {"n": 1})
        one.flush()
        assert other.get("marks", "a") == {"n": 1}
        assert other.changed_elsewhere()
        assert not other.changed_elsewhere()
        assert not one.changed_elsewhere()
        other.put("marks", "b", {"n": 2})
        other.flush()
        assert not other.changed_elsewhere()
        assert one.changed_elsewhere()
        assert set(one.items("marks")) == {"a", "b"}
