"""How many tokens a prompt has, before and without anybody having counted it.

Learns from what upstreams report, by two measures: bytes of the request as it came, which cost
nothing to take, and the parts of the conversation, which are exact enough to answer for.
"""

from collections.abc import Callable
from typing import Any

from mcp_proxy.conversation import Conversation
from mcp_proxy.events import Usage
from mcp_proxy.policy.estimate import Calibration, raw_units

FIRST_LESSONS = 8
LESSON_EVERY = 32
"""Answers whose prompts are measured part by part: the first of each model, then one in so many."""

_BY_WIRE = "wire:"
"""Before a model's id: its other row in the calibration, tokens per byte of request body."""


class TokenEstimates:
    """Estimates for every model, calibrated by its own answers."""

    def __init__(self, ratios: Any, served_as: Callable[[str], str]) -> None:
        """`ratios`: what `to_json` gave. `served_as`: a client's name -> the id that answers."""
        self._calibration = Calibration.from_json(ratios)
        self._served_as = served_as
        self._lessons: dict[str, int] = {}

    def quick(self, model: str, wire_size: int) -> int:
        """Tokens that a prompt of that size will probably have. `model`: the id that answers."""
        return self._calibration.estimate(_BY_WIRE + model, wire_size)

    def count(self, conversation: Conversation) -> int:
        """Tokens of a prompt, measured part by part."""
        return self._calibration.estimate(
            self._served_as(conversation.model), raw_units(conversation)
        )

    def measured(self, model: str, conversation: Conversation) -> int | None:
        """The prompt's size part by part, for `learn`; None when that is not worth it.

        Measuring costs as much as translating: after the first few prompts it is sampled.
        """
        lessons = self._lessons.get(model, 0)
        wanted = lessons < FIRST_LESSONS or lessons % LESSON_EVERY == 0
        return raw_units(conversation) if wanted else None

    def learn(self, model: str, wire_size: int, units: int | None, usage: Usage) -> None:
        """An upstream has counted a prompt. `units`: what `measured` said of it."""
        prompt = usage.prompt
        if prompt <= 0:
            return
        self._calibration.observe(_BY_WIRE + model, wire_size, prompt)
        self._lessons[model] = self._lessons.get(model, 0) + 1
        if units is not None:
            self._calibration.observe(model, units, prompt)

    def to_json(self) -> Any:
        """To be kept."""
        return self._calibration.to_json()
