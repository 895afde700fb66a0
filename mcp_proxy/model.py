"""What is known about one model. The catalogue of them is in `policy/models.py`."""

from enum import StrEnum

from mcp_proxy.values import value


class Family(StrEnum):
    """Models of one family understand each other's thought signatures; others do not."""

    CLAUDE = "claude"
    GEMINI = "gemini"
    GPT = "gpt"
    OTHER = "other"

    @classmethod
    def of(cls, model_id: str) -> "Family":
        """The family by name, for ids that the catalogue does not have."""
        name = model_id.lower()
        if "claude" in name:
            return cls.CLAUDE
        if "gemini" in name:
            return cls.GEMINI
        if name.startswith(("gpt", "o1", "o3", "o4", "codex")):
            return cls.GPT
        return cls.OTHER


@value
class ThinkingSpec:
    """How a model takes instructions about thinking."""

    budgets: tuple[int, int] | None = None
    """Smallest and largest budget in tokens; None: the model takes no budget."""
    levels: tuple[str, ...] = ()
    """Accepted levels or efforts, weakest first; empty: the model takes no level."""
    default_budget: int | None = None
    """Used when the client wants thinking and names no budget."""
    can_be_off: bool = True


@value
class ModelInfo:
    """Facts about one model id of one provider."""

    id: str
    family: Family
    display_name: str
    context_window: int
    """Tokens a prompt may have."""
    max_output: int
    """Tokens an answer may have, thinking included."""
    thinking: ThinkingSpec | None = None
    """None: the model does not think."""
    makes_images: bool = False
    takes_images: bool = True
    searches: bool = True
    """False: its upstream has said that it runs no web search for it."""
    bucket: str | None = None
    """Quota bucket shared with other models of the provider; None: the model has its own."""
    dialects: tuple[str, ...] = ()
    """Dialects in which its place speaks of it, where that differs from model to model."""
    issuer: str = ""
    """Who makes and takes its seals when that is not every place of the family; see `origin`."""

    @property
    def origin(self) -> str:
        """The origin of the seals that this model makes, and the only one that it takes."""
        return self.issuer or self.family
