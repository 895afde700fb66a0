"""A person, a browser and Google's sign-in page: how the code gets from there to here."""

import sys
import webbrowser

import click

from mcp_proxy.errors import UserError
from mcp_proxy.providers import ProviderSettings
from mcp_proxy.signin.google import WAIT, GoogleSignIn, Grant, OAuthClient
from mcp_proxy.signin.loopback import (
    FIRST_PORT,
    Callback,
    CallbackListener,
    new_state,
    pasted_callback,
    redirect_uri,
)

USAGE = 2


def through_browser(client: OAuthClient, settings: ProviderSettings, *, port: int | None) -> Grant:
    """Open the page, wait for the browser to come back to our listener."""
    with CallbackListener(port) as listener:
        sign_in = GoogleSignIn(
            client, settings, redirect_uri=listener.redirect_uri, state=listener.state
        )
        _open(sign_in.url)
        callback = listener.wait(WAIT)
    if callback is None:
        raise UserError(
            f"nobody signed in within {WAIT / 60:.0f} minutes; nothing was added. On a machine"
            " without a browser: mcproxy accounts add --no-browser"
        )
    return sign_in.finish(_code(callback))


def paste_from_browser(
    client: OAuthClient, settings: ProviderSettings, *, port: int | None
) -> Grant:
    """Print the page's address, read back the one that the browser ended on."""
    state = new_state()
    sign_in = GoogleSignIn(
        client, settings, redirect_uri=redirect_uri(port or FIRST_PORT), state=state
    )
    click.echo(f"Open this page in any browser and sign in:\n\n{sign_in.url}\n", err=True)
    click.echo(
        "The browser will end on a page that does not load. Paste its whole address here"
        " (or only the code in it):",
        err=True,
    )
    pasted = sys.stdin.readline()
    if not pasted.strip():
        raise UserError(
            "--no-browser reads the address from stdin, and nothing came; nothing was added",
            exit_code=USAGE,
        )
    return sign_in.finish(_code(pasted_callback(pasted, state)))


def _open(url: str) -> None:
    click.echo(f"Sign in on the page that opens. If none does, visit:\n\n{url}\n", err=True)
    if not webbrowser.open(url) and not sys.stdin.isatty():
        raise UserError(
            "no browser could be opened: pass --no-browser; nothing was added", exit_code=USAGE
        )


def _code(callback: Callback) -> str:
    if callback.code is None:
        raise UserError(f"the sign-in was not granted ({callback.error}); nothing was added")
    return callback.code
