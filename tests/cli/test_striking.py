"""What may be secret on this machine, however it is written, and texts in which none is left."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from harness import Home
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.cli.context import App
from mcp_proxy.cli.striking import STRUCK, known_secrets, striker

SECRET = "smuggled-1234567890"

ACCOUNT = '[[accounts]]\nid = "a"\nprovider = "openai"\n'


def known(env: Mapping[str, str] | None = None) -> set[str]:
    return known_secrets(App(), env or {})


@pytest.mark.parametrize(
    "entry",
    [
        f'api_key = "{SECRET}"',
        f'api_key = ["{SECRET}"]',
        f'apikey = "{SECRET}"',
        f'api_key = "k-0123456789"\ncookies = ["{SECRET}"]',
        f'api_key = "k-0123456789"\n[accounts.extra]\ndeep = {{ deeper = "{SECRET}" }}',
        f'api_key = "k-0123456789"\nheaders = {{ Authorization = "Bearer {SECRET}" }}',
        f'api_key = "k-0123456789"\nlabel = "{SECRET}"',
        f'api_key = "{SECRET}\n',
        f"api_key = '{SECRET}\n",
        f'api_key = [\n  "{SECRET},\n]',
        f"api_key = {SECRET}",
    ],
)
def test_whatever_an_account_has_beside_its_known_plain_fields_is_secret(
    home: Home, entry: str
) -> None:
    home.configure("")
    home.paths.accounts.write_text(f"{ACCOUNT}{entry}\n")
    home.paths.accounts.chmod(0o600)
    assert any(SECRET in each for each in known())
    assert SECRET not in striker(known())(json.dumps({"said": f"bad key {SECRET}."}))


@pytest.mark.parametrize(
    "config",
    [
        f'[server]\napi_keys = ["{SECRET}"]',
        f'[server]\napi_keys = "{SECRET}"',
        f'[server]\napi_key = "{SECRET}"',
        f'[providers.zai]\napi_key = "{SECRET}"',
        f'[server\napi_keys = ["{SECRET}"]',
        f'[server]\nport = "x"\napi_keys = ["{SECRET}"]',
    ],
)
def test_a_key_is_known_in_settings_that_are_wrong(home: Home, config: str) -> None:
    home.configure(config)
    assert SECRET in known()


def test_what_helps_is_no_secret(home: Home) -> None:
    home.configure('[providers.zai]\ntoken_url = "http://127.0.0.1:9/token"\n')
    home.paths.accounts.write_text(f'{ACCOUNT}api_key = "k-0123456789"\nmodels = ["gpt-x"]\n')
    home.paths.accounts.chmod(0o600)
    assert known({"SSH_AUTH_SOCK": "/run/agent", "PROXY_API_KEY_FILE": "/run/key"}) == {
        "k-0123456789"
    }


@pytest.mark.parametrize("name", ["MY_TOKEN", "PGPASSWORD", "db_passwd", "SESSION_COOKIE"])
def test_a_variable_is_secret_by_its_name_whatever_it_begins_with(home: Home, name: str) -> None:
    home.configure("")
    assert f"/{SECRET}" in known({name: f"/{SECRET}", "OTHER": "plain"})
    assert "plain" not in known({"OTHER": "plain"})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("http://u:p@ss@host:3128/x", f"http://{STRUCK}@host:3128/x"),
        ("https://host/v1?key=abc", f"https://host/v1?{STRUCK}"),
        ("see https://host/verify?plt=1#x then", f"see https://host/verify?{STRUCK} then"),
        ("https://host/what next?", "https://host/what next?"),
        ("mail ada@example.org", "mail ada@example.org"),
    ],
)
def test_addresses_lose_users_and_what_follows_the_path(text: str, left: str) -> None:
    assert striker(set())(json.dumps({"url": text})) == json.dumps({"url": left})


def test_the_home_directory_is_a_tilde(home: Home) -> None:
    assert str(Path.home()) not in striker(set())(f"{home.paths.config} and {Path.home()}")


@given(st.text(min_size=4), st.text(), st.text())
def test_no_spelling_of_a_secret_survives_json(secret: str, before: str, after: str) -> None:
    document = {"said": f"{before}{secret}{after}"}
    struck = striker({secret})(json.dumps(document, ensure_ascii=False))
    assert json.dumps(secret, ensure_ascii=False)[1:-1] not in struck.replace(STRUCK, "\0")
