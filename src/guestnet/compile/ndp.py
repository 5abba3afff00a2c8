"""Guests' addresses on the uplink's own link, where nobody routes: the kernel answers neighbour solicitations for them.

That is one entry an address (`ip -6 neigh add proxy`), while its guest runs. The hook makes and takes them away, so
what it needs stands in the guests' files and in FILE.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address

from guestnet.spec.world import Guest, Network

# The kernel keeps with each entry who made it (NDA_PROTOCOL, since 4.20), as for routes; 71 is nobody's in
# iproute2's rt_protos. So ours are told from entries of others.
PROTOCOL = 71
FILE = "/var/lib/guestnet/compiled/outside"  # a line a network: its uplink, the prefix there, its own ULA or `-`


def entry(nic: str, address: IPv6Address) -> str:
    """As `ip -6 neigh` has it."""
    return f"{address} dev {nic}"


def entries(guest: Guest) -> tuple[str, ...]:
    """What the kernel answers for while the guest runs."""
    return tuple(entry(nic.outside.nic, nic.global6) for nic in guest.nics if nic.outside and nic.global6)


def guest_lines(guest: Guest) -> list[str]:
    """For its file. Of a translated address only the part that is the guest's own: the hook knows the prefix, which may
    be another one by then."""
    found = []
    for nic in guest.nics:
        if nic.outside and nic.ipv6:
            kind, address = ("translated", part(nic.ipv6)) if nic.outside.translated else ("ndp", nic.ipv6)
            found.append(f"{kind} {nic.outside.nic} {address}")
    return found


def part(address: IPv6Address) -> IPv6Address:
    return IPv6Address(int(address) & (1 << 64) - 1)


def hook_file(networks: Iterable[Network]) -> str:
    lines = []
    for network in networks:
        if network.v6 and network.v6.outside:
            its = network.v6.outside
            lines.append(f"{its.nic} {its.prefix} {network.v6.host.network if its.translated else '-'}\n")
    return "".join(lines)
