"""A person, a browser and a provider's sign-in page: how the code gets from there to here."""

import sys
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import click

from mcp_proxy.errors import UserError
from mcp_proxy.signin.loopback import (
    Callback,
    CallbackListener,
    new_state,
    pasted_callback,
    redirect_uri,
)

USAGE = 2
WAIT = 300.0
"""Seconds that a person has for signing in."""

GrantT = TypeVar("GrantT", covariant=True)


class PageSignIn(Protocol[GrantT]):
    """One sign-in at one page."""

    @property
    def url(self) -> str:
        """Where the person goes."""
        ...

    def finish(self, code: str) -> GrantT:
        """Trade the code that they come back with. UserError when it is refused."""
        ...


@dataclass(frozen=True, slots=True)
class SignInPage(Generic[GrantT]):
    """A provider's page, and where on this machine it sends people back to."""

    begin: Callable[[str, str], PageSignIn[GrantT]]
    """A sign-in for (address to come back to, state)."""
    ports: Sequence[int]
    """The ports that are registered with the provider, the usual one first."""
    path: str


def through_browser(page: SignInPage[GrantT], *, port: int | None) -> GrantT:
    """Open the page, wait for the browser to come back to our listener."""
    with CallbackListener(port, ports=page.ports, path=page.path) as listener:
        if port not in (None, listener.port):
            click.echo(
                f"Port {port} is not free; the browser comes back to {listener.port}.", err=True
            )
        sign_in = page.begin(listener.redirect_uri, listener.state)
        _open(sign_in.url)
        callback = listener.wait(WAIT)
    if callback is None:
        raise UserError(
            f"nobody signed in within {WAIT / 60:.0f} minutes; nothing was added. On a machine"
            " without a browser: mcproxy accounts add --no-browser"
        )
    return sign_in.finish(_code(callback))


def paste_from_browser(page: SignInPage[GrantT], *, port: int | None) -> GrantT:
    """Print the page's address, read back the one that the browser ended on."""
    state = new_state()
    sign_in = page.begin(redirect_uri(port or page.ports[0], page.path), state)
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
    return sign_in.finish(_code(pasted_callback(pasted, state, page.path)))


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
