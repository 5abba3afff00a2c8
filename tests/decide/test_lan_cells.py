"""What is promised to guests on the LAN, and what of another machine's silence tells anything."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from guestnet.decide import lan as rules
from guestnet.decide.facts import Facts, HostNic, Uplink
from guestnet.decide.judge import Asked, Heard, elsewhere, judge
from guestnet.decide.reach import HOST, INTERNET, Cell, End, Verdict, predict
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.world import Lan, World
from tests.worlds import drawn

FACTS = Facts(
    hostname="kvm1",
    libvirt="9.0.0",
    uplinks=(Uplink("up0", (4, 6), kernel_ra=False),),
    nics=(HostNic("up0"), HostNic("eth1", up=False), HostNic("br0", "bridge")),
    addresses=(
        ("up0", ip_interface("203.0.113.2/24")),
        ("up0", ip_interface("2001:db8:1::2/64")),
        ("br0", ip_interface("10.9.0.1/24")),
    ),
)


def lan(text: str) -> Lan:
    spec = load_spec(f"networks: {{n: {{{text}}}}}", "test.yaml")
    chance = random.Random(1)  # noqa: S311  not a secret
    return resolve(spec, Memory(), random=chance, taken=Taken(), macs={})[0].lans[0]


WITH_HOST = [
    ("mode: bridge, bridge: br0", 4, "yes", "10.9.0.1 on br0"),
    ("mode: bridge, bridge: br0", 6, "lan", "no IPv6 address on br0"),
    ("mode: bridge, bridge: br1, interface: eth1", 4, "lan", "no IPv4 address on br1"),
    ("mode: macvtap, interface: up0", 4, "no", "the kernel passes nothing between up0"),
    ("mode: macvtap, interface: up0", 6, "no", "the kernel passes nothing between up0"),
    ("mode: macvtap, interface: up0, macvtap: private", 4, "no", "the kernel passes nothing"),
    ("mode: macvtap, interface: up0, macvtap: vepa", 4, "lan", "802.1Qbg"),
    ("mode: macvtap, interface: eth1", 4, "lan", "no IPv4 address on eth1"),
    ("mode: passthrough, interfaces: [eth1]", 4, "lan", "if a NIC of the host is on that LAN"),
]


@pytest.mark.parametrize(("text", "family", "verdict", "reason"), WITH_HOST)
def test_with_the_host(text: str, family: int, verdict: str, reason: str) -> None:
    said = rules.with_host(lan(text), FACTS, family)
    assert said[0] == verdict
    assert reason in said[1]


def test_another_nic_in_the_subnet_may_answer_for_the_host() -> None:
    beside = replace(FACTS, addresses=(*FACTS.addresses, ("wlan0", ip_interface("203.0.113.77/24"))))
    tap = lan("mode: macvtap, interface: up0")
    assert rules.with_host(tap, beside, 4) == ("lan", "wlan0 is in 203.0.113.0/24 too, and may answer for the host")
    assert rules.with_host(tap, beside, 6)[0] == "no"


AMONG = {
    "mode: bridge, bridge: br0": "yes",
    "mode: bridge, bridge: br0, guest_isolation: true": "no",
    "mode: macvtap, interface: up0": "yes",
    "mode: macvtap, interface: up0, macvtap: vepa": "lan",
    "mode: macvtap, interface: up0, macvtap: private": "no",
    "mode: passthrough, interfaces: [eth1]": "lan",
}


def test_among_themselves() -> None:
    assert {text: rules.among(lan(text))[0] for text in AMONG} == AMONG


def test_which_address_stands_for_the_host() -> None:
    near = ip_interface("203.0.113.150/24")
    assert rules.hosts_address(lan("mode: bridge, bridge: br0"), FACTS, 4, ip_interface("10.9.0.7/24")) == "10.9.0.1"
    assert rules.hosts_address(lan("mode: bridge, bridge: br0"), FACTS, 4, near) == "10.9.0.1", "its own bridge's first"
    spare = lan("mode: bridge, bridge: br1, interface: eth1")
    assert rules.hosts_address(spare, FACTS, 4, near) == "203.0.113.2", "one of the subnet"
    assert rules.hosts_address(spare, FACTS, 4, ip_interface("10.8.0.7/24")) == "203.0.113.2", "the uplink's"
    assert rules.hosts_address(spare, replace(FACTS, addresses=()), 6, None) is None


def test_what_no_end_can_be_plugged_into() -> None:
    assert rules.unfit(lan("mode: bridge, bridge: br0"), FACTS) == ""
    assert rules.unfit(lan("mode: bridge, bridge: br9"), FACTS) == "there is no bridge br9"
    assert rules.unfit(lan("mode: macvtap, interface: eth9"), FACTS) == "there is no NIC eth9"
    assert rules.unfit(lan("mode: macvtap, interface: eth1"), FACTS) == "eth1 is down"
    whole = lan("mode: passthrough, interfaces: [up0]")
    assert "a device of its own" in rules.unfit(whole, FACTS)
    assert rules.left_out(whole) == rules.unfit(whole, FACTS), "--lan would not help"
    assert "--lan" in rules.left_out(lan("mode: macvtap, interface: up0"))


def test_the_bridge_filter_is_of_a_family_and_of_bridges() -> None:
    facts = replace(FACTS, bridge_filter=("ip6tables",))
    assert "ip6tables' FORWARD drops" in rules.filtered(lan("mode: bridge, bridge: br0"), facts, 6)
    assert rules.filtered(lan("mode: bridge, bridge: br0"), facts, 4) == ""
    assert rules.filtered(lan("mode: macvtap, interface: up0"), facts, 6) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mode: macvtap, interface: up0", "n: the kernel passes nothing between the host and its macvtaps on up0; "),
        ("mode: macvtap, interface: eth1", "n: guests and host talk only over the LAN, "),
        ("mode: macvtap, interface: up0, macvtap: vepa", "n: guests and host talk only over the LAN, "),
    ],
)
def test_the_plan_says_of_macvtap_what_the_matrix_says(text: str, said: str) -> None:
    tap = lan(text)
    note = next(rules.notes(World((), (), (tap,)), FACTS))
    assert note.startswith(f"network {said}")
    assert ("the host and its" in note) == (rules.with_host(tap, FACTS, 4)[0] == "no")
    assert note.endswith("give the guests a second NIC in a nat or isolated network, or use mode bridge")


def test_what_the_lan_did_not_give() -> None:
    assert "no DHCP server answered" in rules.lacking(4, address=False, router=False)
    assert "named no router" in rules.lacking(4, address=True, router=False)
    assert "DHCPv6 is not asked" in rules.lacking(6, address=False, router=True)
    assert rules.lacking(6, address=True, router=True) == ""


def test_the_matrix_has_all_cells_of_a_lan() -> None:
    spec = load_spec("networks: {n: {mode: bridge, bridge: br0}}", "test.yaml")
    world = drawn(spec)
    found = {(str(cell.source), str(cell.target), cell.family): cell.verdict for cell in predict(world, FACTS)}
    assert found["n", "internet", 4] == found["internet", "n", 6] == "lan"
    assert (found["n", "host", 4], found["host", "n", 4]) == ("yes", "yes")
    assert (found["n", "host", 6], found["host", "n", 6]) == ("lan", "lan")
    assert found["n", "n", 4] == "yes"
    assert len(found) == 10


# measured

NET = End("network", "n")


def cell(source: End, target: End, verdict: Verdict) -> Cell:
    return Cell(source, target, 4, verdict, "")


def said(way: Asked, outcome: str, to: str = "198.51.100.9", protocols: str = "tcp udp icmp") -> list[Heard]:
    return [Heard(way, protocol, to, outcome) for protocol in protocols.split()]


def test_lan_promises_only_where_that_is_known() -> None:
    out, host = cell(NET, INTERNET, "lan"), cell(NET, HOST, "lan")
    assert judge(out, said("far", "silence"), "", promise="yes").right is False
    assert judge(out, said("far", "answered"), "", promise="yes").right is True
    assert judge(out, [], "no DHCP server answered").right is None
    assert judge(host, said("direct", "silence"), "").right is None
    assert judge(cell(NET, HOST, "no"), said("direct", "answered"), "").right is False


def test_what_this_side_was_not_let_ask_says_nothing() -> None:
    answers = said("direct", "answered", protocols="tcp udp") + said("direct", "unable", protocols="icmp")
    assert judge(cell(INTERNET, NET, "yes"), answers, "").verdict == "yes"
    assert judge(cell(INTERNET, NET, "yes"), said("direct", "unable"), "why").verdict is None


def from_there(verdict: Verdict, heard: list[Heard]) -> str:
    """The verdict, or the reason why there is none."""
    asked = cell(INTERNET, NET, verdict)
    told, why = elsewhere(asked, heard, "vps")
    found = judge(asked, told, why)
    return found.verdict or found.text


def test_another_machine_without_a_way_here() -> None:
    assert from_there("no", said("direct", "nowhere")) == "vps has no way to send it"
    closed = [*said("direct", "nowhere", protocols="tcp udp"), *said("direct", "unable", protocols="icmp")]
    assert from_there("no", closed) == "vps has no way to send it"
    assert from_there("yes", said("direct", "silence")) == "no", "a public address is everybody's to ask"
    assert "10.9.0.7 is private: vps may have no route" in from_there("yes", said("direct", "silence", "10.9.0.7"))
    assert from_there("yes", said("direct", "answered", "10.9.0.7")) == "yes", "it has one"
    assert from_there("no", said("direct", "silence", "10.9.0.7")) == "no"


def test_a_forward_asked_at_a_private_address_of_the_host() -> None:
    inside, silence = (
        said("direct", "silence", "10.9.0.7", "tcp udp"),
        said("forward", "silence", "192.168.1.5", "tcp udp"),
    )
    hidden = [*inside, *silence]
    assert "192.168.1.5 is private" in from_there("forwards", hidden)
    assert from_there("forwards", [*hidden, Heard("gate", "icmp", "192.168.1.5", "answered")]) == "no", "there is a way"
    public = [*inside, *said("forward", "silence", "203.0.113.2", "tcp udp")]
    assert from_there("forwards", public) == "no"
    alone = said("forward", "answered", "203.0.113.2", "tcp udp")
    assert from_there("forwards", [*said("direct", "nowhere", "10.9.0.7"), *alone]) == "forwards"
    answered = [*inside, *said("forward", "answered", "192.168.1.5", "tcp udp")]
    assert from_there("forwards", answered) == "forwards"
