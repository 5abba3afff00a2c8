"""What ruamel says about YAML that is none, in short plain words with a position."""

from __future__ import annotations

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from guestnet.words.problems import Place, Problem

# A part of ruamel's message -> what is wrong, and what to do. The first that fits counts.
_WORDS = (
    (
        "mapping values are not allowed",
        'a ":" stands where no key can be',
        "indent as its neighbours, or quote the text",
    ),
    ("sequence entries are not allowed", 'a "-" stands where no list can be', "put the list on lines of its own"),
    ("expected ',' or ']'", "the list that starts with [ does not end", "close it with ]"),
    ("expected ',' or '}'", "the mapping that starts with { does not end", "close it with }"),
    ("unexpected end of stream", "the text in quotes does not end", "close the quotes"),
    ("unknown escape character", "a backslash that means nothing", "use single quotes, or write \\\\"),
    ("could not find expected ':'", "a key without its colon", 'write "key: value"'),
    ("but found '<stream end>'", "the file ends too early", "close what is open: quotes, [ or {"),
    ("expected <block end>", "this line does not fit in with those above", "indent it like its neighbours"),
    ("expected '<document start>'", "this line does not fit in with those above", "indent it like its neighbours"),
    ("expected alphabetic or numeric", "text cannot start with & or *", "put it in quotes"),
    ("expected chomping or indentation", "text cannot start with | or >", "put it in quotes"),
    ("expected a comment or a line break", "text cannot start with | or >", "put it in quotes"),
    ("expected URI", "text cannot start with !", "put it in quotes"),
    ("mapping keys are not allowed", "text cannot start with ?", "put it in quotes"),
    ("expected the node content", "a value is missing", "write it, or put the text in quotes"),
)

_AT_THE_START = ("expected ',' or", "unexpected end of stream")  # what is open is more use than where it is missed


def plain_words(error: Exception, text: str, file: str) -> Problem:
    """The problem for an error that ruamel raised while it read `text`."""
    if isinstance(error, ReaderError):
        place = _at_offset(text, error.position, file)
        return Problem(f"character {_code(error.character)} cannot stand in a text file", "remove it", place)
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    if not isinstance(error, MarkedYAMLError) or mark is None:
        return Problem(
            "this is not YAML", str(error)[:80].partition("\n")[0] or "is it the right file?", Place(file, 1, 1)
        )
    if error.context_mark and any(part in str(error.problem) for part in _AT_THE_START):
        mark = error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1)
    what, todo = _what(str(error.problem or ""), _line(text, mark.line), mark.column)
    return Problem(what, todo, place)


def _what(said: str, line: str, column: int) -> tuple[str, str]:
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or line[column : column + 1] == "\t":
        return "a tab stands where YAML wants spaces", "indent with spaces"
    if "cannot start any token" in said:
        return f'text cannot start with "{line[column : column + 1]}"', "put it in quotes"
    if "expected <block end>" in said and "]" in line[:column]:
        return "something follows the ]", 'put the text in quotes, such as "[2001:db8::5]:8443:443"'
    if "expected the node content" in said and line[column : column + 1] == ":":
        return 'text cannot start with ":" between { } or [ ]', 'put it in quotes, such as "::10"'
    for part, what, todo in _WORDS:
        if part in said:
            return what, todo
    return "this is not YAML", said[:80] or "look at this line and the one above"


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number] if number < len(lines) else ""


def _at_offset(text: str, offset: int, file: str) -> Place:
    before = text[:offset]
    return Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _code(character: object) -> str:
    return f"U+{ord(character) if isinstance(character, str) else int(str(character)):04X}"
