"""A forward put into the file's text, or taken out of it. Everything else stays byte for byte: comments, quotes, blank
lines, CRLF, a last line without an end. Pure; whether the result means what it should is for `edit` to see.
"""

from __future__ import annotations

from collections.abc import Sequence

from guestnet.spec import yamltext
from guestnet.spec.yamltext import Edit, Part, dash, edited, following, line_break, line_end, line_start, whole_lines
from guestnet.words.problems import GuestnetError

KEY = "forwards"
BY_HAND = "edit it by hand, then: guestnet apply"


def add(text: str, guest: str, item: str) -> str:
    """`item` is YAML that may stand in a list of either style."""
    key, value = _guest(text, guest)
    found = value.pair(KEY)
    if value.kind != "map":
        raise GuestnetError(f"guest {guest} has no network, so no forward can go to it", "write network: in it")
    if found is None:
        return edited(text, _new_key(text, value, item))
    key, forwards = found
    if forwards.kind == "alias":
        raise _shared(guest, f"its forwards are those of *{forwards.value}")
    if forwards.kind == "scalar":
        return edited(text, [_first(text, value, key, forwards, item)])
    if forwards.flow:
        return edited(text, _into_flow(text, forwards, item))
    column = _column(text, dash(text, forwards, 0))
    return edited(text, [_line_behind(text, forwards, f"{column * ' '}- {item}")])


def remove(text: str, guest: str, number: int) -> str:
    """Takes out the item's own lines, with the comment behind it, and nothing else. So `forwards:` stays when it was
    the last, which is a list with nothing in it: comments at the key and below it keep their places, and what `add` put
    in, `remove` takes out to the byte."""
    found = _guest(text, guest)[1].pair(KEY)
    if found is None or found[1].kind == "alias":
        raise _shared(guest, f"its forwards are those of *{found[1].value}" if found else "it has no forwards")
    forwards = found[1]
    item = forwards.items[number]
    if item.kind == "alias":
        raise _shared(guest, f"that forward is written as *{item.value}")
    if forwards.flow:
        return edited(text, _out_of_flow(text, forwards, number))
    start = dash(text, forwards, number)
    if text[line_start(text, start) : start].strip():
        raise GuestnetError(f"the forward of guest {guest} has no line of its own", BY_HAND)
    return edited(text, [whole_lines(text, start, item.end)])


def add_network(text: str, lines: Sequence[str]) -> str:
    """`lines` are the entry, not indented. It goes behind the last one, in the same columns."""
    root = yamltext.parts(text) if text.strip() and yamltext.has_value(text) else None
    found = root.pair("networks") if root else None
    if found is None:
        end = "" if not text or text.endswith("\n") else line_break(text)
        return text + end + "".join(f"{line}{line_break(text)}" for line in ["networks:", *_indented(lines, 2)])
    key, networks = found
    if networks.kind == "map" and networks.items and not networks.flow:
        indent = _column(text, networks.items[0].start)
        return edited(text, [_line_behind(text, networks, *_indented(lines, indent))])
    if networks.kind == "alias" or networks.items:
        raise GuestnetError("networks: is written in a way that no network can be put into", BY_HAND)
    behind = [] if networks.end == networks.start else [(networks.start, networks.end, "")]
    return edited(text, [*behind, _line_behind(text, networks, *_indented(lines, _column(text, key.start) + 2))])


def remove_entries(text: str, kind: str, names: Sequence[str]) -> str:
    """Takes out whole networks or guests, each with its own lines."""
    found = yamltext.parts(text).pair(kind)
    edits = []
    for name in names:
        pair = found[1].pair(name) if found else None
        if found is None or found[1].flow or pair is None:
            raise GuestnetError(f"{kind}: {name} is written in a way that it can't be taken out", BY_HAND)
        edits.append(whole_lines(text, pair[0].start, pair[1].end))
    return edited(text, edits)


def _indented(lines: Sequence[str], indent: int) -> list[str]:
    return [f"{indent * ' '}{line}" for line in lines]


def _guest(text: str, guest: str) -> tuple[Part, Part]:
    guests = yamltext.parts(text).pair("guests")
    if guests is not None and guests[1].kind == "alias":
        raise _shared(guest, f"guests: is written as *{guests[1].value}")
    found = guests[1].pair(guest) if guests else None
    if found is None:
        raise GuestnetError(f"guest {guest} is not found where it should be", BY_HAND)
    if found[1].kind == "alias":
        raise _shared(guest, f"it is written as *{found[1].value}")
    return found


def _shared(guest: str, why: str) -> GuestnetError:
    return GuestnetError(f"guest {guest}: {why}", BY_HAND)


def _column(text: str, position: int) -> int:
    return position - line_start(text, position)


def _line_behind(text: str, part: Part, *lines: str) -> Edit:
    """New lines below the one in which a part ends, and so behind the comment there."""
    end = line_end(text, part.end)
    return end, end, "".join(f"{line_break(text)}{line}" for line in lines)


def _new_key(text: str, guest: Part, item: str) -> list[Edit]:
    if guest.flow:
        return _into_flow(text, guest, f"{KEY}: [{item}]")
    indent = _column(text, guest.items[0].start) * " "
    return [_line_behind(text, guest, f"{indent}{KEY}:", f"{indent}  - {item}")]


def _first(text: str, guest: Part, key: Part, nothing: Part, item: str) -> Edit:
    """`forwards:` with nothing behind it, or with a null that is written."""
    if nothing.end > nothing.start:
        return nothing.start, nothing.end, f"[{item}]"
    if guest.flow:
        colon = "" if nothing.start > key.end else ":"
        return nothing.start, nothing.start, f"{colon} [{item}]"
    return _line_behind(text, nothing, f"{(_column(text, key.start) + 2) * ' '}- {item}")


def _into_flow(text: str, part: Part, entry: str) -> list[Edit]:
    """A last entry of a list or mapping in brackets, on a line of its own if the last one has one."""
    close = part.end - 1
    if not part.items:
        blank = text[part.inside : close]
        return [(close, close, entry + ("" if blank.strip() else blank))]
    last = part.items[-1]
    comma = following(text, last.end)
    has_comma = text[comma] == ","
    behind = comma + 1 if has_comma else last.end
    more = [] if has_comma else [(last.end, last.end, ",")]
    if "\n" not in text[behind:close]:
        return [(behind, behind, f" {entry}," if has_comma else f", {entry}")]
    first = part.items[-2 if part.kind == "map" else -1].start
    before = text[line_start(text, first) : first]
    indent = _blanks(before) + ("  " if before.strip() else "")
    end = line_end(text, behind)
    return [*more, (end, end, f"{line_break(text)}{indent}{entry}{',' if has_comma else ''}")]


def _out_of_flow(text: str, part: Part, number: int) -> list[Edit]:
    item, close = part.items[number], part.end - 1
    comma = following(text, item.end)
    has_comma = text[comma] == ","
    end = comma + 1 if has_comma else item.end
    before = following(text, part.items[number - 1].end) if number else None  # the comma in front of it
    unneeded = [(before, before + 1, "")] if before is not None and not has_comma else []
    start = line_start(text, item.start)
    if start > part.inside and not text[start : item.start].strip() and following(text, end) >= line_end(text, end):
        return [*unneeded, whole_lines(text, item.start, end)]
    blanks = len(_blanks(text[start : item.start][::-1]))
    if len(part.items) == 1:
        left, right = text[part.inside : item.start], text[end:close]
        same = len(right) if left == right and not left.strip() else 0
        return [(item.start, end + same, "")]
    if has_comma and following(text, end) < close:
        return [(item.start, item.end, ""), (comma, end + len(_blanks(text[end:close])), "")]
    if has_comma:
        return [(item.start - blanks, item.end, ""), (comma, end, "")]
    return [*unneeded, (item.start - blanks, item.end, "")]


def _blanks(text: str) -> str:
    """Those that a text begins with."""
    return text[: len(text) - len(text.lstrip(" \t"))]
