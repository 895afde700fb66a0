"""The logins on this machine that `accounts add --from` can take: their names, nothing of how."""

from collections.abc import Mapping

SOURCES: Mapping[str, str | None] = {
    "antigravity-app": "antigravity",
    "codex": "codex",
    "copilot": "copilot",
    "gemini-cli": "antigravity",
    "gcloud": "vertex",
    "env": None,
    "antigravity-claude-proxy": None,
    "multi-claude-proxy": None,
}
"""What `--from` takes, and whose accounts it gives; None: accounts of several providers.

How each is read is in `account_import.py`.
"""
