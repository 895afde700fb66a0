"""What there is to know of a client: its command, its variables, its settings files. Pure.

A client is a value; the verbs ask it and do the rest. Nothing here writes, and what is read of the
user's files is read through `Where`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mcp_proxy.account import Secret
from mcp_proxy.cli.clients.text_edit import CannotEdit, Format, Json, KeyPath

PLACEHOLDER = "mcproxy"
"""The key for clients that want one although the server has none."""

USUAL_WINDOW = 200_000
LONG_WINDOW = 1_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the server offers; windows in tokens, None where nobody said."""

    id: str
    window: int | None = None
    output: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client is to be pointed."""

    url: str
    """Without a path."""
    key: Secret | None = None
    model: Model | None = None
    """The one that was asked for by name."""
    models: tuple[Model, ...] = ()
    """Everything that the server offers; empty when it could not be asked."""

    @property
    def token(self) -> str:
        return self.key.value if self.key is not None else PLACEHOLDER

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def model_for(self, *tastes: str) -> Model | None:
        """The model that was named, else the first offered one by these beginnings, else any."""
        if self.model is not None:
            return self.model
        offered = [each for each in self.models if "image" not in each.id]
        ranked = (each for taste in (*tastes, "") for each in offered if each.id.startswith(taste))
        return next(ranked, None)


@dataclass(frozen=True, slots=True)
class Where:
    """A user's home and variables: where a client's files are follows from them."""

    home: Path
    env: Mapping[str, str]
    directory: Path | None = None
    """Where the client is started, for settings that belong to a project."""

    def named(self, variable: str, default: Path) -> Path:
        """What a variable names, else the default; one that is set to nothing is not set."""
        value = self.env.get(variable)
        return Path(value).expanduser().absolute() if value else default

    @property
    def config(self) -> Path:
        return self.named("XDG_CONFIG_HOME", self.home / ".config")

    def read(self, file: Path, form: Format, path: KeyPath) -> Json:
        """One value of a settings file; None when it is not set or the file cannot be read."""
        try:
            text = file.read_text(encoding="utf-8")
            source = form.get(text, path)
        except (OSError, UnicodeDecodeError, CannotEdit):
            return None
        return None if source is None else form.value(source)


@dataclass(frozen=True, slots=True)
class FileWish:
    """Values that a settings file should have."""

    path: Path
    form: str
    """A name in `FORMATS`."""
    values: tuple[tuple[KeyPath, Json], ...]
    unread: Callable[[str], str | None] = lambda _text: None
    """Why the client would pass over a file with this text, and everything that is set in it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How the client is started without a change to its own files."""

    variables: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    """Before those of the user."""
    files: Mapping[Path, str] = field(default_factory=dict)
    """To be written into the scratch directory; they may hold the key."""
    links: Mapping[Path, Path] = field(default_factory=dict)
    """Name in the scratch directory -> file of the user that it leads to."""


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL that the client would use, and where that is said."""

    origin: str
    url: str
    unread: str | None = None
    """Why the client does not take it although it is said there."""


Variables = Callable[[Place], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Client:
    """One client, and what differs from client to client."""

    name: str
    title: str
    command: str
    install: str
    """The command line that installs it."""
    variables: Variables
    files: Callable[[Place, Where], tuple[FileWish, ...]]
    addresses: Callable[[Where], tuple[Address, ...]]
    """What it would use now, the one that wins first."""
    arguments: Callable[[Place], tuple[str, ...]] = lambda _place: ()
    """Beside the variables, for clients that variables alone cannot lead."""
    launch: Callable[[Place, Where, Path], Launch] | None = None
    """With a scratch directory, where variables and arguments do not do."""
    overrides: Callable[[Place, Where], tuple[str, ...]] = lambda _place, _where: ()
    """Which settings would replace the variables, in words."""
    conflicts: Callable[[Where], tuple[tuple[str, str], ...]] = lambda _where: ()
    """What would get in the way, each with what mends it."""
    env_notes: tuple[str, ...] = ()
    """What the variables alone do not do."""
    run_notes: tuple[str, ...] = ()
    setup_notes: tuple[str, ...] = ()
    names_models: bool = False
    """Whether it cannot be led without names of models, which then have to be found out."""

    def launched(self, place: Place, where: Where, scratch: Path) -> Launch:
        if self.launch is not None:
            return self.launch(place, where, scratch)
        return Launch(self.variables(place), self.arguments(place))
