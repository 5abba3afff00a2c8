"""Turns values of IPv4 into the same ones of IPv6, texts included: what is decided of the one must be decided of the
other. 10.66.1.2 becomes fd00::a42:102, 203.0.113.2 becomes 2001:db8::cb00:7102; a /24 becomes a /120."""

from __future__ import annotations

import dataclasses
import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

from guestnet.spec.world import Network, Nic, Side4, Side6
from guestnet.words.addresses import is_private

_PRIVATE, _GLOBAL = int(IPv6Address("fd00::")), int(IPv6Address("2001:db8::"))
_TEXT = re.compile(r"(?<![\w.:])(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d+))?(?!\w)")
_WORDS = (
    (r"\bIPv4\b", "IPv6"), (r"\bipv4\b", "ipv6"), (r"\biptables\b", "ip6tables"), (r"\bNAT44\b", "NAT66"),
    (r"\bip (?=[sd]addr|protocol|ttl|dscp|ecn|id |length|filter|nat|mangle|raw|other |libvirt_network)", "ip6 "),
    (r"@(\w+)4\b", r"@\g<1>6"), (r"\bip (?=route|rule)", "ip -6 "), (r"\bdnat ip to\b", "dnat ip6 to"),
    (r"net([./])ipv[46][./]ip_forward", r"net\1ipv6\1conf\1all\1forwarding"), (r"\btable ip\b", "table ip6"),
    (r"\bbridge-nf-call-iptables\b", "bridge-nf-call-ip6tables"),
)  # fmt: skip


def text(said: str) -> str:
    found = _TEXT.sub(lambda match: str(_text(match[1], match[2])), said)
    for old, new in _WORDS:
        found = re.sub(old, new, found)
    return found


def _text(address: str, prefix: str | None) -> str:
    try:
        made = _address(IPv4Address(address))
    except ValueError:
        return address  # a version of libvirt's
    return str(made) if prefix is None else f"{made}/{_bits(int(prefix))}"


def _bits(prefix: int) -> int:
    return prefix + 96 if prefix else 0


def _address(address: IPv4Address) -> IPv6Address:
    if address == IPv4Address(0):
        return IPv6Address(0)
    return IPv6Address((_PRIVATE if is_private(address) else _GLOBAL) | int(address))


def mirror(value: Any) -> Any:  # noqa: C901, PLR0911  one case a kind of value
    """Of a value of the decisions, however deep; of a Network or Nic the IPv4 side becomes the only one, IPv6's."""
    match value:
        case IPv4Interface():
            return IPv6Interface((_address(value.ip), _bits(value.network.prefixlen)))
        case IPv4Network():
            return IPv6Network((_address(value.network_address), _bits(value.prefixlen)))
        case IPv4Address():
            return _address(value)
        case Side4():
            return Side6(mirror(value.host), mirror(value.pool), value.lease)
        case Network():
            nat6 = value.mode == "nat"
            rest = {one.name: mirror(getattr(value, one.name)) for one in dataclasses.fields(value)}
            return Network(**(rest | {"v4": None, "v6": mirror(value.v4), "nat6": nat6, "open": _families(value.open)}))
        case Nic():
            return dataclasses.replace(value, ipv4=None, ipv6=mirror(value.ipv4), chosen=_families(value.chosen))
        case str():
            return text(value)
        case tuple() if hasattr(value, "_fields"):
            return type(value)(*map(mirror, value))
        case tuple() | frozenset() | list():
            return type(value)(map(mirror, value))
        case dict():
            return {mirror(key): mirror(one) for key, one in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed = {one.name: _field(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)}
            return dataclasses.replace(value, **changed)
        case _:
            return value


def _field(name: str, value: Any) -> Any:
    if name == "families":
        return tuple(sorted(_families(frozenset(value))))
    if isinstance(value, str) and name in ("family", "table") and value.partition(" ")[0] == "ip":  # of a chain
        return f"ip6{value[2:]}"
    if name in ("version", "family"):
        return 6 if value == 4 else value
    return mirror(value)


def _families(value: frozenset[int]) -> frozenset[int]:
    return frozenset(6 if one == 4 else one for one in value)
