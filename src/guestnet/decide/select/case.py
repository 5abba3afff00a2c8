"""A question in JSON: a host, its gai.conf, and the addresses of a name. docs/ipv6.md has the shape.

Parsed once, here, into frozen values; everything that is wrong is refused with the key it is at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface
from typing import Any

from guestnet.decide.select.tables import Address
from guestnet.words.problems import GuestnetError

Subnet = IPv4Network | IPv6Network
ETHERNET = 1  # ARPHRD_ETHER
_FLAGS = ("deprecated", "home", "temporary", "optimistic", "tentative")


@dataclass(frozen=True)
class Own:
    """An address of a NIC. peer: the far end of a point-to-point link, to which the prefix then belongs."""

    address: Address
    bits: int
    peer: Address | None = None
    flags: frozenset[str] = frozenset()

    @property
    def subnet(self) -> Subnet:
        return ip_interface(f"{self.peer or self.address}/{self.bits}").network


@dataclass(frozen=True)
class Link:
    """arphrd: the kernel's type of the device, 1 for Ethernet."""

    name: str
    addresses: tuple[Own, ...] = ()
    up: bool = True
    arphrd: int = ETHERNET


@dataclass(frozen=True)
class Host:
    """links: lo not among them. default4, default6: a default route on the first link, through a gateway or without.

    routes: lines of `ip route add`; labels: of `ip addrlabel add`.
    """

    links: tuple[Link, ...] = ()
    default4: bool | Address = False
    default6: bool | Address = False
    routes: tuple[str, ...] = ()
    lo: bool = True
    disable_ipv6: bool = False
    sysctl: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """dests: as the name service has them; gai_conf: None where there is no file, which is as good as an empty one.
    dns: they come from DNS, not from /etc/hosts; addrconfig: asked with AI_ADDRCONFIG."""

    host: Host
    dests: tuple[Address, ...]
    gai_conf: bytes | None = None
    dns: bool = False
    addrconfig: bool = False

    @property
    def answers(self) -> tuple[Address, ...]:
        """The addresses as getaddrinfo gets them: from DNS all A records first, whatever order the zone has."""
        wanted = self._families()
        dests = self.dests
        if not self.dns and wanted == {4}:
            dests = tuple(_as_ip4(dest) for dest in dests)
        found = [dest for dest in dests if dest.version in wanted]
        return tuple(sorted(found, key=lambda dest: dest.version) if self.dns else found)

    def _families(self) -> set[int]:
        """AI_ADDRCONFIG leaves a family out when only the other is there; glibc does not count 127.0.0.1 and ::1."""
        there: set[int] = {own.address.version for link in self.host.links for own in link.addresses}
        if self.host.disable_ipv6:
            there -= {6}
        return there if self.addrconfig and len(there) == 1 else {4, 6}


def from_json(text: str) -> list[Case] | Case:
    """A case, or a list of them, or the whole cases file. Raises GuestnetError."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GuestnetError(f"the case is not JSON: {error}", "see docs/ipv6.md for its shape") from error
    if isinstance(data, dict) and "cases" in data and "dests" not in data:
        data = data["cases"]
    if isinstance(data, list):
        return [_Reader(f"case {i}").case(item) for i, item in enumerate(data, 1)]
    return _Reader("the case").case(data)


class _Reader:
    """Knows where it is, for what it refuses."""

    def __init__(self, where: str) -> None:
        self.where = where

    def wrong(self, key: str, what: str) -> GuestnetError:
        return GuestnetError(f"{self.where}: {key}: {what}", "see docs/ipv6.md for the shape of a case")

    def case(self, data: Any) -> Case:
        if not isinstance(data, dict):
            raise self.wrong("it", "no JSON object")
        get = data.get
        via = get("via") or "hosts"
        if via not in ("hosts", "dns"):
            raise self.wrong("via", "neither hosts nor dns")
        gai = get("gai_conf")
        if not isinstance(gai, str | None):
            raise self.wrong("gai_conf", "neither text nor null")
        return Case(
            self._host(data),
            tuple(self._address("dests", item) for item in self._list(data, "dests", needed=True)),
            None if gai is None else gai.encode("utf-8", "surrogatepass"),
            via == "dns",
            bool(get("addrconfig")),
        )

    def _host(self, data: dict[str, Any]) -> Host:
        lo = data.get("lo")
        return Host(
            tuple(self._link(i, item) for i, item in enumerate(self._list(data, "ifaces"))),
            self._default(data, "default4"),
            self._default(data, "default6"),
            self._lines(data, "routes"),
            True if lo is None else bool(lo),
            bool(data.get("disable_ipv6")),
            self._sysctl(data.get("sysctl") or {}),
            self._lines(data, "addrlabel"),
        )

    def _list(self, data: dict[str, Any], key: str, needed: bool = False) -> list[Any]:
        found = data.get(key)
        if found is None and not needed:
            return []
        if not isinstance(found, list):
            raise self.wrong(key, "no list")
        return found

    def _lines(self, data: dict[str, Any], key: str) -> tuple[str, ...]:
        found = self._list(data, key)
        if not all(isinstance(line, str) for line in found):
            raise self.wrong(key, "not a list of lines")
        return tuple(found)

    def _sysctl(self, data: Any) -> dict[str, str]:
        """A mapping, or lines `name=value`."""
        if isinstance(data, list) and all(isinstance(line, str) for line in data):
            data = dict(line.partition("=")[::2] for line in data)
        if not isinstance(data, dict):
            raise self.wrong("sysctl", "no object")
        return {str(name).strip().replace("/", "."): str(value).strip() for name, value in data.items()}

    def _default(self, data: dict[str, Any], key: str) -> bool | Address:
        found = data.get(key)
        return self._address(key, found) if isinstance(found, str) else bool(found)

    def _link(self, i: int, data: Any) -> Link:
        if not isinstance(data, dict):
            raise self.wrong(f"ifaces[{i}]", "no object")
        name = str(data.get("name") or f"eth{i}")
        up = data.get("up")
        return Link(
            name,
            tuple(self._own(name, item, data.get("kind") == "tun") for item in self._list(data, "addrs")),
            True if up is None else bool(up),
            self._arphrd(name, data),
        )

    def _arphrd(self, name: str, data: dict[str, Any]) -> int:
        found = data.get("arphrd") or (_NONE if data.get("kind") == "tun" else ETHERNET)
        if not isinstance(found, int):
            raise self.wrong(name, "arphrd is no number")
        return found

    def _own(self, name: str, data: Any, tun: bool) -> Own:
        """On a tun there is nobody to ask, so the kernel ends tentative and optimistic states at once."""
        item = data if isinstance(data, dict) else {"addr": data}
        flags = _FLAGS[:-2] if tun else _FLAGS
        try:
            own = ip_interface(str(item.get("addr")))
            peer, _, bits = str(item.get("peer") or "").partition("/")
            length = int(bits) if bits else own.network.prefixlen
            far = ip_address(peer) if peer else None
            found = Own(own.ip, length, far, frozenset(flag for flag in flags if item.get(flag)))
            _ = found.subnet
        except ValueError as error:
            raise self.wrong(name, str(error)) from error
        return found

    def _address(self, key: str, text: Any) -> Address:
        try:
            if not isinstance(text, str):
                raise ValueError(f"{text!r} is no address")
            return ip_address(text)
        except ValueError as error:
            raise self.wrong(key, str(error)) from error


_NONE = 0xFFFE  # ARPHRD_NONE, what a tun has by itself


def version4(address: Address) -> IPv4Address | None:
    """The IPv4 address of a destination that is one, plain or mapped."""
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped


def _as_ip4(dest: Address) -> Address:
    """From /etc/hosts, where IPv4 alone is asked for, nss_files takes ::1 for 127.0.0.1, and mapped addresses."""
    if dest == IPv6Address("::1"):
        return IPv4Address("127.0.0.1")
    return version4(dest) or dest


def mapped(address: IPv4Address) -> IPv6Address:
    return IPv6Address(0xFFFF << 32 | int(address))
