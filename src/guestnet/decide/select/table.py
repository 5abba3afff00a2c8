"""An explained order as a person reads it: a row a destination, then why each comes behind the one before it."""

from __future__ import annotations

from guestnet.decide.select.explain import Explained, Row
from guestnet.decide.select.glibc import Verdict


def table(found: Explained) -> list[str]:
    """Labels and scopes are the destination's and its source's: `4 = 4`, or `1 / 6` where they differ."""
    rows = [
        [
            f" {i}",
            str(row.seen.address),
            f"from {row.seen.source}" if row.seen.source is not None else "can't be reached",
            f"label {_both(row.labels)}",
            f"precedence {row.precedence}",
            f"scope {_both(row.scopes)}",
        ]
        for i, row in enumerate(found.rows, 1)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def reasons(found: Explained) -> list[str]:
    """For neighbours in the order; and for pairs further apart that alone would stand the other way round."""
    lines = []
    for (i, j), verdict in found.verdicts.items():
        if verdict.order > 0:
            lines.append(
                f"{j + 1} alone would come before {i + 1}, by rule {verdict.rule}: the comparison is not transitive, "
                "and the way of the sort decides."
            )
        elif j == i + 1:
            told = _why(verdict, found.rows[i], found.rows[j], str(i + 1))
            lines.append(f"{j + 1} loses to {i + 1} by rule {verdict.rule}: {told}.")
    return lines


def _why(verdict: Verdict, a: Row, b: Row, first: str) -> str:
    """What the rule saw; `a`, number `first`, goes first."""
    told = {
        1: "there is no route to it, or no address to go from",
        2: f"its source has scope {b.scopes[1]}, itself scope {b.scopes[0]}; {first} and its source have {a.scopes[0]}",
        3: f"its source {b.seen.source} is deprecated, or still being checked",
        4: f"the source of {first}, {a.seen.source}, is a home address",
        5: _labels(a, b, first),
        6: f"precedence {b.precedence} against {a.precedence}{_rule5(a, b)}",
        7: f"it is not known to be reached without a tunnel, {first} is",
        8: f"its scope is {b.scopes[0]}, that of {first} is {a.scopes[0]}",
        9: f"it shares its first {b.matching} bits with its source, {first} shares {a.matching}",
    }
    return told.get(verdict.rule, f"no rule tells them apart, and the name service had {first} first")


def _labels(a: Row, b: Row, first: str) -> str:
    other = "IPv4" if a.seen.address.version < b.seen.address.version else first
    text = f"its source has label {b.labels[1]}, itself label {b.labels[0]}; for {other} both have label {a.labels[0]}"
    return text + (". Precedence (rule 6) is never asked" if b.precedence > a.precedence else "")


def _rule5(a: Row, b: Row) -> str:
    """What rule 5 had to say before."""
    if a.seen.source is None:
        return ""
    return "; labels match for both" if b.labels[0] == b.labels[1] else "; labels differ for both"


def _both(pair: tuple[int, int | None]) -> str:
    mine, source = pair
    if source is None:
        return str(mine)
    return f"{mine} = {source}" if mine == source else f"{mine} / {source}"
