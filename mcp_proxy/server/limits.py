"""What is left of each account's quota, as JSON or as a plain table."""

from typing import Any

from aiohttp import web

from mcp_proxy.engine.report import limits_report
from mcp_proxy.engine.runtime import Runtime
from mcp_proxy.server.answers import Call, json_answer, text_answer

COLUMNS = ("ACCOUNT", "MODEL", "LEFT", "STATE", "RESETS", "RUNS OUT", "AGE")


async def account_limits(runtime: Runtime, call: Call) -> web.Response:
    """Figures never read, or older than five minutes, are read before the answer."""
    await runtime.quota.refresh([a for a in runtime.usable_accounts() if a.enabled])
    report = limits_report(runtime, runtime.accounts)
    if call.request.query.get("format") == "table":
        return text_answer(call, table(report))
    return json_answer(call, report)


def table(report: dict[str, Any]) -> str:
    """The report in columns, for `curl`."""
    rows = [COLUMNS, *(_row(row) for account in report["accounts"] for row in account["models"])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    remaining, age = row["remaining"], row["age_seconds"]
    return (
        row["account"],
        row["model"],
        "?" if remaining is None else f"{remaining:.0%}",
        row["state"],
        row["limited_until"] or row["resets_at"] or "-",
        row["runs_out_at"] or ("not before reset" if row["lasts_until_reset"] else "-"),
        "-" if age is None else f"{age:.0f}s",
    )
