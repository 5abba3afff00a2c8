"""Which addresses a guest has, from its own `ip addr`: what real and fake guests have in common."""

from __future__ import annotations

import re
import zlib
from ipaddress import IPv4Address, IPv6Address, IPv6Interface, ip_interface
from typing import TypeVar

Found = TypeVar("Found")

# A route that is neither to the link-local or multicast addresses, nor (without prefix length) to the guest itself.
_WAY = re.compile(r"^route (default|(?!fe80:|ff00:)[0-9a-f:]+/)", re.MULTILINE)
_LINE = re.compile(r"\sinet6? (?P<address>\S+)(?P<rest>[^\n]*)")


def made_up_mac(name: str) -> str:
    """A MAC with QEMU's prefix that is always the same for the same name."""
    digits = f"{zlib.crc32(name.encode()) & 0xFFFFFF:06x}"
    return "52:54:00:" + ":".join(digits[i : i + 2] for i in (0, 2, 4))


def look(nic: str) -> str:
    """The shell command whose output `usable` reads; iproute2 and busybox both know it."""
    return f"ip -o addr show dev {nic}; ip -6 route show dev {nic} | sed 's/^/route /'"


def first(found: list[Found]) -> Found | None:
    return found[0] if found else None


def usable(output: str) -> tuple[list[IPv4Address], list[IPv6Address]]:
    """The addresses in the output of `look` that can be used: no link-local ones, none still being checked.

    For IPv6 those from DHCPv6 (a /128) come before those made from a router advertisement; and there are none until the
    router has advertised the way to the neighbours, which DHCPv6 does not tell.
    """
    v4: list[IPv4Address] = []
    v6: list[IPv6Interface] = []
    for match in _LINE.finditer(output):
        if "tentative" in match["rest"] or "dadfailed" in match["rest"]:
            continue
        found = ip_interface(match["address"])
        if found.ip.is_link_local or found.ip.is_loopback:
            continue
        if isinstance(found, IPv6Interface):
            v6.append(found)
        else:
            v4.append(found.ip)
    v6.sort(key=lambda address: -address.network.prefixlen)
    return v4, [address.ip for address in v6] if _WAY.search(output) else []
