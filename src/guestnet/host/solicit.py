"""Asks on a link whether somebody has an address: neighbour solicitations (RFC 4861), as before taking one for oneself.

Duplicate address detection (RFC 4862) asks from `::`, which the kernel lets no program do; this asks from the NIC's own
link-local address, and who has the address answers both.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path

from guestnet.decide.facts import Answered

_SOLICIT, _ADVERT, _SOURCE, _TARGET = 135, 136, 1, 2  # ICMPv6 types; options with a link-layer address
_ICMP6_FILTER = 1  # linux/icmpv6.h
_TIMES, _PAUSE = 2, 0.5  # what goes lost once is sent again; seconds to wait for answers each time
_HEAD = 24  # bytes of an advertisement before its options
_MAC = 6


def who_answers(asked: Iterable[tuple[str, IPv6Address]]) -> tuple[Answered, ...]:
    """Those of (NIC, address) that somebody on that NIC's link answers for; takes a second, and none without any.
    A NIC that is not there, or down, has nobody."""
    wanted: dict[str, set[IPv6Address]] = {}
    for nic, address in asked:
        wanted.setdefault(nic, set()).add(address)
    found: list[Answered] = []
    for nic, addresses in sorted(wanted.items()):
        with contextlib.suppress(OSError):
            found += _ask(nic, addresses)
    return tuple(sorted(found, key=lambda one: (one.nic, one.address)))


def _ask(nic: str, addresses: set[IPv6Address]) -> list[Answered]:
    mac = bytes.fromhex(Path(f"/sys/class/net/{nic}/address").read_text().strip().replace(":", ""))
    found: dict[IPv6Address, str] = {}
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, nic.encode())
        # No router has passed it on (RFC 4861, 7.1.1); the kernel computes the checksum.
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        link.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _only(_ADVERT))
        index = socket.if_nametoindex(nic)
        for _ in range(_TIMES):
            for address in sorted(addresses - found.keys()):
                text = struct.pack(">BBHI", _SOLICIT, 0, 0, 0) + address.packed
                text += bytes([_SOURCE, 1]) + mac if len(mac) == _MAC else b""
                link.sendto(text, (_group(address), 0, 0, index))
            found |= _answers(link, addresses)
    return [Answered(nic, address, who) for address, who in found.items()]


def _answers(link: socket.socket, addresses: set[IPv6Address]) -> dict[IPv6Address, str]:
    """Within the pause: address -> MAC."""
    found: dict[IPv6Address, str] = {}
    end = time.monotonic() + _PAUSE
    while (left := end - time.monotonic()) > 0 and len(found) < len(addresses):
        if not select.select([link], [], [], left)[0]:
            break
        data = link.recv(1500)
        if len(data) < _HEAD or data[0] != _ADVERT:
            continue
        address, option = IPv6Address(data[8:_HEAD]), data[_HEAD : _HEAD + 2 + _MAC]
        if address in addresses:
            found[address] = option[2:].hex(":") if option[:1] == bytes([_TARGET]) else "a MAC that it does not tell"
    return found


def _only(kind: int) -> bytes:
    """A filter that passes one type: a bit each, set is blocked (RFC 3542, 3.2)."""
    bits = [0xFFFFFFFF] * 8
    bits[kind >> 5] &= ~(1 << (kind & 31)) & 0xFFFFFFFF
    return struct.pack("=8I", *bits)


def _group(address: IPv6Address) -> str:
    """The multicast group that whoever has the address is in (RFC 4291, 2.7.1)."""
    return str(IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(address) & 0xFFFFFF))
