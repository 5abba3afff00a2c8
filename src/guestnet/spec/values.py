"""The values of the file as pydantic types: text in, values that cannot be wrong out. No rule between two values."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from guestnet.spec import forwards
from guestnet.words import addresses, macs, modes, names, pci, ports
from guestnet.words.problems import WrongError

T = TypeVar("T")
REFUSED = "guestnet"  # the type of pydantic errors that carry `what` and `todo`

SMALLEST_MTU, LARGEST_MTU = 576, 65535  # IPv6 wants 1280, see the check
_MANY_DIGITS = 12
SHORTEST_LEASE = 120  # seconds; dnsmasq raises shorter ones to two minutes
LONGEST_LEASE = 2**31 - 1  # seconds; libvirt takes more, and dnsmasq then reads it as infinite
_DURATION = re.compile(r"([0-9]{1,9})([smhdw]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def refusal(what: str, todo: str) -> PydanticCustomError:
    return PydanticCustomError(REFUSED, "{what} ({todo})", {"what": what, "todo": todo})


def _from_text(parse: Callable[[str], T], example: str) -> Callable[[Any], T]:
    """A validator that gives text to `parse` and turns its WrongError into pydantic's error."""

    def validate(value: Any) -> T:
        try:
            return parse(as_text(value, example))
        except WrongError as error:
            raise refusal(error.what, error.todo) from None

    return validate


def as_text(value: Any, example: str) -> str:
    """The text a scalar was written as. Raises WrongError for what is no scalar, or nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None:
        raise WrongError("there is no value", f"write one such as {example}, or remove the key")
    if isinstance(value, (list, dict)):
        kind = "list" if isinstance(value, list) else "mapping"
        raise WrongError(f"a {kind} stands where one value belongs", f"write one such as {example}")
    raise WrongError(f"{str(value).lower()} is not text", f"put it in quotes, or write one such as {example}")


def _mode(text: str) -> str:
    if text not in modes.MODES:
        raise WrongError(f'"{text}" is not a mode', f"use {', '.join(modes.MODES)}")
    return text


def _address4(text: str) -> IPv4Interface | str:
    return text if text in ("auto", "none") else addresses.parse_cidr4(text)


def _address6(text: str) -> IPv6Interface | str:
    return text if text in ("auto", "none") else addresses.parse_cidr6(text)


def _prefix6(text: str) -> IPv6Network | str:
    if text in ("uplink", "translate"):
        return text
    if ":" not in text:
        raise WrongError(f'"{text}" is not a prefix', "write uplink, translate, or a /64 such as 2001:db8:7::/64")
    host = addresses.parse_cidr6(text)
    if host.ip != host.network.network_address:
        todo = f"write {host.network}; which address in it is the host's own says address:"
        raise WrongError(f"{text} has bits set behind its prefix", todo)
    return host.network


def _ends(text: str) -> tuple[str, str]:
    first, dash, last = text.partition("-")
    if not dash:
        raise WrongError(f'"{text}" is not a range', "write FIRST-LAST")
    return first.strip(), last.strip()


def _range4(text: str) -> tuple[IPv4Address, IPv4Address]:
    first, last = (addresses.parse_ip4(end) for end in _ends(text))
    return _upright(first, last)


def _range6(text: str) -> tuple[IPv6Address, IPv6Address]:
    first, last = (addresses.parse_ip6(end) for end in _ends(text))
    return _upright(first, last)


A = TypeVar("A", IPv4Address, IPv6Address)


def _upright(first: A, last: A) -> tuple[A, A]:
    if first > last:
        raise WrongError(f"the range {first}-{last} is upside down", "write the lower address first")
    return first, last


def _lease(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if not match:
        raise WrongError(f'"{text}" is not a duration', "write seconds, or a number with m, h or d such as 12h")
    seconds = int(match[1]) * _SECONDS[match[2]]
    if not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        limit = "at least 2m, dnsmasq gives none shorter" if seconds < SHORTEST_LEASE else "at most 68 years"
        raise WrongError(f"a lease of {text} is too {'short' if seconds < SHORTEST_LEASE else 'long'}", limit)
    return seconds


def _words(text: str) -> str:
    """A description: one line, it goes into comments of the firewall and into tables."""
    if not text.isprintable():
        raise WrongError("a description is one line of visible characters", "remove line breaks and control characters")
    return text


def _known(word: str, *known: str) -> str:
    if word not in known:
        raise WrongError(f'"{word}" is not known here', f"write {', '.join(known[:-1])} or {known[-1]}")
    return word


def _listeners(value: Any) -> Any:
    """`any`, an address or NIC, or a list of them; any is the empty tuple."""
    if value == "any":
        return ()
    items = value if isinstance(value, list) else [value]
    if not items:
        raise refusal("listen is an empty list", "write any, an address or a NIC")
    if "any" in items:
        raise refusal("any holds every address already", "write any alone")
    return items


def _once(found: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(found)) < len(found):
        raise refusal("the same stands twice in listen", "write it once")
    return found


def _sources(value: Any) -> Any:
    """A network or address, or a list of them."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise refusal("from is an empty list", "write who may connect; enabled: false turns the forward off")
    return items


def _number(low: int, high: int, what: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < _MANY_DIGITS):
            raise WrongError(f'"{text}" is not {what}', "write a whole number")
        if not low <= int(text) <= high:
            raise WrongError(f"{text} is out of range for {what}", f"write {low} to {high}")
        return int(text)

    return parse


def _denied(text: str) -> forwards.Source | str:
    if text in ("private", "host"):
        return text
    try:
        return addresses.parse_network(text)
    except WrongError as error:
        raise WrongError(error.what, f"write private, host, or a network: {error.todo}") from None


def _list(value: Any) -> Any:
    """One or a list of them."""
    if isinstance(value, list):
        if not value:
            raise refusal("there is an empty list", "write its items, or leave the key out")
        return value
    return [value]


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise refusal(f"{'nothing' if value is None else value} is neither true nor false", "write true or false")


def _one(ranges: tuple[T, ...]) -> tuple[T, ...]:
    if len(ranges) != 1:
        raise refusal("one range is what libvirt takes", "write exactly one FIRST-LAST")
    return ranges


def _schema(pattern: str, description: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "description": description})


_PORT = "[0-9]{1,5}"
_PORTS_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 65535},
            {"type": "string", "pattern": f"^{_PORT}(-{_PORT})?$"},
        ]
    }
)
_ONE_OR_MORE = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}

Flag = Annotated[bool, PlainValidator(_bool), WithJsonSchema({"type": "boolean"})]
Mode = Annotated[modes.Mode, BeforeValidator(_from_text(_mode, "nat"))]
Nic = Annotated[
    str,
    PlainValidator(_from_text(names.nic_name, "eth1")),
    _schema("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$", "a NIC of the host such as eth1"),
]
Macvtap = Annotated[
    Literal["bridge", "vepa", "private"],
    BeforeValidator(_from_text(lambda t: _known(t, "bridge", "vepa", "private"), "bridge")),
]
Door = Annotated[Literal["closed", "open"], BeforeValidator(_from_text(lambda t: _known(t, "closed", "open"), "open"))]
Mtu = Annotated[
    int,
    PlainValidator(_from_text(_number(SMALLEST_MTU, LARGEST_MTU, "an MTU"), "1400")),
    WithJsonSchema({"type": "integer", "minimum": SMALLEST_MTU, "maximum": LARGEST_MTU}),
]
Nics = Annotated[
    tuple[Annotated[str, PlainValidator(_from_text(names.nic_name, "eth1"))], ...],
    BeforeValidator(_list),
    WithJsonSchema(_ONE_OR_MORE),
]
PciAddresses = Annotated[
    tuple[Annotated[str, PlainValidator(_from_text(pci.parse_pci, '"0000:01:10.0"'))], ...],
    BeforeValidator(_list),
    WithJsonSchema(_ONE_OR_MORE),
]
Vlan = Annotated[
    int,
    PlainValidator(_from_text(_number(1, 4094, "a VLAN's number"), "42")),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 4094}),
]
Kibibytes = Annotated[
    int,
    PlainValidator(_from_text(_number(1, 2**31 - 1, "a number of KiB"), "1024")),
    WithJsonSchema({"type": "integer", "minimum": 1, "description": "KiB, or KiB a second"}),
]
HostAccess = Annotated[
    Literal["none", "services", "full"],
    BeforeValidator(_from_text(lambda t: _known(t, "none", "services", "full"), "services")),
]
Family = Annotated[
    Literal["both", "ipv4", "ipv6"], BeforeValidator(_from_text(lambda t: _known(t, "both", "ipv4", "ipv6"), "both"))
]
Protocols = Annotated[forwards.Protocols, BeforeValidator(_from_text(forwards.parse_protocol, "tcp"))]
Mac = Annotated[
    str,
    PlainValidator(_from_text(macs.parse_mac, "52:54:00:12:34:56")),
    _schema("^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$", "a MAC address such as 52:54:00:12:34:56"),
]
NetworkName = Annotated[
    str, PlainValidator(_from_text(names.network_name, "lab")), _schema(r"^[^/\n]{1,64}$", "a libvirt network")
]
GuestName = Annotated[
    str, PlainValidator(_from_text(names.guest_name, "web1")), _schema(r"^[^/\n]{1,64}$", "a libvirt domain")
]
Bridge = Annotated[
    str,
    PlainValidator(_from_text(names.bridge_name, "virbr1")),
    _schema("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$", "a bridge such as virbr1"),
]
Domain = Annotated[str, PlainValidator(_from_text(names.domain_name, "lab.internal")), _schema(".+", "a DNS domain")]
Ports = Annotated[ports.PortRange, PlainValidator(_from_text(ports.parse_ports, "8080")), _PORTS_SCHEMA]
_Listener = Annotated[
    forwards.Listen, PlainValidator(_from_text(lambda t: forwards.parse_listen(t.strip("[]")), "192.0.2.1"))
]
Listen = Annotated[
    tuple[_Listener, ...], BeforeValidator(_listeners), AfterValidator(_once), WithJsonSchema(_ONE_OR_MORE)
]
_Source = Annotated[forwards.Source, PlainValidator(_from_text(addresses.parse_network, "198.51.100.0/24"))]
Sources = Annotated[
    tuple[_Source, ...],
    BeforeValidator(_sources),
    AfterValidator(forwards.joined),
    WithJsonSchema(_ONE_OR_MORE),
]
_Denied = Annotated[forwards.Source | str, PlainValidator(_from_text(_denied, "private"))]
Deny = Annotated[tuple[_Denied, ...], BeforeValidator(_list), WithJsonSchema(_ONE_OR_MORE)]
Ip = Annotated[
    IPv4Address | IPv6Address,
    PlainValidator(_from_text(addresses.parse_ip, "192.0.2.1")),
    WithJsonSchema({"type": "string"}),
]
Ips = Annotated[tuple[Ip, ...], BeforeValidator(_list), WithJsonSchema(_ONE_OR_MORE)]
Subnet = Annotated[
    forwards.Source,
    PlainValidator(_from_text(addresses.parse_network, "10.1.0.0/24")),
    WithJsonSchema({"type": "string"}),
]
HostName = Annotated[str, PlainValidator(_from_text(names.domain_name, "db.lab.internal")), _schema(".+", "a DNS name")]
Words = Annotated[str, PlainValidator(_from_text(_words, '"render farm"')), WithJsonSchema({"type": "string"})]
Lease = Annotated[
    int,
    PlainValidator(_from_text(_lease, "12h")),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": SHORTEST_LEASE}, {"type": "string", "pattern": "^[0-9]+[smhdw]?$"}]}
    ),
]
Ip4 = Annotated[
    IPv4Address,
    PlainValidator(_from_text(addresses.parse_ip4, "192.168.122.10")),
    WithJsonSchema({"type": "string", "format": "ipv4"}),
]
Ip6 = Annotated[
    IPv6Address,
    PlainValidator(_from_text(addresses.parse_ip6, "::10")),
    WithJsonSchema({"type": "string", "format": "ipv6"}),
]
Address4 = Annotated[
    IPv4Interface | Literal["auto", "none"],
    PlainValidator(_from_text(_address4, "192.168.122.1/24")),
    _schema(
        "^(auto|none|[0-9.]+/[0-9]+)$", "auto, none, or the host's address with its prefix, such as 192.168.122.1/24"
    ),
]
Address6 = Annotated[
    IPv6Interface | Literal["auto", "none"],
    PlainValidator(_from_text(_address6, "fd00::1/64")),
    _schema(
        "^(auto|none|[0-9A-Fa-f:.]+/(64|9[6-9]|1[01][0-9]|120))$",
        "auto, none, or the host's address with its prefix, such as fd00:1::1/64; with prefix: uplink /96 to /120",
    ),
]
Prefix6 = Annotated[
    IPv6Network | Literal["uplink", "translate"],
    PlainValidator(_from_text(_prefix6, "2001:db8:7::/64")),
    _schema(
        "^(uplink|translate|[0-9A-Fa-f:.]+/64)$",
        "a global /64 that is routed to this host; uplink: a part of the uplink's own; translate: a ULA, prefix NAT "
        "onto the uplink's own",
    ),
]
Range4 = Annotated[
    tuple[IPv4Address, IPv4Address],
    PlainValidator(_from_text(_range4, "192.168.122.2-192.168.122.99")),
    _schema("^[0-9.]+ *- *[0-9.]+$", "FIRST-LAST"),
]
Range6 = Annotated[
    tuple[IPv6Address, IPv6Address],
    PlainValidator(_from_text(_range6, "::10-::ff")),
    _schema("^[0-9A-Fa-f:.]+ *- *[0-9A-Fa-f:.]+$", "FIRST-LAST, whole addresses or host parts such as ::10-::ff"),
]

_JUST_ONE = Field(json_schema_extra={"minItems": 1, "maxItems": 1})
Ranges4 = Annotated[tuple[Range4, ...], AfterValidator(_one), _JUST_ONE]
Ranges6 = Annotated[tuple[Range6, ...], AfterValidator(_one), _JUST_ONE]
