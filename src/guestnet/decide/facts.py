"""What the host is, apart from what is ours on it: read by `host.facts`, used by the decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from guestnet.words.ports import Protocol


@dataclass(frozen=True)
class DomainNic:
    network: str
    mac: str


@dataclass(frozen=True)
class Domain:
    name: str
    running: bool
    nics: tuple[DomainNic, ...]  # those on libvirt networks, in the order of the XML


@dataclass(frozen=True)
class Lease:
    """An address that DHCP has given to a MAC in a network of ours."""

    network: str
    mac: str
    address: IPv4Address | IPv6Address


@dataclass(frozen=True)
class Uplink:
    """A NIC that carries a default route."""

    nic: str
    families: tuple[int, ...]  # of its default routes: 4, 6
    kernel_ra: bool  # the IPv6 route comes from a router advertisement that the kernel itself handles


@dataclass(frozen=True)
class ForeignNetwork:
    """A libvirt network that is not ours."""

    name: str
    bridge: str
    forwards: bool  # runs, and needs the host to forward


@dataclass(frozen=True)
class Facts:
    hostname: str
    libvirt: str  # version, such as 9.0.0
    domains: tuple[Domain, ...] = ()
    leases: tuple[Lease, ...] = ()  # of our networks, the latest first
    uplinks: tuple[Uplink, ...] = ()
    learning: tuple[str, ...] = ()  # NICs with a route or address from router advertisements that the kernel handles
    networks: tuple[ForeignNetwork, ...] = ()
    bridges: frozenset[str] = frozenset()  # names of links that are not ours
    subnets: tuple[tuple[str, IPv4Network | IPv6Network], ...] = ()  # connected, on links not ours: (link, subnet)
    settings: dict[str, str] = field(default_factory=dict)  # sysctl key with slashes -> value now
    foreign_table: bool = False  # a table inet guestnet without our mark
    libvirt_rules: bool = True  # libvirt's own firewall rules are there, or no network of ours runs
    listening: frozenset[tuple[Protocol, int]] = frozenset()  # ports that processes of the host serve to the outside
    hooks_loaded: bool = False  # libvirt saw a hook of both kinds when it started, so it will call ours
