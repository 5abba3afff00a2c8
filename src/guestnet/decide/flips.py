"""Which cells of the matrix a change of the file flips: the prediction for the file as it was applied last, beside the
one for the file as it is now, on the host as it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from guestnet.decide.facts import Facts
from guestnet.decide.reach import FAMILIES, predict
from guestnet.spec.world import World

_Way = tuple[str, str, int]  # source, target, family
ABSENT = "-"  # there is, or was, no such network or family


@dataclass(frozen=True)
class Flip:
    """source and target as in the matrix; a forward's target is `web1 4023/tcp`."""

    source: str
    target: str
    family: int  # 4 or 6
    before: str  # a verdict, or ABSENT
    after: str


def flips(before: World, after: World, facts: Facts) -> tuple[Flip, ...]:
    """In the order of the matrix, forwards last. What is new and closed, or was closed and goes, flips nothing."""
    return (
        *_differences(_cells(before, facts), _cells(after, facts), ABSENT),
        *_differences(_forwards(before), _forwards(after), "no"),
    )


def _differences(olds: dict[_Way, str], news: dict[_Way, str], missing: str) -> Iterator[Flip]:
    for key in dict.fromkeys([*news, *olds]):
        old, new = olds.get(key, missing), news.get(key, missing)
        if old != new and {old, new} != {"no", ABSENT}:
            yield Flip(*key, old, new)


def lines(found: Iterable[Flip]) -> list[str]:
    """A line a way, both families in it: `lab -> internet   v4 - -> yes   v6 no -> yes`."""
    ways: dict[tuple[str, str], dict[int, str]] = {}
    for flip in found:
        ways.setdefault((flip.source, flip.target), {})[flip.family] = f"{flip.before} -> {flip.after}"
    names = [f"{source} -> {target}" for source, target in ways]
    wide = max(map(len, names), default=0)
    rows = []
    for name, families in zip(names, ways.values(), strict=True):
        parts = [f"v{family} {families[family]}" if family in families else "" for family in FAMILIES]
        rows.append(f"{name:<{wide}}   {parts[0]:<22} {parts[1]}".rstrip())
    return rows


def _cells(world: World, facts: Facts) -> dict[_Way, str]:
    return {(str(cell.source), str(cell.target), cell.family): cell.verdict for cell in predict(world, facts)}


def _forwards(world: World) -> dict[_Way, str]:
    """Each forward by itself: a second one to a guest flips no cell, and still lets somebody in."""
    return {
        ("internet", f"{guest.name} {forward.ports}/{forward.protocol}", forward.target.version): "yes"
        for guest in world.guests
        for forward in guest.forwards
    }
