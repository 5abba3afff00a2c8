"""The matrix as a person reads it: a row a network, a column a target, both families in a cell; then the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from guestnet.decide.reach import FAMILIES, HOST, INTERNET, Cell, End, Key, Measured

_NOT_THERE = "-"


def table(cells: Iterable[Cell], measured: Mapping[Key, Measured], modes: Mapping[str, str]) -> list[str]:
    """Lines of a table: predicted verdicts, or measured ones where there are some; what differs has a `!`."""
    found = {cell.key: cell for cell in cells}
    networks = list(dict.fromkeys(end for key in found for end in key[:2] if end.kind == "network"))
    heads = [f"{end} (v4 v6)" for end in ("-> internet", "-> host", *(f"-> {end}" for end in networks))]
    rows = [["", *heads, "internet -> (v4 v6)", "host -> (v4 v6)"]]
    for source in networks:
        ways = [(source, INTERNET), (source, HOST), *((source, target) for target in networks)]
        ways += [(INTERNET, source), (HOST, source)]
        row = [f"{source} ({modes.get(source.name, '')})"]
        row += ["  ".join(_word(found.get((*way, family)), measured) for family in FAMILIES) for way in ways]
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def reasons(cells: Iterable[Cell], measured: Mapping[Key, Measured]) -> list[str]:
    """A line a way, both families together where they say the same."""
    ways: dict[tuple[End, End], list[Cell]] = {}
    for cell in cells:
        ways.setdefault((cell.source, cell.target), []).append(cell)
    lines = []
    for (source, target), both in ways.items():
        said: dict[str, list[str]] = {}
        for cell in both:
            said.setdefault(f"{cell.verdict}: {cell.reason}", []).append(f"v{cell.family}")
        what = "; ".join(f"{' '.join(families)} {text}" for text, families in said.items())
        lines.append(f"{source} -> {target}  {what}")
        for cell in both:
            one = measured.get(cell.key)
            if one is not None and one.right is False:
                lines.append(f"  ! v{cell.family} measured {one.verdict}: {one.text}")
                lines.append(f"    follow it: guestnet why {source} {target}")
            elif one is not None and one.verdict is None:
                lines.append(f"    v{cell.family} not measured: {one.text}")
    return lines


def _word(cell: Cell | None, measured: Mapping[Key, Measured]) -> str:
    if cell is None:
        return _NOT_THERE
    one = measured.get(cell.key)
    if one is None:
        return cell.verdict
    if one.verdict is None:
        return f"({cell.verdict})"
    return one.verdict if one.right is not False else f"{one.verdict.upper()}!"
