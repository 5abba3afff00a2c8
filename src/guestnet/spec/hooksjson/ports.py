"""`port_map` and `port_range` of an entry: which ports of the host go to which of the guest.

What the hooks do (saschpe f0c941c, GJCav 984f9ed): `80` is `[80, 80]`, and `[8080, 80]` is the host's, then the
guest's. `ports_num` counts ports: 8000 and 100 are 8000-8099, each to itself. Numbers in quotes work as well. A rule
that iptables refuses, such as one of icmp, which has no ports, is passed over without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guestnet.spec.document import Map, Node, Scal, Seq
from guestnet.spec.hooksjson.fields import Fields, Said
from guestnet.spec.hooksjson.reader import shown
from guestnet.spec.near import did_you_mean
from guestnet.words.ports import LAST_PORT, PortRange, Protocol
from guestnet.words.problems import Place, WrongError

_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp"}
_WITHOUT_PORTS = ("icmp", "icmpv6", "ipv6-icmp", "igmp", "esp", "ah", "gre", "ipip", "all")
_OTHERS = ("sctp", "dccp", "udplite")
_RANGE_KEYS = ("init_port", "ports_num", "protocol")
_PAIR = 2
_DIGITS = 9


@dataclass(frozen=True)
class Ports:
    """`in_range`: from port_range, where the hook forgets source_ip."""

    place: Place
    ports: PortRange
    to: PortRange
    protocol: Protocol
    in_range: bool


def all_ports(fields: Fields) -> list[Ports]:
    return [*_port_map(fields), *_port_ranges(fields)]


def _port_map(fields: Fields) -> Iterator[Ports]:
    node, said = fields.nodes.get("port_map"), fields.said
    if node is None:
        return
    if not isinstance(node, Map):
        said.wrong(node.place, "port_map is not a mapping", 'write {"tcp": [80, [8443, 443]]}')
        return
    for key, place, value in node.items:
        protocol = _protocol(key, place, said)
        if protocol is None:
            continue
        if not isinstance(value, Seq):
            said.wrong(value.place, f"the ports of {key} are not a list", "write [80, [8443, 443]]")
            continue
        for item in value.items:
            pair = _pair(item, said)
            if pair:
                yield Ports(item.place, PortRange(pair[0], pair[0]), PortRange(pair[1], pair[1]), protocol, False)


def _pair(node: Node, said: Said) -> tuple[int, int] | None:
    items = node.items if isinstance(node, Seq) else (node, node)
    if len(items) != _PAIR:
        said.wrong(node.place, "this is not a pair of ports", "write [HOST, GUEST], or one port")
        return None
    host = _port(items[0], said)
    guest = _port(items[1], said) if isinstance(node, Seq) else host
    return (host, guest) if host and guest else None


def _port(node: Node, said: Said) -> int | None:
    number = _number(node)
    if number is None:
        said.wrong(node.place, f"{_written(node)} is not a port", f"write a number, 1 to {LAST_PORT}")
        return None
    try:
        return PortRange(number, number).first
    except WrongError as error:
        said.wrong(node.place, error.what, error.todo)
        return None


def _number(node: Node) -> int | None:
    value = node.value if isinstance(node, Scal) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _written(node: Node) -> str:
    if isinstance(node, Scal):
        return shown(node.text)
    return "a list" if isinstance(node, Seq) else "a mapping"


def _protocol(name: str, place: Place, said: Said) -> Protocol | None:
    """The protocol, or None after saying why it has none; iptables reads upper case too."""
    word = name.lower()
    if word in _WITHOUT_PORTS:
        what = f"{word} is not forwarded: it has no ports, and the hook's rule for it never came into force"
        said.note(place, what, "nothing to do" + (": the host answers pings itself" if word == "icmp" else ""))
    elif word in _OTHERS:
        said.note(place, f"{word} is not forwarded: guestnet knows tcp and udp", "keep a rule of your own for it")
    elif word not in _PROTOCOLS:
        said.wrong(place, f'"{shown(name)}" is not a protocol', did_you_mean(shown(name), tuple(_PROTOCOLS)))
    return _PROTOCOLS.get(word)


def _port_ranges(fields: Fields) -> Iterator[Ports]:
    node, said = fields.nodes.get("port_range"), fields.said
    if node is None:
        return
    if not isinstance(node, Seq):
        said.wrong(node.place, "port_range is not a list", "write [{...}]")
        return
    for item in node.items:
        if isinstance(item, Map):
            yield from _port_range(Fields(item, _RANGE_KEYS, said))
        else:
            said.wrong(item.place, f"{_written(item)} is not a range", f"write {{}} with {', '.join(_RANGE_KEYS)}")


def _port_range(fields: Fields) -> Iterator[Ports]:
    said = fields.said
    for key in _RANGE_KEYS:
        if key not in fields:
            said.wrong(fields.start, f"a range has no {key}", "write it: the hook fails without it too")
    name = fields.text("protocol", str)
    protocol = None if name is None else _protocol(name, fields.place("protocol"), said)
    if "init_port" not in fields or "ports_num" not in fields:
        return
    first, count = _port(fields.nodes["init_port"], said), _number(fields.nodes["ports_num"])
    if count is None or count < 1:
        what = f"{_written(fields.nodes['ports_num'])} is not a number of ports"
        said.wrong(fields.place("ports_num"), what, "write how many they are")
    elif first and first + count - 1 > LAST_PORT:
        what = f"{count} ports from {first} end at {first + count - 1}"
        said.wrong(fields.place("ports_num"), what, f"ports end at {LAST_PORT}: write {LAST_PORT - first + 1} at most")
    elif first and protocol:
        ports = PortRange(first, first + count - 1)
        yield Ports(fields.start, ports, ports, protocol, True)
