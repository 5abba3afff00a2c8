"""The undo stack: the inverse of each step, pushed when the step begins, done last one first."""

from __future__ import annotations

from collections.abc import Callable

from guestnet.decide.state import Change
from guestnet.words.problems import AsideError, GuestnetError, Problem, TheirsError


class Undo:
    """Steps that can be taken back. `put` does one change."""

    def __init__(self, put: Callable[[Change], None], steps: tuple[Change, ...] = ()) -> None:
        self._put = put
        self._steps = list(steps)

    def push(self, change: Change) -> None:
        self._steps.append(change)

    @property
    def steps(self) -> tuple[Change, ...]:
        """Those that are not taken back yet."""
        return tuple(self._steps)

    def run(self) -> list[Problem]:
        """Takes everything back. Goes on past failures and returns them all: the more is undone the better."""
        problems = []
        while self._steps:
            change = self._steps.pop()
            try:
                # Without a `before`, the step is done whole, whatever state a half-done one left.
                self._put(Change(change.key, None, change.before))
            except (AsideError, TheirsError):
                continue  # a guest that does not answer, or what is somebody else's by now: the next plan names it
            except GuestnetError as error:
                what = f"{change.key.kind} {change.key.name} could not be put back: {error.what}"
                problems.append(Problem(what, error.todo or "see to it, then apply again"))
        return problems
