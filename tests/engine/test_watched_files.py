"""A look at files now and then: what counts as a change, and what may be an editor at work."""

from pathlib import Path

import pytest

from mcp_proxy.engine.watched_files import WatchedFiles


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text("version = 1\n")
    return path


def test_a_file_that_is_written_changes_once(file: Path) -> None:
    files = WatchedFiles([file, file.with_name("config.toml")])
    assert not files.changed()
    file.write_text("version = 1\n\n")
    assert [files.changed(), files.changed()] == [True, False]
    file.with_name("config.toml").write_text("[limits]\n")
    assert [files.changed(), files.changed()] == [True, False]


def test_a_file_that_is_put_in_the_place_of_another_of_the_same_size_is_new(file: Path) -> None:
    files = WatchedFiles([file])
    other = file.with_name("new")
    other.write_text("version = 2\n")
    other.replace(file)
    assert files.changed()


@pytest.mark.parametrize("empty", [Path.unlink, lambda path: path.write_text("")])
def test_what_an_editor_empties_before_it_writes_is_not_taken_for_empty(file: Path, empty) -> None:
    files = WatchedFiles([file])
    empty(file)
    assert not files.changed()
    file.write_text("version = 1\n# edited\n")
    assert [files.changed(), files.changed()] == [True, False]


@pytest.mark.parametrize("empty", [Path.unlink, lambda path: path.write_text("")])
def test_what_is_still_gone_or_empty_at_the_next_look_is_meant(file: Path, empty) -> None:
    files = WatchedFiles([file])
    empty(file)
    assert [files.changed(), files.changed(), files.changed()] == [False, True, False]


def test_a_change_is_not_held_up_by_another_file_that_was_never_there(file: Path) -> None:
    files = WatchedFiles([file.with_name("config.toml"), file])
    file.write_text("version = 1\n\n")
    assert files.changed()
