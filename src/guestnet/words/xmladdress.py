"""Addresses as libvirt's network XML has them."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_interface


def xml_interface(attributes: Mapping[str, str]) -> IPv4Interface | IPv6Interface:
    """Of an <ip> or a static <route>. Without a mask it is of the address's old class, or one IPv6 address
    (virSocketAddrGetIPPrefix, libvirt 9.0). Raises ValueError when it is none."""
    address = ip_address(attributes.get("address", ""))
    length = attributes.get("prefix") or attributes.get("netmask")
    if length is None and isinstance(address, IPv4Address):
        first = address.packed[0]
        length = "8" if first < 128 else "16" if first < 192 else "24" if first < 224 else "32"  # noqa: PLR2004  the old classes
    return ip_interface(f"{address}/{length or '128'}")
