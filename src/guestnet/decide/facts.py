"""What the host is, apart from what is ours on it: read by `host.facts`, used by the decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from guestnet.spec.choose import Subnet
from guestnet.words.ports import PortRange, Protocol


@dataclass(frozen=True)
class DomainNic:
    network: str  # the libvirt network, "" when it is on none
    mac: str
    bridge: str = ""  # the bridge of the host, where it names that instead of a network


@dataclass(frozen=True)
class Domain:
    name: str
    running: bool
    nics: tuple[DomainNic, ...]  # in the order of the XML
    devices: tuple[str, ...] = ()  # PCI addresses that its own definition names, as 0000:01:10.0
    uuid: str = ""
    agent: bool = False  # its guest agent is connected


@dataclass(frozen=True)
class Lease:
    """An address that DHCP has given to a MAC in a network of ours."""

    network: str
    mac: str
    address: IPv4Address | IPv6Address


@dataclass(frozen=True)
class Neighbour:
    """An address that the kernel knows the MAC of, on one of our bridges."""

    link: str
    mac: str
    address: IPv4Address | IPv6Address


@dataclass(frozen=True)
class Uplink:
    """A NIC that carries a default route."""

    nic: str
    families: tuple[int, ...]  # of its default routes: 4, 6
    kernel_ra: bool  # the IPv6 route comes from a router advertisement that the kernel itself handles


@dataclass(frozen=True)
class Router6:
    """A default route of IPv6. `lifetime`: seconds until it goes unless it is advertised again, None: it stays."""

    nic: str
    gateway: str  # "" on a link with one far end
    advertised: bool = False  # it comes from router advertisements, whoever handles them
    lifetime: int | None = None


@dataclass(frozen=True)
class Own6:
    """An IPv6 address of the host's, not link-local. `lifetime`: for so many seconds it is valid, None: for ever."""

    nic: str
    address: IPv6Interface
    lifetime: int | None = None
    temporary: bool = False  # RFC 8981: another one tomorrow


@dataclass(frozen=True)
class ForeignNetwork:
    """A libvirt network that is not ours."""

    name: str
    bridge: str
    forwards: bool  # runs, and needs the host to forward
    running: bool = True
    autostart: bool = False
    subnets: tuple[Subnet, ...] = ()  # of its definition: its addresses and static routes
    makes_bridge: bool = True  # libvirt makes its bridge; else it is one that exists
    reads_ours: bool = False  # it was ours, and its dnsmasq reads our reservations until its next restart


@dataclass(frozen=True)
class Route:
    """A route of the host, of any table, that is none of ours; default, loopback, link-local, multicast left out."""

    subnet: Subnet
    kind: str = "unicast"  # or local (delivered to the host itself), blackhole, unreachable, prohibit
    link: str = ""
    gateway: str = ""
    table: int = 254  # main
    first: bool = False  # a rule without conditions asks its table before main: it wins over longer prefixes there

    def __str__(self) -> str:
        """`route 10.0.0.0/8 via 203.0.113.1 on up0`, `unreachable route 10.9.0.0/24 in table 52`."""
        parts = [] if self.kind == "unicast" else [self.kind]
        parts.append(f"route {self.subnet}")
        parts += [f"{word} {value}" for word, value in (("via", self.gateway), ("on", self.link)) if value]
        return " ".join(parts + ([] if self.table in (254, 255) else [f"in table {self.table}"]))


@dataclass(frozen=True)
class Listener:
    """A socket on which a process of the host serves; `address` is 0.0.0.0 or :: for every one of the host's."""

    protocol: Protocol
    address: IPv4Address | IPv6Address
    port: int
    inode: int  # names the socket
    only6: bool = False  # on ::, and for IPv6 alone (IPV6_V6ONLY)


@dataclass(frozen=True)
class HostNic:
    """A link of the host. kind: the kernel's, such as bridge or veth, empty for hardware; master: what it is in."""

    name: str
    kind: str = ""
    master: str = ""
    ours: bool = False  # a bridge that guestnet made
    wireless: bool = False
    up: bool = True


@dataclass(frozen=True)
class Device:
    """A network device on the host's PCI bus."""

    address: str  # 0000:01:10.0
    nic: str = ""  # its name while a driver of the host has it
    driver: str = ""
    group: str = ""  # of the IOMMU
    beside: tuple[str, ...] = ()  # what shares that group with it, bridges left out
    physical: str = ""  # for a virtual function: the address of what it is a part of
    functions: tuple[str, ...] = ()  # its own virtual functions
    most: int | None = None  # how many of them it can have; None where NIC or driver knows none


@dataclass(frozen=True)
class Pci:
    devices: tuple[Device, ...] = ()  # of networks
    others: tuple[str, ...] = ()  # addresses of what is no NIC
    iommu: bool = False
    remapping: bool = True  # the IOMMU remaps interrupts
    vfio: bool = False  # its device file is there


@dataclass(frozen=True)
class Chain:
    """A base chain of nftables. priority: lower is asked first; 0 is where most filter."""

    family: str
    table: str
    name: str
    type: str
    hook: str
    priority: int = 0
    policy: str = "accept"


@dataclass(frozen=True)
class OldForward:
    """Ports of the host that a hook of somebody else forwards; what is empty or None: to whom, from whom, where is not
    restricted, or not known."""

    version: int
    protocol: Protocol
    listen: IPv4Address | IPv6Address | str | None
    ports: PortRange
    guest: str = ""
    sources: tuple[Subnet, ...] = ()


@dataclass(frozen=True)
class OldHook:
    """A hook of somebody else that libvirt runs for guests, and that forwards ports by itself."""

    path: str
    config: str  # the hooks.json that it reads, "" when it has none
    text: str  # all that it may find a guest's name in
    forwards: tuple[OldForward, ...] = ()  # those that can be told


@dataclass(frozen=True)
class Legacy:
    """The filter table of the old iptables, beside nftables: each packet passes both, and nft shows nothing of it."""

    program: str  # iptables-legacy, ip6tables-legacy
    rules: tuple[str, ...] = ()  # as its -S prints them; none where the program is missing


@dataclass(frozen=True)
class Others:
    """Who else has rules or hooks here. What was seen of each; empty: it is not here."""

    libvirt: str = ""  # its iptables backend
    docker: str = ""
    ufw: str = ""
    firewalld: str = ""
    panic: bool = False  # firewalld drops everything
    zones: tuple[tuple[str, str], ...] | None = ()  # firewalld's, by NIC; None: it does not say
    policies: tuple[tuple[str, str], ...] = ()  # (iptables, FORWARD) and so on whose policy is DROP
    hooks: tuple[OldHook, ...] = ()
    legacy: tuple[Legacy, ...] = ()  # where iptables is the one of nftables
    leftovers: tuple[str, ...] = ()  # the commands that remove rules of libvirt-hook-qemu


@dataclass(frozen=True)
class Answered:
    """An address that somebody on a NIC's link answers for."""

    nic: str
    address: IPv6Address
    mac: str


@dataclass(frozen=True)
class Session:
    """An SSH session: who came, and to which address and port of the host."""

    client: IPv4Address | IPv6Address
    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True)
class Facts:
    hostname: str
    libvirt: str  # version, such as 9.0.0
    domains: tuple[Domain, ...] = ()
    leases: tuple[Lease, ...] = ()  # of our networks, the latest first
    neighbours: tuple[Neighbour, ...] = ()
    # By the file names of guest and network: what the guest had there at the last apply instead of what it is to have
    followed: Mapping[tuple[str, str], tuple[IPv4Address | IPv6Address, ...]] = field(default_factory=dict)
    uplinks: tuple[Uplink, ...] = ()
    learning: tuple[str, ...] = ()  # NICs with a route or address from router advertisements that the kernel handles
    learned: tuple[str, ...] = ()  # NICs with routes that the kernel made of such, before somebody took them over
    routers6: tuple[Router6, ...] = ()
    own6: tuple[Own6, ...] = ()  # of links not ours
    locked: frozenset[str] = frozenset()  # sysctls among `settings` that cannot be written here
    networks: tuple[ForeignNetwork, ...] = ()
    leaving: tuple[ForeignNetwork, ...] = ()  # ours still, that this plan gives back, as they will be then
    nics: tuple[HostNic, ...] = ()  # all links of the host
    pci: Pci = Pci()
    subnets: tuple[tuple[str, Subnet], ...] = ()  # connected, on links not ours: (link, subnet)
    routes: tuple[Route, ...] = ()
    # (link, address) of every link, ours too, in the kernel's order; without loopback and link-local ones
    addresses: tuple[tuple[str, IPv4Interface | IPv6Interface], ...] = ()
    fading: frozenset[IPv6Address] = frozenset()  # of these, those that nobody is to begin with: deprecated, duplicate
    ipv6_first: frozenset[str] = frozenset()  # guests whose gai.conf we wrote so
    answered: tuple[Answered, ...] = ()  # of what a guest is to have outside, where that was asked
    own: frozenset[str] = frozenset()  # networks of ours that libvirt has
    settings: dict[str, str] = field(default_factory=dict)  # sysctl key with slashes -> value now
    chains: tuple[Chain, ...] = ()  # base chains of nftables, iptables' own too
    others: Others = Others()
    # (family, where) of rules of somebody else that translate the source of what passes, but libvirt's; one a family
    masquerades: tuple[tuple[int, str], ...] = ()
    strict: tuple[str, ...] = ()  # uplinks whose reverse path filter is strict (rp_filter 1)
    foreign_table: bool = False  # a table inet guestnet without our mark
    libvirt_rules: bool = True  # libvirt's own firewall rules are there, or no network of ours runs
    libvirt_lacks: str = ""  # which of its chains lack rules of networks of ours (decide.libvirtrules)
    listening: tuple[Listener, ...] = ()  # of the host's own processes
    programs: dict[int, str] = field(default_factory=dict)  # inode of a listener -> `sshd (pid 812)`, where it matters
    systemd: bool = False  # it booted the host and runs
    bridge_filter: tuple[str, ...] = ()  # of iptables and ip6tables: those that see bridged traffic, and drop it
    session: Session | None = None  # the SSH session we are run from
    sessions: tuple[Session, ...] = ()  # all that there are
    multiplexed: bool = False  # we are run in tmux or screen, so each of these may be the one
    installed: bool = False  # hooks or unit of ours are there
    hooks_loaded: bool = False  # libvirt saw a hook of both kinds when it started, so it will call ours

    @cached_property
    def neighbours_of(self) -> Mapping[str, tuple[Neighbour, ...]]:
        """By MAC."""
        found: dict[str, tuple[Neighbour, ...]] = {}
        for one in self.neighbours:
            found[one.mac] = (*found.get(one.mac, ()), one)
        return found

    @cached_property
    def leases_of(self) -> Mapping[str, tuple[Lease, ...]]:
        """By MAC, the latest first."""
        found: dict[str, tuple[Lease, ...]] = {}
        for one in self.leases:
            found[one.mac] = (*found.get(one.mac, ()), one)
        return found

    @property
    def own_sessions(self) -> tuple[Session, ...]:
        """The SSH sessions that we may be run from."""
        started = (self.session,) if self.session else ()
        return tuple(dict.fromkeys((*started, *(self.sessions if self.multiplexed else ()))))

    @property
    def gateways6(self) -> frozenset[IPv6Address]:
        """The routers of the IPv6 default routes, but those on links with one far end."""
        return frozenset(IPv6Address(router.gateway) for router in self.routers6 if router.gateway)

    @property
    def links(self) -> frozenset[str]:
        return frozenset(nic.name for nic in self.nics)

    def nic(self, name: str | None) -> HostNic | None:
        return next((nic for nic in self.nics if nic.name == name), None)
