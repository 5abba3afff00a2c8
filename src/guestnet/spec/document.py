"""YAML to plain data with a position for every key and value. It knows no key of guestnet's file.

Built on ruamel's events, not on its constructors: scalars are YAML 1.2's core ones and nothing more (`4023:22` and
`yes` and `052` are text), aliases are counted before they are expanded, and every position is kept.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    SequenceStartEvent,
)

from guestnet.spec.yamlwords import plain_words
from guestnet.words.problems import Place, Problem, ProblemsError

Path = tuple[str | int, ...]
Scalar = str | int | float | bool | None

LARGEST = 4 * 1024 * 1024  # bytes of a file: a thousand times what a large host needs, and parsed within minutes
MOST_NODES = 100_000  # values after aliases are expanded: nine nested lists of nine aliases make a billion of them
DEEPEST = 32  # levels; the file format itself has seven

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_KINDS: dict[type, str] = {bool: "a truth value", int: "a number", float: "a number", type(None): "no value"}
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


@dataclass(frozen=True)
class Scal:
    """A scalar: its value, and the text it was written as."""

    place: Place
    value: Scalar
    text: str


@dataclass(frozen=True)
class Seq:
    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Map:
    """A mapping without its duplicate and non-text keys: those are problems already."""

    place: Place
    items: tuple[tuple[str, Place, Node], ...]


Node = Scal | Seq | Map


@dataclass(frozen=True)
class Loaded:
    """A file as plain dicts, lists and scalars. `places` holds where each value starts, `keys` where each key does.

    `problems` are those that do not keep the rest from being read: duplicate keys, keys that are not text, tags.
    """

    file: str
    root: Map
    problems: tuple[Problem, ...]
    data: dict[str, object]
    places: Mapping[Path, Place] = field(repr=False)
    keys: Mapping[Path, Place] = field(repr=False)

    def place(self, path: Path) -> Place:
        """Where the value at `path` starts, or the nearest value around it that is written in the file."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def key(self, path: Path) -> Place:
        """Where the key at the end of `path` starts; of an item in a list, where the item does."""
        return self.keys.get(path) or self.place(path)

    def without(self, paths: Container[Path]) -> Loaded:
        """The same file as if the values at these paths were not written: the later ones in a list move up."""
        root = _without(self.root, paths, ())
        assert isinstance(root, Map)  # noqa: S101 - what is left out lies below the root
        return _loaded(self.file, root, self.problems)


def load(source: bytes | str, file: str) -> Loaded:
    """Parse YAML; `file` is the name that places carry. Raises ProblemsError, and nothing else."""
    text = _decode(source, file)
    builder = _Builder(file)
    try:
        root = builder.document(YAML(typ="safe", pure=True).parse(text))
    # ValueError and OverflowError: ruamel passes "\U99999999" to chr()
    except (YAMLError, ValueError, OverflowError) as error:
        raise ProblemsError([plain_words(error, text, file)]) from None
    if root is None or (isinstance(root, Scal) and root.value is None):
        raise _refusal(Place(file, 1, 1), "the file is empty", "examples/seed.yaml shows what it may hold")
    if not isinstance(root, Map):
        raise _refusal(root.place, "the file is not a mapping", "it starts with networks: or guests:")
    return _loaded(file, root, tuple(builder.problems))


def _decode(source: bytes | str, file: str) -> str:
    if len(source) > LARGEST:
        what = f"the file has more than {LARGEST // 1024 // 1024} MB"
        raise _refusal(Place(file, 1, 1), what, f"at most {LARGEST // 1024 // 1024} MB are read: is it the right file?")
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8-sig", "replace")
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _refusal(place, f"byte 0x{source[error.start]:02x} is not UTF-8", "save the file as UTF-8") from None


def _refusal(place: Place, what: str, todo: str) -> ProblemsError:
    return ProblemsError([Problem(what, todo, place)])


class _Builder:
    """Events to nodes. Anchors are known once their node is complete, so no node can hold itself."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.nodes = 0

    def document(self, events: Iterator[Event]) -> Node | None:
        """The root of the only document, None when there is none."""
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                todo = "one file is one document: remove the ---"
                raise _refusal(self.place(event), "a second document starts here", todo)
            if isinstance(event, NodeEvent):
                root = self.node(event, events, 0)
        return root

    def node(self, event: Any, events: Iterator[Event], depth: int) -> Node:
        place = self.place(event)
        self.nodes += 1
        if depth > DEEPEST:
            raise _refusal(place, f"more than {DEEPEST} levels of nesting", "no file of guestnet needs more than seven")
        if self.nodes > MOST_NODES:
            raise _too_many(place)
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                todo = f"write &{event.anchor} before the value it stands for, or put the text in quotes"
                raise _refusal(place, f"*{event.anchor} stands for nothing above it", todo)
            return self.anchors[event.anchor]
        self.tag(event, place)
        node = self.collect(event, events, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def collect(self, event: Any, events: Iterator[Event], depth: int) -> Node:
        if isinstance(event, MappingStartEvent):
            return self.mapping(event, events, depth)
        if isinstance(event, SequenceStartEvent):
            return Seq(self.place(event), tuple(self.node(e, events, depth + 1) for e in _until_end(events)))
        plain = event.implicit[0] and event.tag is None
        return Scal(self.place(event), core_scalar(event.value) if plain else event.value, event.value)

    def mapping(self, event: Event, events: Iterator[Event], depth: int) -> Map:
        items: dict[str, tuple[str, Place, Node]] = {}
        for key_event in _until_end(events):
            key, where = self.node(key_event, events, depth + 1), self.place(key_event)
            value = self.node(next(events), events, depth + 1)
            if isinstance(value, Scal) and value.value is None and value.text == "":
                value = Scal(where, None, "")  # ruamel puts what is not written at the start of the next line
            name = self.name(key, where)
            if name is None:
                continue
            if name in items:
                first = items[name][1].line
                self.problems.append(Problem(f"{name} is here a second time, first at line {first}", "keep one", where))
            else:
                items[name] = (name, where, value)
        return Map(self.place(event), tuple(items.values()))

    def name(self, key: Node, where: Place) -> str | None:
        """The text of a key, or None after noting what is wrong with it."""
        if isinstance(key, Scal):
            if isinstance(key.value, str):
                return self.merge(key.value, where)
            kind, todo = _KINDS[type(key.value)], f'put it in quotes: "{key.text}"'
            shown = key.text or "an empty key"
            self.problems.append(Problem(f"{shown} is {kind} where a name belongs", todo, where))
        else:
            kind = "list" if isinstance(key, Seq) else "mapping"
            self.problems.append(Problem(f"a {kind} cannot be a key", "put the key in quotes", where))
        return None

    def merge(self, name: str, where: Place) -> str | None:
        if name != "<<":
            return name
        self.problems.append(Problem("<< (merge) is not part of YAML 1.2", "write the keys out", where))
        return None

    def tag(self, event: Any, place: Place) -> None:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.append(Problem(f"the tag {shown} means nothing here", "remove it", place))

    def place(self, event: Event) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)


def _until_end(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, CollectionEndEvent):
            return
        yield event


def core_scalar(text: str) -> Scalar:
    """What a plain scalar is in YAML 1.2: a number, true, false, nothing, or text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _too_many(place: Place) -> ProblemsError:
    return _refusal(place, f"more than {MOST_NODES:,} values", "aliases (*name) count as often as they are used")


def _without(node: Node, paths: Container[Path], path: Path) -> Node:
    if isinstance(node, Seq):
        items = [(i, item) for i, item in enumerate(node.items) if (*path, i) not in paths]
        return Seq(node.place, tuple(_without(item, paths, (*path, i)) for i, item in items))
    if isinstance(node, Map):
        pairs = [(name, at, item) for name, at, item in node.items if (*path, name) not in paths]
        return Map(node.place, tuple((name, at, _without(item, paths, (*path, name))) for name, at, item in pairs))
    return node


def _loaded(file: str, root: Map, problems: tuple[Problem, ...]) -> Loaded:
    """Walk the nodes to data and positions. An aliased value has the position where it is written."""
    places: dict[Path, Place] = {}
    keys: dict[Path, Place] = {}

    def plain(node: Node, path: Path) -> object:
        if len(places) >= MOST_NODES:
            raise _too_many(node.place)
        places[path] = node.place
        if isinstance(node, Scal):
            return node.value
        if isinstance(node, Seq):
            return [plain(item, (*path, i)) for i, item in enumerate(node.items)]
        return mapping(node, path)

    def mapping(node: Map, path: Path) -> dict[str, object]:
        places[path] = node.place
        keys.update({(*path, name): where for name, where, _ in node.items})
        return {name: plain(value, (*path, name)) for name, _, value in node.items}

    return Loaded(file, root, problems, mapping(root, ()), places, keys)
