"""The one door to the host's own resolver: the addresses of a name."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from guestnet.words.problems import GuestnetError

_ABSENT = (socket.EAI_NONAME, socket.EAI_NODATA, getattr(socket, "EAI_ADDRFAMILY", -9))


def addresses(name: str) -> list[IPv4Address | IPv6Address]:
    """IPv4 first, as DNS clients put them; each family by itself and without AI_ADDRCONFIG, so that what the host
    prefers, or lacks, leaves nothing out. Raises GuestnetError."""
    found: list[IPv4Address | IPv6Address] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            entries = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _ABSENT:
                continue
            raise GuestnetError(f"{name} is not resolved here: {error.strerror}", "name addresses instead") from error
        except UnicodeError as error:
            raise GuestnetError(f"{name} is no name: {error}", "write one such as www.example.org") from error
        for entry in entries:
            with contextlib.suppress(ValueError):  # with a zone: of this host's links
                found.append(ip_address(str(entry[4][0])))
    if not found:
        raise GuestnetError(f"{name} is unknown to this host's resolver", "name addresses instead")
    return list(dict.fromkeys(found))
