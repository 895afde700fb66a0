"""Cloud Code's answers without HTTP: projects, tiers, quota figures, generated turns.

Each method takes an account that is signed in and a decoded body, and gives the decoded answer or
raises Refusal. Source: cloudcode.md 2.3, 2.4, 5, 6.8.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mcp_proxy.demo import refusals
from mcp_proxy.demo.catalogue import MODELS, WEB_SEARCH_MODELS, DemoModel
from mcp_proxy.demo.generation import Generation, prompt_tokens, read_generation
from mcp_proxy.demo.identity import DemoAccount, Identity
from mcp_proxy.demo.quota import Quota
from mcp_proxy.demo.records import usage_of
from mcp_proxy.demo.refusals import JsonObject, Refusal
from mcp_proxy.demo.script import Turn, perform

_SESSIONS = 10_000
_PAID_TIERS = ("g1-pro-tier", "g1-ultra-tier")
_SHARED_PROJECT = "rising-fact-p41fc"


@dataclass(frozen=True, slots=True)
class Performance:
    """A turn that was granted, and what it cost."""

    asked: Generation
    turn: Turn
    usage: JsonObject


class Backend:
    """All that the upstream knows between calls."""

    def __init__(
        self,
        accounts: Iterable[DemoAccount],
        *,
        now: Callable[[], float],
        calls_per_bucket: int,
        quota_window: float,
    ) -> None:
        self.identity = Identity(accounts)
        self.quota = Quota(calls=calls_per_bucket, window=quota_window)
        self.now = now
        self._prompts: OrderedDict[tuple[str, str], int] = OrderedDict()
        for account in self.identity.accounts.values():
            for bucket, calls in (account.calls or {}).items():
                self.quota.allow(account.id, bucket, calls)

    def load_code_assist(self, account: DemoAccount, _body: JsonObject) -> JsonObject:
        allowed = {"isDefault": True, "userDefinedCloudaicompanionProject": False}
        answer: JsonObject = {
            "currentTier": {"id": account.tier},
            "allowedTiers": [{"id": account.tier, **allowed}],
        }
        if account.paid_tier is not None:
            answer["paidTier"] = {"id": account.paid_tier}
        if account.id in self.identity.onboarded:
            project = account.own_project
            answer["cloudaicompanionProject"] = (
                {"id": project} if account.project_as_object else project
            )
        return answer

    def onboard_user(self, account: DemoAccount, body: JsonObject) -> JsonObject:
        tier = body.get("tierId") or body.get("tier_id")
        if "cloudaicompanionProject" in body or tier in _PAID_TIERS or not tier:
            raise Refusal(refusals.invalid("Request contains an invalid argument."))
        answer: JsonObject = {"name": f"operations/onboard-{account.id}", "done": False}
        if self.identity.onboard(account):
            project = {"id": account.own_project}
            answer |= {"done": True, "response": {"cloudaicompanionProject": project}}
        return answer

    def fetch_available_models(self, account: DemoAccount, body: JsonObject) -> JsonObject:
        # Without the project the figures are not this account's own (pitfall 50).
        exact = body.get("project") == account.own_project
        return {
            "models": {
                model.id: self._listing(account, model, exact=exact) for model in MODELS.values()
            },
            "webSearchModelIds": list(WEB_SEARCH_MODELS),
        }

    def model(self, envelope: JsonObject) -> DemoModel:
        found = MODELS.get(envelope.get("model", ""))
        if found is None:
            raise Refusal(refusals.unknown_model())
        return found

    def check_project(self, account: DemoAccount, envelope: JsonObject) -> None:
        """Only the account's own project will do."""
        project = envelope.get("project", "")
        if project == account.own_project and account.id in self.identity.onboarded:
            return
        others = {other.own_project for other in self.identity.accounts.values()}
        if project in others | {_SHARED_PROJECT, ""}:
            raise Refusal(refusals.foreign_project(project))
        raise Refusal(refusals.unknown_project(project))

    def spend(self, account: DemoAccount, model: DemoModel) -> None:
        """One call of the account's quota; Refusal when none is left."""
        now = self.now()
        wait = self.quota.wait(account.id, model.bucket, now)
        if wait is not None:
            raise Refusal(refusals.limited("QUOTA_EXHAUSTED", model.id, wait, now))
        self.quota.use(account.id, model.bucket, now)

    def perform(self, account: DemoAccount, model: DemoModel, request: JsonObject) -> Performance:
        """The model's turn."""
        asked = read_generation(request, model)
        turn = perform(asked)
        prompt = prompt_tokens(request)
        cached = self._cached(account.id, asked.session, prompt)
        return Performance(asked, turn, usage_of(turn, prompt=prompt, cached=cached))

    def _listing(self, account: DemoAccount, model: DemoModel, *, exact: bool) -> JsonObject:
        fraction, resets_at = self.quota.reading(account.id, model.bucket, self.now())
        quota: JsonObject = {"resetTime": refusals.iso(resets_at)}
        if not exact:
            fraction = 1.0
        if fraction > 0:  # at zero the field is left out (pitfall 49)
            quota["remainingFraction"] = fraction
        return {
            "displayName": model.name,
            "maxTokens": model.window,
            "maxOutputTokens": model.max_output,
            "supportsThinking": model.budgets is not None,
            "quotaInfo": quota,
        }

    def _cached(self, account: str, session: str | None, prompt: int) -> int:
        """Tokens of the last prompt of this account and session, when this one continues it."""
        if session is None:
            return 0
        before = self._prompts.pop((account, session), 0)
        self._prompts[account, session] = prompt
        if len(self._prompts) > _SESSIONS:
            self._prompts.popitem(last=False)
        return before if before <= prompt else 0
