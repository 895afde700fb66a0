"""The upstream's remote control: faults, quota and sign-ins, changed over HTTP while it runs.

    POST /control {"faults": [{"kind": "quota", "account": "ada", "times": 2}],
                   "quota": [{"account": "ada", "model": "gemini-3-flash", "remaining": 0,
                              "resets_in": 900}],
                   "revoke": ["ada"], "expire": ["grace"], "clear": true}
    GET /control

`clear` drops waiting faults before new ones are queued. Loopback only, as the whole upstream is.
"""

from mcp_proxy.demo.backend import Backend
from mcp_proxy.demo.catalogue import MODELS
from mcp_proxy.demo.faults import FaultQueue, read_fault
from mcp_proxy.demo.refusals import JsonObject

_FIELDS = frozenset({"faults", "quota", "revoke", "expire", "clear"})


def apply(document: JsonObject, backend: Backend, faults: FaultQueue) -> None:
    """Does what the document says, or nothing. ValueError says what is wrong with it."""
    strangers = document.keys() - _FIELDS
    if strangers:
        raise ValueError(f"unknown field {min(strangers)!r}")
    queued = [read_fault(entry) for entry in document.get("faults", ())]
    figures = [_figure(entry, backend) for entry in document.get("quota", ())]
    for account in (*document.get("revoke", ()), *document.get("expire", ())):
        _known(account, backend)
    if document.get("clear"):
        faults.clear()
    for fault in queued:
        faults.put(fault)
    for figure in figures:
        backend.quota.set_left(*figure)
    for account in document.get("revoke", ()):
        backend.identity.revoke(account)
    for account in document.get("expire", ()):
        backend.identity.expire(account)


def report(backend: Backend, faults: FaultQueue) -> JsonObject:
    """What stands now."""
    now = backend.now()
    buckets = sorted({model.bucket for model in MODELS.values() if not model.hidden})
    return {
        "faults": len(faults),
        "accounts": {
            account: {
                "refreshes": refreshes,
                "quota": {
                    bucket: backend.quota.reading(account, bucket, now)[0] for bucket in buckets
                },
            }
            for account, refreshes in backend.identity.refreshes.items()
        },
    }


def _figure(entry: JsonObject, backend: Backend) -> tuple[str, str, float, float]:
    model = MODELS.get(entry.get("model", ""))
    if model is None:
        raise ValueError(f"unknown model {entry.get('model')!r}")
    account = _known(entry.get("account", ""), backend)
    resets_at = backend.now() + float(entry.get("resets_in", 3600))
    return account, model.bucket, float(entry["remaining"]), resets_at


def _known(account: str, backend: Backend) -> str:
    if account not in backend.identity.accounts:
        raise ValueError(f"unknown account {account!r}")
    return account
