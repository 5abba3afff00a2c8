"""DHCP reservations: one line of a dnsmasq hosts directory reserves both families by MAC.

Proven with dnsmasq 2.90 for DUID-LL and DUID-LLT clients; adding, changing and removing a file takes effect at once.
libvirt's own <host> can't do it: it refuses a MAC for IPv6, and each of its updates rewrites the NAT rules.
"""

from __future__ import annotations

import re
from functools import cache
from ipaddress import IPv4Address, IPv6Address

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


FOLDERS = "/var/lib/libvirt/dnsmasq/guestnet-"  # beside libvirt's own: dnsmasq may read there
_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NOT_ASCII = 128


def hosts_folder(network: str) -> str:
    """The hosts directory of a network."""
    return FOLDERS + file_name(network)


def line(mac: str, ipv4: IPv4Address | None, ipv6: IPv6Address | None, name: str) -> str:
    """`52:54:00:12:34:56,192.168.122.10,[fd00::10],web1` and a newline; a name that is no DNS label is left out."""
    parts = [mac, str(ipv4) if ipv4 else "", f"[{ipv6}]" if ipv6 else "", name if _LABEL.fullmatch(name) else ""]
    return ",".join(part for part in parts if part) + "\n"


def mac_of(text: str) -> str | None:
    """The MAC of a line that `line` made; None for another's text."""
    mac = text.partition(",")[0]
    return mac if _MAC.fullmatch(mac) else None


@cache
def file_name(name: str) -> str:
    """A guest's or network's name as a file name that dnsmasq reads and any command can hold.

    dnsmasq skips names that begin with `.` or `#` or end in `~`, so every ASCII byte but letters, digits, `-` and `_`
    becomes %XX. The hook does the same.
    """
    parts = (bytes([byte]) if byte in _SAFE or byte >= _NOT_ASCII else b"%%%02X" % byte for byte in name.encode())
    return b"".join(parts).decode()
