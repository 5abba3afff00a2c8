"""Conflicts, notices, doctor's checks, status, forwards and why: over hosts and packets of IPv4, and over the same of
IPv6. What is said must be the same but for the addresses; each exception has its reason."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest

from guestnet.decide import doctor
from guestnet.decide.conflicts import beside, conflicts
from guestnet.decide.desired import desired_state, running_elements
from guestnet.decide.facts import (
    Chain,
    Domain,
    DomainNic,
    Facts,
    ForeignNetwork,
    HostNic,
    Lease,
    Listener,
    Neighbour,
    OldForward,
    OldHook,
    Others,
    Route,
    Session,
    Uplink,
)
from guestnet.decide.forwardtext import forward_lines
from guestnet.decide.notices import notices
from guestnet.decide.plan import make_plan
from guestnet.decide.reach import predict
from guestnet.decide.status import make_status
from guestnet.decide.why import explain
from guestnet.spec.memory import Memory
from guestnet.spec.world import World
from guestnet.words.ports import PortRange
from tests.decide.mirror import mirror, text
from tests.decide.test_explain import SILENCE, answer, asked_by_forward, case
from tests.worlds import drawn

MAC = "52:54:00:12:34:56"
OTHER = "52:54:00:00:00:09"
CLIENT = ip_address("198.51.100.9")  # of those for whom port 22 is forwarded
OLD = OldForward(4, "tcp", None, PortRange(8080, 8080))
FILE = f"""
networks:
  lab: {{mode: nat, bridge: virbr1, ipv4: 10.66.1.1/24, ipv6: none}}
  dmz: {{mode: routed, bridge: virbr2, ipv4: 10.66.2.1/24, ipv6: none, egress: {{deny: [10.66.1.0/24]}}}}
  pub: {{mode: routed, bridge: virbr3, ipv4: 203.0.113.129/25, ipv6: none, inbound: closed, uplink: up0}}
  cell: {{mode: isolated, bridge: virbr4, ipv4: 10.66.4.1/24, ipv6: none}}
guests:
  web1:
    network: lab
    mac: "{MAC}"
    forwards:
      ["8080:80", "203.0.113.2:8081:80", "203.0.113.77:8082:80", {{ports: 22, from: 198.51.100.0/24}}, "up0:23:23"]
  near: {{network: pub, ipv4: 203.0.113.200, forwards: [443]}}
"""
WORLD = drawn(FILE)
UP = HostNic("up0")
FACTS = Facts(
    "kvm1",
    "9.0.0",
    domains=(
        Domain("web1", True, (DomainNic("lab", MAC),)),
        Domain("near", True, (DomainNic("pub", "52:54:00:0:0:9"),)),
    ),
    uplinks=(Uplink("up0", (4,), kernel_ra=False),),
    nics=(UP,),
    addresses=(("up0", ip_interface("203.0.113.2/28")),),
    subnets=(("up0", ip_network("203.0.113.0/28")),),
    hooks_loaded=True,
)
HOSTS = {
    "nothing": FACTS,
    "no uplink": replace(FACTS, uplinks=(), addresses=(), subnets=()),
    "a private uplink": replace(FACTS, addresses=(("up0", ip_interface("192.168.1.2/24")),)),
    "the same subnet": replace(FACTS, subnets=(("eth9", ip_network("10.66.1.0/25")),)),
    "routes": replace(
        FACTS,
        routes=(
            Route(ip_network("10.66.1.0/24"), link="tun0", gateway="203.0.113.1"),
            Route(ip_network("10.66.0.0/16"), link="tun0"),
            Route(ip_network("10.66.2.128/25"), kind="unreachable"),
            Route(ip_network("10.66.4.0/22"), link="tun0", table=52, first=True),
        ),
    ),
    "networks of others": replace(
        FACTS,
        networks=(
            ForeignNetwork("a", "virbr8", forwards=True, running=False, subnets=(ip_network("10.66.1.0/24"),)),
            ForeignNetwork(
                "b", "virbr9", forwards=True, running=False, autostart=True, subnets=(ip_network("10.66.2.0/24"),)
            ),
        ),
    ),
    "a session": replace(FACTS, session=Session(CLIENT, ip_address("203.0.113.2"), 22)),
    "a session on a NIC's port": replace(FACTS, session=Session(CLIENT, ip_address("203.0.113.2"), 23)),
    "served by the host": replace(
        FACTS,
        listening=(
            Listener("tcp", ip_address("0.0.0.0"), 8080, 1),  # noqa: S104  what is bound, not a bind
            Listener("tcp", ip_address("203.0.113.2"), 8081, 2),
        ),
        programs={1: "nginx (pid 1)", 2: "sshd (pid 2)"},
    ),
    "another lease": replace(FACTS, leases=(Lease("lab", MAC, ip_address("10.66.1.99")),)),
    "an address of its own": replace(FACTS, neighbours=(Neighbour("virbr1", MAC, ip_address("10.66.1.98")),)),
    "policies": replace(
        FACTS, others=Others(docker="DOCKER", ufw="ufw", policies=(("iptables", "FORWARD"), ("iptables", "INPUT")))
    ),
    "br_netfilter": replace(FACTS, bridge_filter=("iptables",)),
    "libvirt's nftables backend": replace(
        FACTS,
        chains=(Chain("ip", "libvirt_network", "forward", "filter", "forward"),),
        others=Others(policies=(("iptables", "FORWARD"),)),
    ),
    "another hook": replace(
        FACTS,
        others=Others(
            hooks=(
                OldHook("/etc/libvirt/hooks/qemu", "", "web1", (OldForward(4, "tcp", None, PortRange(8080, 8080)),)),
            )
        ),
    ),
}


def said(world: World, facts: Facts) -> dict[str, list[str]]:
    state, _ = desired_state(world, facts, Memory(), "")
    plan = make_plan(world, facts, state, state)
    return {
        "conflicts": [str(problem) for problem in conflicts(world, facts, {}, ())],
        "beside": list(beside(world, facts)),
        "notices": list(notices(world, facts)),
        "doctor": [f"{one.name} {one.verdict} {one.evidence} {one.todo}" for one in doctor.checks(plan)],
        "status": [" ".join(row) for row in make_status(plan, state).guests],
        "forwards": forward_lines(
            [(name, item) for name, items in running_elements(world.guests, facts) for item in items]
        ),
        "reach": [f"{cell.source} {cell.target} {cell.verdict} {cell.reason}" for cell in predict(world, facts)],
    }


def plain(lines: list[str]) -> list[str]:
    """Without what a family's own programs are called with, and in an order that no address decides."""
    found = []
    for line in lines:
        if line.startswith("IPv6 uplink") or line.startswith("IPv6 for guests"):
            continue  # what doctor says of that family's own kinds of prefixes: test_prefixes
        bare = re.sub(r"\[([0-9a-f:]+)\]:", r"\1:", re.sub(r"\bip( -6)? (route|rule)\b", r"ip \2", line))
        found.append(" ".join(word for word in bare.split() if word != "-"))
    return sorted(found)


@pytest.mark.parametrize("name", HOSTS)
def test_what_is_said_of_a_host(name: str) -> None:
    facts = HOSTS[name]
    four, six = said(WORLD, facts), said(mirror(WORLD), mirror(facts))
    for what, lines in four.items():
        assert plain([text(line) for line in lines]) == plain(six[what]), what


def test_there_is_something_to_say() -> None:
    """Of each host something that is not said of the first."""
    usual = said(WORLD, FACTS)
    silent = [name for name, facts in HOSTS.items() if name != "nothing" and said(WORLD, facts) == usual]
    assert silent == []


# why

TRACES = sorted(path.stem for path in (Path(__file__).parent / "traces").glob("*.txt") if path.stem != "forward6")
ANSWERS: dict[str, dict[str, Any]] = {
    "silence": SILENCE,
    "answered": answer("answered", "203.0.113.1", "answered"),
    "refused": answer("refused", "203.0.113.1", "reset"),
    "rejected": answer("rejected", "198.51.100.7", "No route to host"),
    "nowhere": answer("nowhere", "", "Network is unreachable"),
}
KNOWN: dict[str, dict[str, Any]] = {
    "": {},
    "the host's own": {"own": True},
    "nobody there": {"neighbour": False},
    "no route": {"route": "", "refusal": "network is unreachable"},
    "not to be routed": {"refusal": "invalid argument"},
    "NAT": {"nat": True, "promise": "yes"},
    "the file wants it": {"promise": "no", "reason": "isolated: nothing leaves the network"},
    "stands for many": {"stands_for": True},
    "drift": {"drift": ("network lab: stopped",)},
}


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("given", ANSWERS)
@pytest.mark.parametrize("trace", ["", *TRACES])
def test_why_says_the_same(trace: str, given: str, known: str) -> None:
    make = asked_by_forward if trace in ("forward", "reply") else case
    one = make(trace, answer=ANSWERS[given], **KNOWN[known])
    four, six = explain(one), explain(mirror(one))
    assert [_words(text(line)) for line in four.lines] == list(map(_words, six.lines))
    assert (_words(text(four.cause)), _todo(text(four.todo)), four.reached) == (six.cause, six.todo, six.reached)


def _words(line: str) -> str:
    """In columns that have other widths; whose a policy of iptables' is, is one name for both programs."""
    return re.sub(r"ip6tables' (?=ip6|policy)", "iptables' ", " ".join(line.split()))


def _todo(said: str) -> str:
    """IPv6 is forwarded by one switch, not by each NIC's, and has no reverse path filter of its own."""
    return re.sub(
        r"sysctl net.ipv6.conf.\w+.forwarding, ip -6 route, and rp_filter of \w+",
        "sysctl net.ipv6.conf.all.forwarding, and ip -6 route",
        said,
    )
