"""What a plan says of a network that changes hands: nothing twice, and nothing that only the spelling of XML brings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guestnet.compile import netmerge, netxml
from guestnet.decide.adopted import NOBODYS, Hands, settle
from guestnet.decide.describe import describe, notes
from guestnet.decide.facts import Domain, DomainNic
from guestnet.decide.plan import Plan, make_plan
from guestnet.decide.state import Key, Network
from guestnet.spec.memory import Memory
from tests.compile.test_golden import CASES, RA, made

WORLD = made(CASES[0], Memory())[0]
NAME = WORLD.networks[0].name
KEY = Key("network", NAME)
OURS = netxml.canonical(netxml.network_xml(WORLD.networks[0]))
THEIRS = netmerge.released(OURS)
FACTS = replace(RA, domains=(Domain("web1", True, (DomainNic(NAME, "52:54:00:00:00:01"),)),))


def plan(live: Network, desired: Network | None, hands: Hands = NOBODYS) -> Plan:
    known = {KEY: live}
    wanted, waiting = settle({KEY: desired} if desired else {}, known, WORLD, FACTS, hands)
    found = make_plan(WORLD, FACTS, known, wanted)
    return replace(found, notices=(*found.notices, *waiting))


def lines(found: Plan) -> list[str]:
    return [line for item in describe(found) if item.title.startswith("network") for line, _ in item.lines]


def note(found: Plan) -> list[str]:
    (one,) = [one.split("\n") for one in notes(found) if one.startswith(f"network {NAME}: part of it waits")]
    return one


ADOPTED = plan(Network(THEIRS, THEIRS, True), Network(OURS, OURS, True), Hands(adopt=frozenset({NAME})))


def test_namespaces_are_not_told() -> None:
    """They come with the first element that needs one, and go with the last."""
    assert "xmlns:dnsmasq" in OURS
    assert "xmlns:dnsmasq" not in THEIRS
    released = plan(Network(OURS, OURS, True), None, Hands(release=frozenset({NAME})))
    assert [line for line in lines(ADOPTED) + lines(released) if "<network" in line] == []
    assert any("dhcp-hostsdir" in line for line in lines(ADOPTED))


def test_what_else_the_first_line_says_is_told() -> None:
    other = THEIRS.replace("<network", '<network ipv6="yes"', 1)
    assert netxml.differences(THEIRS, other) == ["- <network>", '+ <network ipv6="yes">']


def test_what_waits_is_told_once() -> None:
    """In the lines of the network; and in the note, when there is nothing to do any more."""
    assert len(note(ADOPTED)) == 1
    change = next(one for one in ADOPTED.changes if one.key == KEY)
    assert isinstance(change.after, Network)
    later = plan(change.after, Network(OURS, OURS, True))
    assert lines(later) == []
    assert note(later)[1:] == [line.removeprefix("~ ") for line in lines(ADOPTED) if line[0] == "~"]


@pytest.mark.parametrize("other", ["lab2", "la"])
def test_the_same_line_of_another_network_is_not_it(other: str) -> None:
    line = next(line for line in lines(ADOPTED) if line[0] == "~").removeprefix("~ ")
    theirs = f"network {other}: part of it waits for its next restart.\n{line}"
    assert theirs in notes(replace(ADOPTED, notices=(theirs,)))
