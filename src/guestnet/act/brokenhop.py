"""Follows a packet of each cell that is not as predicted, with `why`'s own means, to name what stopped it or let it
through. After the measurement, with ends of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from guestnet.act.asks import Ask, beside
from guestnet.act.ends import Stage
from guestnet.act.measure import PATIENCE, Host, How, Report, stage
from guestnet.act.questions import Question, questions
from guestnet.act.why import follow
from guestnet.decide.case import Followed
from guestnet.decide.forwarded import Through
from guestnet.decide.places import Place
from guestnet.decide.reach import Cell, End, Key, Measured
from guestnet.decide.why import explain, let_through
from guestnet.spec.world import Lan, Network
from guestnet.words.problems import GuestnetError

MOST = 8  # cells that are followed: a second or two each


def broken_hops(
    host: Host, measured: Sequence[Measured], drift: tuple[str, ...], report: Report, how: How
) -> dict[Key, Followed]:
    """By cell, for at most MOST of those that are not as predicted."""
    wrong = [one for one in measured if one.right is False]
    chosen = choose(wrong)
    if not chosen:
        return {}
    report(f"following a packet for {_count(len(chosen), len(wrong))} not as predicted")
    named = frozenset(end.name for one in chosen for end in one.cell.key[:2] if end.kind == "network")
    try:
        with stage(replace(host, running=named), how, _quiet) as ends:
            return {one.cell.key: _followed(host, ends, one, drift) for one in chosen}
    except GuestnetError as error:  # what was measured is told all the same
        report(f"nothing was followed: {error}")
        return {}


def _count(chosen: int, wrong: int) -> str:
    if wrong == 1:
        return "1 cell that is"
    return f"{chosen} of {wrong} cells that are" if chosen < wrong else f"{wrong} cells that are"


def _quiet(_text: str) -> None:
    """The same was said when it was measured."""


def choose(wrong: Sequence[Measured]) -> list[Measured]:
    """Not more than MOST, each time the one with a source and a target that were chosen least."""
    seen: Counter[tuple[End, int, str]] = Counter()
    left = list(wrong)
    chosen: list[Measured] = []
    while left and len(chosen) < MOST:
        best = min(left, key=lambda one: sum(seen[side] for side in _sides(one)))
        seen.update(_sides(best))
        chosen.append(best)
        left.remove(best)
    return [one for one in wrong if one in chosen]


def _sides(one: Measured) -> tuple[tuple[End, int, str], ...]:
    return (one.cell.source, one.cell.family, "from"), (one.cell.target, one.cell.family, "to")


def _followed(host: Host, ends: Stage, one: Measured, drift: tuple[str, ...]) -> Followed:
    """Of the packets of a cell the first that fares otherwise than was predicted."""
    predicted = one.promise or one.cell.verdict
    asked = sorted(questions(one.cell, ends, PATIENCE), key=lambda question: not _suspect(one, predicted, question))
    asks = [(_ask(host, ends, one.cell, question), _comes(predicted, question)) for question in asked]
    instead = beside(ends, _place(host, one.cell.source), one.cell.family)
    for ask, comes in asks or [(ask, True) for ask in (instead,) if ask]:
        case = follow(host, ends, ask, drift)
        found = explain(case)
        if found.reached != comes:
            return let_through(case, found) if found.reached else Followed(found.cause, "", found.todo)
    return Followed("not found: the packets that were followed fared as predicted", "", "measure again")


def _comes(verdict: str, question: Question) -> bool | None:
    """Whether by a verdict this one is answered; None: it does not tell."""
    if verdict in ("yes", "partly"):
        return verdict == "yes" or None
    if question.way == "forward":
        return verdict == "forwards"
    return verdict == "services" and question.order["protocol"] == "icmp"


def _suspect(one: Measured, predicted: str, question: Question) -> bool:
    """Whether it is by what was measured that this one fared otherwise."""
    return _comes(one.verdict or "partly", question) not in (None, _comes(predicted, question))


def _ask(host: Host, ends: Stage, cell: Cell, question: Question) -> Ask:
    through = None
    source, target = _place(host, cell.source), _place(host, cell.target)
    if question.way == "forward":
        its = ends.guests[cell.target.name][0].addresses[cell.family]
        order = question.order
        through = Through(
            f"an end in {cell.target}", str(source), frozenset((its,)), order["to"], order["protocol"], order["port"],
            question.asker.addresses[cell.family], made=True,
        )  # fmt: skip
    return Ask(source, target, cell.family, question.asker, question.order, through)


def _place(host: Host, end: End) -> Place:
    every: tuple[Network | Lan, ...] = (*host.world.networks, *host.world.lans)
    return Place(str(end), end.kind, next((one for one in every if one.name == end.name), None))
