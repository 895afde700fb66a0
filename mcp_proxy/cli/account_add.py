"""`accounts add`: settle what is wanted, agree to the risk, sign in, try it, write it down."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import click

from mcp_proxy.account import Account
from mcp_proxy.cli.account_keeping import Kept, SignedIn, keep, with_sign_in
from mcp_proxy.cli.account_rows import note_plan
from mcp_proxy.cli.account_sign_in import SIGN_INS, SignInInterrupted, Sitting
from mcp_proxy.cli.account_wish import Wish, drafted, needed, settled
from mcp_proxy.cli.context import App
from mcp_proxy.cli.interruption import threads
from mcp_proxy.engine.verify import Renewed, Verdict, Verifier
from mcp_proxy.errors import FailureKind, UserError
from mcp_proxy.providers import SignIn, provider
from mcp_proxy.store.state import StateStore

_KEYED = frozenset({SignIn.API_KEY, SignIn.OPTIONAL_KEY})
"""Sign-ins that cost nothing to repeat: what is refused need not be kept. A key is given out for
programs to use, so nobody has to agree to that."""


@dataclass(frozen=True, slots=True)
class Added:
    verdict: Verdict
    is_new: bool


@dataclass(frozen=True, slots=True)
class Addition:
    """What became of one `accounts add`."""

    added: tuple[Added, ...]
    left_out: tuple[str, ...] = ()
    """Logins of an import that were not kept, each with the reason."""

    @property
    def ok(self) -> bool:
        return not self.left_out and all(each.verdict.ok for each in self.added)


def add_accounts(app: App, wish: Wish) -> Addition:
    """Sign in, keep the account or accounts, try them. UserError when nothing was kept."""
    loaded = app.accounts()
    wish = settled(wish, loaded)
    if wish.provider is not None:
        agree_to_risk(app, wish.provider, accepted=wish.accept_risk)
    app.account_store().require_changeable()  # before a sign-in that could not be kept
    if wish.source is not None:
        return _imported(app, wish)
    draft = drafted(wish, loaded)
    with _desk(app, wish) as desk:
        note_agreement(desk.state, draft.provider)
        try:
            signed_in = _signed_in(desk, draft)
        except SignInInterrupted as interruption:
            kept = _kept(desk, draft, interruption.signed_in)
            app.say(f"interrupted; {kept.account.id} is kept, since its token has been renewed")
            raise
        return Addition((_added(desk, draft, signed_in),))


def _imported(app: App, wish: Wish) -> Addition:
    """Every login of the source; one that does not work does not keep the others out."""
    from mcp_proxy.cli.account_import import haul

    result = haul(wish)
    for name in dict.fromkeys(each.draft.provider for each in result.found):
        if name != wish.provider:  # that one's notice was shown before anything was read
            agree_to_risk(app, name, accepted=wish.accept_risk)
    for line in result.told:
        app.say(line)
    added, left_out = [], []
    with _desk(app, wish) as desk:
        for each in result.found:
            note_agreement(desk.state, each.draft.provider)
            draft = _with_client(desk, replace(each.draft, **wish.given()))
            try:
                added.append(
                    _added(desk, draft, replace(each.signed_in, credential=draft.credential))
                )
            except UserError as error:
                left_out.append(f"{draft.label or draft.provider}: {error}")
    if not added:
        raise UserError("; ".join(left_out))
    return Addition(tuple(added), tuple(left_out))


@dataclass(frozen=True, slots=True)
class _Desk:
    """What is at hand while accounts are added."""

    app: App
    wish: Wish
    state: StateStore
    verifier: Verifier


@contextmanager
def _desk(app: App, wish: Wish) -> Iterator[_Desk]:
    with app.state() as state:
        verifier = Verifier(app.account_store(), state, app.settings().provider)
        yield _Desk(app, wish, state, verifier)


def _signed_in(desk: _Desk, draft: Account) -> SignedIn:
    settings = desk.app.settings().provider(draft.provider)
    sitting = Sitting(desk.wish, draft, settings, desk.verifier)
    return SIGN_INS[provider(draft.provider).sign_in](sitting)


def _added(desk: _Desk, draft: Account, signed_in: SignedIn) -> Added:
    """The account written down and tried; a key is tried first."""
    verdict = _tried_first(desk.verifier, draft, signed_in)
    account, is_new = _kept(desk, draft, signed_in)
    desk.state.delete("marks", account.id)
    if verdict is None:
        verdict = _tried(desk.verifier, account, signed_in)
    verdict = replace(verdict, account=account)
    desk.verifier.record(verdict)
    note_plan(desk.state, verdict)
    return Added(verdict, is_new)


def _kept(desk: _Desk, draft: Account, signed_in: SignedIn) -> Kept:
    store, given = desk.app.account_store(), desk.wish.given()
    return keep(store, draft, signed_in, account_id=desk.wish.id, given=given)


def _with_client(desk: _Desk, draft: Account) -> Account:
    """Google's refresh tokens are bound to a client: the one of the settings is kept with them."""
    credential = draft.credential
    if provider(draft.provider).sign_in is not SignIn.GOOGLE or credential.refresh_token is None:
        return draft
    settings = desk.app.settings().provider(draft.provider)
    bound = replace(credential, client_id=settings.client_id, client_secret=settings.client_secret)
    return replace(draft, credential=bound)


def _tried_first(verifier: Verifier, draft: Account, signed_in: SignedIn) -> Verdict | None:
    """None for a sign-in that must not be lost, whatever becomes of it."""
    if provider(draft.provider).sign_in not in _KEYED or signed_in.access_token is None:
        return None
    verdict = verifier.check(with_sign_in(draft, signed_in), signed_in.access_token)
    if verdict.failure is not None and verdict.failure.kind is FailureKind.AUTH_REVOKED:
        raise UserError(f"the key is refused: {verdict.failure.detail}. Nothing was added.")
    return verdict


def _tried(verifier: Verifier, account: Account, signed_in: SignedIn) -> Verdict:
    if signed_in.access_token is None:
        with threads(verifier.renewals) as pool:
            return pool.submit(verifier.verify, account).result()
    verifier.remember_token(Renewed(account, signed_in.access_token, signed_in.expires_in))
    return verifier.check(account, signed_in.access_token)


def agree_to_risk(app: App, name: str, *, accepted: bool) -> None:
    """The provider's notice is shown once; for a sign-in made for another program, agreed to."""
    risk = provider(name).risk
    if risk is None or app.state_reader().get("notices", _notice(name)) is not None:
        return
    click.echo(risk, err=True)
    if accepted or provider(name).sign_in in _KEYED:
        return
    if not sys.stdin.isatty():
        raise needed("--accept-risk", "it says that you have read the above")
    if not click.confirm("Go on?", default=False, err=True):
        raise UserError("nothing was added")


def note_agreement(state: StateStore, name: str) -> None:
    """It was shown and not refused: it is not shown again."""
    if provider(name).risk is not None:
        state.put("notices", _notice(name), {"agreed": True})


def _notice(name: str) -> str:
    """Key of the risk notice in the state's notices."""
    return f"risk:{name}"
