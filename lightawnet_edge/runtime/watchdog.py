"""Whether a mask may be shown: a state machine over what a worker does and when.

It has no clock and touches no frame: whoever runs it says what happened at which second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Condition, Reaction

FROZEN_AFTER = 5
"""Changed frames in a row with equal probabilities that make an engine frozen. Of 274 pairs of
successive frames none gave equal bits, so a pair does by chance at most once in 91 (95 %), and five
in a row once in 6e9 if pairs were independent. They need not be: a change that scaling averages
away, or rounds to nothing, does so in the next frame, too. Hence five, which are a sixth of a
second at 30 fps, and not two."""
STALE_PERIODS = 2.0
"""Age of a mask, in periods of the camera, from which it is of another picture."""
HANG_S = 2.0
"""A call that has taken so long will not end: engines take milliseconds, and a busy machine tens of
them."""
REACTIONS: Mapping[Condition, Reaction] = {
    Condition.WAITING: Reaction.HIDE,
    Condition.OK: Reaction.SHOW,
    Condition.LATE: Reaction.SHOW,
    Condition.STALE: Reaction.HIDE,
    Condition.FROZEN: Reaction.HIDE,
    Condition.BAD_NUMBERS: Reaction.HIDE,
    Condition.HUNG: Reaction.RESTART,
}
"""What is done in a state where the application says nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a mask counts as what, and what is done then."""

    period_s: float
    """Between two frames of the camera."""
    deadline_s: float
    """From a frame's capture to its mask."""
    stale_s: float
    """Age from which a mask on the screen is stale; counted from its frame's capture."""
    hang_s: float = HANG_S
    frozen_after: int = FROZEN_AFTER
    reactions: Mapping[Condition, Reaction] = field(default_factory=lambda: dict(REACTIONS))
    """For those states that shall have another reaction than `REACTIONS` says."""

    def __post_init__(self) -> None:
        for name in ("period_s", "deadline_s", "stale_s", "hang_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SpecError(f"{name}={value} must be finite and greater than 0.")
        if self.frozen_after < 1:
            raise SpecError(f"frozen_after={self.frozen_after} must be at least 1.")
        for condition in (Condition.WAITING, Condition.OK):
            if self.reaction(condition) not in (Reaction.SHOW, Reaction.HIDE):
                raise SpecError(f"'{condition}' is no fault: the reaction to it is show or hide.")
        if self.reaction(Condition.HUNG) not in (Reaction.RESTART, Reaction.STOP):
            raise SpecError(
                "A call that does not end is neither shown nor hidden: the reaction to 'hung' is "
                "restart or stop."
            )

    @classmethod
    def at(
        cls,
        rate: float,
        *,
        deadline_s: float | None = None,
        reactions: Mapping[Condition, Reaction] | None = None,
    ) -> Rules:
        """Rules for a camera of `rate` frames per second; the deadline is a period by default.

        Raises:
            SpecError: A number makes no sense, or a reaction.
        """
        if not (math.isfinite(rate) and rate > 0):
            raise SpecError(f"A rate of {rate:g} frames per second must be greater than 0.")
        return cls(
            period_s=1 / rate,
            deadline_s=1 / rate if deadline_s is None else deadline_s,
            stale_s=STALE_PERIODS / rate,
            reactions={**REACTIONS, **(reactions or {})},
        )

    def reaction(self, state: Condition) -> Reaction:
        """What is done in a state."""
        return self.reactions.get(state, REACTIONS[state])


def parse_reactions(texts: Iterable[str]) -> dict[Condition, Reaction]:
    """Read reactions as they are typed on the command line, CONDITION=REACTION.

    Raises:
        SpecError: One is none; with all that there are.
    """
    found = {}
    for text in texts:
        condition, equals, reaction = text.partition("=")
        if not equals:
            raise SpecError(f"'{text}' is no reaction. Give CONDITION=REACTION, e.g. frozen=stop.")
        found[Condition.parse(condition)] = Reaction.parse(reaction)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A state was entered."""

    at_s: float
    state: Condition
    before: Condition
    reaction: Reaction


class Watchdog:
    """Follows one worker. Times are seconds of one clock that never goes back."""

    def __init__(self, rules: Rules, now_s: float) -> None:
        self.rules = rules
        self.state = Condition.WAITING
        self.entered = dict.fromkeys(Condition, 0)
        """How often each state was entered."""
        self.entered[Condition.WAITING] = 1
        self.seconds = dict.fromkeys(Condition, 0.0)
        """How long each state lasted until now, all together."""
        self._now_s = now_s
        self._began_s: float | None = None
        self._captured_s: float | None = None
        self._verdict = Condition.WAITING
        self._repeats = 0

    def began(self, now_s: float) -> Change | None:
        """The worker was given a frame."""
        change = self.tick(now_s)
        self._began_s = now_s
        return change

    def answered(
        self, now_s: float, captured_s: float, *, plausible: bool = True, repeats: bool = False
    ) -> Change | None:
        """The call ended with the mask of a frame.

        Args:
            now_s: When.
            captured_s: When the frame was captured.
            plausible: Whether all probabilities are finite and within 0 and 1.
            repeats: Whether they are those of the frame before, bit by bit, though that was
                another. None of both is known of a bundle without the output `probability`.
        """
        self._began_s, self._captured_s = None, captured_s
        self._repeats = self._repeats + 1 if repeats else 0
        if not plausible:
            self._verdict = Condition.BAD_NUMBERS
        elif self._repeats >= self.rules.frozen_after:
            self._verdict = Condition.FROZEN
        elif now_s - captured_s > self.rules.deadline_s:
            self._verdict = Condition.LATE
        else:
            self._verdict = Condition.OK
        return self.tick(now_s)

    def died(self, now_s: float) -> Change | None:
        """The worker is gone: its call will not end."""
        self._began_s = -math.inf
        return self.tick(now_s)

    def restarted(self, now_s: float) -> Change | None:
        """A new worker begins; what the old one gave is not shown any more."""
        self._began_s = self._captured_s = None
        self._repeats, self._verdict = 0, Condition.WAITING
        return self.tick(now_s)

    def tick(self, now_s: float) -> Change | None:
        """Time has passed; gives the state that was entered, if one was."""
        self.seconds[self.state] += now_s - self._now_s
        self._now_s = now_s
        before, self.state = self.state, self._found(now_s)
        if self.state is before:
            return None
        self.entered[self.state] += 1
        return Change(
            at_s=now_s, state=self.state, before=before, reaction=self.rules.reaction(self.state)
        )

    def shows(self, now_s: float) -> bool:
        """Whether the mask may be on the screen at a time, whatever was ticked before it."""
        return self.rules.reaction(self._found(now_s)) is Reaction.SHOW

    def age_s(self, now_s: float) -> float | None:
        """Age of the last mask, from its frame's capture; None where there is none."""
        return None if self._captured_s is None else now_s - self._captured_s

    def due_s(self) -> float:
        """When the state may change though nothing happens; infinity where it cannot."""
        due = math.inf
        if self._began_s is not None and self.state is not Condition.HUNG:
            due = self._began_s + self.rules.hang_s
        if self._captured_s is not None and self.state in (Condition.OK, Condition.LATE):
            due = min(due, self._captured_s + self.rules.stale_s)
        return due

    def _found(self, now_s: float) -> Condition:
        """The state at a time; what is worse comes first."""
        if self._began_s is not None and now_s - self._began_s >= self.rules.hang_s:
            return Condition.HUNG
        if self._verdict in (Condition.OK, Condition.LATE):
            age_s = self.age_s(now_s)
            if age_s is not None and age_s >= self.rules.stale_s:
                return Condition.STALE
        return self._verdict
