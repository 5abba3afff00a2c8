"""What `apply` prepares for the hook: one small text file a guest, so that the hook needs no YAML, libvirt or JSON.

guestnet 1
nic lab 52:54:00:12:34:56 192.168.122.10 fd00::10      (a `-` for what is not known or not there)
ndp up0 2001:db8:1::f:10                               (the host answers for that address there; or
translated up0 ::10                                     only the half that is its own: see compile.translation)
any4 tcp . 4023 : 192.168.122.10 . 22                  (a map of the table, and its element)
end
"""

from __future__ import annotations

import re
from collections import defaultdict

from guestnet.compile import ndp, nft, ruleset
from guestnet.compile.dhcp import file_name
from guestnet.spec.world import Guest

VERSION = "guestnet 1"
_ELEMENT = re.compile(r"(\S+ \. ){0,2}(tcp|udp) \. \d+(-\d+)? : \S+( \. \d+)?|\S+ : \S+")
FOLDER = "/var/lib/guestnet/compiled"
TABLE_FILE = f"{FOLDER}/table.nft"
BRIDGES = f"{FOLDER}/bridges"
LET_IN = f"{FOLDER}/let_in.py"  # a program that the hook starts
NIC_WORDS = 5  # of a `nic` line
END = "end"  # the last line: a file without it was cut short
GUESTS = f"{FOLDER}/guests"


def guest_file(guest: Guest) -> str:
    lines = [VERSION]
    for nic in guest.nics:
        # Without a MAC in the file the hook takes it from the guest's XML at each start: the guest may be defined anew.
        mac = nic.mac if nic.mac and nic.written else "-"
        lines.append(f"nic {file_name(nic.network)} {mac} {nic.ipv4 or '-'} {nic.reserved6 or '-'}")
    lines += ndp.guest_lines(guest)
    for name, items in ruleset.elements(guest.forwards).items():
        lines += [f"{name} {item}" for item in items]
    return "\n".join([*lines, END]) + "\n"


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
