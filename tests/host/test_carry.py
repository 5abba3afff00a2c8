"""What the kernel tells of links is understood, several in one packet, and passed over where it is something else."""

from __future__ import annotations

import struct

import pytest

from guestnet.host import carry


def message(index: int, flags: int, name: str, *, family: int = 0, kind: int = 16) -> bytes:
    """As rtnetlink(7) has it: a header, ifinfomsg, an attribute that is passed over, IFLA_IFNAME."""
    text = name.encode() + b"\0"
    mtu = struct.pack("=HHI", 8, 4, 1500)
    body = struct.pack("=BxHiII", family, 1, index, flags, 0) + mtu
    body += struct.pack("=HH", 4 + len(text), 3) + text + bytes(-len(text) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_links_are_read() -> None:
    packet = message(5, 0x1003, "virbr0") + message(71, 0, "vnet12345678901")
    assert list(carry._links(packet)) == [(5, 0x1003, "virbr0"), (71, 0, "vnet12345678901")]


def test_what_is_no_link_is_passed_over() -> None:
    packet = message(5, 1, "gone", kind=17) + message(6, 1, "port", family=7) + message(7, 1, "virbr0")
    assert list(carry._links(packet)) == [(7, 1, "virbr0")]


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_packet_that_is_cut_short_ends(cut: int) -> None:
    list(carry._links(message(5, 1, "virbr0")[:cut]))


def test_a_bridges_link_local_address_is_the_kernels() -> None:
    assert carry._link_local("52:54:00:82:d7:36") == "fe80::5054:ff:fe82:d736"
