"""What `apply` prepares for the hook: one small text file a guest, so that the hook needs no YAML, libvirt or JSON.

guestnet 1
nic lab 52:54:00:12:34:56 192.168.122.10 fd00::10      (a `-` for what is not known or not there)
ndp up0 2001:db8:1::f:10                               (the host answers for that address there; or
translated up0 ::10                                     only the half that is its own: see compile.translation)
any4 tcp . 4023 : 192.168.122.10 . 22                  (a map of the table, and its element)
end

A guest that has another address than it is to have gets a second file of the same form in NOW, with the addresses that
apply found in its `nic` lines and elements. That one counts until the guest starts anew: then the hook removes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from guestnet.compile import ndp, nft, ruleset
from guestnet.compile.dhcp import file_name
from guestnet.spec.world import Address, Forward, Guest

VERSION = "guestnet 1"
_ELEMENT = re.compile(r"(\S+ \. ){0,2}(tcp|udp) \. \d+(-\d+)? : \S+( \. \d+)?|\S+ : \S+")
FOLDER = "/var/lib/guestnet/compiled"
TABLE_FILE = f"{FOLDER}/table.nft"
BRIDGES = f"{FOLDER}/bridges"
LET_IN = f"{FOLDER}/let_in.py"  # a program that the hook starts
NIC_WORDS = 5  # of a `nic` line
END = "end"  # the last line: a file without it was cut short
GUESTS = f"{FOLDER}/guests"
NOW = f"{FOLDER}/now"


def guest_file(guest: Guest) -> str:
    nics = []
    for nic in guest.nics:
        # Without a MAC in the file the hook takes it from the guest's XML at each start: the guest may be defined anew.
        mac = nic.mac if nic.mac and nic.written else "-"
        nics.append(f"nic {file_name(nic.network)} {mac} {nic.ipv4 or '-'} {nic.reserved6 or '-'}")
    return _text(nics, guest, guest.forwards)


def now_file(guest: Guest, has: Mapping[tuple[str, int], Address], forwards: Iterable[Forward]) -> str:
    """`has`: by network and family, what it has instead of the address that it is to have; `forwards` go there."""
    nics = [
        f"nic {file_name(nic.network)} - {has.get((nic.network, 4), '-')} {has.get((nic.network, 6), '-')}"
        for nic in guest.nics
    ]
    return _text(nics, guest, forwards)


def _text(nics: list[str], guest: Guest, forwards: Iterable[Forward]) -> str:
    lines = [VERSION, *nics, *ndp.guest_lines(guest)]
    for name, items in ruleset.elements(forwards).items():
        lines += [f"{name} {item}" for item in items]
    return "\n".join([*lines, END]) + "\n"


def followed(text: str) -> dict[str, tuple[Address, ...]]:
    """Of a file in NOW: network, as a file name -> the addresses that the guest had there. None of a damaged one."""
    found: dict[str, tuple[Address, ...]] = {}
    try:
        for line in text.splitlines():
            if line.startswith("nic "):
                _, network, _, *its = line.split(" ")
                found[network] = tuple(ip_address(one) for one in its if one != "-")
    except ValueError:
        return {}
    return found


def outside(text: str) -> list[str]:
    """Of a guest's file, the addresses that the host answers for, as `2001:db8:1::f:10 on up0`."""
    words = [line.split(" ") for line in text.splitlines()]
    return [f"{line[2]} on {line[1]}" for line in words if line[0] in ("ndp", "translated") and len(line) == 3]  # noqa: PLR2004  its words


def elements(text: str) -> nft.Elements:
    """The elements in a guest's file, as it lies on a disk: what is none of a map of ours is passed over."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        name, _, item = line.partition(" ")
        if name in ruleset.MAPS and _ELEMENT.fullmatch(item):
            found[name].append(item)
    return {name: tuple(sorted(items)) for name, items in sorted(found.items())}
