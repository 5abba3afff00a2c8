"""A first file from what a host has: its libvirt networks and guests. Pure: values in, text out.

What it must not do: guess without saying so, or leave something out without saying so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from guestnet.spec.fromlibvirt import Entry, Value, entry
from guestnet.spec.load import load_spec
from guestnet.spec.show import scalar
from guestnet.words.families import IPV4
from guestnet.words.problems import GuestnetError, ProblemsError

Address = IPv4Address | IPv6Address

_TOP = """\
# Made by `guestnet init` from what this host has in libvirt. What is a guess says so. Read it, then:
#   {next}
# That takes the networks over as they run, without a restart; what the file can't say stays in libvirt as it is."""
_LEASED = "a guess: what DHCP gave it last"
_RESERVED = "reserved in libvirt's network"


@dataclass(frozen=True)
class Plugged:
    """A guest's NIC, as libvirt has it."""

    network: str
    mac: str


def first_file(
    networks: Mapping[str, tuple[str, bool]],
    guests: Mapping[str, Sequence[Plugged]],
    leases: Sequence[tuple[str, str, Address]],
    file: str,
) -> str:
    """YAML that passes `check`. networks: name -> (XML, starts at boot). leases: (network, MAC, address), the latest
    first. Raises GuestnetError when nothing can be said of the host."""
    entries, left_out = _entries(networks)
    command = f"guestnet -f {file} adopt {' '.join(entries)}" if entries else "guestnet check"
    lines = [_TOP.format(next=command), "networks:" if entries else "networks: {}"]
    lines += [f"  # {scalar(name)} is left out: {why}" for name, why in left_out.items()]
    for name, one in entries.items():
        lines += [f"  {line}" for line in network_lines(name, one)]
    found = [line for name, nics in sorted(guests.items()) for line in _guest(name, nics, entries, leases)]
    used: set[str] = set()
    lines += ["guests:", *_once(found, used)] if found else []
    text = "\n".join(lines) + "\n"
    try:
        load_spec(text, "the file made of this host")
    except ProblemsError as error:
        first = error.problems[0]
        raise GuestnetError(f"what came of this host does not pass check: {first.what}", first.todo) from None
    return text


def _entries(networks: Mapping[str, tuple[str, bool]]) -> tuple[dict[str, Entry], dict[str, str]]:
    entries: dict[str, Entry] = {}
    left_out: dict[str, str] = {}
    for name, (xml, autostart) in sorted(networks.items()):
        try:
            entries[name] = entry(xml, autostart=autostart)
        except GuestnetError as error:
            left_out[name] = error.what
    return entries, left_out


def network_lines(name: str, found: Entry) -> Iterator[str]:
    """The entry of a network, not indented."""
    yield f"{scalar(name)}:"
    for key, value in found.values.items():
        remark = f"  # {found.remarks[key]}" if key in found.remarks else ""
        yield f"  {key}: {_flow(value)}{remark}"


def _guest(
    name: str, nics: Sequence[Plugged], entries: Mapping[str, Entry], leases: Sequence[tuple[str, str, Address]]
) -> Iterator[str]:
    mine = [nic for nic in nics if nic.network in entries]
    seen: dict[str, Plugged] = {}
    for nic in mine:
        seen.setdefault(nic.network, nic)
    if not seen:
        return
    yield f"  {scalar(name)}:"
    lists = [list(_nic(nic, entries[nic.network], leases)) for nic in seen.values()]
    if len(lists) == 1:
        yield from (f"    {line}" for line in lists[0])
    else:
        yield "    nics:"
        for first, *rest in lists:
            yield f"      - {first}"
            yield from (f"        {line}" for line in rest)
    if len(mine) > len(seen):
        yield "    # left out: a second NIC in the same network"


def _nic(nic: Plugged, its: Entry, leases: Sequence[tuple[str, str, Address]]) -> Iterator[str]:
    yield f"network: {scalar(nic.network)}"
    yield f"mac: {scalar(nic.mac)}"
    for key, family in (("ipv4", 4), ("ipv6", 6)):
        side = its.values.get(key)
        if not isinstance(side, dict):
            continue
        subnet = ip_interface(str(side["address"])).network
        leased = [one for network, mac, one in leases if (network, mac) == (nic.network, nic.mac)]
        fits = [one for one in leased if one.version == family and one in subnet]
        reserved = its.reserved.get(nic.mac, "")
        if family == IPV4 and reserved and ip_address(reserved) in subnet:
            yield f"{key}: {reserved}  # {_RESERVED}"
        elif fits:
            yield f"{key}: {scalar(str(fits[0]))}  # {_LEASED}"


def _once(lines: Sequence[str], used: set[str]) -> Iterator[str]:
    """Of an address that two guests had, one after the other, the second is left to guestnet."""
    for line in lines:
        key, _, value = line.strip().removeprefix("- ").partition(": ")
        address = value.partition("  #")[0]
        if key in ("ipv4", "ipv6", "mac") and address in used:
            yield f"{line[: len(line) - len(line.lstrip())]}# {key}: {address} is another guest's in this file"
        else:
            used |= {address} if key in ("ipv4", "ipv6", "mac") else set()
            yield line


def _flow(value: Value) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return scalar(value)
