"""What guestnet remembers of a host between runs: everything it once chose, by name, also after the name has gone.

The text form is JSON with a version. Others read and write it (/var/lib/guestnet/memory.json); here is only text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeVar

from guestnet.words.problems import GuestnetError

T = TypeVar("T")

VERSION = 1
_REMOVE = "put a backup of it back, or apply: it is told anew by what is on the host"


class DamagedError(GuestnetError):
    """No memory, or not a whole one."""


@dataclass(frozen=True)
class NetworkMemory:
    """The subnet of each family, the bridge and its MAC; the uplink whose prefix its guests share, and that prefix."""

    ipv4: IPv4Network | None = None
    ipv6: IPv6Network | None = None
    bridge: str | None = None
    mac: str | None = None
    uplink: str | None = None
    prefix: IPv6Network | None = None


@dataclass(frozen=True)
class GuestMemory:
    """The addresses of a guest in one network."""

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None


@dataclass(frozen=True)
class Memory:
    """`ula`: the host's /48. `guests` by (network, guest). `sysctls`: what each was before guestnet changed it.
    `admitted`: chains of others that `apply --admit` was for, as `inet filter forward`, with the hook of each."""

    ula: IPv6Network | None = None
    networks: Mapping[str, NetworkMemory] = field(default_factory=dict)
    guests: Mapping[tuple[str, str], GuestMemory] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    admitted: Mapping[str, str] = field(default_factory=dict)


def to_text(memory: Memory) -> str:
    """JSON, the same for equal memories, with a newline at the end."""
    guests: dict[str, dict[str, Any]] = {}
    for (network, guest), known in memory.guests.items():
        guests.setdefault(network, {})[guest] = _texts(known)
    document = {
        "version": VERSION,
        "ula": None if memory.ula is None else str(memory.ula),
        "networks": {name: _texts(known) for name, known in memory.networks.items()},
        "guests": guests,
        "sysctls": dict(memory.sysctls),
        **({"admitted": dict(memory.admitted)} if memory.admitted else {}),
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def from_text(text: str, file: str = "/var/lib/guestnet/memory.json") -> Memory:
    """The memory that `to_text` wrote. Raises DamagedError when it is damaged, GuestnetError when it is of a
    newer guestnet."""
    try:
        document = json.loads(text)
        version = document["version"]
        if isinstance(version, int) and version > VERSION:
            todo = f"use that guestnet again, this one knows version {VERSION}"
            raise GuestnetError(f"{file} was written by a newer guestnet (version {version})", todo)
        if version != VERSION:
            raise ValueError(version)
        return _memory(document)
    # RecursionError: a million brackets
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedError(f"{file} is damaged", _REMOVE) from None


def _memory(document: dict[str, Any]) -> Memory:
    ula = document["ula"]
    guests = {
        (network, guest): GuestMemory(_maybe(IPv4Address, known, "ipv4"), _maybe(IPv6Address, known, "ipv6"))
        for network, there in document["guests"].items()
        for guest, known in there.items()
    }
    return Memory(
        ula=None if ula is None else IPv6Network(ula),
        networks={name: _network(known) for name, known in document["networks"].items()},
        guests=guests,
        sysctls={key: str(value) for key, value in document["sysctls"].items()},
        admitted={name: str(hook) for name, hook in document.get("admitted", {}).items()},
    )


def _network(known: dict[str, Any]) -> NetworkMemory:
    return NetworkMemory(
        ipv4=_maybe(IPv4Network, known, "ipv4"),
        ipv6=_maybe(IPv6Network, known, "ipv6"),
        bridge=_maybe(str, known, "bridge"),
        mac=_maybe(str, known, "mac"),
        uplink=_maybe(str, known, "uplink"),
        prefix=_maybe(IPv6Network, known, "prefix"),
    )


def _maybe(kind: Callable[[Any], T], known: dict[str, Any], key: str) -> T | None:
    value = known.get(key)
    return None if value is None else kind(value)


def _texts(known: NetworkMemory | GuestMemory) -> dict[str, str]:
    return {key: str(value) for key, value in vars(known).items() if value is not None}
