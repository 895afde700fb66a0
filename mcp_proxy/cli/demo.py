"""`mcproxy demo`: the main job on an embedded upstream, shown as it happens."""

import time
from dataclasses import asdict

import click

from mcp_proxy.cli.render import json_option, show

SCHEMA = "mcproxy.demo/1"
FAILED = 1

EXAMPLES = """\b
Examples:
  mcproxy demo
  mcproxy demo --json
"""


@click.command(epilog=EXAMPLES)
@json_option(SCHEMA)
def demo(*, as_json: bool) -> int:
    """Play the main job on an embedded upstream; no account is needed.

    Two APIs, thinking, a tool call, an account that runs dry, a fallback, the limits.
    """
    import asyncio

    from mcp_proxy import trust

    with trust.not_yet_read():
        from mcp_proxy.cli.demo_watcher import Watcher, farewell
        from mcp_proxy.demo.play import Audience, play
        from mcp_proxy.server.app import Server

    started = time.monotonic()
    steps = asyncio.run(
        play(
            Audience() if as_json else Watcher(),
            lambda runtime: Server(runtime, host="127.0.0.1", port=0),
        )
    )
    seconds = round(time.monotonic() - started, 2)
    ok = all(step.ok for step in steps)
    rows = [asdict(step) for step in steps]
    report = {"schema": SCHEMA, "ok": ok, "seconds": seconds, "steps": rows}
    show(report, farewell, as_json=as_json)
    return 0 if ok else FAILED
