"""`prefer_ipv6` in the plan: for whom it is of use, what waits, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guestnet.decide.facts import Domain, Facts, Uplink
from guestnet.decide.prefer.record import Record, from_text, path_of, to_text
from guestnet.decide.prefer.uses import families, lines
from guestnet.decide.prefer.wanted import left, means, notes, there, wanted
from guestnet.decide.state import Change, File, Key, Prefer
from guestnet.spec.load import load_spec
from guestnet.spec.world import World
from guestnet.words.problems import GuestnetError
from tests.worlds import drawn

TEXT = """
networks:
  lab: {mode: nat, ipv6: "fd12:8848:a2a2:1::1/64", nat: {ipv6: NAT66}}
  out: {mode: routed, ipv6: "2001:db8:7::1/64"}
  four: {mode: nat, ipv6: none}
  cell: {mode: isolated}
  lan: {mode: bridge, bridge: br0}
guests:
  web1: {network: lab, prefer_ipv6: WANTED}
  global: {network: out, prefer_ipv6: true}
  old: {network: four, prefer_ipv6: true}
  inside: {network: cell, prefer_ipv6: true}
  beside: {network: lan, prefer_ipv6: true}
"""
PREFIX = "fd12:8848:a2a2::/48"
KEY = Key("prefer", "web1")
DONE = Record("web1", "u1", (PREFIX,), done=True, wrote=b"label fd12:8848:a2a2::/48 1\nlabel ::ffff:0:0/96 4\n")


def world(nat66: bool = True, asked: bool = True) -> World:
    text = TEXT.replace("NAT66", str(nat66).lower()).replace("WANTED", str(asked).lower())
    spec = load_spec(text.encode(), "spec.yaml")
    return drawn(spec, 7)


def facts(running: bool = True, agent: bool = True, uuid: str = "u1", six: bool = True) -> Facts:
    uplink = Uplink("up0", (4, 6) if six else (4,), kernel_ra=False)
    return Facts("kvm1", "9.0.0", domains=(Domain("web1", running, (), uuid=uuid, agent=agent),), uplinks=(uplink,))


def test_for_a_guest_with_a_ula_that_gets_out() -> None:
    assert wanted(world(), facts(), {}) == {KEY: Prefer((PREFIX,), "u1")}
    assert wanted(world(asked=False), facts(), {}) == {}


@pytest.mark.parametrize(
    ("guest", "why"),
    [
        ("global", "its address 2001:db8:7::10 is global"),
        ("old", "none of its networks has IPv6"),
        ("inside", "isolated: nothing leaves the network"),
        ("beside", "it is on the LAN"),
    ],
)
def test_for_whom_it_is_of_no_use(guest: str, why: str) -> None:
    here = world()
    found = means(here, next(one for one in here.guests if one.name == guest), facts())
    assert found.prefixes == ()
    assert why in found.why


def test_a_host_without_ipv6_and_a_network_without_nat66() -> None:
    for here, host, why in (
        (world(), facts(six=False), "the host has no IPv6 default route"),
        (world(nat66=False), facts(), "is private: the internet cannot answer"),
    ):
        assert wanted(here, host, {"web1": DONE}) == {}
        assert there(host, {"web1": DONE}, leaving=False) == {KEY: Prefer((PREFIX,), "u1")}
        assert any(why in note for note in notes(here, host, {}, leaving=False))


@pytest.mark.parametrize("host", [facts(running=False, agent=False), facts(agent=False)])
def test_who_cannot_be_asked_stays_as_it_is(host: Facts) -> None:
    assert wanted(world(), host, {}) == {}
    (note,) = notes(world(), host, {}, leaving=False)
    assert note.startswith("guest web1: prefer_ipv6 waits ")
    for here in (world(asked=False), world(nat66=False)):
        assert wanted(here, host, {"web1": DONE}) == {KEY: Prefer((PREFIX,), "u1")}
        (note,) = notes(here, host, {"web1": DONE}, leaving=False)
        assert note.startswith("guest web1: that its /etc/gai.conf is put back waits ")
    assert notes(world(), host, {"web1": DONE}, leaving=False) == ()


def test_by_hand_stays_while_it_is_of_use() -> None:
    record = replace(DONE, by_hand=True)
    assert wanted(world(asked=False), facts(), {"web1": record}) == {KEY: Prefer((PREFIX,), "u1", by_hand=True)}
    assert wanted(world(asked=False, nat66=False), facts(), {"web1": record}) == {}
    assert wanted(world(asked=False), facts(), {"web1": DONE}) == {}


def test_another_domain_of_that_name_is_another_guest() -> None:
    found = there(facts(uuid="u2"), {"web1": DONE}, leaving=False)
    assert found == {Key("memory", path_of("web1")): File(to_text(DONE), 0o600)}
    assert wanted(world(), facts(uuid="u2"), {"web1": DONE}) == {KEY: Prefer((PREFIX,), "u2")}


def test_what_refused_is_not_asked_again() -> None:
    record = Record("web1", "u1", (PREFIX,), refused="its resolver is musl's", libc="musl")
    assert wanted(world(), facts(), {"web1": record}) == {}
    (note,) = notes(world(), facts(), {"web1": record}, leaving=False)
    assert "not set in it: its resolver is musl's; then: guestnet prefer-ipv6 web1" in note
    assert wanted(world(), facts(uuid="u2"), {"web1": record}) != {}


def test_leaving() -> None:
    """What can be put back is; of others only the record goes, and it is said what stays."""
    assert there(facts(), {"web1": DONE}, leaving=True) == {KEY: Prefer((PREFIX,), "u1")}
    off = facts(running=False, agent=False)
    assert list(there(off, {"web1": DONE}, leaving=True)) == [Key("memory", path_of("web1"))]
    (note,) = notes(World((), ()), off, {"web1": DONE}, leaving=True)
    assert note.startswith("guest web1 is off or has no agent: what guestnet wrote stays in its /etc/gai.conf")
    forgotten = [Change(key, thing, None) for key, thing in there(off, {"web1": DONE}, leaving=True).items()]
    assert left(forgotten, off) == ("web1",)
    assert left(forgotten, facts(uuid="u2")) == ()
    damaged = [Change(Key("memory", path_of(name)), File("{"), None) for name in ("web1", "gone")]
    assert left(damaged, off) == ("web1",), "nobody knows what is in it"
    assert left([Change(KEY, Prefer((PREFIX,), "u1"), None)], facts()) == ()


def test_which_family_each_tries_first() -> None:
    first = families(world(), facts(), {})
    expected = {
        "web1": "prefers IPv4",
        "global": "prefers IPv6",
        "old": "IPv4 only",
        "inside": "-",
        "beside": "-",
    }
    assert first == expected
    assert families(world(), facts(), {"web1": DONE})["web1"] == "prefers IPv6"
    assert families(world(), facts(uuid="u2"), {"web1": DONE})["web1"] == "prefers IPv4"
    assert families(world(), facts(), {"web1": replace(DONE, libc="musl")})["web1"] == "prefers IPv4"
    assert lines(first) == [
        "",
        "prefers IPv6 where a host has both: global",
        "prefers IPv4 where a host has both: web1",
        "IPv4 only where a host has both: old",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', to_text(DONE).replace("wrote", "wrought")])
def test_a_damaged_record(text: str) -> None:
    with pytest.raises(GuestnetError, match="/x is damaged"):
        from_text(text, "/x")


def test_a_record_there_and_back() -> None:
    record = replace(DONE, before=b"\xff\n")
    assert from_text(to_text(record), "/x") == record


def test_what_was_begun_only() -> None:
    """Killed before it was known: written again when it is wanted, and put back when not."""
    begun = replace(DONE, done=False)
    assert there(facts(), {"web1": begun}, leaving=False) == {KEY: Prefer((PREFIX,), "u1", whole=False)}
    assert wanted(world(), facts(), {"web1": begun}) == {KEY: Prefer((PREFIX,), "u1")}
    assert wanted(world(asked=False), facts(), {"web1": begun}) == {}
    assert families(world(), facts(), {"web1": begun})["web1"] == "prefers IPv4"
