"""Accounts that borrow another program's login: out while it has none, in again once it has one.

Their owners have nothing to do here: it is in that program that they sign in again.
"""

import asyncio
from collections.abc import Callable, Iterable

from mcp_proxy.account import Account
from mcp_proxy.engine.tokens import Tokens
from mcp_proxy.policy.ledger import Ledger
from mcp_proxy.signin import borrowed

LOOK_EVERY = 3.0
"""Seconds between looks at the logins of accounts that are out."""


async def watch_lenders(
    accounts: Callable[[], Iterable[Account]], tokens: Tokens, ledger: Ledger
) -> None:
    """Clears the marks of accounts whose login is there again, until it is cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for account in accounts():
            if _waits(account, ledger) and await tokens.is_lent_again(account):
                ledger.clear_mark(account.id)


def _waits(account: Account, ledger: Ledger) -> bool:
    if not borrowed.asks_nobody(account):
        return False
    mark = ledger.mark_of(account)
    return mark is not None and mark.kind == "invalid"
