"""Embedded upstreams that behave like the real ones, for `demo`, `serve --demo` and the tests."""

from mcp_proxy.demo.cloudcode import DemoUpstream, RecordedCall
from mcp_proxy.demo.faults import Fault, FaultKind
from mcp_proxy.demo.identity import DemoAccount
from mcp_proxy.demo.setup import demo_accounts, demo_settings, demo_setup, provider_settings

__all__ = [
    "DemoAccount",
    "DemoUpstream",
    "Fault",
    "FaultKind",
    "RecordedCall",
    "demo_accounts",
    "demo_settings",
    "demo_setup",
    "provider_settings",
]
