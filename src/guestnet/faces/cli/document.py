"""What a run tells a program that said --format json: one JSON document on stdout, when the run has ended, however it
did. Verbs tell it on their way what they find and do; the error boundary prints it. Without --format json it is silent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from guestnet.faces.aside import say
from guestnet.words.problems import AsideError, GuestnetError, Problem, ProblemsError

if TYPE_CHECKING:
    from guestnet.decide.state import Change


@dataclass
class Document:
    """data: what a verb found, such as a plan. verb: of one that changes the host, so that there is a result to tell;
    done, left: its steps; said: what stands on stderr beside them; rollback: `guestnet rollback` goes back from it."""

    wanted: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    verb: str = ""
    done: list[str] = field(default_factory=list)
    left: list[AsideError] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    rollback: bool = False
    confirm_within: int | None = None  # seconds
    end: str = ""  # of one that failed on its way: undone, or failed, where not everything could be

    def say(self, text: str) -> None:
        """On stderr, too."""
        self.said.append(text)
        say(text)

    def tell(self, text: str) -> None:
        """On stdout, where that is for people."""
        self.said.append(text)
        if not self.wanted:
            typer.echo(text)

    def report(self, word: str, change: Change | None, seconds: float) -> None:
        """As `act.apply.Report`."""
        from guestnet.decide.describe import step
        from guestnet.faces.report import progress

        if change is not None and word == "done":
            self.done.append(step(change))
        if change is None:
            self.end = "undone" if word == "undone" else "failed"
        progress(word, change, seconds)

    def print(self, error: GuestnetError | None = None) -> None:
        """Once. `error`: why it failed. A verb that has printed a document of its own has told nothing here."""
        if not self.wanted or not (self.data or self.verb or error):
            return
        self.wanted = False
        problems = {"problems": [one.data() for one in _problems(error)]} if error else {}
        result = {"result": self._result(failed=error is not None)} if self.verb else {}
        typer.echo(json.dumps({**self.data, **problems, **result}, indent=2))

    def _result(self, *, failed: bool) -> dict[str, Any]:
        """The stable shape: see docs/going-back.md."""
        done = [] if self.end == "undone" else self.done
        if failed:
            outcome = self.end or ("failed" if done else "refused")
        else:
            outcome = "done" if done else "nothing to do"
            if self.left:
                outcome = "partly" if done else "refused"
        return {
            "verb": self.verb,
            "outcome": outcome,
            "done": done,
            "left": [{"what": one.what, "todo": one.todo} for one in self.left],
            "said": self.said,
            "rollback": self.rollback,
            "confirm_within": self.confirm_within,
        }


def _problems(error: GuestnetError) -> Sequence[Problem]:
    return error.problems if isinstance(error, ProblemsError) else [Problem(error.what, error.todo)]
