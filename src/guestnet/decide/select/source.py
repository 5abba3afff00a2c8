"""The address that the kernel gives a UDP socket which is connected to a destination. So every resolver asks for its
sources; nothing is sent. Linux 5.15 to 6.18; RFC 6724 section 5 where the kernel follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from guestnet.decide.select.case import Host, Link, Own, mapped
from guestnet.decide.select.routes import LOOPBACK4, LOOPBACK6, Route, find, links_of, routes4, routes6, usable
from guestnet.decide.select.tables import LINK_LOCAL, Address, Table, common, from_lines, scope6
from guestnet.words.problems import GuestnetError

# The kernel's own labels (net/ipv6/addrlabel.c), for the choice of sources; gai.conf never changes them.
_LABELS = (
    "::/0 1",
    "fc00::/7 5",
    "fec0::/10 11",
    "2002::/16 2",
    "3ffe::/16 12",
    "2001::/32 6",
    "2001:10::/28 7",
    "::ffff:0:0/96 4",
    "::/96 3",
    "::1/128 0",
)
_ORCHID = IPv6Network("2001:10::/28")
_ALWAYS = (IPv6Network("::/96"), IPv6Network("::ffff:0:0/96"))  # never counted as deprecated (ipv6_saddr_preferred)
_ANY = IPv4Address(0)


class Kernel:
    """One host, and what it would answer."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.links = links_of(host)
        self._routes4, self._routes6 = routes4(host), routes6(host)
        self._labels = _labels(host)

    def source(self, dest: Address) -> Address | None:
        """None when the socket can't be connected: no route, one that refuses, broadcast, a link-local address without
        its link. An IPv6 socket connects to a mapped IPv4 address over IPv4."""
        if isinstance(dest, IPv4Address):
            return self._source4(dest)
        if dest.ipv4_mapped:
            found = self._source4(dest.ipv4_mapped)
            return mapped(found) if found is not None else None
        return self._source6(dest)

    def _source4(self, dest: IPv4Address) -> IPv4Address | None:
        if dest == _ANY:
            return LOOPBACK4 if self.host.lo else None
        route = find(self._routes4, dest)
        if route is None or route.link is None or route.kind == "broadcast" or dest == IPv4Address("255.255.255.255"):
            return None
        if route.kind == "local" and route.source is None:
            return dest
        if isinstance(route.source, IPv4Address):
            return route.source
        return self._select4(route)

    def _select4(self, route: Route) -> IPv4Address:
        """inet_select_addr: the first of the NIC, one in the gateway's subnet before the others; else one of another
        NIC. Without any the socket is connected all the same, from 0.0.0.0."""
        there = [own for own in _of(self.links[route.link or 0], 4) if not self._secondary(own)]
        near = [own for own in there if route.via is None or route.via in own.subnet]
        elsewhere = [own for link in self.links[1:] for own in _of(link, 4) if not self._secondary(own)]
        for own in (*near, *there, *elsewhere):
            if isinstance(own.address, IPv4Address):
                return own.address
        return _ANY

    def _secondary(self, own: Own) -> bool:
        """A later address in a subnet of the same NIC."""
        link = next(link for link in self.links if any(one is own for one in link.addresses))
        first = next(one for one in _of(link, 4) if one.subnet == own.subnet)
        return first is not own

    def _source6(self, dest: IPv6Address) -> IPv6Address | None:
        dest = LOOPBACK6 if int(dest) == 0 else dest
        if scope6(dest) <= LINK_LOCAL and dest != LOOPBACK6 and (dest.is_link_local or dest.is_multicast):
            return None
        route = find(self._routes6, dest)
        if route is None or route.link is None:
            return None
        if isinstance(route.source, IPv6Address):
            return route.source
        best: tuple[tuple[int, ...], IPv6Address] | None = None
        for link, own in self._candidates(dest, route.link):
            if isinstance(own.address, IPv6Address):
                worth = self._worth(dest, route.link, link, own)
                if best is None or worth > best[0]:
                    best = worth, own.address
        return best[1] if best else None

    def _candidates(self, dest: IPv6Address, out: int) -> list[tuple[int, Own]]:
        """In the kernel's order, since the first of equals wins: by NIC; in a NIC the larger scope, then the newest."""
        oif_only = self._sysctl(self.links[out].name, "use_oif_addrs_only")
        only = dest.is_multicast or scope6(dest) <= LINK_LOCAL or oif_only
        found: list[tuple[int, Own]] = []
        for i, link in enumerate(self.links):
            if (only and i != out) or not link.up:
                continue
            newest = [own for own in reversed(_of(link, 6)) if usable(own)]
            newest.sort(key=lambda own: -_scope(own.address))
            found += [(i, own) for own in newest]
        return found

    def _worth(self, dest: IPv6Address, out: int, link: int, own: Own) -> tuple[int, ...]:
        """The rules of ipv6_get_saddr_eval in its order; more is better. Without rule 4, home addresses: it is there in
        kernels with CONFIG_IPV6_MIP6 only, and guests have no such addresses."""
        address = own.address
        if not isinstance(address, IPv6Address):
            return ()
        scope, wanted = scope6(address), scope6(dest)
        name = self.links[link].name
        avoid = {"deprecated"} | (set() if self._sysctl(name, "use_optimistic") else {"optimistic"})
        preferred = any(address in net for net in _ALWAYS) or not avoid & own.flags
        temporary = self._sysctl(name, "use_tempaddr") >= _TEMPORARY_FIRST
        return (
            address == dest,  # 1
            -scope if scope >= wanted else scope - 128,  # 2
            preferred,  # 3
            link == out,  # 5
            self._labels.of(address) == self._labels.of(dest),  # 6
            ("temporary" in own.flags) == temporary,  # 7
            (address in _ORCHID) == (dest in _ORCHID),  # RFC 4843
            min(common(address, dest), own.bits),  # 8
            "optimistic" not in own.flags,
        )

    def _sysctl(self, link: str, name: str) -> int:
        """A NIC has its own, or what `default` was when it came; `all` counts for use_optimistic only."""
        where = (link, "default", *(("all",) if name == "use_optimistic" else ()))
        values = [self.host.sysctl.get(f"net.ipv6.conf.{one}.{name}", "0") for one in where]
        try:
            return max(map(int, values))
        except ValueError as error:
            raise GuestnetError(f"sysctl {name}: {error}", "write a number") from error


_TEMPORARY_FIRST = 2


def _of(link: Link, family: int) -> list[Own]:
    return [own for own in link.addresses if own.address.version == family]


def _scope(address: Address) -> int:
    return scope6(address) if isinstance(address, IPv6Address) else 0


def _labels(host: Host) -> Table:
    """`prefix P label N` is added before the kernel's own; for one that is there already the kernel refuses."""
    lines = []
    for line in host.labels:
        words = line.split()
        options = dict(zip(words[::2], words[1::2], strict=False))
        try:
            row = f"{IPv6Network(options['prefix'], strict=False)} {int(options['label'], 0)}"
        except (KeyError, ValueError) as error:
            raise GuestnetError(f"addrlabel: {line!r}: {error}", "write prefix P label N") from error
        lines.append(row)
    return from_lines(*lines, *_LABELS)


@dataclass(frozen=True)
class Candidate:
    """A destination, and what the kernel says of the source it would be asked from. own: None where the source is no
    address of a NIC. index: of the NIC, 0 unknown."""

    address: Address
    source: Address | None
    own: Own | None = None
    index: int = 0
    native: bool = True


TUNNELS = (768, 769, 776)  # ARPHRD_TUNNEL, TUNNEL6, SIT: those that glibc knows


def candidates(kernel: Kernel, dests: tuple[Address, ...]) -> list[Candidate]:
    return [_candidate(kernel, dest) for dest in dests]


def _candidate(kernel: Kernel, dest: Address) -> Candidate:
    source = kernel.source(dest)
    plain = source.ipv4_mapped if isinstance(source, IPv6Address) and source.ipv4_mapped else source
    for i, link in enumerate(kernel.links):
        for own in link.addresses:
            if own.address == plain:
                return Candidate(dest, source, own, i + 1, link.arphrd not in TUNNELS)
    return Candidate(dest, source)
