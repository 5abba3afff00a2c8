"""A predicted order with its reasons: what each rule looked at, and which one decided each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from guestnet.decide.select import glibc, policies
from guestnet.decide.select.case import Case
from guestnet.decide.select.gaiconf import parse
from guestnet.decide.select.glibc import RULES, Seen, Verdict
from guestnet.decide.select.source import Kernel
from guestnet.decide.select.tables import GLIBC, Policy

_GLIBC = policies.Resolver(lambda _host: GLIBC, RULES, glibc.matching)
Pair = tuple[int, int]  # places in the order, from 0


@dataclass(frozen=True)
class Row:
    """labels, scopes: of the destination and of its source, the source's None where it can not be reached. matching:
    bits that rule 9 counts."""

    seen: Seen
    labels: tuple[int, int | None]
    scopes: tuple[int, int | None]
    precedence: int
    matching: int


@dataclass(frozen=True)
class Explained:
    """rows in the order that is returned; a verdict for every pair, `order` below 0 where its first goes first. The
    comparison is not transitive, so a pair may stand the other way round."""

    rows: tuple[Row, ...]
    verdicts: dict[Pair, Verdict]

    def data(self) -> dict[str, Any]:
        """For JSON; docs/ipv6.md has the shape."""
        return {
            "order": [_row_data(row) for row in self.rows],
            "pairs": [
                {
                    "first": str(self.rows[i].seen.address),
                    "second": str(self.rows[j].seen.address),
                    "rule": verdict.rule,
                }
                | ({"reversed": True} if verdict.order > 0 else {})
                for (i, j), verdict in self.verdicts.items()
            ],
        }


def _row_data(row: Row) -> dict[str, Any]:
    source = row.seen.source
    return {
        "address": str(row.seen.address),
        "source": None if source is None else str(source),
        "label": list(row.labels),
        "scope": list(row.scopes),
        "precedence": row.precedence,
    }


def explain(case: Case, resolver: str = "glibc") -> Explained:
    """resolver: glibc, or one of policies.RESOLVERS (musl compares no pairs)."""
    kernel = Kernel(case.host)
    if resolver == "glibc":
        return _explain(parse(case.gai_conf or b"").policy, glibc.see(kernel, case.answers), _GLIBC)
    found = policies.RESOLVERS[resolver]
    return _explain(found.policy(case.host), policies.see(kernel, case.answers), found)


def _explain(policy: Policy, seen: Sequence[Seen], resolver: policies.Resolver) -> Explained:
    ordered = glibc.merge_sort(list(seen), lambda a, b: glibc.compare(policy, a, b, resolver.rules).order <= 0)
    verdicts = {
        (i, j): glibc.compare(policy, ordered[i], ordered[j], resolver.rules)
        for i, j in combinations(range(len(ordered)), 2)
    }
    return Explained(tuple(_row(policy, one, resolver.matching(one)) for one in ordered), verdicts)


def _row(policy: Policy, one: Seen, matching: int) -> Row:
    source = one.source
    return Row(
        one,
        (policy.labels.of(one.address), None if source is None else policy.labels.of(source)),
        (policy.scope(one.address), None if source is None else policy.scope(source)),
        policy.precedences.of(one.address),
        matching,
    )
