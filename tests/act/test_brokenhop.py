"""Which of many cells that are not as predicted are followed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from guestnet.act.brokenhop import MOST, _comes, _count, choose
from guestnet.act.questions import Question
from guestnet.decide.judge import Asked
from guestnet.decide.reach import HOST, INTERNET, Cell, End, Measured


def wrong(source: End, target: End, family: int = 4) -> Measured:
    return Measured(Cell(source, target, family, "yes", ""), "no", "")


def test_few_are_all_followed() -> None:
    few = [wrong(HOST, End("network", f"n{i}")) for i in range(MOST)]
    assert choose(few) == few
    assert choose([]) == []


def test_many_are_followed_from_as_many_sides_as_there_are() -> None:
    networks = [End("network", f"n{i}") for i in range(6)]
    every = [wrong(a, b, family) for family in (4, 6) for a in networks for b in networks if a != b]
    chosen = choose(every)
    assert len(chosen) == MOST
    assert chosen == [one for one in every if one in chosen], "in their order"
    assert {one.cell.source for one in chosen} == {one.cell.target for one in chosen} == set(networks)
    assert {one.cell.family for one in chosen} == {4, 6}


def test_the_odd_one_is_among_them() -> None:
    lab = End("network", "lab")
    every = [wrong(lab, End("network", f"n{i}")) for i in range(20)] + [wrong(HOST, INTERNET)]
    assert every[-1] in choose(every)


def test_how_many_are_followed() -> None:
    assert _count(1, 1) == "1 cell that is"
    assert _count(2, 2) == "2 cells that are"
    assert _count(8, 9) == "8 of 9 cells that are"


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("yes", [True, True, True, True]),
        ("no", [False, False, False, False]),
        ("services", [False, True, False, False]),
        ("forwards", [False, False, True, False]),
        ("partly", [None, None, None, None]),
    ],
)
def test_what_a_verdict_says_of_each_question(verdict: str, expected: list[bool | None]) -> None:
    """A packet that fares otherwise is what is looked for."""
    asked: list[tuple[Asked, str]] = [("direct", "tcp"), ("direct", "icmp"), ("forward", "udp"), ("far", "tcp")]
    nobody = cast("Any", None)
    key = (HOST, INTERNET, 4)
    said = [_comes(verdict, Question(key, nobody, way, {"protocol": protocol})) for way, protocol in asked]
    assert said == expected
