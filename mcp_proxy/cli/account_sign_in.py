"""One function for each way of signing in: from the flags and the person to a credential."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli.account_keeping import SignedIn
from mcp_proxy.cli.account_wish import Wish, checked, is_here, needed, secret_on_stdin
from mcp_proxy.engine.verify import Verifier
from mcp_proxy.errors import Failure, UserError
from mcp_proxy.providers import ProviderSettings, SignIn
from mcp_proxy.store.checks import token

if TYPE_CHECKING:
    from mcp_proxy.signin.google import OAuthClient


@dataclass(frozen=True, slots=True)
class Sitting:
    """What a sign-in has to go by."""

    wish: Wish
    draft: Account
    """The account as far as it is known."""
    settings: ProviderSettings
    verifier: Verifier


def _with_key(sitting: Sitting) -> SignedIn:
    key = _given_key(sitting.wish) or _asked_key(f"API key for {sitting.draft.provider}")
    return SignedIn(Credential(api_key=key), key)


def _with_address(sitting: Sitting) -> SignedIn:
    """Servers on one's own machine want no key; a person is asked about others."""
    if sitting.draft.base_url is None:
        raise UserError(
            "--base-url is needed: the server's address up to and with /v1, as in"
            " http://127.0.0.1:11434/v1",
            exit_code=2,
        )
    key = _given_key(sitting.wish) or sitting.draft.credential.api_key
    if key is None and sys.stdin.isatty() and not is_here(sitting.draft.base_url):
        key = _asked_key("API key (empty for none)", default="")
    return SignedIn(Credential(api_key=key), key or Secret(""))


def _with_google(sitting: Sitting) -> SignedIn:
    from mcp_proxy.cli.google_page import paste_from_browser, through_browser
    from mcp_proxy.signin.google import oauth_client

    wish, draft = sitting.wish, sitting.draft
    settings = replace(sitting.settings, token_url=draft.token_url or sitting.settings.token_url)
    client = oauth_client(settings, wish.client_secrets)
    if wish.refresh_token is not None:
        return _with_google_token(client, sitting)
    show = paste_from_browser if wish.no_browser else through_browser
    grant = show(client, settings, port=wish.callback_port)
    credential = Credential(
        refresh_token=grant.refresh_token, client_id=client.id, client_secret=client.secret
    )
    email = sitting.verifier.email_of(draft, grant.access_token)
    return SignedIn(credential, grant.access_token, email, grant.expires_in)


def _with_google_token(client: "OAuthClient", sitting: Sitting) -> SignedIn:
    credential = Credential(
        refresh_token=secret_on_stdin("--refresh-token"),
        client_id=client.id,
        client_secret=client.secret,
    )
    signed_in = _renewed(sitting, credential)
    token = signed_in.access_token or Secret("")
    return replace(signed_in, label=sitting.verifier.email_of(sitting.draft, token))


def _renewed(sitting: Sitting, credential: Credential) -> SignedIn:
    """A token that somebody had already; it may have been rotated by trying it."""
    renewed = sitting.verifier.renew(replace(sitting.draft, credential=credential))
    if isinstance(renewed, Failure):
        raise UserError(f"the refresh token does not work: {renewed.detail}")
    return SignedIn(renewed.account.credential, renewed.token, expires_in=renewed.expires_in)


def _given_key(wish: Wish) -> Secret | None:
    if wish.api_key == "-":
        return secret_on_stdin("--api-key")
    given = checked("--api-key", wish.api_key, token)
    return Secret(given) if given else None


def _asked_key(question: str, default: str | None = None) -> Secret | None:
    """Typed without an echo. None for nothing, where nothing is an answer."""
    if not sys.stdin.isatty():
        raise needed("--api-key", "- reads the key from stdin")
    typed: str = click.prompt(
        question, hide_input=True, default=default, show_default=False, err=True
    )
    given = checked("the key", typed or None, token)
    return Secret(given) if given else None


SIGN_INS: Mapping[SignIn, Callable[[Sitting], SignedIn]] = {
    SignIn.API_KEY: _with_key,
    SignIn.OPTIONAL_KEY: _with_address,
    SignIn.GOOGLE: _with_google,
}
