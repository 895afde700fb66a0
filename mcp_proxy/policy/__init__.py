"""Decisions as pure code: no I/O, no clock of its own, no text matching outside `limit_signals`."""
