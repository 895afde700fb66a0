"""Lines for the systemd journal: each begins with its priority, as sd-daemon(3) has it.

The journal keeps the time itself and sorts by priority: `journalctl -p warning` finds warnings.
"""

import logging
import os
from collections.abc import Mapping

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def leads_to_journal(descriptor: int, env: Mapping[str, str]) -> bool:
    """Whether the descriptor is the connection that `$JOURNAL_STREAM` names.

    Comparing matters: children inherit the variable also when their output goes elsewhere.
    """
    try:
        facts = os.fstat(descriptor)
    except OSError:
        return False
    return env.get("JOURNAL_STREAM") == f"{facts.st_dev}:{facts.st_ino}"


def priority(level: int) -> str:
    """What a line of this logging level begins with."""
    return f"<{next((each for least, each in _PRIORITIES if level >= least), _DEBUG)}>"
