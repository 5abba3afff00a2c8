"""The desired world: what the file means once every `auto` has a value.

Frozen, standard library only, and complete: the compilers need nothing else. Made by `resolve`, never by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal

from guestnet.words import modes
from guestnet.words.modes import Virtual
from guestnet.words.ports import PortRange, Protocol

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

HostAccess = Literal["none", "services", "full"]  # none: DHCP, RA, neighbour discovery; services: DNS and ICMP too


@dataclass(frozen=True)
class Outside:
    """That guests have addresses of an uplink's own prefix: `nic` is that uplink, where the host answers for them.
    translated: in their network they have a ULA, and those addresses outside only."""

    nic: str
    prefix: IPv6Network
    translated: bool

    def address(self, inside: IPv6Address) -> IPv6Address:
        """By which others know a guest."""
        if not self.translated:
            return inside
        return IPv6Address(int(self.prefix.network_address) | int(inside) & int(self.prefix.hostmask))


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
    outside: Outside | None = None  # a prefix that is shared with the uplink


@dataclass(frozen=True)
class Network:
    name: str
    mode: Virtual
    bridge: str
    mac: str  # of the bridge, lower case with colons
    v4: Side4 | None
    v6: Side6 | None
    nat6: bool  # NAT66, only in mode nat and with v6
    nat_ports: PortRange | None  # source ports of NAT44 and NAT66
    host_access: HostAccess  # between guests and host
    domain: str | None
    autostart: bool
    stp: bool
    guest_isolation: bool = False  # its guests do not reach each other
    open: frozenset[int] = frozenset()  # families (4, 6) in which those outside open connections to its guests
    deny: tuple[Subnet, ...] = ()  # where its guests may not connect to
    uplink: str | None = None  # the only NIC it forwards through
    proxy_arp: bool = False  # the host answers ARP for its guests on `uplink`
    routes: tuple[tuple[Subnet, Address], ...] = ()  # (to, via a guest)
    forwarders: tuple[Address, ...] = ()  # DNS servers that its own asks
    hosts: tuple[tuple[str, Address], ...] = ()  # DNS names that its own knows
    mtu: int | None = None
    bandwidth: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()  # (inbound, ((average, KiB/s), ...)), ...

    @property
    def translated(self) -> Outside | None:
        """Where its guests have global addresses outside only."""
        outside = self.v6.outside if self.v6 else None
        return outside if outside and outside.translated else None

    @property
    def sides(self) -> tuple[Side4 | Side6, ...]:
        return tuple(side for side in (self.v4, self.v6) if side)


@dataclass(frozen=True)
class Lan:
    """A network whose guests are on the LAN: plugged into `bridge`, or each a macvtap of `interface`, or each with a
    device of its own: a virtual function of `pf`, one of `devices`, or the whole of one of `interfaces`.

    With bridge and interface, the bridge is guestnet's, with `mac`, over that NIC.
    """

    name: str
    mode: modes.Lan
    bridge: str | None
    interface: str | None
    macvtap: Literal["bridge", "vepa", "private"]
    mac: str | None
    guest_isolation: bool
    autostart: bool
    stp: bool
    mtu: int | None
    pf: str | None = None  # a NIC's physical function
    devices: tuple[str, ...] = ()  # PCI addresses, such as 0000:01:10.0
    interfaces: tuple[str, ...] = ()  # NICs
    vlan: int | None = None  # the tag that the virtual function adds and takes away

    @property
    def place(self) -> str:
        """What of the host its guests are on, for people."""
        return self.bridge or self.interface or self.pf or ", ".join(self.devices or self.interfaces)


@dataclass(frozen=True)
class Nic:
    """A guest's place in one network. `mac` is None when neither the file nor libvirt knows it yet; `written` says that
    the file gives it (what libvirt knows may be another one tomorrow)."""

    network: str
    mac: str | None
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    written: bool = True
    # Families whose address is guestnet's choice, not the file's. Where it came from makes no other world.
    chosen: frozenset[int] = field(default=frozenset(), compare=False)
    # Its IPv6 address is the one that SLAAC makes of its MAC: nobody gives it out, and the guest may make another.
    slaac: bool = field(default=False, compare=False)
    outside: Outside | None = None  # as its network has it

    @property
    def global6(self) -> IPv6Address | None:
        """The address of the uplink's prefix by which others know it, where it has one."""
        return self.outside.address(self.ipv6) if self.outside and self.ipv6 else None

    @property
    def reserved6(self) -> IPv6Address | None:
        """The address that DHCPv6 gives it."""
        return None if self.slaac else self.ipv6


@dataclass(frozen=True)
class Forward:
    """One protocol, one family; equal lengths of `ports` and `to`. Protocol all: `listen`, an address, is the guest's.

    listen: an address of the host, the name of a NIC (what comes in through it to an address of its own), or None: any
    address of the host. source: who may connect, None: everybody.
    """

    protocol: Protocol | Literal["all"]
    listen: IPv4Address | IPv6Address | str | None
    ports: PortRange  # on the host
    to: PortRange  # on the guest
    target: IPv4Address | IPv6Address  # the guest's; its version is the forward's family
    network: str
    description: str = ""
    source: IPv4Network | IPv6Network | None = None
    opens: bool = False  # its guest's own address is global, in a network that is closed: `to` is open there, too
    loopback: bool = False  # it serves the host's own 127.0.0.1 and ::1 too
    outwards: bool = True  # of a whole address: what the guest opens to others has it, too


@dataclass(frozen=True)
class Guest:
    """`nics` in the order of the file; `forwards` only those that are enabled."""

    name: str
    nics: tuple[Nic, ...]
    forwards: tuple[Forward, ...]
    prefer6: bool = False  # its resolver is to put IPv6 first


@dataclass(frozen=True)
class World:
    networks: tuple[Network, ...]  # sorted by name
    guests: tuple[Guest, ...]  # sorted by name
    lans: tuple[Lan, ...] = ()  # sorted by name
