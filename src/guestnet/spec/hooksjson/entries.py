"""From nodes to what the hook forwarded, in values that cannot be wrong.

Two hooks read such files: saschpe/libvirt-hook-qemu (f0c941c), and its fork GJCav/libvirt-hook-qemu (984f9ed), which
added public_interface and the keys with ipv6. What they do with a key is said where it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_network

from guestnet.spec.document import Map, Node, Scal, Seq
from guestnet.spec.forwards import Listen, Source, joined, parse_listen
from guestnet.spec.hooksjson.fields import Fields, Said
from guestnet.spec.hooksjson.ports import Ports, all_ports
from guestnet.spec.hooksjson.reader import Document, shown
from guestnet.words.addresses import network_text, parse_ip4, parse_ip6, parse_network
from guestnet.words.families import IPV4
from guestnet.words.names import bridge_name, guest_name, nic_name
from guestnet.words.problems import Place, WrongError

Address = IPv4Address | IPv6Address
_Way = tuple[
    Address, Listen | None, tuple[Source, ...]
]  # address of the guest, where the hook listens, who may connect

KEYS = (
    *("interface", "private_ip", "public_ip", "source_ip", "port_map", "port_range"),
    *("private_ipv6", "public_ipv6", "source_ipv6", "public_interface"),
)
_NO_BRIDGE = ("vnet", "tap", "macvtap", "eth", "eno", "enp", "ens", "enx", "wl")
_FORGOTTEN = "the hook kept to {key} in port_map only, its port_range was open to everybody: here {key} holds for both"
_OF_NOBODY = 0, 127  # first bytes
_RESERVED4 = 240


@dataclass(frozen=True)
class Want:
    """Ports that the hook sent to `address`, in that address's family; `listen` None is any, `sources` () everybody."""

    guest: str
    address: Address
    ports: Ports
    listen: Listen | None
    sources: tuple[Source, ...]
    remark: str


@dataclass(frozen=True)
class Entry:
    """One mapping of the file; a guest has one, or a list of them. `bridge` None: not known."""

    guest: str
    bridge: str | None
    ipv4: IPv4Address
    place4: Place
    ipv6: IPv6Address | None
    place6: Place
    wants: tuple[Want, ...]


def entries(document: Document, said: Said) -> list[Entry]:
    """All that is right in the file, in its order."""
    found: list[Entry] = []
    for name, place, node in document.root.items:
        if isinstance(node, Scal):
            said.note(
                place, f"{shown(name)} is no guest: its value is not a mapping", "nothing to do, if it is a remark"
            )
            continue
        try:
            guest_name(name)
        except WrongError as error:
            said.wrong(place, error.what, error.todo)
        if isinstance(node, Seq) and not node.items:
            said.note(place, f"{shown(name)} has no entry", "nothing to do, if it needs no forwards")
        for one in node.items if isinstance(node, Seq) else (node,):
            found += _entry(name, one, document.remarks, said)
    return found


def _entry(guest: str, node: Node, remarks: Mapping[int, str], said: Said) -> list[Entry]:
    """The entry, if all that it needs is there."""
    if not isinstance(node, Map):
        said.wrong(node.place, f"an entry of {shown(guest)} is not a mapping", "write {...}")
        return []
    fields = Fields(node, KEYS, said)
    ipv4, ipv6 = fields.text("private_ip", _guest4), fields.text("private_ipv6", _guest6, absent=("",))
    if "private_ip" not in fields:
        todo = "write the guest's IPv4 address: the hook fails without it too"
        said.wrong(node.place, f"an entry of {shown(guest)} has no private_ip", todo)
    if "port_map" not in fields and "port_range" not in fields:
        said.note(node.place, *_whole_address(guest))
    bridge, ways, ports = _bridge(fields), _ways(fields, ipv4, ipv6), all_ports(fields)
    _restrictions(fields, ports, ways)
    alone = _remarks(ports, remarks)
    wants = tuple(
        Want(guest, address, one, listen, sources, alone.get(one.place.line, ""))
        for one in ports
        for address, listen, sources in ways
    )
    if ipv4 is None:
        return []
    return [Entry(guest, bridge, ipv4, fields.place("private_ip"), ipv6, fields.place("private_ipv6"), wants)]


def _remarks(ports: list[Ports], remarks: Mapping[int, str]) -> dict[int, str]:
    """The comments behind ports that have a line of their own: those say what the ports are for."""
    lines = Counter(one.place.line for one in ports)
    return {line: remarks[line] for line, count in lines.items() if count == 1 and line in remarks}


def _whole_address(guest: str) -> tuple[str, str]:
    """What is said of an entry without ports. Both hooks end with a KeyError there, and forward nothing."""
    return (
        f"{shown(guest)} has no port_map, and the hook forwarded nothing to it",
        "list its ports, if it needs any; or give it a whole address of the host, ADDRESS/all",
    )


def _bridge(fields: Fields) -> str | None:
    """`interface`: the hook admits what goes out through it (-o), so it is the bridge of the guest's network.

    The NIC inside the guest, or its tap, is what some write there: that rule admits nothing.
    """
    name = fields.text("interface", bridge_name)
    if name is None or not name.startswith(_NO_BRIDGE):
        return name
    todo = "see that the guest's network, and its bridge, are right"
    fields.said.note(fields.place("interface"), f"interface {name} is not the name of a bridge", todo)
    return None


def _ways(fields: Fields, ipv4: IPv4Address | None, ipv6: IPv6Address | None) -> list[_Way]:
    """For each family of the guest: its address there, where the hook listens, and who may connect.

    `source_ip` becomes -s of the DNAT rules: one network, or several with commas, and of IPv4 only.
    """
    found: list[_Way] = []
    both = ((4, ipv4, "public_ip", "source_ip"), (6, ipv6, "public_ipv6", "source_ipv6"))
    for version, address, public, source in both:
        sources = fields.text(source, partial(_sources, version=version), absent=("",)) or ()
        listen = _listen(fields, public)
        if address and listen:
            found.append((address, listen[0], sources))
    return found


def _restrictions(fields: Fields, ports: list[Ports], ways: list[_Way]) -> None:
    """Says where the hook let in more than the file seems to say."""
    restricted = [key for key, way in _by_source(ways) if way[2]]
    for key in restricted:
        if any(one.in_range for one in ports):
            fields.said.note(fields.place(key), _FORGOTTEN.format(key=key), "remove from: there, if that is meant")
    if len(ways) > len(restricted) > 0:
        other = "IPv6" if restricted == ["source_ip"] else "IPv4"
        what = f"{restricted[0]} says nothing of {other}: by {other} everybody may connect, as the hook had it"
        fields.said.note(fields.place(restricted[0]), what, "replace the /0 in from:, if that was not meant")


def _by_source(ways: list[_Way]) -> list[tuple[str, _Way]]:
    return [("source_ip" if way[0].version == IPV4 else "source_ipv6", way) for way in ways]


def _listen(fields: Fields, key: str) -> tuple[Listen | None] | None:
    """Where the hook listens (-d): `public_ip`, else the address of `public_interface`, else that of the NIC with the
    default route, which is any here. None when guestnet cannot listen there, or it is wrong."""
    written = key if key in fields else "public_interface"
    if written not in fields:
        return (None,)
    parse = {"public_ip": parse_ip4, "public_ipv6": parse_ip6, "public_interface": nic_name}[written]
    value = fields.text(written, parse)
    if value is None:
        return None
    try:
        return (parse_listen(str(value)),)
    except WrongError as error:
        fields.said.note(fields.place(written), f"{written}: {error.what}", error.todo)
        return None


def _sources(text: str, version: int) -> tuple[Source, ...]:
    """Who may connect; everybody is ()."""
    found = tuple(_source(word.strip(), version) for word in text.split(","))
    return () if any(network.prefixlen == 0 for network in found) else joined(found)


def _source(text: str, version: int) -> Source:
    """An address or network, also with a netmask, or with bits behind it: iptables takes both."""
    try:
        network = parse_network(network_text(ip_network(text, strict=False)))
    except ValueError:
        network = parse_network(text)
    if network.version != version:
        raise WrongError(f"{text} is not of IPv{version}", "source_ip is for IPv4, source_ipv6 for IPv6")
    return network


def _guest4(text: str) -> IPv4Address:
    address = parse_ip4(text)
    if address.packed[0] in _OF_NOBODY or address.packed[0] >= _RESERVED4 or _local(address):
        raise WrongError(f"{address} is not an address of a guest", "write the one it has in its network")
    return address


def _guest6(text: str) -> IPv6Address:
    address = parse_ip6(text)
    if address.packed[0] == 0 or _local(address):
        raise WrongError(f"{address} is not an address of a guest", "write the one it has in its network")
    return address


def _local(address: Address) -> bool:
    return address.is_link_local or address.is_multicast
