"""Who may answer one request: the models that its name leads to and, when they fail, stand-ins."""

from collections.abc import Callable, Sequence

from mcp_proxy.account import Candidate
from mcp_proxy.model import ModelInfo
from mcp_proxy.policy.routes import Stage


class Lineup:
    """The stages of one request, best first. Stand-ins come at the end, and only once asked for."""

    __slots__ = ("_fallbacks", "_fell_back", "_info", "_needed_window", "asked", "own", "stages")

    def __init__(
        self,
        stages: Sequence[Stage],
        fallbacks: Callable[[str], Sequence[Stage]],
        info: Callable[[Candidate], ModelInfo],
    ) -> None:
        """`fallbacks`: stages that may stand in for a model."""
        self.asked = stages[0].model
        self.own = self.stages = tuple(stages)
        self._fallbacks = fallbacks
        self._fell_back = False
        self._info = info
        self._needed_window = 0

    @property
    def candidates(self) -> list[Candidate]:
        """Those of the models asked for."""
        return [candidate for stage in self.own for candidate in stage.candidates]

    def has(self, candidate: Candidate) -> bool:
        return any(candidate in stage.candidates for stage in self.stages)

    def present(self, candidate: Candidate) -> Candidate | None:
        """The candidate with its account as that is by now; None: it is gone."""
        for stage in self.stages:
            for each in stage.candidates:
                if each.account.id == candidate.account.id and each.model == candidate.model:
                    return each
        return None

    def renew(self, stages: Sequence[Stage]) -> None:
        """Who there is may have changed."""
        self.own = self.stages = tuple(stages)
        if self._fell_back:
            self.stages += self._stand_ins()

    def need_window_beyond(self, tokens: int) -> None:
        """The prompt did not fit into a window of so many tokens: a stand-in must have more."""
        self._needed_window = max(self._needed_window, tokens + 1)

    def fall_back(self) -> bool:
        """Adds the stand-ins, once. True when there are any."""
        if self._fell_back:
            return False
        self._fell_back = True
        more = self._stand_ins()
        self.stages = self.own + more
        return bool(more)

    def _stand_ins(self) -> tuple[Stage, ...]:
        own = {stage.model for stage in self.own}
        return tuple(
            stage
            for stage in self._fallbacks(self.asked)
            if stage.model not in own and self._is_wide_enough(stage)
        )

    def _is_wide_enough(self, stage: Stage) -> bool:
        return all(
            self._info(candidate).context_window >= self._needed_window
            for candidate in stage.candidates
        )
