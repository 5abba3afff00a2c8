"""The host as guestnet sees it: what is desired and what is there, in ONE normal form compared by ONE function.

A `State` maps a key (kind, name) to a frozen value. A change is a key with its value before and after, and so each step
knows its inverse (make it what it was before), and can be written into the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

APPLIED = "/var/lib/guestnet/applied.json"  # the file as it was applied last, everything in it spelled out
SOURCE = "/var/lib/guestnet/applied.yaml"  # the same file as it was written, comments and all


class Key(NamedTuple):
    kind: str
    name: str


@dataclass(frozen=True)
class Folder:
    """A directory of ours, by path; dnsmasq must be able to read in it."""

    mode: int = 0o755


@dataclass(frozen=True)
class File:
    """A text file of ours, by path."""

    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class Setting:
    """A sysctl of the running kernel, by its key with slashes."""

    value: str


@dataclass(frozen=True)
class Table:
    """Our firewall table: `listing` as nft prints it without elements of our maps, `elements` the forwards in force,
    `prefixes` what is in the maps and the set of prefix NAT."""

    listing: str
    elements: tuple[tuple[str, tuple[str, ...]], ...] = ()
    prefixes: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Network:
    """A libvirt network of ours: its stored definition in canonical form ("": none), the running one (None: not
    running), the taps of running guests that are not in its bridge, or that libvirt has lost its record of, and what
    else was changed by hand about its bridge (compile.bridgedrift, in words)."""

    xml: str
    running: str | None
    autostart: bool
    unplugged: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Admit:
    """Our rules on top of a foreign chain, by the program that owns its FORWARD (iptables, ip6tables: `rules` are those
    below the one that is always there), or by an nft chain's name (`inet filter forward`). `top`: no other is above."""

    rules: tuple[str, ...] = ()
    top: bool = True


@dataclass(frozen=True)
class Unit:
    """Our systemd unit, by name: its file, whether it is enabled, and whether it is active, without which it hears
    nothing of other units' reloads."""

    text: str
    enabled: bool = True
    active: bool = True


@dataclass(frozen=True)
class Link:
    """A symbolic link of ours, by path."""

    target: str


@dataclass(frozen=True)
class Bridge:
    """A Linux bridge of ours over one NIC, by name. The host itself has no address on it. `up`: both are."""

    port: str
    mac: str
    stp: bool
    mtu: int | None = None
    up: bool = True


@dataclass(frozen=True)
class Ndp:
    """An address that the kernel answers for on a NIC, as a proxy, by `ADDRESS dev NIC`."""


@dataclass(frozen=True)
class Proxy:
    """The two systemd units that serve a port of [::1], by name. `active`: the socket is open, now and at boot."""

    socket: str
    service: str
    active: bool = True


@dataclass(frozen=True)
class Prefer:
    """Our lines in the gai.conf of a guest, by its name: the prefixes that get the label of global addresses. uuid: of
    the domain they were written in. by_hand: `guestnet prefer-ipv6` asked for them, not the file. whole: they
    are there; else it is only known that their writing was begun."""

    prefixes: tuple[str, ...]
    uuid: str
    by_hand: bool = False
    whole: bool = True


Thing = Folder | File | Setting | Table | Network | Admit | Unit | Link | Bridge | Proxy | Ndp | Prefer
State = Mapping[Key, Thing]

# The order in which things come to be; they go in the reverse order. A kind's reason stands beside it.
KINDS: dict[str, type[Thing]] = {
    "memory": File,  # first: what was drawn by chance is on disk before anything uses it
    "sysctl.d": File,
    "setting": Setting,  # accept_ra before forwarding, or the host loses its own IPv6 (the compiler orders them)
    "folder": Folder,  # the networks' dnsmasq reads it when it starts
    "reservation": File,
    "hookdata": File,
    "program": File,  # before the hooks, which run it
    "hook": File,
    "table": Table,  # before the networks: no guest runs without isolation
    "bridge": Bridge,  # before the network whose guests are plugged into it
    "network": Network,
    "ndp": Ndp,  # after the network: who is answered for is there
    "localnet": Setting,  # after the network, whose bridge it is a sysctl of
    "admit": Admit,  # after the networks: libvirt makes the chains when the first one starts
    "proxy": Proxy,
    "unit": Unit,  # last, and so the first to go: its start puts rules in, which only the steps before can take back
    "link": Link,  # this and the next are of `guestnet setup` alone
    "completion": File,
    "prefer": Prefer,  # when guests can get out over IPv6, and gone before they can't
}


@dataclass(frozen=True)
class Change:
    """One step: what `key` is, and what it shall be. None means absent."""

    key: Key
    before: Thing | None
    after: Thing | None


def compare(live: State, desired: State) -> tuple[Change, ...]:
    """The changes that make `live` into `desired`, in the order to do them: first what goes, then what comes."""
    changes = [
        Change(key, live.get(key), desired.get(key))
        for key in [*desired, *(key for key in live if key not in desired)]
        if live.get(key) != desired.get(key)
    ]
    going = [change for change in changes if change.after is None]
    coming = [change for change in changes if change.after is not None]
    return (*sorted(going, key=_rank, reverse=True), *sorted(coming, key=_rank))


def _rank(change: Change) -> int:
    return list(KINDS).index(change.key.kind)


def to_data(change: Change) -> dict[str, Any]:
    """The change as JSON data, for the journal."""
    return {
        "kind": change.key.kind,
        "name": change.key.name,
        "before": _data(change.before),
        "after": _data(change.after),
    }


def from_data(data: Mapping[str, Any]) -> Change:
    """The inverse of `to_data`. Raises KeyError or TypeError when the data is of another version."""
    made = KINDS[data["kind"]]
    before, after = (None if data[side] is None else made(**_tuples(data[side])) for side in ("before", "after"))
    return Change(Key(data["kind"], data["name"]), before, after)


def _data(thing: Thing | None) -> dict[str, Any] | None:
    return None if thing is None else {field.name: getattr(thing, field.name) for field in fields(thing)}


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    def deep(value: Any) -> Any:
        return tuple(deep(item) for item in value) if isinstance(value, list) else value

    return {name: deep(value) for name, value in data.items()}


def keys_of(state: State, kind: str) -> Iterable[Key]:
    return (key for key in state if key.kind == kind)
