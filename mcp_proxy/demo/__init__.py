"""Embedded upstreams that behave like the real ones, for `demo`, `serve --demo` and the tests."""
