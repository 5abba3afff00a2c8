"""A mapping of the file while it is read: its values by key, and what is said about them.

A problem is what nobody could carry out, or two things that fight. A note is what the hook took, and guestnet leaves
out or does otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from guestnet.spec.document import Map, Node, Scal
from guestnet.spec.hooksjson.reader import shown
from guestnet.spec.near import did_you_mean
from guestnet.words.problems import Place, Problem, WrongError

T = TypeVar("T")
_LONG = 200  # characters of a message


@dataclass(frozen=True)
class Said:
    """What is said about the file, in the order it was found."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def wrong(self, place: Place, what: str, todo: str) -> None:
        self.problems.append(Problem(shown(what, _LONG), shown(todo, _LONG), place))

    def note(self, place: Place, what: str, todo: str) -> None:
        self.notes.append(Problem(shown(what, _LONG), shown(todo, _LONG), place))


class Fields:
    """Values by key; null is as good as absent, as it is to the hook. Keys that nobody reads are noted."""

    def __init__(self, node: Map, keys: tuple[str, ...], said: Said) -> None:
        self.said = said
        self.start = node.place
        self.nodes: dict[str, Node] = {}
        for key, place, value in node.items:
            if key not in keys:
                said.note(place, f"{shown(key)} is no key that the hook reads", did_you_mean(shown(key), keys))
            elif not (isinstance(value, Scal) and value.value is None):
                self.nodes[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self.nodes

    def place(self, key: str) -> Place:
        """Where the value is, or the mapping, when there is none."""
        return self.nodes[key].place if key in self.nodes else self.start

    def text(self, key: str, parse: Callable[[str], T], absent: tuple[str, ...] = ()) -> T | None:
        """What `parse` makes of the text at `key`; None when it is absent, or wrong and told so."""
        node = self.nodes.get(key)
        if node is None:
            return None
        if not isinstance(node, Scal) or not isinstance(node.value, str):
            self.said.wrong(node.place, f"{key} is not text", 'write it in quotes: "..."')
            return None
        if node.value in absent:
            return None
        try:
            return parse(node.value)
        except WrongError as error:
            self.said.wrong(node.place, f"{key}: {error.what}", error.todo)
            return None
