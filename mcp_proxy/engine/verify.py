"""Trying an account for real: its sign-in, its project, its models. Blocking, one try per step.

The same walk ends every `accounts add` and is all of `accounts verify`. What it learns goes where a
server learns from: tokens, projects, standings and marks in the state store.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from mcp_proxy.account import Account, Secret
from mcp_proxy.engine.live_models import stored_models
from mcp_proxy.engine.renewals import Renewals
from mcp_proxy.errors import Failure, FailureKind, UserError
from mcp_proxy.events import UpstreamBroke
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.policy.standing import Mark, MarkKind
from mcp_proxy.providers import (
    KNOWN_PROVIDERS,
    JsonObject,
    Poll,
    Provider,
    ProviderSettings,
    QuotaReading,
    Reading,
    SignIn,
    TokenAnswer,
    provider,
)
from mcp_proxy.signin import borrowed
from mcp_proxy.signin.asking import Send, asked, exchanged
from mcp_proxy.signin.http import send as send_once
from mcp_proxy.signin.project import discover_project
from mcp_proxy.store.accounts import AccountStore, credential_id
from mcp_proxy.store.locks import account_lock
from mcp_proxy.store.state import StateStore
from mcp_proxy.store.tokens import CachedToken, TokenCache

log = logging.getLogger(__name__)


class Step(StrEnum):
    SIGN_IN = "sign-in"
    PROJECT = "project"
    MODELS = "models"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far one account got."""

    account: Account
    failed_at: Step | None = None
    failure: Failure | None = None
    project: str | None = None
    tier: str | None = None
    """The subscription, by the provider's name for it."""
    models: tuple[ModelInfo, ...] = ()
    figures: tuple[QuotaReading, ...] = ()

    @property
    def ok(self) -> bool:
        return self.failure is None


MARKS: Mapping[FailureKind, MarkKind] = {
    FailureKind.AUTH_REVOKED: "invalid",
    FailureKind.VERIFICATION: "verification",
    FailureKind.SUSPENDED: "suspended",
}
"""Failures that only the account's owner can mend; they are remembered."""


_SILENCE: Final = frozenset({FailureKind.NETWORK, FailureKind.SLOW})


class Renewed(NamedTuple):
    """An access token, and the account as it is since it was given."""

    account: Account
    token: Secret
    expires_in: float | None = None
    """Seconds; None for what is not kept: keys, and tokens that somebody else looks after."""
    host: str | None = None
    """The only address that the token is good for, if there is one."""


class Verifier:
    """Knows where accounts and state are kept; may be used from several threads at once."""

    def __init__(
        self,
        store: AccountStore,
        state: StateStore,
        provider_settings: Callable[[str], ProviderSettings],
        *,
        send: Send = send_once,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._state = state
        self._tokens = TokenCache(state)
        self._provider_settings = provider_settings
        self._send = send
        self._clock = clock
        self.renewals = Renewals()

    def verify(self, account: Account) -> Verdict:
        """Sign in anew with what accounts.toml has, then everything `check` does."""
        if account.provider not in KNOWN_PROVIDERS:
            reason = f"{account.provider} is not served by this version of mcproxy"
            failure = Failure(FailureKind.MISCONFIGURED, reason)
            return Verdict(account, Step.SIGN_IN, failure)
        try:
            # A server may be about to refresh, too: a rotated token is given out only once.
            with account_lock(self._state.directory, account.id):
                in_file = self._reread(account)
                account = self._newest(in_file)
                with self.renewals.of(account):
                    renewed = self._renewed(account, in_file)
        except UserError as trouble:
            # Of the file or the lock: it says nothing about this account, nor about the others.
            return Verdict(account, Step.SIGN_IN, Failure(FailureKind.NETWORK, str(trouble)))
        if isinstance(renewed, Failure):
            return Verdict(account, Step.SIGN_IN, renewed)
        return self.check(renewed.account, renewed.token, host=renewed.host)

    def renew(self, account: Account) -> Renewed | Failure:
        """An access token, and the account with the refresh token that is good from now on."""
        if account.credential.is_borrowed:
            return _lent(account)
        place, settings = provider(account.provider), self._provider_settings(account.provider)
        if not place.makes_tokens:
            return Renewed(account, account.credential.api_key or Secret(""))
        try:
            call = place.refresh_call(account, settings)
        except UpstreamBroke as broke:
            return broke.failure
        answer = exchanged(call, self._send)
        if isinstance(answer, Failure):
            return answer
        read = place.read_refresh(answer.status, answer.headers, answer.body, now=self._clock())
        if isinstance(read, Failure):
            return read.concealing(call.secrets)
        return _renewed(account, read)

    def check(self, account: Account, token: Secret, *, host: str | None = None) -> Verdict:
        """The project, the models and the quota, with a token that is fresh."""
        project, tier = account.project or self._known_project(account), None
        if project is None and provider(account.provider).sign_in is SignIn.GOOGLE:
            settings = self._provider_settings(account.provider)
            found = discover_project(account, token, settings, self._send)
            if isinstance(found, Failure):
                return Verdict(account, Step.PROJECT, found)
            if found.project is None:
                return Verdict(account, Step.PROJECT, _no_project(account), tier=found.tier)
            project, tier = found.project, found.tier
            self.remember_project(account, project)
        readings = self._read_all(account, token, project, host)
        if isinstance(readings, Failure):
            return Verdict(account, Step.MODELS, readings, project, tier)
        return Verdict(
            account,
            project=project,
            tier=tier or next((each.plan for each in readings if each.plan), None),
            models=next((each.models for each in readings if each.models is not None), ()),
            figures=tuple(figure for each in readings for figure in each.figures),
        )

    def record(self, verdict: Verdict) -> None:
        """Leave what was learned for `accounts list`, `limits` and a running server."""
        account, now = verdict.account, self._clock()
        ledger = Ledger(credential_id=credential_id, on_change=self._save)
        ledger.restore(self._state.items("standings"), self._state.items("marks"))
        kind = MARKS.get(verdict.failure.kind) if verdict.failure else None
        if verdict.failure is None:
            ledger.clear_mark(account.id)
            ledger.observe_quota(account.id, verdict.figures, now, "quota poll")
            if verdict.models:
                self._state.put("models", account.id, stored_models(account, verdict.models))
        elif kind is not None:
            failure = verdict.failure
            mark = Mark(kind, failure.detail, now, credential_id(account), failure.url)
            ledger.mark(account.id, mark)

    def remember_token(self, renewed: Renewed) -> None:
        """A running server takes it over instead of asking for another."""
        if renewed.expires_in is not None:
            expires_at = self._clock() + renewed.expires_in
            self._tokens.put(renewed.account, CachedToken(renewed.token, expires_at, renewed.host))

    def remember_project(self, account: Account, project: str) -> None:
        row = {"project": project, "credential": credential_id(account)}
        self._state.put("projects", account.id, row)

    def email_of(self, account: Account, token: Secret) -> str | None:
        """Whose token it is; None when nobody says."""
        from mcp_proxy.providers.antigravity import PROVIDER

        call = PROVIDER.userinfo_call(account, token, self._provider_settings(account.provider))
        answer = asked(PROVIDER, call, self._send, PROVIDER.read_userinfo)
        return None if isinstance(answer, Failure) else answer

    def _reread(self, account: Account) -> Account:
        accounts = self._store.load().accounts
        return next((each for each in accounts if each.id == account.id), account)

    def _newest(self, in_file: Account) -> Account:
        """With the token that could not be written to the file yet, if there is one."""
        token = self._tokens.rotation(in_file)
        return in_file if token is None else in_file.renewed(token)

    def _renewed(self, account: Account, in_file: Account) -> Renewed | Failure:
        """A rotated token exists only once: it is saved before anything is done with it."""
        renewed = self.renew(account)
        if isinstance(renewed, Failure):
            return renewed
        token = renewed.account.credential.refresh_token
        if renewed.account != in_file and token is not None:
            self._save_rotation(token, account, in_file)
        self.remember_token(renewed)
        return renewed

    def _save_rotation(self, token: Secret, before: Account, in_file: Account) -> None:
        """Into the file, in place of the token that was spent."""
        spent = {credential_id(before), credential_id(in_file)}
        try:
            self._store.save_rotation(
                in_file.id, token, is_before=lambda other: credential_id(other) in spent
            )
        except (UserError, OSError) as cause:
            self._keep_rotation(token, in_file, trouble=str(cause))
        else:
            self._tokens.drop_rotation(in_file.id)

    def _keep_rotation(self, token: Secret, in_file: Account, *, trouble: str) -> None:
        """Sealed, to where a server looks for it, and writes it from."""
        log.error("the new sign-in of %s is not saved: %s", in_file.id, trouble)
        self._tokens.put_rotation(in_file, token)
        if not self._tokens.flush():
            where = self._state.directory
            log.error("nor can it be kept in %s: %s has to sign in anew", where, in_file.id)

    def _known_project(self, account: Account) -> str | None:
        row = self._state.get("projects", account.id)
        if row is None or row.get("credential") != credential_id(account):
            return None
        project = row.get("project")
        return project if isinstance(project, str) else None

    def _read_all(
        self, account: Account, token: Secret, project: str | None, host: str | None
    ) -> list[Reading] | Failure:
        """The answers to the provider's polls at the first host that has those it requires."""
        place, settings = provider(account.provider), self._provider_settings(account.provider)
        hosts = (host,) if host and not account.base_url else place.hosts(account, settings)
        result: list[Reading] | Failure = Failure(FailureKind.NETWORK, "no host to ask")
        for each in hosts:
            try:
                polls = place.polls(account, token, project, each, settings)
            except UpstreamBroke as broke:
                return broke.failure
            result = self._read_at(place, polls)
            if not isinstance(result, Failure) or result.kind in MARKS:
                break
        return result

    def _read_at(self, place: Provider, polls: tuple[Poll, ...]) -> list[Reading] | Failure:
        readings: list[Reading] = []
        silence: Failure | None = None
        for poll in polls:
            read = poll.read
            answer = asked(place, poll.call, self._send, lambda body: read(body, self._clock()))  # noqa: B023 - called at once
            if not isinstance(answer, Failure):
                readings.append(answer)
            elif poll.required or answer.kind in MARKS:
                return answer
            elif answer.kind in _SILENCE:
                silence = answer
        # Who lacks an endpoint works without it; where nobody answers at all, nothing does.
        return silence if silence is not None and not readings else readings

    def _save(self, table: str, key: str, row: JsonObject | None) -> None:
        if row is None:
            self._state.delete(table, key)
        else:
            self._state.put(table, key, row)


def _renewed(account: Account, answer: TokenAnswer) -> Renewed:
    if answer.refresh_token is not None:
        account = account.renewed(answer.refresh_token)
    return Renewed(account, answer.access_token, answer.expires_in, answer.host)


def _lent(account: Account) -> Renewed | Failure:
    """What another program's login gives now."""
    try:
        return Renewed(account, borrowed.read(account).token)
    except (ConnectionError, TimeoutError) as cause:
        return Failure(FailureKind.NETWORK, str(cause))
    except (OSError, LookupError, ValueError) as cause:
        return Failure(FailureKind.AUTH_REVOKED, str(cause))


def _no_project(account: Account) -> Failure:
    return Failure(
        FailureKind.MISCONFIGURED,
        f"Google gave {account.id} no Cloud project. Name one of yours:"
        f" mcproxy accounts add --provider {account.provider} --id {account.id} --project PROJECT",
    )
