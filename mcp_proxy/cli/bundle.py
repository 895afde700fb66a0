"""An archive for bug reports. Nothing secret goes into it, and that is made sure of twice.

Every document is made of fields that are none; then whatever the accounts, settings and variables
hold as secrets is struck from the text of all of them, wherever it came from (`striking.py`).
"""

import io
import json
import os
import tarfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp_proxy.cli.checks.installation import versions
from mcp_proxy.cli.context import App
from mcp_proxy.cli.striking import STRUCK, known_secrets, striker
from mcp_proxy.errors import UserError

USAGE = 2
LAST_NOTES = 200

_STATE_TABLES = ("standings", "marks", "notices", "features", "calibration")
"""What a server has learnt of accounts and models; the other tables hold tokens and talk."""

_WHAT = {
    "doctor.json": "the findings",
    "versions.json": "versions of the program, Python and its libraries",
    "config.json": "settings and where they come from, secrets masked",
    "accounts.json": "accounts with their states, without credentials and names",
    "state.json": "limits, marks and notices of the server",
    "decisions.json": "how the last requests were answered, without their texts",
    "variables.json": "names of the variables that are set and mean something here",
}


def check_place(file: Path) -> None:
    """UserError when the archive cannot be written there; before anything is looked at."""
    if not file.name.endswith((".zip", ".tar.gz", ".tgz")):
        raise UserError(f"--bundle {file}: must end in .zip or .tar.gz", exit_code=USAGE)
    if os.path.lexists(file):
        raise UserError(f"--bundle {file}: is there already and stays as it is; name another file")
    if not file.absolute().parent.is_dir():
        raise UserError(f"--bundle {file}: there is no such directory")


def write_bundle(app: App, file: Path, report: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the archive; what is in it, by name. UserError when it cannot be written."""
    documents = {
        "doctor.json": report,
        "versions.json": versions(),
        "config.json": _config(app),
        "accounts.json": _accounts(app),
        "state.json": _state(app),
        "decisions.json": _last(app, "decisions"),
        "variables.json": _variables(os.environ),
    }
    strike = striker(known_secrets(app, os.environ))
    files = {
        name: strike(json.dumps(document, indent=2, ensure_ascii=False)).encode()
        for name, document in documents.items()
    }
    archive = _zip(files) if file.suffix == ".zip" else _tar(files)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as cause:
        raise UserError(f"{file}: cannot be written: {cause.strerror}") from cause
    with os.fdopen(descriptor, "wb") as out:
        out.write(archive)
    return {"file": str(file), "files": {name: _WHAT[name] for name in files}}


# --------------------------------------------------------------------------------- what is in it


def _config(app: App) -> Any:
    from mcp_proxy.cli.config_verb import config_report

    try:
        return config_report(app.paths, {}, os.environ)
    except UserError as wrong:
        return {"problem": str(wrong)}


def _accounts(app: App) -> Any:
    from mcp_proxy.cli.account_rows import list_result

    try:
        result = list_result(app, app.account_store().load())
    except UserError as wrong:
        return {"problem": str(wrong)}
    # The label is an e-mail address, mostly.
    rows = [{**row, "label": STRUCK if row["label"] else None} for row in result["accounts"]]
    return {**result, "accounts": rows}


def _state(app: App) -> Any:
    return {table: _last(app, table) for table in _STATE_TABLES}


def _last(app: App, table: str) -> dict[str, Any]:
    """The newest rows; a table is in the order in which it was written."""
    return dict(list(app.state_reader().items(table).items())[-LAST_NOTES:])


def _variables(env: Mapping[str, str]) -> list[str]:
    """Names alone: what they are set to is in config.json where it is no secret."""
    from mcp_proxy.cli.services import OF_THE_SHELL

    own = ("MCPROXY_", "XDG_", "LC_", "ANTHROPIC_", "OPENAI_", "GEMINI_", "GOOGLE_", "CODEX_")
    others = {"LANG", "TERM", "NO_COLOR", "COLUMNS", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"}
    known = {*OF_THE_SHELL, *others}
    return sorted(name for name in env if name in known or name.startswith(own))


# ------------------------------------------------------------------------------------- the archive


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"mcproxy-report/{name}", content)
    return out.getvalue()


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"mcproxy-report/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()
