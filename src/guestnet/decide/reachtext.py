"""The matrix as a person reads it: a row a network, a column a target; then the reasons, or what differs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from guestnet.decide.case import Followed
from guestnet.decide.reach import FAMILIES, HOST, INTERNET, Cell, End, Key, Measured
from guestnet.words.modes import LAN

WIDTH = 120  # columns; a wider table goes on below
_NOT_THERE = "-"
_FEW = 4  # ways that are told one by one

Way = tuple[End, End]


class _Column(NamedTuple):
    head: str
    way: Callable[[End], Way | None]  # for the network of a row; None: it has its own column


def table(
    cells: Iterable[Cell], measured: Mapping[Key, Measured], modes: Mapping[str, str], *, probed: bool
) -> list[str]:
    """Lines of a table: `predicted`, or `predicted/measured`, where what differs is in capitals with a `!`.

    Families that say the same share a row. Where that gets too wide, network to network follows in blocks of its own.
    """
    found = {cell.key: cell for cell in cells}
    networks = list(dict.fromkeys(end for key in found for end in key[:2] if end.kind == "network"))
    labels = {network: f"{network} ({modes.get(network.name, '?')})" for network in networks}
    out = [
        _Column("-> internet", lambda row: (row, INTERNET)),
        _Column("-> host", lambda row: (row, HOST)),
        _Column("-> itself", lambda row: (row, row)),
    ]
    back = [_Column("internet ->", lambda row: (INTERNET, row)), _Column("host ->", lambda row: (HOST, row))]
    others = [end for end in networks if any(_across(key) and end in key for key in found)]
    across = [_Column(f"-> {end}", partial(_from, end)) for end in others]

    def block(columns: Sequence[_Column], rows: Iterable[End] = others) -> list[str]:
        return _block(columns, {end: labels[end] for end in rows}, found, measured, probed)

    whole = block([*out, *across, *back], networks)
    if _fits(whole):
        return whole
    lines = block([*out, *back], networks)
    while across:
        count = len(across)
        while count > 1 and not _fits(block(across[:count])):
            count -= 1
        lines += ["", *block(across[:count])]
        across = across[count:]
    return lines


def _from(target: End, source: End) -> Way | None:
    return None if source == target else (source, target)


def _across(key: Key) -> bool:
    source, target, _ = key
    return source.kind == target.kind == "network" and source != target


def _fits(lines: Iterable[str]) -> bool:
    return max(map(len, lines)) <= WIDTH


def _block(
    columns: Sequence[_Column],
    labels: Mapping[End, str],
    found: Mapping[Key, Cell],
    measured: Mapping[Key, Measured],
    probed: bool,
) -> list[str]:
    rows = [["predicted/measured" if probed else "predicted", "", *(column.head for column in columns), ""]]
    for network, label in labels.items():
        ways = [column.way(network) for column in columns]
        words: dict[tuple[str, ...], list[int]] = {}
        for family in FAMILIES:
            keys = [(*way, family) if way else None for way in ways]
            if any(key in found for key in keys):
                said = tuple(_word(found.get(key), measured.get(key), probed) if key else "" for key in keys)
                words.setdefault(said, []).append(family)
        for i, (said, families) in enumerate(words.items()):
            judged = [measured.get((*way, family)) for way in ways if way for family in families]
            name = " ".join(f"v{family}" for family in families)
            rows.append([label if i == 0 else "", name, *said, _verdict(judged)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _word(cell: Cell | None, one: Measured | None, probed: bool) -> str:
    if cell is None:
        return _NOT_THERE
    if not probed:
        return cell.verdict
    if one is None or one.verdict is None:
        return f"{cell.verdict}/-"
    return f"{cell.verdict}/{f'{one.verdict.upper()}!' if one.right is False else one.verdict}"


def _verdict(judged: Iterable[Measured | None]) -> str:
    known = [one.right for one in judged if one is not None and one.right is not None]
    wrong = known.count(False)
    return f"{wrong} differ{'s' if wrong == 1 else ''}" if wrong else "ok" if known else ""


def reasons(cells: Iterable[Cell]) -> list[str]:
    """A line for what one end does for one reason; families, and targets, put together where they say the same."""
    ways: dict[Way, dict[str, list[int]]] = {}
    for cell in cells:
        said = ways.setdefault((cell.source, cell.target), {})
        said.setdefault(f"{cell.verdict}: {cell.reason}", []).append(cell.family)
    targets: dict[tuple[End, str], list[End]] = {}
    for (source, target), both in ways.items():
        what = "; ".join(f"{_families(families)} {text}" for text, families in both.items())
        targets.setdefault((source, what), []).append(target)
    return [f"{source} -> {', '.join(map(str, to))}  {what}" for (source, what), to in targets.items()]


def differences(
    measured: Iterable[Measured], followed: Mapping[Key, Followed], modes: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """What is not as predicted: cells with one cause together, those that were not followed last."""
    causes: dict[Followed | None, dict[str, list[Measured]]] = {}
    for one in measured:
        if one.right is False:
            said = f"predicted {one.cell.verdict}, measured {one.verdict}"
            causes.setdefault(followed.get(one.cell.key), {}).setdefault(said, []).append(one)
    lines: list[str] = []
    for cause, groups in sorted(causes.items(), key=lambda item: item[0] is None):
        if cause is None:
            rest = [one.cell for cells in groups.values() for one in cells]
            on_lan = any(modes.get(end.name) in LAN for end in rest[0].key[:2])
            ask = f"guestnet why {rest[0].source} {rest[0].target}{' --lan' if on_lan else ''}"
            lines.append(f"{len(rest)} more differ, in capitals above, and were not followed; to follow one: {ask}")
            continue
        (said, (first, *others)), *more = groups.items()
        lines.append(f"{_way(first.cell)}: {said}. {cause.sentence}")
        if others:
            lines.append(f"  the same: {_ways(one.cell for one in others)}")
        lines += [f"  the same, {said}: {_ways(one.cell for one in cells)}" for said, cells in more]
        if cause.todo:
            lines.append(f"  what to do: {cause.todo}")
    return lines


def unmeasured(measured: Iterable[Measured]) -> list[str]:
    """Why nobody was asked, with the cells."""
    causes: dict[str, list[Cell]] = {}
    for one in measured:
        if one.verdict is None:
            causes.setdefault(one.text, []).append(one.cell)
    return [f"not measured: {_some(cells)}: {why}" for why, cells in causes.items()]


def _some(cells: Sequence[Cell]) -> str:
    """Of many cells only whose they are."""
    if len({(cell.source, cell.target) for cell in cells}) <= _FEW:
        return _ways(cells)
    names = dict.fromkeys(end.name for cell in cells for end in (cell.source, cell.target) if end.kind == "network")
    return f"{len(cells)} cells of {', '.join(names)}"


def summary(measured: Sequence[Measured], seconds: float) -> str:
    verdicts = [one.right for one in measured if one.verdict is not None]
    unjudged = f", {verdicts.count(None)} as the LAN allows" if None in verdicts else ""
    elsewhere = next((one.elsewhere for one in measured if one.elsewhere), "")
    side = f" (the internet's side from {elsewhere})" if elsewhere else ""
    if any(one.simulated for one in measured):
        side = " (the internet's side simulated from a link of our own)"
    right = verdicts.count(True)
    return f"{len(verdicts)} cells measured in {seconds:.1f} s, {right} as predicted{unjudged}{side}"


def _way(cell: Cell) -> str:
    return f"{cell.source} -> {cell.target}, v{cell.family}"


def _ways(cells: Iterable[Cell]) -> str:
    """Families of one way together."""
    found: dict[Way, list[int]] = {}
    for cell in cells:
        found.setdefault((cell.source, cell.target), []).append(cell.family)
    return "; ".join(f"{source} -> {target}, {_families(sorted(its))}" for (source, target), its in found.items())


def _families(families: Iterable[int]) -> str:
    return " ".join(f"v{family}" for family in families)
