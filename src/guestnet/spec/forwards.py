"""The short form of a forward: `[ADDR|NIC:]HOST[-HOST][:GUEST[-GUEST]][/tcp|udp|tcp+udp]`, or `ADDR/all`. Pure.

The host's port comes first, as podman and docker write it. An IPv6 address stands in brackets. Without a guest's port
it is the host's. `ADDR/all` gives a whole address of the host to the guest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses
from typing import Literal

from guestnet.words.addresses import parse_ip
from guestnet.words.ports import WHOLE, PortRange, Protocol, every_port, parse_ports
from guestnet.words.problems import WrongError

Protocols = Literal["tcp", "udp", "tcp+udp", "all"]
Listen = IPv4Address | IPv6Address | str  # an address of the host, or the name of a NIC
Source = IPv4Network | IPv6Network
PROTOCOLS: tuple[Protocols, ...] = ("tcp", "udp", "tcp+udp", "all")
_HOW = "write HOST:GUEST, such as 4023:22 or 192.0.2.1:8080:80/udp"
_LINK = re.compile(r"[A-Za-z][A-Za-z0-9_.@-]{0,14}", re.ASCII)
_HOST_AND_GUEST = 2  # parts between the colons


@dataclass(frozen=True)
class Short:
    """A forward in short form; `listen` None is any address of the host. `str()` gives the text that parses to it."""

    listen: Listen | None
    ports: PortRange
    to: PortRange
    protocol: Protocols

    def __str__(self) -> str:
        listen = "" if self.listen is None else f"{self.listen}:"
        if isinstance(self.listen, IPv6Address):
            listen = f"[{self.listen}]:"
        to = "" if self.to == self.ports and not isinstance(self.listen, str) else f":{self.to}"
        protocol = "" if self.protocol == "tcp" else f"/{self.protocol}"
        if self.protocol == WHOLE:
            return f"{listen.removesuffix(':')}{protocol}"
        return f"{listen}{self.ports}{to}{protocol}"


def parse(text: str) -> Short:
    """The forward written as `text`. Raises WrongError."""
    ends, slash, protocol = text.partition("/")
    if slash and not protocol:
        raise WrongError(f'"{text}" has no protocol after the /', "write tcp, udp or tcp+udp behind it")
    proto = parse_protocol(protocol) if slash else "tcp"
    if proto == WHOLE:
        return _whole(ends)
    listen, ports = _split_listen(ends)
    if not ports or len(ports) > _HOST_AND_GUEST or not all(ports):
        raise WrongError(f'"{text}" is not a forward', _HOW)
    if len(ports) > 1 and _LINK.fullmatch(ports[0]):
        # Not read as a NIC: service names belong to the machine that this is read on.
        todo = f"write a number such as 8080; behind a NIC both ports stand, {ports[0]}:8080:80"
        raise WrongError(f'"{ports[0]}" is not a port', todo)
    host = parse_ports(ports[0])
    guest = parse_ports(ports[-1])
    same_length(host, guest)
    return Short(None if listen is None else parse_listen(listen), host, guest, proto)


def _whole(text: str) -> Short:
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    try:
        listen = parse_listen(text)
    except WrongError:
        listen = ""
    if isinstance(listen, str):
        raise WrongError(f'"{text}" is no whole address', "write ADDRESS/all, such as 203.0.113.5/all")
    return Short(listen, every_port(), every_port(), "all")


def parse_protocol(text: str) -> Protocols:
    for protocol in PROTOCOLS:
        if text == protocol:
            return protocol
    if text == "udp+tcp":
        return "tcp+udp"
    low = text.lower()
    todo = f"write {low}" if low in PROTOCOLS else "write tcp, udp or tcp+udp; all gives away a whole address"
    raise WrongError(f'"{text}" is not a protocol that can be forwarded', todo)


def parse_listen(text: str) -> Listen:
    """One address of the host to listen on, or a NIC. Raises WrongError, also for those a forward cannot listen on."""
    if _LINK.fullmatch(text):
        if text == "lo":
            raise WrongError("lo is the host's loopback", "listen on a NIC that others reach, or on any")
        return text
    address = parse_ip(text)
    if address.is_unspecified:
        raise WrongError(
            f"{address} stands for no single address", "leave it out to listen on any; family: chooses IPv4 or IPv6"
        )
    if address.is_loopback:
        raise WrongError(
            f"{address} is the host's loopback",
            "write the forward with loopback: true, which serves it beside the rest",
        )
    if address.is_multicast or address.is_link_local:
        kind = "multicast" if address.is_multicast else "link-local"
        raise WrongError(f"{address} is a {kind} address", "listen on one that others can reach")
    return address


def joined(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    """The same networks without those that others of them hold; IPv4 first. nft refuses overlapping ones."""
    v4 = [one for one in sources if isinstance(one, IPv4Network)]
    v6 = [one for one in sources if isinstance(one, IPv6Network)]
    return (*collapse_addresses(v4), *collapse_addresses(v6))


def same_length(host: PortRange, guest: PortRange) -> None:
    """Ranges map one to one. Raises WrongError when they can't."""
    if len(host) != len(guest):
        what = f"{host} are {_ports(host)} and {guest} are {_ports(guest)}"
        if len(host) == 1 or len(guest) == 1:
            what = what.replace(" are 1 port", " is 1 port")
        last = guest.first + len(host) - 1
        raise WrongError(what, f"ranges map one to one: write {PortRange(guest.first, min(last, 65535))} for the guest")


def protocols(written: Protocols) -> tuple[Protocol | Literal["all"], ...]:
    """The protocols of `tcp+udp` one by one."""
    if written == "tcp+udp":
        return ("tcp", "udp")
    return (written,)


def _ports(ports: PortRange) -> str:
    return f"{len(ports)} port{'s' if len(ports) > 1 else ''}"


def _split_listen(ends: str) -> tuple[str | None, list[str]]:
    """The listen address, None when there is none, and the ports on both sides of the colon."""
    if ends.startswith("["):
        address, bracket, rest = ends[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise WrongError(f'"{ends}" has no port after the address', "write [ADDRESS]:HOST:GUEST")
        if ":" not in address:
            raise WrongError(f'"{address}" is not an IPv6 address', "brackets are for IPv6 only")
        return address, rest[1:].split(":")
    parts = ends.split(":")
    if len(parts) > _HOST_AND_GUEST + 1:
        raise WrongError(f'"{ends}" has too many colons', "an IPv6 address stands in brackets: [2001:db8::5]:8443:443")
    if len(parts) > _HOST_AND_GUEST or "." in parts[0]:
        return parts[0], parts[1:]
    return None, parts
