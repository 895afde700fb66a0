"""accounts.toml: what is read from it, what survives a change, what is refused."""

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.errors import UserError
from mcp_proxy.store.accounts import AccountStore, Loaded, UnknownAccount, credential_id
from mcp_proxy.store.atomic import leftovers
from mcp_proxy.store.entries import FIELD_NAMES
from mcp_proxy.store.locks import FileLock


def account(name: str, **fields: object) -> Account:
    credential = Credential(refresh_token=Secret(f"1//{name}"))
    return Account(id=name, provider="antigravity", credential=credential, **fields)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "accounts.toml"


@pytest.fixture
def store(file: Path) -> AccountStore:
    return AccountStore(file)


def written(file: Path, text: str | bytes) -> AccountStore:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o600)
    return AccountStore(file)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ------------------------------------------------------------------------------ reading


def test_no_file_is_no_accounts(store: AccountStore, file: Path) -> None:
    assert store.load().accounts == ()
    assert not file.parent.exists()


def test_every_field_of_the_contract_is_read(file: Path) -> None:
    store = written(
        file,
        """
version = 1
[[accounts]]
id = "work"
provider = "antigravity"
email = "me@example.com"
enabled = false
added_at = 2026-11-21T10:00:00Z
refresh_token = " 1//abc\\n"
project = "my-project-123"
base_url = "http://127.0.0.1:9/"
token_url = "http://127.0.0.1:9/token"
soft_limit = 0.3
models = ["glm-4.7"]
proxy = "http://user:pass@10.0.0.1:3128"
client_id = "id"
client_secret = "secret"
source = "gcloud"
credentials_file = "/etc/service account.json"
workspace = "org-1"
location = "europe-west4"
colour = "blue"
headers = { HTTP-Referer = "https://me.example", X-Title = "" }
""",
    )
    loaded = store.load()
    assert loaded.problems == ()
    assert loaded.accounts == (
        Account(
            id="work",
            provider="antigravity",
            credential=Credential(
                refresh_token=Secret("1//abc"),
                client_id="id",
                client_secret=Secret("secret"),
                source="gcloud",
                file="/etc/service account.json",
            ),
            label="me@example.com",
            enabled=False,
            added_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
            project="my-project-123",
            base_url="http://127.0.0.1:9",
            token_url="http://127.0.0.1:9/token",
            soft_limit=0.3,
            models=("glm-4.7",),
            proxy="http://user:pass@10.0.0.1:3128",
            location="europe-west4",
            workspace="org-1",
            headers={"HTTP-Referer": "https://me.example", "X-Title": ""},
            extras={"colour": "blue"},
        ),
    )


GOOD = '[[accounts]]\nid = "good"\nprovider = "antigravity"\nrefresh_token = "x"\n'

WRONG_ENTRIES = {
    'id = "good"\nprovider = "antigravity"\nrefresh_token = "x"': "id is used twice",
    'id = "Bad Id"\nprovider = "antigravity"\nrefresh_token = "x"': "id must be made of",
    'id = ""\nprovider = "antigravity"\nrefresh_token = "x"': "id must be made of",
    'id = 5\nprovider = "antigravity"\nrefresh_token = "x"': "id must be text",
    'provider = "antigravity"\nrefresh_token = "x"': "id is missing",
    'id = "b"\nrefresh_token = "x"': "provider is missing",
    'id = "b"\nprovider = "antigravty"\nrefresh_token = "x"': "provider must be one of",
    'id = "b"\nprovider = "antigravity"': "refresh_token is missing",
    'id = "b"\nprovider = "antigravity"\nrefresh_token = 5': "refresh_token must be text",
    'id = "b"\nprovider = "antigravity"\nrefresh_token = ""': "refresh_token must be one run",
    'id = "b"\nprovider = "zai"\napi_key = "a b"': "api_key must be one run",
    'id = "b"\nprovider = "zai"\napi_key = "a\\u0007b"': "api_key must be one run",
    'id = "b"\nprovider = "zai"\napi_key = "schlüssel"': "api_key must be one run",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nenabled = 1': "enabled must be true or false",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nsoft_limit = 1.5': "soft_limit must be a number",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nsoft_limit = nan': "soft_limit must be a number",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nmodels = "m"': "models must be a list",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nmodels = [1]': "models must be a list in which",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nadded_at = "now"': "added_at must be a date",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nbase_url = "http://example.com"': "must be https",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nbase_url = "ftp://x"': "base_url must be a URL",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nbase_url = "https://u:p@x"': "must not carry",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nbase_url = "http://127.0.0.1.evil.com"': "https",
    'id = "b"\nprovider = "zai"\napi_key = "k"\ntoken_url = "http://0.0.0.0/t"': "must be https",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nproxy = "socks5://x"': "proxy must be a URL",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nproxy = "http://[x"': "proxy must be a URL",
    'id = "b"\nprovider = "zai"\napi_key = "k"\nbase_url = "https://[x"': "base_url must be a URL",
    'id = "b"\nprovider = "codex"': "refresh_token is missing",
    'id = "b"\nprovider = "copilot"\napi_key = "k"': "refresh_token is missing",
    'id = "b"\nprovider = "vertex"\nlocation = "evil.example/"': "location must be made of",
    'id = "b"\nprovider = "vertex"\ncredentials_file = ""': "credentials_file must not be",
    'id = "b"\nprovider = "vertex"\nheaders = "x"': "headers must be a table",
    'id = "b"\nprovider = "vertex"\nheaders = { "a b" = "x" }': "headers must have names",
    'id = "b"\nprovider = "vertex"\nheaders = { Host = "x" }': "headers must not have Host",
    'id = "b"\nprovider = "vertex"\nheaders = { A = "x\\ny" }': "headers must have one line",
    'id = "b"\nprovider = "vertex"\nheaders = { A = 1 }': "headers must have one line",
}


@pytest.mark.parametrize(("entry", "reason"), WRONG_ENTRIES.items(), ids=lambda each: each[-30:])
def test_a_wrong_entry_is_named_and_the_others_work(file: Path, entry: str, reason: str) -> None:
    loaded = written(file, f"{GOOD}\n[[accounts]]\n{entry}\n").load()
    assert [each.id for each in loaded.accounts] == ["good"]
    (problem,) = loaded.problems
    assert reason in problem.reason
    assert "(line 6)" in problem.where


def test_a_problem_never_shows_a_secret(file: Path) -> None:
    text = f'{GOOD}[[accounts]]\nid = "b"\nprovider = "zai"\napi_key = "sk-ca nary"\n'
    assert "nary" not in str(written(file, text).load().problems)


@pytest.mark.parametrize("url", ["https://x.example/a", "http://localhost:1", "http://[::1]:9/t"])
def test_an_address_may_be_https_or_this_machine(file: Path, url: str) -> None:
    (found,) = written(file, f'{GOOD}base_url = "{url}"\n').load().accounts
    assert found.base_url == url


def test_a_file_of_a_newer_version_says_what_reads_it(file: Path) -> None:
    with pytest.raises(UserError, match=r"version is 2: .* Run: pipx upgrade") as refused:
        written(file, "version = 2\n").load()
    assert refused.value.exit_code == 1


MALFORMED = {
    b"[[accounts]\n": (1, 11),
    b'version = 1\n\nid = "a\n': (3, 8),
    b"version = 1\nx = {\n": (2, 6),
    b"version = 1\n\xff\xfe": (2, 1),
    b"a = 1\na = 2\n": (2, 6),
    b"\x00": (1, 1),
    b"version = 2\n": (1, 1),
    b'version = "1"\n': (1, 1),
    b"version = 1\n\n[accounts]\nid = 1\n": (3, 1),
    b"accounts = 5\n": (1, 1),
}


@pytest.mark.parametrize(("content", "place"), MALFORMED.items())
def test_a_malformed_file_is_named_with_line_and_column_and_left_alone(
    file: Path, content: bytes, place: tuple[int, int]
) -> None:
    store = written(file, content)
    for change in (
        store.load,
        lambda: store.add(account("new")),
        lambda: store.remove("new"),
        lambda: store.set_enabled("new", True),
        lambda: store.update_fields("new", {"project": "p"}),
    ):
        with pytest.raises(UserError, match=re.escape(str(file))) as caught:
            change()
        assert f"line {place[0]}, column {place[1]}" in str(caught.value)
        assert caught.value.exit_code == 1
    assert file.read_bytes() == content


def test_an_account_is_gone_only_where_no_entry_may_be_its_own(file: Path) -> None:
    store = AccountStore(file)
    assert not store.load().lacks("a"), "the file may be put aside"
    for content, is_gone in (
        (b"", False),
        (b"accounts = []", True),
        (GOOD, True),
        (f'{GOOD}[[accounts]]\nid = "a"\n', False),
        (f"{GOOD}[[accounts]]\nid = 5\n", False),
    ):
        assert written(file, content).load().lacks("a") is is_gone
    assert not store.load().lacks("good")


def test_a_file_that_lost_what_was_in_it_is_not_taken_for_a_new_one(file: Path) -> None:
    store = written(file, b"")
    loaded = store.load()
    assert (loaded.accounts, loaded.problems, loaded.is_emptied) == ((), (), True)
    assert any("is empty" in warning for warning in loaded.warnings)
    with pytest.raises(UserError, match=r"is empty.*delete it to begin anew"):
        store.add(account("a"))
    assert file.read_bytes() == b""
    file.unlink()
    store.add(account("a"))
    assert [each.id for each in store.load().accounts] == ["a"]


@pytest.mark.parametrize("content", [b"\n", b"\xef\xbb\xbfversion = 1\r\n"])
def test_a_file_without_accounts_a_byte_order_mark_and_crlf_are_fine(
    file: Path, content: bytes
) -> None:
    store = written(file, content)
    assert store.load().accounts == ()
    store.add(account("a"))
    assert [each.id for each in store.load().accounts] == ["a"]


# ------------------------------------------------------------------------------ writing


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_file_is_0600_and_directory_0700_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    file = tmp_path / "deep" / "er" / "accounts.toml"
    before = os.umask(umask)
    try:
        AccountStore(file).add(account("a"))
        AccountStore(file).update_fields("a", {"project": "p"})
    finally:
        os.umask(before)
    assert (mode(file), mode(file.parent), mode(file.parent.parent)) == (0o600, 0o700, 0o700)
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "accounts.toml",
        "accounts.toml.lock",
    ]
    assert mode(file.with_name("accounts.toml.lock")) == 0o600


def test_a_file_that_others_can_read_is_mended_and_reported(file: Path) -> None:
    store = written(file, GOOD)
    file.chmod(0o644)
    (warning,) = store.load().warnings
    assert "0600" in warning
    assert mode(file) == 0o600
    assert store.load().warnings == ()


def test_a_directory_of_nothing_but_our_files_is_shut(file: Path) -> None:
    store = written(file, GOOD)
    file.parent.chmod(0o755)
    assert store.load().warnings == ()
    assert mode(file.parent) == 0o700


def test_a_directory_that_others_share_is_not_ours_to_shut(file: Path) -> None:
    store = written(file, GOOD)
    (file.parent / "thesis.tex").touch()
    file.parent.chmod(0o775)
    (warning,) = store.load().warnings
    assert "other users may write there" in warning
    assert mode(file.parent) == 0o775


def test_unknown_keys_are_kept_everywhere(file: Path) -> None:
    store = written(
        file,
        f"""# a comment
future = "x"
{GOOD}colour = "blue"
[accounts.nested]
deep = [1, {{ a = 2 }}]
[other]
y = 2
""",
    )
    store.add(account("second"))
    store.update_fields("good", {"project": "p"})
    store.replace(account("good"))
    store.set_enabled("second", False)
    text = file.read_text()
    assert all(
        each in text
        for each in ('future = "x"', 'colour = "blue"', "[accounts.nested]", "[other]", "a = 2")
    )
    assert text.count("[[accounts]]") == 2
    first, second = store.load().accounts
    assert first.extras == {"colour": "blue", "nested": {"deep": [1, {"a": 2}]}}
    assert first.project is None  # replace sets every field that is known, and it had none
    assert not second.enabled


def test_a_label_and_an_address_are_kept_side_by_side(store: AccountStore, file: Path) -> None:
    store.add(account("a", label="work", email="me@example.com"))
    (loaded,) = store.load().accounts
    assert (loaded.label, loaded.email) == ("work", "me@example.com")
    store.replace(loaded)
    assert 'email = "me@example.com"\nlabel = "work"\n' in file.read_text()


def test_a_change_touches_only_the_fields_it_is_about(store: AccountStore, file: Path) -> None:
    store.add(account("a", project="p", label="me@example.com"))
    stale = AccountStore(file)
    stale.load()
    store.update_fields("a", {"soft_limit": 0.5})
    stale.update_fields("a", {"refresh_token": "1//new"})
    (found,) = store.load().accounts
    assert (found.soft_limit, found.project) == (0.5, "p")
    assert found.credential.refresh_token == Secret("1//new")
    store.update_fields("a", {"soft_limit": None})
    assert store.load().accounts[0].soft_limit is None


def test_a_change_that_would_break_the_entry_is_refused(store: AccountStore) -> None:
    store.add(account("a"))
    with pytest.raises(UserError, match="refresh_token must be one run"):
        store.update_fields("a", {"refresh_token": "a\nb"})
    assert store.load().accounts[0].credential.refresh_token == Secret("1//a")


def test_an_id_is_taken_once(store: AccountStore) -> None:
    store.add(account("a"))
    with pytest.raises(UserError, match="already an account 'a'"):
        store.add(account("a"))


def test_an_unknown_id_is_answered_with_the_nearest(store: AccountStore) -> None:
    store.add(account("work"))
    for change in (store.remove, lambda each: store.set_enabled(each, True)):
        with pytest.raises(UnknownAccount, match="Did you mean work"):
            change("wrok")


def test_removing_works_for_a_wrong_entry_and_takes_its_doubles(file: Path) -> None:
    store = written(file, f"{GOOD}{GOOD}")
    store.remove("good")
    assert store.load() == Loaded()


def test_entries_that_are_no_tables_survive_a_change(file: Path) -> None:
    store = written(file, 'accounts = [5, { id = "a", provider = "zai", api_key = "k" }]')
    store.set_enabled("a", False)
    loaded = store.load()
    assert [each.id for each in loaded.accounts] == ["a"]
    assert len(loaded.problems) == 1


def test_enabling_what_is_enabled_writes_nothing(store: AccountStore, file: Path) -> None:
    store.add(account("a"))
    before = file.stat()
    store.set_enabled("a", True)
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert file.stat().st_ino == before.st_ino


def test_what_a_killed_writer_left_is_swept_by_the_next_reader(
    store: AccountStore, file: Path
) -> None:
    store.add(account("a"))
    orphan = file.with_name(f".{file.name}.tmp.123.abcd")
    orphan.write_text("half")
    assert leftovers(file) == [orphan]
    with FileLock(file.with_name("accounts.toml.lock")):
        store.load()
    assert orphan.exists()  # it may be the one that is being written
    store.load()
    assert not orphan.exists()


@settings(deadline=None)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@example(content=b"a = " + b"9" * 5000)
@example(content=b"a = " + b"[" * 5000)
@example(content=b"accounts = [[1], {}, 2026-01-01]")
def test_any_bytes_are_accounts_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    store = written(tmp_path_factory.getbasetemp() / "any" / "accounts.toml", content)
    assert re.search(r"^$|line \d+, column \d+: ", refusal(store))


def refusal(store: AccountStore) -> str:
    """What loading complains of; nothing when it works."""
    try:
        store.load()
    except UserError as error:
        return str(error)
    return ""


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_VALUES = st.recursive(
    _TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(extras=st.dictionaries(_TEXT.filter(bool), _VALUES, max_size=4), label=_TEXT)
def test_whatever_an_entry_holds_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, extras: dict[str, object], label: str
) -> None:
    extras = {key: value for key, value in extras.items() if key not in FIELD_NAMES}
    store = AccountStore(tmp_path_factory.mktemp("extras") / "accounts.toml")
    store.add(account("a", label=label or None, extras=extras))
    store.set_enabled("a", False)
    (found,) = store.load().accounts
    assert (found.extras, found.label) == (extras, label or None)


# ------------------------------------------------------------------------------ strange files


def test_a_symbolic_link_is_refused_even_to_nowhere(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    target = tmp_path / "target.toml"
    for exists in (False, True):
        if exists:
            target.write_text(GOOD)
        file.unlink(missing_ok=True)
        file.symlink_to(target)
        for act in (AccountStore(file).load, lambda: AccountStore(file).add(account("a"))):
            with pytest.raises(UserError, match="symbolic link"):
                act()
    assert target.read_text() == GOOD


def test_a_linked_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir(mode=0o700)
    (tmp_path / "mcproxy").symlink_to(tmp_path / "dotfiles")
    AccountStore(tmp_path / "mcproxy" / "accounts.toml").add(account("a"))
    assert (tmp_path / "dotfiles" / "accounts.toml").exists()


def test_a_pipe_does_not_hang(file: Path) -> None:
    file.parent.mkdir()
    os.mkfifo(file, 0o600)
    with pytest.raises(UserError, match="not a regular file"):
        AccountStore(file).load()


def test_a_directory_in_its_place_is_refused(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(UserError, match="not a regular file"):
        AccountStore(file).load()


def test_a_second_name_is_refused(file: Path, tmp_path: Path) -> None:
    store = written(file, GOOD)
    (tmp_path / "copy").hardlink_to(file)
    with pytest.raises(UserError, match="second name"):
        store.load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_refused(file: Path) -> None:
    store = written(file, GOOD)
    os.chown(file, 12345, 12345)
    with pytest.raises(UserError, match="another user"):
        store.load()


def test_a_linked_lock_is_refused(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("keep")
    file.with_name("accounts.toml.lock").symlink_to(precious)
    with pytest.raises(UserError, match="cannot be locked"):
        AccountStore(file).add(account("a"))
    assert precious.read_text() == "keep"


def test_a_lock_held_for_long_names_its_holder(file: Path) -> None:
    store = AccountStore(file, lock_timeout=0.05)
    lock = file.with_name("accounts.toml.lock")
    with FileLock(lock), pytest.raises(UserError, match=f"locked by process {os.getpid()}"):
        store.add(account("a"))
    store.add(account("a"))


def test_a_failed_write_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = written(file, GOOD)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device. Nothing was changed"):
        store.add(account("a"))
    assert file.read_text() == GOOD
    assert leftovers(file) == []


# ------------------------------------------------------------------------------ fingerprints


def test_a_fingerprint_follows_the_credential_and_nothing_else() -> None:
    first = account("a")
    assert credential_id(first) == credential_id(account("a", label="x", project="p"))
    assert credential_id(first) != credential_id(account("b"))
    assert credential_id(Account("a", "antigravity", Credential(source="app")))
    assert "1//a" not in credential_id(first)


def test_what_vertex_and_compatible_servers_need_survives_writing(store: AccountStore) -> None:
    account = Account(
        id="gcp",
        provider="vertex",
        credential=Credential(source="gcloud", file="/etc/a b.json"),
        project="my-project",
        location="us-central1",
        workspace="org-1",
        headers={"X-Title": "mine"},
        models=("gemini-2.5-pro",),
    )
    store.add(account)
    assert store.load().accounts == (account,)


def test_vertex_without_a_credential_of_its_own_takes_this_machines(file: Path) -> None:
    entries = (
        'id = "a"\nprovider = "vertex"',
        'id = "b"\nprovider = "vertex"\ncredentials_file = "/x.json"',
        'id = "c"\nprovider = "vertex"\napi_key = "k"',
    )
    loaded = written(file, "".join(f"[[accounts]]\n{entry}\n" for entry in entries)).load()
    assert [each.credential for each in loaded.accounts] == [
        Credential(source="gcloud"),
        Credential(source="gcloud", file="/x.json"),
        Credential(api_key=Secret("k")),
    ]
