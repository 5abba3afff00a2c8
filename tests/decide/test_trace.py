"""Steps from what nft prints, and the causes that a lab does not show: on lines as nft 1.0.6 prints them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guestnet.decide.trace import destination, owner, parse
from guestnet.decide.why import Case, explain

HEAD = "ether saddr 02:00:00:00:00:01 ether daddr 02:00:00:00:00:02 ip saddr 10.0.0.2 ip daddr 10.9.0.3 ip dscp cs0 "
IN = f"""
trace id a1 inet guestnet_trace prerouting packet: iif "br1" {HEAD}
trace id a1 inet guestnet_trace prerouting rule ip saddr 10.0.0.2 meta nftrace set 1 (verdict continue)
trace id a1 inet guestnet_trace prerouting policy accept
trace id a1 ip nat PREROUTING packet: iif "br1" {HEAD}
trace id a1 ip nat PREROUTING policy accept
"""
FORWARD = f"""
trace id a1 ip filter FORWARD packet: iif "br1" oif "up0" {HEAD}
trace id a1 ip filter FORWARD rule counter packets 4 bytes 736 jump %s (verdict jump %s)
trace id a1 ip filter %s rule oifname "up0" counter packets 1 bytes 60 %s (verdict drop)
"""
CASE = Case(
    source="lab",
    target="internet",
    asked="10.9.0.3",
    protocol="tcp",
    port=80,
    came_from="10.0.0.2",
    answer={"outcome": "silence", "by": "", "text": "no answer"},
    packets=parse(IN.splitlines()),
    route="10.9.0.3 via 203.0.113.1",
)


def rejected(chain: str, verdict: str = "reject") -> Case:
    return replace(CASE, packets=parse((IN + FORWARD % (chain, chain, chain, verdict)).splitlines()))


@pytest.mark.parametrize(
    ("chain", "whose"),
    [
        ("LIBVIRT_FWI", "libvirt's"),
        ("DOCKER-USER", "docker's"),
        ("ufw-user-forward", "ufw's"),
        ("f2b-sshd", "fail2ban's"),
        ("mine", "somebody's"),
    ],
)
def test_whose_rule_it_was(chain: str, whose: str) -> None:
    found = explain(rejected(chain))
    assert not found.reached
    assert found.cause == f'dropped by {whose} rule in table ip filter, chain {chain}: oifname "up0" reject'
    assert "counter" not in found.cause
    assert found.lines[-1].endswith("<- dropped")


def test_a_policy_names_its_chain() -> None:
    lines = IN + 'trace id a1 ip filter FORWARD packet: iif "br1" oif "up0" ip saddr 10.0.0.2 ip daddr 10.9.0.3\n'
    found = explain(replace(CASE, packets=parse((lines + "trace id a1 ip filter FORWARD policy drop").splitlines())))
    assert found.cause == "dropped by iptables' policy in table ip filter, chain FORWARD: policy drop"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"forwarding": False}, "forwarding is off (net.ipv4.ip_forward = 0)"),
        ({"route": ""}, "the host has no route to 10.9.0.3"),
        ({"strict": True}, "the reverse path filter dropped it: 10.0.0.2 is not routed to where it came from"),
        ({}, "the kernel did not pass it on, and no rule says why"),
    ],
)
def test_between_the_rules(change: dict[str, object], cause: str) -> None:
    """It came in, and no chain behind the routing decision saw it."""
    found = explain(replace(CASE, **change))  # type: ignore[arg-type]
    assert (found.reached, found.cause) == (False, cause)
    assert found.todo


def test_packets_of_one_connection_are_told_apart() -> None:
    packets = parse((IN + IN).splitlines())
    assert [len(steps) for steps in packets] == [3, 3]
    assert destination(packets[0]) == "10.9.0.3"
    assert destination([]) == ""


def test_the_admit_rule_is_ours() -> None:
    line = "trace id a1 ip filter FORWARD rule ct status dnat ct mark and 0x2000 == 0x2000 accept (verdict accept)"
    (steps,) = parse([*IN.splitlines(), line])
    assert owner(steps[-1]) == "guestnet's"


def test_lines_that_are_none_are_passed_over() -> None:
    assert parse(["", "add table inet x", "trace id"]) == []
