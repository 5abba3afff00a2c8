"""In a network without DHCPv6 guests make their IPv6 addresses themselves: of their MACs, as far as can be known."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network

import pytest

from guestnet.spec.memory import Memory
from guestnet.spec.world import Nic, World
from guestnet.words.addresses import eui64

Resolve = Callable[..., tuple[World, Memory]]
NETWORK = "networks: {lab: {mode: nat, ipv4: 10.0.0.1/24, ipv6: {address: 'fd00:1::1/64', dhcp: %s}}}\n"
PREDICTED = IPv6Address("fd00:1::5054:ff:fe12:3456")


@pytest.mark.parametrize(
    ("mac", "part"),
    [
        ("34:56:78:9a:bc:de", "::3656:78ff:fe9a:bcde"),  # the example of RFC 4291, appendix A, is 34-56-78
        ("52:54:00:12:34:56", "::5054:ff:fe12:3456"),
        ("02:00:00:00:00:01", "::ff:fe00:1"),
    ],
)
def test_eui64(mac: str, part: str) -> None:
    assert eui64(mac, IPv6Network("2001:db8::/64")) == IPv6Address(
        int(IPv6Address("2001:db8::")) | int(IPv6Address(part))
    )


def nic(resolved: Resolve, guest: str, *, dhcp: str = "false", **more: object) -> Nic:
    world, _ = resolved(f"{NETWORK % dhcp}guests: {{web1: {guest}}}\n", **more)
    return world.guests[0].nics[0]


WRITTEN = "{network: lab, mac: '52:54:00:12:34:56', forwards: ['80']}"


def test_of_the_mac_that_the_file_or_libvirt_knows(resolved: Resolve) -> None:
    made = nic(resolved, WRITTEN)
    assert (made.ipv6, made.slaac, made.reserved6) == (PREDICTED, True, None)
    known = nic(resolved, "{network: lab}", macs={"web1": (("lab", "52:54:00:12:34:56"),)})
    assert (known.ipv6, known.slaac) == (PREDICTED, True)
    none = nic(resolved, "{network: lab}")
    assert (none.ipv6, none.slaac) == (None, False), "nothing can be said yet"


def test_what_is_written_or_reserved_is_no_prediction(resolved: Resolve) -> None:
    fixed = nic(resolved, "{network: lab, mac: '52:54:00:12:34:56', ipv6: '::77'}")
    assert (str(fixed.ipv6), fixed.slaac) == ("fd00:1::77", False)
    reserved = nic(resolved, WRITTEN, dhcp="true")
    assert (str(reserved.ipv6), reserved.slaac, reserved.reserved6) == ("fd00:1::10", False, reserved.ipv6)


def test_forwards_go_there_in_both_families(resolved: Resolve) -> None:
    world, memory = resolved(f"{NETWORK % 'false'}guests: {{web1: {WRITTEN}}}\n")
    assert {forward.target.version for forward in world.guests[0].forwards} == {4, 6}
    again, _ = resolved(f"{NETWORK % 'true'}guests: {{web1: {WRITTEN}}}\n", memory=memory)
    assert again.guests[0].nics[0].ipv6 == PREDICTED, "it keeps it when DHCPv6 comes"
    other = WRITTEN.replace("34:56", "34:57")
    moved, _ = resolved(f"{NETWORK % 'false'}guests: {{web1: {other}}}\n", memory=memory)
    assert str(moved.guests[0].nics[0].ipv6).endswith(":3457"), "it follows the MAC, not the memory"
