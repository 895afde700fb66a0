"""Interactive sign-in. Used by `accounts add` alone; `serve` loads nothing of it."""
