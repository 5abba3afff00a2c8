"""What can be wrong, in the shape a person can act on: where, what, and what to do.

Nothing here prints or exits: errors are raised, and the faces turn them into text and an exit code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file; `line` and `col` count from 1."""

    file: str
    line: int
    col: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `place` is None when it is not in a file (a problem of the host)."""

    what: str
    todo: str
    place: Place | None = None

    def data(self) -> dict[str, str | int]:
        """For JSON: `what`, `todo`, and with a place `file`, `line`, `column`."""
        place = self.place
        where: dict[str, str | int] = {}
        if place:
            where = {"file": place.file, "line": place.line, "column": place.col}
        return {**where, "what": self.what, "todo": self.todo}

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.what} ({self.todo})"


class WrongError(ValueError):
    """A value that cannot be made: what is wrong with it, and what to write instead. It knows no position."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(f"{what} ({todo})")
        self.what = what
        self.todo = todo


class GuestnetError(Exception):
    """A refusal or failure a person can act on: exit code 1, no traceback."""

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(f"{what} ({todo})" if todo else what)
        self.what = what
        self.todo = todo


class MissingError(GuestnetError):
    """The file that says what shall be is not there."""


class ConflictError(GuestnetError):
    """Somebody else changed the same thing meanwhile; theirs is left as it is."""


class TheirsError(GuestnetError):
    """What was to be changed is somebody else's by now, and is left as it is."""


class AsideError(GuestnetError):
    """Something that could not be done and that nothing else waits for: the rest goes on, and it is said at the end."""


class SilentError(AsideError):
    """Whoever was asked does not answer, so there is no use in asking more."""


class ProblemsError(GuestnetError):
    """All the problems of one input at once, in the order of their places. `nothing` says what was spared."""

    def __init__(self, problems: list[Problem], nothing: str = "nothing was touched") -> None:
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}, {nothing}"
        super().__init__("\n".join([*map(str, problems), count]))
        self.problems = tuple(problems)
