"""Addresses from text, with messages a person can act on. Every function raises WrongError and nothing else."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_network

from guestnet.words.problems import WrongError

PRIVATE: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
HOST_BITS6 = 64  # the half of an IPv6 address that is the guest's own
_QUAD = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){3}", re.ASCII)


def parse_ip4(text: str) -> IPv4Address:
    """`192.168.122.10`."""
    try:
        return IPv4Address(text)
    except ValueError:
        pass
    if ":" in text and _is_ip6(text):
        raise WrongError(f"{text} is an IPv6 address", "an IPv4 address belongs here")
    if _QUAD.fullmatch(text):
        if any(len(part) > 1 and part.startswith("0") for part in text.split(".")):
            raise WrongError(f"{text} is not an IPv4 address", "write its parts without leading zeros")
        raise WrongError(f"{text} is not an IPv4 address", "each part is 0 to 255")
    if "/" in text:
        raise WrongError(f'"{text}" is not an IPv4 address', "leave the prefix length out here")
    raise WrongError(f'"{text}" is not an IPv4 address', "write four numbers such as 192.168.122.10")


def parse_ip6(text: str) -> IPv6Address:
    """`fd00::10` or `::10`, without a zone."""
    if "%" in text:
        raise WrongError(f'"{text}" names a link', "leave the % and what follows out")
    try:
        address = IPv6Address(text)
    except ValueError:
        address = None
    if address is not None and address.ipv4_mapped:
        raise WrongError(f"{text} is an IPv4 address written as IPv6", f"no packet has it: write {address.ipv4_mapped}")
    if address is not None:
        return address
    if _is_ip4(text):
        raise WrongError(f"{text} is an IPv4 address", "an IPv6 address belongs here")
    if "/" in text:
        raise WrongError(f'"{text}" is not an IPv6 address', "leave the prefix length out here")
    raise WrongError(f'"{text}" is not an IPv6 address', "write one such as fd00::10")


def parse_ip(text: str) -> IPv4Address | IPv6Address:
    """An address of either family."""
    return parse_ip6(text) if ":" in text else parse_ip4(text)


def parse_cidr4(text: str) -> IPv4Interface:
    """`192.168.122.1/24`: an address in its subnet."""
    address, prefix = _split_cidr(text, 32, "24")
    return IPv4Interface((parse_ip4(address), prefix))


def parse_cidr6(text: str) -> IPv6Interface:
    """`fd00:1::1/64`: an address in its subnet."""
    address, prefix = _split_cidr(text, 128, "64")
    return IPv6Interface((parse_ip6(address), prefix))


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """`198.51.100.0/24`, or one address: who is meant, of either family."""
    longest = 128 if ":" in text else 32
    address, slash, prefix = text.partition("/")
    start = parse_ip(address)
    if not slash:
        return ip_network(start)
    length = _prefix_length(prefix, longest, "24" if longest < HOST_BITS6 else "64")
    network = ip_network((start, length), strict=False)
    if network.network_address != start:
        raise WrongError(f"{text} has bits set behind its prefix", f"write {network}, or {start} for that one alone")
    return network


def network_text(network: IPv4Network | IPv6Network) -> str:
    """As `parse_network` takes it, and as nft prints it: one address without a prefix."""
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """Whether only those who know it have a route to it: RFC 1918, RFC 6598, link-local, RFC 4193.

    Not `address.is_private`: that counts documentation and benchmarking addresses too, which labs use as public ones.
    """
    return any(address in network for network in PRIVATE if network.version == address.version)


def eui64(mac: str, subnet: IPv6Network) -> IPv6Address:
    """The address that SLAAC makes of a MAC in a /64 (RFC 4291, appendix A); a guest that makes its own by RFC 7217, or
    temporary ones, has others. mac: lower case with colons."""
    first, *rest = (int(pair, 16) for pair in mac.split(":"))
    part = bytes([first ^ 0x02, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return IPv6Address(int(subnet.network_address) | int.from_bytes(part))


def in_prefix(part: IPv6Address, subnet: IPv6Interface) -> IPv6Address:
    """A host part such as ::10 as an address in the host's /64; a whole address as it is."""
    if int(part) >> HOST_BITS6:
        return part
    return IPv6Address(int(subnet.network.network_address) | int(part))


def _split_cidr(text: str, longest: int, usual: str) -> tuple[str, int]:
    address, slash, prefix = text.partition("/")
    if not slash:
        if _is_ip4(address) or _is_ip6(address):
            raise WrongError(f"{text} has no prefix length", f"write {text}/{usual}")
        return address, longest  # the address is wrong already: its own message says how
    return address, _prefix_length(prefix, longest, usual)


def _prefix_length(text: str, longest: int, usual: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < len("1000") and int(text) <= longest):
        raise WrongError(f'"/{text}" is not a prefix length', f"write a number up to {longest} such as /{usual}")
    return int(text)


def _is_ip4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ip6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
