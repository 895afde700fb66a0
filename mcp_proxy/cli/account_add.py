"""`accounts add`: where each credential comes from, and what is done with it once it is there."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mcp_proxy.account import Account, Credential, Secret
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
class SignedIn:
    """A credential that has just worked."""

    credential: Credential
    access_token: Secret
    email: str | None = None
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class Added:
    verdict: Verdict
    is_new: bool


class Kept(NamedTuple):
    """The account as it is on the disk now."""

    account: Account
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
        account, is_new = _keep(app, wish, loaded, draft, signed_in)
        verifier.remember_token(Renewed(account, signed_in.access_token, signed_in.expires_in))
        state.delete("marks", account.id)
        verdict = verifier.check(account, signed_in.access_token)
        verifier.record(verdict)
    return Added(verdict, is_new)


def _settled(wish: Wish, loaded: Loaded) -> Wish:
    """The wish with its provider known. UserError (exit code 2) for what does not go together."""
    if wish.id is not None and not is_account_id(wish.id):
        raise UserError("--id: use a-z 0-9 . _ - and begin with a letter or digit", exit_code=USAGE)
    existing = _by_id(loaded, wish.id)
    name = wish.provider or (existing.provider if existing else None) or _ask_provider()
    if existing is not None and existing.provider != name:
        raise UserError(f"{existing.id} is an account of {existing.provider}; choose another --id")
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
    return replace(
        wish,
        provider=name,
        base_url=_checked("--base-url", wish.base_url, checked_url),
        project=_checked("--project", wish.project, token),
    )


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
    existing = _by_id(loaded, wish.id)
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
        refresh_token=_secret_given("--refresh-token", wish.refresh_token or ""),
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


def _secret_given(flag: str, value: str) -> Secret:
    """The value itself, or what stdin has when it is `-`: that stays out of the shell's history."""
    return Secret(_checked(flag, sys.stdin.readline() if value == "-" else value, token) or "")


def _keep(app: App, wish: Wish, loaded: Loaded, draft: Account, signed_in: SignedIn) -> Kept:
    """Write the account down: in place when it is there already, else as a new one."""
    existing = _by_id(loaded, wish.id) or (None if wish.id else _by_email(loaded, draft, signed_in))
    store = app.account_store()
    if existing is None:
        account = replace(
            draft,
            id=wish.id or _free_id(loaded, signed_in.email or draft.provider),
            credential=signed_in.credential,
            label=signed_in.email,
            added_at=datetime.now(UTC).replace(microsecond=0),
        )
        store.add(account)
        return Kept(account, is_new=True)
    _same_person(existing, signed_in)
    store.update_fields(existing.id, _changed_fields(wish, existing, signed_in))
    account = replace(existing, credential=signed_in.credential, label=signed_in.email)
    return Kept(
        replace(
            account,
            base_url=draft.base_url or existing.base_url,
            project=draft.project or existing.project,
        ),
        is_new=False,
    )


def _changed_fields(wish: Wish, existing: Account, signed_in: SignedIn) -> dict[str, Any]:
    """Only what a new sign-in changes; the rest of the entry is its owner's."""
    credential = signed_in.credential
    fields: dict[str, Any] = {
        "refresh_token": credential.refresh_token.value if credential.refresh_token else None,
        "client_id": credential.client_id,
        "client_secret": credential.client_secret.value if credential.client_secret else None,
        "source": credential.source,
    }
    if signed_in.email and _is_email(existing.label):
        fields["email"] = signed_in.email
    if wish.base_url:
        fields["base_url"] = wish.base_url
    if wish.project:
        fields["project"] = wish.project
    return fields


def _same_person(existing: Account, signed_in: SignedIn) -> None:
    """Signing in to the wrong one of several Google accounts is easily done."""
    email = signed_in.email
    if not email or not existing.label or "@" not in existing.label or email == existing.label:
        return
    story = f"{existing.id} belongs to {existing.label}, but {email} has signed in"
    if not sys.stdin.isatty():
        raise UserError(f"{story}; nothing was changed. Use another --id for {email}.")
    if not click.confirm(f"{story}. Replace it?", default=False, err=True):
        raise UserError("nothing was changed")


def _is_email(label: str | None) -> bool:
    """Whether an e-mail address may stand there; a label that somebody chose stays."""
    return label is None or "@" in label


def _by_id(loaded: Loaded, account_id: str | None) -> Account | None:
    return next((each for each in loaded.accounts if each.id == account_id), None)


def _by_email(loaded: Loaded, draft: Account, signed_in: SignedIn) -> Account | None:
    if signed_in.email is None:
        return None
    same = (
        each
        for each in loaded.accounts
        if each.provider == draft.provider and each.label == signed_in.email
    )
    return next(same, None)


def _free_id(loaded: Loaded, name: str) -> str:
    """`jane.doe@example.org` -> `jane.doe`, or `jane.doe-2` when that is taken."""
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.partition("@")[0].lower()).lstrip("._-") or "account"
    taken = {each.id for each in loaded.accounts} | {each.id for each in loaded.problems}
    numbered = (f"{slug}-{number}" for number in count(2))
    return slug if slug not in taken else next(each for each in numbered if each not in taken)
