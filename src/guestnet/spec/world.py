"""The desired world: what the file means once every `auto` has a value.

Frozen, standard library only, and complete: the compilers need nothing else. Made by `resolve`, never by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal

from guestnet.words.ports import PortRange, Protocol

Mode = Literal["nat", "isolated"]
HostAccess = Literal["none", "services", "full"]  # none: DHCP, RA, neighbour discovery; services: DNS too


@dataclass(frozen=True)
class Side4:
    """IPv4 in a network: the host's own address with its prefix, DHCP range (None: no DHCP), lease in seconds."""

    host: IPv4Interface
    pool: tuple[IPv4Address, IPv4Address] | None
    lease: int | None = None


@dataclass(frozen=True)
class Side6:
    """IPv6 in a network: as `Side4`. RA is always sent (libvirt does), DHCPv6 only with a pool."""

    host: IPv6Interface
    pool: tuple[IPv6Address, IPv6Address] | None
    lease: int | None = None


@dataclass(frozen=True)
class Network:
    name: str
    mode: Mode
    bridge: str
    mac: str  # of the bridge, lower case with colons
    v4: Side4 | None
    v6: Side6 | None
    nat6: bool  # NAT66, only in mode nat and with v6
    nat_ports: PortRange | None  # source ports of NAT44 and NAT66
    host_access: HostAccess  # between guests and host; full in mode nat
    domain: str | None
    autostart: bool
    stp: bool


@dataclass(frozen=True)
class Nic:
    """A guest's place in one network. `mac` is None when neither the file nor libvirt knows it yet; `written` says that
    the file gives it (what libvirt knows may be another one tomorrow)."""

    network: str
    mac: str | None
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    written: bool = True


@dataclass(frozen=True)
class Forward:
    """One protocol, one family; equal lengths of `ports` and `to`.

    listen: an address of the host, the name of a NIC (what comes in through it to an address of its own), or None: any
    address of the host. source: who may connect, None: everybody.
    """

    protocol: Protocol
    listen: IPv4Address | IPv6Address | str | None
    ports: PortRange  # on the host
    to: PortRange  # on the guest
    target: IPv4Address | IPv6Address  # the guest's; its version is the forward's family
    network: str
    description: str = ""
    source: IPv4Network | IPv6Network | None = None


@dataclass(frozen=True)
class Guest:
    """`nics` in the order of the file; `forwards` only those that are enabled."""

    name: str
    nics: tuple[Nic, ...]
    forwards: tuple[Forward, ...]


@dataclass(frozen=True)
class World:
    networks: tuple[Network, ...]  # sorted by name
    guests: tuple[Guest, ...]  # sorted by name
