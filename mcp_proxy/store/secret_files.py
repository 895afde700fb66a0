"""Secrets in files, as container runtimes and systemd hand them over.

`PROXY_API_KEY_FILE=/run/secrets/key` stands for `PROXY_API_KEY` with what is in that file, which
neither `docker inspect` nor `/proc/PID/environ` shows. Knows which variables may be kept so.
systemd's credentials are files in `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
"""

from collections.abc import Mapping
from pathlib import Path

from mcp_proxy.errors import UserError

CONFIG_EXIT = 78
SECRETS = ("PROXY_API_KEY", "GOOGLE_CLIENT_SECRET")
SUFFIX = "_FILE"
CREDENTIALS = {"PROXY_API_KEY": "api-key"}
"""Variable -> the credential that stands for it where it is set in no other way."""


def with_secret_files(env: Mapping[str, str]) -> Mapping[str, str]:
    """The variables, with the secrets of those files among them.

    UserError for a file that gives no secret, and where both variables are set: one of them would
    be the one that somebody forgot.
    """
    named = {name: env[name + SUFFIX] for name in SECRETS if env.get(name + SUFFIX)}
    for name in named:
        if env.get(name):
            raise UserError(
                f"{name} and {name}{SUFFIX} are both set; unset one of them", exit_code=CONFIG_EXIT
            )
    secrets = {name: _secret_in(Path(file), name + SUFFIX) for name, file in named.items()}
    return {**env, **_credentials(env), **secrets}


def _credentials(env: Mapping[str, str]) -> dict[str, str]:
    """What the service manager gives, which may be nothing."""
    if not env.get("CREDENTIALS_DIRECTORY"):
        return {}
    directory = Path(env["CREDENTIALS_DIRECTORY"])
    handed = {name: directory / file for name, file in CREDENTIALS.items() if not env.get(name)}
    return {
        name: _secret_in(file, f"the credential {file.name}")
        for name, file in handed.items()
        if file.exists()
    }


def _secret_in(file: Path, source: str) -> str:
    """Without the line break that editors and `echo` put at the end."""
    try:
        secret = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else "it is not text"
        raise UserError(f"{source}: {file} cannot be read: {why}", exit_code=CONFIG_EXIT) from cause
    if not secret.strip():
        raise UserError(f"{source}: {file} is empty", exit_code=CONFIG_EXIT)
    return secret
