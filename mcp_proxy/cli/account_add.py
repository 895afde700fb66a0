"""`accounts add`: where each credential comes from, and what is done with it once it is there."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli.account_keeping import SignedIn, account_of, keep
from mcp_proxy.cli.context import App
from mcp_proxy.engine.verify import Renewed, Verdict, Verifier
from mcp_proxy.errors import Failure, UserError
from mcp_proxy.providers import KNOWN_PROVIDERS, ProviderSettings, provider
from mcp_proxy.signin.local_apps import APP_SOURCE, read_app_token
from mcp_proxy.store.accounts import Loaded
from mcp_proxy.store.addresses import checked_url
from mcp_proxy.store.checks import WrongValue, token
from mcp_proxy.store.entries import is_account_id

if TYPE_CHECKING:
    from mcp_proxy.signin.google import OAuthClient

USAGE = 2

RISK = """\
Google's terms for this service do not foresee other clients. Google has suspended accounts for
using it this way, sometimes for good and without warning. Do not use an account whose loss would
hurt you. The alternative without this risk is an official API key with its own prices."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    provider: str | None = None
    id: str | None = None
    api_key: str | None = None
    refresh_token: str | None = None
    source: str | None = None
    no_browser: bool = False
    callback_port: int | None = None
    client_secrets: Path | None = None
    base_url: str | None = None
    project: str | None = None
    accept_risk: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    verdict: Verdict
    is_new: bool


def add_account(app: App, wish: Wish) -> Added:
    """Sign in, keep the account, try it. UserError when nothing was kept."""
    loaded = app.accounts()
    wish = _settled(wish, loaded)
    _agree_to_risk(app, wish)
    with app.state() as state:
        state.put("notices", _notice(wish), {"agreed": True})
        verifier = Verifier(app.account_store(), state, app.settings().provider)
        draft = _draft(wish, loaded)
        signed_in = _sign_in(app, wish, draft, verifier)
        given = {"base_url": wish.base_url, "project": wish.project}
        store = app.account_store()
        account, is_new = keep(store, loaded, draft, signed_in, account_id=wish.id, given=given)
        verifier.remember_token(Renewed(account, signed_in.access_token, signed_in.expires_in))
        state.delete("marks", account.id)
        verdict = verifier.check(account, signed_in.access_token)
        verifier.record(verdict)
    return Added(verdict, is_new)


def _settled(wish: Wish, loaded: Loaded) -> Wish:
    """The wish with its provider known. UserError (exit code 2) for what does not go together."""
    if wish.id is not None and not is_account_id(wish.id):
        raise UserError("--id: use a-z 0-9 . _ - and begin with a letter or digit", exit_code=USAGE)
    existing = account_of(loaded, wish.id)
    name = wish.provider or (existing.provider if existing else None) or _ask_provider()
    if existing is not None and existing.provider != name:
        raise UserError(f"{existing.id} is an account of {existing.provider}; choose another --id")
    _refuse_contradictions(wish, name)
    return replace(
        wish,
        provider=name,
        base_url=_checked("--base-url", wish.base_url, checked_url),
        project=_checked("--project", wish.project, token),
    )


def _refuse_contradictions(wish: Wish, name: str) -> None:
    if name not in KNOWN_PROVIDERS:
        served = ", ".join(KNOWN_PROVIDERS)
        raise UserError(
            f"--provider {name} is not served by this version of mcproxy; it serves {served}",
            exit_code=USAGE,
        )
    if wish.api_key is not None:
        raise UserError(
            f"--api-key is not for {name}, which signs in with Google; leave it out",
            exit_code=USAGE,
        )
    if wish.refresh_token not in (None, "-"):
        raise UserError("--refresh-token takes only -, the token on stdin", exit_code=USAGE)
    if wish.source is not None and wish.refresh_token is not None:
        raise UserError("--from and --refresh-token exclude each other", exit_code=USAGE)


def _checked(flag: str, value: str | None, check: Callable[[object], str]) -> str | None:
    try:
        return None if value is None else check(value)
    except WrongValue as wrong:
        raise UserError(f"{flag} {wrong}", exit_code=USAGE) from wrong


def _ask_provider() -> str:
    if not sys.stdin.isatty():
        raise UserError(
            f"--provider is needed without a terminal: one of {', '.join(KNOWN_PROVIDERS)}",
            exit_code=USAGE,
        )
    if len(KNOWN_PROVIDERS) == 1:
        return KNOWN_PROVIDERS[0]
    answer: str = click.prompt("Provider", type=click.Choice(KNOWN_PROVIDERS), err=True)
    return answer


def _notice(wish: Wish) -> str:
    """Key of the risk notice in the state's notices."""
    return f"risk:{wish.provider}"


def _agree_to_risk(app: App, wish: Wish) -> None:
    """The notice is shown, and agreed to, once per provider."""
    if not provider(wish.provider or "").restricts_clients:
        return
    if app.state_reader().get("notices", _notice(wish)) is not None:
        return
    click.echo(RISK, err=True)
    if wish.accept_risk:
        return
    if not sys.stdin.isatty():
        raise UserError(
            "--accept-risk is needed without a terminal: it says that you have read the above",
            exit_code=USAGE,
        )
    if not click.confirm("Go on?", default=False, err=True):
        raise UserError("nothing was added")


def _draft(wish: Wish, loaded: Loaded) -> Account:
    """The account before anybody has signed in: enough to make calls for it."""
    existing = account_of(loaded, wish.id)
    draft = existing or Account(id=wish.id or "new", provider=wish.provider or "")
    return replace(
        draft,
        base_url=wish.base_url or draft.base_url,
        project=wish.project or draft.project,
    )


def _sign_in(app: App, wish: Wish, draft: Account, verifier: Verifier) -> SignedIn:
    from mcp_proxy.signin.google import oauth_client

    if wish.source is not None:
        return _from_app()
    settings = app.settings().provider(draft.provider)
    settings = replace(settings, token_url=draft.token_url or settings.token_url)
    client = oauth_client(settings, wish.client_secrets)
    if wish.refresh_token is not None:
        return _from_refresh_token(client, wish, draft, verifier)
    return _from_google(client, settings, wish, draft, verifier)


def _from_app() -> SignedIn:
    try:
        email, access_token = read_app_token()
    except (OSError, LookupError, ValueError) as cause:
        raise UserError(f"{cause}. Sign in to the app first, or add without --from.") from cause
    return SignedIn(Credential(source=APP_SOURCE), access_token, email)


def _from_refresh_token(
    client: "OAuthClient", wish: Wish, draft: Account, by: Verifier
) -> SignedIn:
    credential = Credential(
        refresh_token=_secret_on_stdin("--refresh-token"),
        client_id=client.id,
        client_secret=client.secret,
    )
    renewed = by.renew(replace(draft, credential=credential))
    if isinstance(renewed, Failure):
        raise UserError(f"the refresh token does not work: {renewed.detail}")
    email = by.email_of(draft, renewed.token)
    return SignedIn(renewed.account.credential, renewed.token, email, renewed.expires_in)


def _from_google(
    client: "OAuthClient", settings: ProviderSettings, wish: Wish, draft: Account, by: Verifier
) -> SignedIn:
    from mcp_proxy.cli.google_page import paste_from_browser, through_browser

    if wish.no_browser:
        grant = paste_from_browser(client, settings, port=wish.callback_port)
    else:
        grant = through_browser(client, settings, port=wish.callback_port)
    credential = Credential(
        refresh_token=grant.refresh_token, client_id=client.id, client_secret=client.secret
    )
    email = by.email_of(draft, grant.access_token)
    return SignedIn(credential, grant.access_token, email, grant.expires_in)


def _secret_on_stdin(flag: str) -> Secret:
    """Stays out of the shell's history and of the list of processes."""
    return Secret(_checked(flag, sys.stdin.readline(), token) or "")
