"""What a setting is: its name in each place it can be set, how it is read, what it is for."""

from collections.abc import Callable
from dataclasses import field, fields
from typing import Any

from mcp_proxy.account import Secret
from mcp_proxy.store import checks
from mcp_proxy.store.checks import WrongValue
from mcp_proxy.values import value

_SWITCH_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


@value
class Kind:
    """A type of value: `check` takes what TOML or a flag gives, `from_text` a variable's text."""

    check: Callable[[object], Any]
    from_text: Callable[[str], object] = str


@value
class Setting:
    """One row of the table that help, variables and config.toml are read by."""

    path: str
    """Section and key in config.toml, as in `server.port`."""
    default: Any
    kind: Kind
    help: str
    env: str | None = None
    flag: str | None = None
    """Parameter name of the flag: `soft_limit` for `--soft-limit`."""


def setting(
    default: Any, kind: Kind, help_text: str, *, env: str | None = None, flag: str | None = None
) -> Any:
    """A dataclass field that is also a setting."""
    return field(
        default=default, metadata={"kind": kind, "help": help_text, "env": env, "flag": flag}
    )


def settings_of(section: str, owner: type) -> tuple[Setting, ...]:
    """The rows of one section, in the order of its dataclass; other fields are left out."""
    prefix = f"{section}." if section else ""
    return tuple(
        Setting(
            path=prefix + each.name,
            default=each.default,
            kind=each.metadata["kind"],
            help=each.metadata["help"],
            env=each.metadata["env"],
            flag=each.metadata["flag"],
        )
        for each in fields(owner)
        if "kind" in each.metadata
    )


def _number_in(text: str) -> object:
    """The number, or the text itself, which the check then refuses in its own words."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _comma_list(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def whole(low: int, high: int) -> Kind:
    return Kind(checks.whole(low, high), _number_in)


def seconds(low: float = 0.001, high: float = 86_400.0) -> Kind:
    return Kind(checks.number(low, high, " of seconds"), _number_in)


def one_of(*choices: str) -> Kind:
    return Kind(checks.one_of(*choices))


def _soft_limit(value: object) -> float | None:
    if value is None or value is False or value == "off":
        return None
    try:
        return checks.fraction(value)
    except WrongValue as wrong:
        raise WrongValue(f'{wrong}, or "off"') from wrong


def _host(value: object) -> str:
    """An IPv6 address may have the brackets that it has in a URL."""
    return checks.filled_text(checks.filled_text(value).strip("[]"))


def _keys(value: object) -> tuple[Secret, ...]:
    """A variable has one, which `KEYS` makes a tuple of; in config.toml there is a list."""
    if isinstance(value, tuple):
        return tuple(map(checks.client_key, value))
    return checks.list_of(checks.client_key)(value)


TEXT = Kind(checks.filled_text)
HOST = Kind(_host)
SWITCH = Kind(checks.switch, lambda text: _SWITCH_WORDS.get(text.strip().lower(), text))
TEXTS = Kind(checks.list_of(checks.filled_text), _comma_list)
KEYS = Kind(_keys, lambda text: (text,))
SOFT_LIMIT = Kind(
    _soft_limit, lambda text: "off" if text.strip().lower() == "off" else _number_in(text)
)
