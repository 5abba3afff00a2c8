"""Which chains of others are told, and get rules of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guestnet.compile import admit
from guestnet.decide.admit import admits, dropping, hook_file, notes, reason, remembered, shut, title
from guestnet.decide.desired import desired_state
from guestnet.decide.facts import Chain, Facts, Others
from guestnet.decide.state import Admit, Change, Key
from guestnet.spec.memory import Memory, from_text, to_text
from guestnet.spec.world import World
from tests.compile.test_golden import GOLDEN, made

WORLD, _ = made(GOLDEN / "040-forwards", Memory())
THEIRS = Chain("inet", "theirs", "forward", "filter", "forward", 5, "drop")
FACTS = Facts(hostname="kvm1", libvirt="9.0.0", chains=(THEIRS,))


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "accept"},
        {"type": "nat"},
        {"hook": "prerouting"},
        {"family": "bridge"},
        {"family": "ip", "table": "filter", "name": "FORWARD"},  # iptables-nft
        {"table": "guestnet"},
        {"table": "firewalld"},
        {"table": "firewalld_policy_drop"},
        {"name": "odd name"},
    ],
)
def test_what_is_none_of_them(change: dict[str, str]) -> None:
    other = replace(THEIRS, **change)  # type: ignore[arg-type]
    assert dropping(replace(FACTS, chains=(THEIRS, other))) == (THEIRS,)


def test_only_when_agreed_to_and_remembered() -> None:
    assert list(admits(WORLD, FACTS, Memory())) == [Key("admit", "iptables"), Key("admit", "ip6tables")]
    agreed = remembered(Memory(), FACTS, wanted=True)
    assert agreed.admitted == {"inet theirs forward": "forward"}
    assert remembered(agreed, FACTS, wanted=None) == agreed
    assert remembered(agreed, FACTS, wanted=False) == Memory()
    assert from_text(to_text(agreed)) == agreed
    there = admits(WORLD, FACTS, agreed)[Key("admit", "inet theirs forward")]
    assert there == Admit(admit.rules("inet", "forward", WORLD))
    assert Key("admit", "inet theirs forward") not in admits(WORLD, replace(FACTS, chains=()), agreed)
    assert "inet theirs forward\t" in hook_file(WORLD, agreed)


def test_a_memory_of_others_makes_no_command() -> None:
    odd = Memory(admitted={"inet theirs forward; flush ruleset": "forward", "inet x y": "odd", "": "forward"})
    assert hook_file(WORLD, odd) == hook_file(WORLD, Memory())


def test_libvirts_own_table_needs_no_agreement() -> None:
    theirs = replace(THEIRS, family="ip", table="libvirt_network", priority=0, policy="accept")
    found = admits(WORLD, replace(FACTS, chains=(theirs,)), Memory())
    assert found[Key("admit", "ip libvirt_network forward")].rules == (admit.translated(),)
    assert hook_file(WORLD, Memory()).count("libvirt_network") == 2


def test_told_until_it_is_agreed_to() -> None:
    state, _ = desired_state(WORLD, FACTS, Memory(), "")
    (note,) = notes(WORLD, FACTS, state)
    said, *commands = note.split("\n")
    assert "guestnet apply --admit" in said
    assert len(commands) == 3
    state, _ = desired_state(WORLD, FACTS, remembered(Memory(), FACTS, wanted=True), "")
    assert not list(notes(WORLD, FACTS, state))


@pytest.mark.parametrize("family", ["ip", "ip6", "inet"])
@pytest.mark.parametrize("hook", ["forward", "input", "output"])
def test_no_rule_that_its_family_does_not_know(family: str, hook: str) -> None:
    rules = admit.rules(family, hook, WORLD)
    assert rules
    assert all(rule.endswith(admit.COMMENT) for rule in rules)
    assert family != "ip" or "icmpv6" not in "".join(rules)


def test_what_a_forward_opens_is_let_in() -> None:
    """At its guest's own global address, though its network is closed."""
    opening = next(guest for guest in WORLD.guests if guest.forwards)
    forward = replace(opening.forwards[0], opens=True)
    world = replace(WORLD, guests=(replace(opening, forwards=(forward,)),))
    bridge = next(network.bridge for network in WORLD.networks if network.name == forward.network)
    rule = f'oifname {{ "{bridge}" }} accept {admit.COMMENT}'
    families = {4: ("ip", "ip6"), 6: ("ip6", "ip")}[forward.target.version]
    assert rule in admit.rules("inet", "forward", world)
    assert rule in admit.rules(families[0], "forward", world)
    assert rule not in admit.rules(families[1], "forward", world)
    assert rule not in admit.rules("inet", "forward", WORLD)


LIBVIRTS = Chain("ip", "libvirt_network", "forward", "filter", "forward", 0, "accept")
DROPS = replace(FACTS, others=Others(policies=(("iptables", "FORWARD"), ("ip6tables", "INPUT"))))


def test_guests_way_out_through_iptables_forward() -> None:
    """Where it drops and libvirt's nftables backend puts nothing there: by program, and nobody is asked."""
    both = replace(DROPS, chains=(LIBVIRTS,))
    assert (shut(both), shut(DROPS), shut(replace(FACTS, chains=(LIBVIRTS,)))) == (("iptables",), (), ())
    found = admits(WORLD, both, Memory())
    assert found[Key("admit", "iptables")] == Admit(admit.ways_out("iptables", WORLD))
    assert found[Key("admit", "ip6tables")] == admits(WORLD, DROPS, Memory())[Key("admit", "iptables")] == Admit()
    # The hook finds them prepared, whatever the policy is today.
    assert "iptables\t-i " in hook_file(WORLD, Memory())
    assert "ip6tables\t-i " in hook_file(WORLD, Memory())


def test_no_way_out_of_what_is_isolated_nor_in_what_a_network_has_not() -> None:
    network = replace(WORLD.networks[0], bridge="br9", open=frozenset({6}))
    assert network.v4
    assert network.v6
    answers = "-o br9 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    nat = World((network,), ())
    assert admit.ways_out("iptables", nat) == ("-i br9 -j ACCEPT", answers)
    assert admit.ways_out("ip6tables", nat) == ("-i br9 -j ACCEPT", "-o br9 -j ACCEPT")
    assert admit.ways_out("iptables", World((replace(network, v4=None),), ())) == ()
    assert admit.ways_out("iptables", World((replace(network, mode="isolated"),), ())) == ("-i br9 -o br9 -j ACCEPT",)


def test_the_plan_says_what_they_are_for() -> None:
    key, rules = Key("admit", "iptables"), Admit(("-i br9 -j ACCEPT",))
    why = "; it drops by policy, and libvirt's nftables backend lets no guest out there"
    said = {
        (None, rules): f"admit rules in iptables FORWARD{why}",
        (Admit(), rules): f"admit rules in iptables FORWARD{why}",
        (rules, Admit()): "admit rule in iptables FORWARD; guests' way out needs no more of them",
        (replace(rules, top=False), rules): "admit rules in iptables FORWARD, on top again",
        (rules, None): "admit rules in iptables FORWARD",
        (None, Admit()): "admit rule in iptables FORWARD",
    }
    for (before, after), line in said.items():
        change = Change(key, before, after)
        assert title(change) + reason(change) == line
