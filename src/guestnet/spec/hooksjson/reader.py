"""JSON as people write it by hand: comments of every kind, trailing commas. To the nodes of `document`, with places.

A reader of our own, because the libraries that take comments (json5, commentjson, hjson) keep no positions, and YAML
knows neither // nor /* */. What is plainly wrong but understood (a missing comma, a key without quotes) is noted, and
read on.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from guestnet.spec.document import DEEPEST, LARGEST, MOST_NODES, Map, Node, Scal, Scalar, Seq
from guestnet.words.problems import Place, Problem, ProblemsError

NOTHING = "nothing was written"

_SPACE = re.compile(r"[ \t\r\n]+|(?://|\#)[^\r\n]*|/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""
    "(?:[^"\\\r\n]|\\[^\r\n])*" | '(?:[^'\\\r\n]|\\[^\r\n])*' | [{}\[\],:] | [^\s"{}\[\],:/\#]+
    """,
    re.VERBOSE,
)
_INT = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_CLOSING = {"{": "}", "[": "]"}
_SHOWN = 40  # characters of a word that a message repeats


@dataclass(frozen=True)
class Document:
    """`remarks`: line -> the comment that ends it. `problems` did not keep the rest from being read."""

    root: Map
    remarks: Mapping[int, str]
    problems: tuple[Problem, ...]


def read(source: bytes | str, file: str) -> Document:
    """The file as nodes; `file` is the name that places carry. Raises ProblemsError, and nothing else."""
    reader = _Reader(_decode(source, file), file)
    try:
        root = reader.document()
    except ProblemsError as error:
        raise ProblemsError([*reader.problems, *error.problems], NOTHING) from None
    if not isinstance(root, Map):
        raise refusal(root.place, "the file is not a mapping", 'it starts with {, and "GUEST": {...} follows')
    return Document(root, reader.remarks, tuple(reader.problems))


def refusal(place: Place, what: str, todo: str) -> ProblemsError:
    return ProblemsError([Problem(what, todo, place)], NOTHING)


def shown(text: str, most: int = _SHOWN) -> str:
    """A text in a message: one line, visible characters, not too long."""
    seen = "".join(char if char.isprintable() else "?" for char in text[:most])
    return seen if len(text) <= most else f"{seen}..."


def _decode(source: bytes | str, file: str) -> str:
    if len(source) > LARGEST:
        size = f"{LARGEST // 1024 // 1024} MB"
        raise refusal(Place(file, 1, 1), f"the file has more than {size}", "it is not read: is it the right one?")
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8-sig", "replace")
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise refusal(place, f"byte 0x{source[error.start]:02x} is not UTF-8", "save the file as UTF-8") from None


class _Reader:
    """Tokens to nodes, from the start to the end."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.at = 0  # where the next word may begin
        self.last = -1  # where the one before it began
        self.nodes = 0
        self.remarks: dict[int, str] = {}
        self.problems: list[Problem] = []

    def document(self) -> Node:
        word, place = self.next()
        if not word:
            raise refusal(Place(self.file, 1, 1), "the file is empty", "is it the hook's hooks.json?")
        root = self.value(word, place, 0)
        word, place = self.next()
        if word:
            raise refusal(place, f"{shown(word)} follows the end", "the file is one { ... }: remove what follows it")
        return root

    def place(self, offset: int) -> Place:
        line = bisect_right(self.lines, offset)
        return Place(self.file, line, offset - self.lines[line - 1] + 1)

    def next(self) -> tuple[str, Place]:
        """The next word that is no comment, and where it is; at the end it is empty."""
        while space := _SPACE.match(self.text, self.at):
            self.at = space.end()
            if space[0][0] in "/#":
                self.remark(space[0], space.start())
        place = self.place(self.at)
        if self.at == len(self.text):
            return "", place
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            raise refusal(place, *_unreadable(self.text[self.at : self.at + 2]))
        self.last, self.at = self.at, found.end()
        return found[0], place

    def remark(self, comment: str, offset: int) -> None:
        """Keeps a comment that stands behind something on its line."""
        line = self.place(offset).line
        if self.last >= self.lines[line - 1] and "\n" not in comment:
            text = comment[2:-2] if comment.startswith("/*") else comment.lstrip("/#")
            self.remarks[line] = "".join(char if char.isprintable() else " " for char in text).strip()

    def value(self, word: str, place: Place, depth: int) -> Node:
        self.nodes += 1
        if depth > DEEPEST:
            raise refusal(place, f"more than {DEEPEST} levels of nesting", "no hooks.json needs more than six")
        if self.nodes > MOST_NODES:
            raise refusal(place, f"more than {MOST_NODES:,} values", "is it the hook's hooks.json?")
        if word == "{":
            return self.mapping(place, depth)
        if word == "[":
            return Seq(place, tuple(self.value(*item, depth + 1) for item in self.items("[", place)))
        if word in "}],:":
            raise refusal(place, f"a value is missing before {word}", "write it, or remove what asks for it")
        return Scal(place, self.scalar(word, place), word)

    def items(self, opening: str, opened: Place) -> Iterator[tuple[str, Place]]:
        """The first word of each item; the commas, and the end, are eaten here."""
        closing = _CLOSING[opening]
        word, place = self.behind_commas(0)
        while word != closing:
            if not word:
                raise refusal(opened, f"the {opening} here does not end", f"close it with {closing}")
            yield word, place
            word, place = self.next()
            if word == ",":
                word, place = self.behind_commas(1)
            elif word in ("}", "]", ":") and word != closing:
                raise refusal(place, f"{word} stands where , or {closing} belongs", f"the {opening} is at {opened}")
            elif word and word != closing:
                self.problems.append(Problem(f"a comma is missing before {shown(word)}", "write it", place))

    def behind_commas(self, commas: int) -> tuple[str, Place]:
        """The next word, behind commas that are too many."""
        word, place = self.next()
        if word == ",":
            what = "a comma follows a comma" if commas else "a comma stands where the first item belongs"
            self.problems.append(Problem(what, "remove one" if commas else "remove it", place))
        while word == ",":
            word, place = self.next()
        return word, place

    def mapping(self, opened: Place, depth: int) -> Map:
        items: dict[str, tuple[str, Place, Node]] = {}
        for word, where in self.items("{", opened):
            name = self.key(word, where)
            colon, place = self.next()
            if colon != ":":
                raise refusal(place, f"no : follows {shown(word)}", 'write "NAME": VALUE')
            value = self.value(*self.next_value(word, where), depth + 1)
            if name in items:
                what = f"{shown(name)} is here a second time, first at line {items[name][1].line}"
                self.problems.append(Problem(what, "the hook takes the last one: keep one", where))
            else:
                items[name] = (name, where, value)
        return Map(opened, tuple(items.values()))

    def next_value(self, key: str, where: Place) -> tuple[str, Place]:
        word, place = self.next()
        if not word:
            raise refusal(where, f"the file ends behind {shown(key)}", "write its value, and close what is open")
        return word, place

    def key(self, word: str, place: Place) -> str:
        if word in "{}[],:":
            raise refusal(place, f"{word} stands where a name belongs", 'write "NAME": VALUE')
        if word[0] == '"':
            return self.quoted(word, place)
        if _single(word):
            return self.single(word, place)
        self.problems.append(Problem(f"{shown(word)} is a name without quotes", 'write it as "NAME"', place))
        return word

    def scalar(self, word: str, place: Place) -> Scalar:
        if word[0] == '"':
            return self.quoted(word, place)
        if _single(word):
            return self.single(word, place)
        if word in _WORDS:
            return _WORDS[word]
        if _INT.fullmatch(word):
            return int(word)
        if _FLOAT.fullmatch(word):
            return float(word)
        self.problems.append(Problem(f"{shown(word)} is text without quotes", 'write it as "TEXT"', place))
        return word

    def single(self, word: str, place: Place) -> str:
        """Text in single quotes, which Python writes and JSON does not know."""
        self.problems.append(Problem(f"{shown(word)} is in single quotes", 'JSON wants double ones: write "', place))
        return word[1:-1]

    def quoted(self, word: str, place: Place) -> str:
        """What text in quotes stands for."""
        try:
            text = str(json.loads(word, strict=False))
            text.encode()
        except UnicodeEncodeError:
            self.problems.append(Problem(f"{shown(word)} holds half a character", "write the character itself", place))
        except ValueError:
            what = f"a backslash in {shown(word)} means nothing"
            self.problems.append(Problem(what, r"write \\ for one", place))
        else:
            return text
        return word[1:-1]


def _single(word: str) -> bool:
    return len(word) > 1 and word[0] == word[-1] == "'"


def _unreadable(start: str) -> tuple[str, str]:
    """What begins here and is no word: what is wrong, and what to do."""
    if start == "/*":
        return "the comment here does not end", "close it with */"
    if start[0] == '"':
        return "the text in quotes does not end on its line", 'close it with "'
    if start[0].isspace() or not start[0].isprintable():
        return f"character U+{ord(start[0]):04X} cannot stand here", "remove it"
    return f"{start[0]} means nothing here", "comments begin with // or /*"
