"""One function for each way of signing in: from the flags and the person to a credential."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from mcp_proxy.account import Account, Credential, Secret
from mcp_proxy.cli.account_keeping import SignedIn
from mcp_proxy.cli.account_wish import (
    USAGE,
    Wish,
    checked,
    is_here,
    secret_on_stdin,
)
from mcp_proxy.cli.interruption import threads
from mcp_proxy.cli.render import clean
from mcp_proxy.cli.sign_in_page import (
    GrantT,
    SignInPage,
    paste_from_browser,
    through_browser,
)
from mcp_proxy.engine.verify import Verifier
from mcp_proxy.errors import Failure, UserError
from mcp_proxy.providers import ProviderSettings, SignIn
from mcp_proxy.signin import borrowed
from mcp_proxy.store.checks import token

if TYPE_CHECKING:
    from mcp_proxy.signin.codex import CodexGrant
    from mcp_proxy.signin.device import DeviceCode
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
    key = _given_key(sitting.wish) or sitting.draft.credential.api_key
    if key is None and sys.stdin.isatty() and not is_here(sitting.draft.base_url):
        key = _asked_key("API key (empty for none)", default="")
    return SignedIn(Credential(api_key=key), key or Secret(""))


def _with_google(sitting: Sitting) -> SignedIn:
    from mcp_proxy.signin.google import GoogleSignIn, oauth_client
    from mcp_proxy.signin.loopback import CALLBACK_PATH, GOOGLE_PORTS

    draft = sitting.draft
    settings = replace(sitting.settings, token_url=draft.token_url or sitting.settings.token_url)
    client = oauth_client(settings, sitting.wish.client_secrets)
    if sitting.wish.refresh_token is not None:
        return _with_google_token(client, sitting)

    def begin(redirect_uri: str, state: str) -> GoogleSignIn:
        return GoogleSignIn(client, settings, redirect_uri=redirect_uri, state=state)

    grant = _granted(SignInPage(begin, GOOGLE_PORTS, CALLBACK_PATH), sitting.wish)
    credential = Credential(
        refresh_token=grant.refresh_token, client_id=client.id, client_secret=client.secret
    )
    email = sitting.verifier.email_of(draft, grant.access_token)
    return SignedIn(credential, grant.access_token, email, grant.expires_in)


def _granted(page: SignInPage[GrantT], wish: Wish) -> GrantT:
    """What the page grants to the person who goes there."""
    show = paste_from_browser if wish.no_browser else through_browser
    return show(page, port=wish.callback_port)


def _with_google_token(client: "OAuthClient", sitting: Sitting) -> SignedIn:
    credential = Credential(
        refresh_token=secret_on_stdin("--refresh-token"),
        client_id=client.id,
        client_secret=client.secret,
    )

    def named(signed_in: SignedIn) -> SignedIn:
        token = signed_in.access_token or Secret("")
        return replace(signed_in, label=sitting.verifier.email_of(sitting.draft, token))

    return _renewed(sitting, credential, named)


class SignInInterrupted(KeyboardInterrupt):
    """A sign-in was interrupted, but not before its token had been renewed."""

    def __init__(self, signed_in: SignedIn) -> None:
        super().__init__()
        self.signed_in = signed_in


def _renewed(
    sitting: Sitting, credential: Credential, named: Callable[[SignedIn], SignedIn]
) -> SignedIn:
    """A token that somebody had already; it may have been rotated by trying it.

    SignInInterrupted with the new one, which is nowhere else then.
    """
    draft, renewals = replace(sitting.draft, credential=credential), sitting.verifier.renewals
    given: list[SignedIn] = []

    def ask() -> None:
        with renewals.of(draft):
            given.append(named(_tried(sitting.verifier, draft)))

    try:
        with threads(renewals) as pool:
            pool.submit(ask).result()
    except KeyboardInterrupt as interruption:
        if given and given[0].credential != credential:
            raise SignInInterrupted(given[0]) from interruption
        raise
    return given[0]


def _tried(verifier: Verifier, draft: Account) -> SignedIn:
    renewed = verifier.renew(draft)
    if isinstance(renewed, Failure):
        raise UserError(f"the refresh token does not work: {renewed.detail}")
    return SignedIn(renewed.account.credential, renewed.token, expires_in=renewed.expires_in)


def _with_google_cloud(sitting: Sitting) -> SignedIn:
    """A key file, or whatever login of Google Cloud this machine has."""
    named = sitting.wish.credentials_file
    file = str(named) if named else sitting.draft.credential.file
    return lent(replace(sitting.draft, credential=Credential(source="gcloud", file=file)))


def _with_chatgpt(sitting: Sitting) -> SignedIn:
    if sitting.wish.refresh_token is not None:
        return _with_chatgpt_token(sitting)
    grant = _chatgpt_code(sitting) or _chatgpt_page(sitting)
    workspace, email, _plan = grant.identity
    return SignedIn(
        Credential(refresh_token=grant.refresh_token),
        grant.access_token,
        email,
        grant.expires_in,
        workspace,
    )


def _chatgpt_code(sitting: Sitting) -> "CodexGrant | None":
    """Without a browser here: by a code, where OpenAI gives this machine one."""
    from mcp_proxy.signin.codex import CodexDeviceSignIn

    if not sitting.wish.no_browser:
        return None
    by_code = CodexDeviceSignIn(sitting.settings, proxy=sitting.draft.proxy)
    try:
        code = by_code.start()
    except UserError:
        return None  # not everybody may sign in so; the page's address can still be pasted
    _show(code)
    return by_code.wait(code)


def _chatgpt_page(sitting: Sitting) -> "CodexGrant":
    from mcp_proxy.signin.codex import CALLBACK_PATH, CALLBACK_PORTS, CodexSignIn

    settings, proxy = sitting.settings, sitting.draft.proxy

    def begin(redirect_uri: str, state: str) -> CodexSignIn:
        return CodexSignIn(settings, redirect_uri=redirect_uri, state=state, proxy=proxy)

    return _granted(SignInPage(begin, CALLBACK_PORTS, CALLBACK_PATH), sitting.wish)


def _with_chatgpt_token(sitting: Sitting) -> SignedIn:
    from mcp_proxy.signin.codex_claims import identity_of

    credential = Credential(refresh_token=secret_on_stdin("--refresh-token"))

    def named(signed_in: SignedIn) -> SignedIn:
        token = signed_in.access_token or Secret("")
        workspace, email, _plan = identity_of(token.value)
        return replace(signed_in, label=email, workspace=workspace)

    return _renewed(sitting, credential, named)


def _with_github(sitting: Sitting) -> SignedIn:
    from mcp_proxy.signin.github import GitHubSignIn

    github = GitHubSignIn(sitting.settings, proxy=sitting.draft.proxy)
    if sitting.wish.refresh_token is not None:
        token = secret_on_stdin("--refresh-token")
    else:
        code = github.start()
        _show(code)
        token = github.wait(code)
    # Copilot's own tokens are asked for with this one, each time anew.
    return SignedIn(Credential(refresh_token=token), label=github.login_of(token))


def lent(account: Account) -> SignedIn:
    """What the program that the account borrows from has now. UserError when that is nothing."""
    try:
        login = borrowed.read(account)
    except (ConnectionError, TimeoutError) as cause:
        raise UserError(f"{cause}; nothing was added. Try again.") from cause
    except (OSError, LookupError, ValueError) as cause:
        raise UserError(
            f"{cause}. Sign in there first, or add the account in another way."
        ) from cause
    project = account.project or login.project
    if account.provider == "vertex" and project is None:
        raise UserError(
            "--project is needed: neither the environment nor the credentials name one",
            exit_code=USAGE,
        )
    return SignedIn(
        account.credential,
        login.token,
        login.label,
        workspace=login.workspace,
        project=project,
    )


def _show(code: "DeviceCode") -> None:
    """The page and the code are the provider's words: nothing in them is for the terminal."""
    click.echo(
        f"Open this page in any browser, here or elsewhere:\n\n{clean(code.url)}\n\n"
        f"and type in the code {clean(code.user_code)}."
        f" It is good for {code.lifetime / 60:.0f} minutes.",
        err=True,
    )


def _given_key(wish: Wish) -> Secret | None:
    if wish.api_key == "-":
        return secret_on_stdin("--api-key")
    given = checked("--api-key", wish.api_key, token)
    return Secret(given) if given else None


def _asked_key(question: str, default: str | None = None) -> Secret | None:
    """Typed without an echo. None for nothing, where nothing is an answer."""
    typed: str = click.prompt(
        question, hide_input=True, default=default, show_default=False, err=True
    )
    given = checked("the key", typed or None, token)
    return Secret(given) if given else None


SIGN_INS: Mapping[SignIn, Callable[[Sitting], SignedIn]] = {
    SignIn.API_KEY: _with_key,
    SignIn.OPTIONAL_KEY: _with_address,
    SignIn.GOOGLE: _with_google,
    SignIn.ADC: _with_google_cloud,
    SignIn.CODEX: _with_chatgpt,
    SignIn.GITHUB: _with_github,
}
