"""YAML as text with positions: where each value begins and ends, so that a line can be put in or taken out and all the
rest stays as it is, byte for byte. It knows no key of guestnet's file; `document` reads the values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, MappingStartEvent, NodeEvent, SequenceStartEvent

_GAP = re.compile(r"(?:\s|#[^\r\n]*)*")  # blanks, line breaks, comments
_PROPERTY = re.compile(r"[&!]\S*")  # an anchor or tag
Edit = tuple[int, int, str]  # what stands from here to there becomes this


@dataclass(frozen=True)
class Part:
    """A value in the text: `start`, with its anchor, to `end`, just behind its last character. `items` of a map are its
    keys and values by turns. `inside`: behind the bracket that opens a flow collection. `value`: what a scalar says."""

    kind: Literal["scalar", "alias", "list", "map"]
    start: int
    end: int
    items: tuple[Part, ...] = ()
    flow: bool = False
    inside: int = 0
    value: str = ""

    @property
    def pairs(self) -> Iterator[tuple[Part, Part]]:
        return zip(self.items[::2], self.items[1::2], strict=True)

    def pair(self, key: str) -> tuple[Part, Part] | None:
        """The key and its value; None when it is not there, or this is no map."""
        pairs = self.pairs if self.kind == "map" else iter(())
        return next((pair for pair in pairs if pair[0].value == key), None)


def parts(text: str) -> Part:
    """The root of a text that is known to be one YAML document."""
    events = YAML(typ="safe", pure=True).parse(text)
    return next(_part(text, event, events) for event in events if isinstance(event, NodeEvent))


def has_value(text: str) -> bool:
    """Whether there is anything but comments."""
    return following(text, 0) < len(text)


def _part(text: str, event: Any, events: Iterator[Any]) -> Part:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, AliasEvent):
        return Part("alias", start, end, value=event.anchor)
    if not isinstance(event, (MappingStartEvent, SequenceStartEvent)):
        # The end of a block of text is where the next thing begins.
        return Part("scalar", start, start + len(text[start:end].rstrip()), value=event.value)
    items: list[Part] = []
    is_map = isinstance(event, MappingStartEvent)
    for inner in events:
        if isinstance(inner, CollectionEndEvent):
            # Of a block, the end that ruamel tells is where the next thing begins.
            last = inner.end_mark.index if event.flow_style or not items else items[-1].end
            return Part("map" if is_map else "list", start, last, tuple(items), bool(event.flow_style), end)
        item = _part(text, inner, events)
        if is_map and len(items) % 2 and item.kind == "scalar" and item.start == item.end:
            place = behind_colon(text, items[-1])  # it is not written: ruamel puts it on the next line
            item = Part("scalar", place, place)
        items.append(item)
    raise AssertionError("the events end inside a collection")


def behind_colon(text: str, key: Part) -> int:
    """Where the value of a key may stand; of one without a colon (`{a, b}`) the end of the key."""
    colon = following(text, key.end)
    return colon + 1 if text[colon : colon + 1] == ":" else key.end


def following(text: str, position: int) -> int:
    """The position of the next character that belongs to no gap and no comment."""
    found = _GAP.match(text, position)
    return found.end() if found else position


def dash(text: str, items: Part, number: int) -> int:
    """The position of the dash of an item in a block list."""
    if number:
        return following(text, items.items[number - 1].end)
    position = items.start
    while found := _PROPERTY.match(text, position):
        position = following(text, found.end())
    return position


def line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def line_end(text: str, position: int) -> int:
    """Where the line break is, or the text ends."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return end - 1 if text[position:end].endswith("\r") else end


def line_break(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def whole_lines(text: str, start: int, end: int) -> Edit:
    """Takes out the lines that hold these positions; the last line of a text without a break behind takes the one
    before it along."""
    first, last = line_start(text, start), line_end(text, end)
    behind = next((size for size, sign in ((2, "\r\n"), (1, "\n")) if text.startswith(sign, last)), 0)
    if behind or not first:
        return first, last + behind, ""
    return line_end(text, line_start(text, first - 1)), last, ""


def edited(text: str, edits: Iterable[Edit]) -> str:
    """`edits` do not overlap; of two at one place the first one's text comes first."""
    for start, end, new in reversed(sorted(edits, key=lambda edit: edit[:2])):
        text = text[:start] + new + text[end:]
    return text
