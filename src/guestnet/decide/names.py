"""Which names a thing of each kind can have. Pure.

The journal says what root does when it goes back, and many a name there is a path: one that is none of ours, as of a
file in /etc/cron.d, is no step that guestnet has begun.
"""

from __future__ import annotations

import re

from guestnet.compile import admit, dhcp, hookdata, hookfront, loopback, ndp, sysctl, unit
from guestnet.decide.desired import ADMIT_FILE, HOOKS, MEMORY
from guestnet.decide.prefer.record import FOLDER as PREFERRED
from guestnet.decide.state import APPLIED, SOURCE, Key

_FILE = r"(?!\.)[^/\0]+"  # as `host.files.names` lists them
_LINK = r"(?!\.\.?(?:/|$))[^/\s\0]+"  # a NIC or bridge, as the kernel takes its name
_SETTING = rf"net/ipv4/ip_forward|net/ipv[46]/conf/{_LINK}/[a-z_]+"
_ADMIT = rf"{'|'.join(admit.PROGRAMS)}|[^ /]+ [^ ]+ [^ ]+"


def _any(*paths: str) -> str:
    return "|".join(map(re.escape, paths))


_COMPILED = _any(
    hookdata.TABLE_FILE,
    hookdata.BRIDGES,
    hookdata.LET_IN,
    ADMIT_FILE,
    ndp.FILE,
    f"{hookdata.FOLDER}/{loopback.LOCALNETS}",
)
_NAMES = {
    "memory": rf"{_any(MEMORY, APPLIED, SOURCE)}|{PREFERRED}/{_FILE}",
    "sysctl.d": _any(sysctl.FILE),
    "setting": _SETTING,
    "localnet": _SETTING,
    "folder": rf"{dhcp.FOLDERS}[^/\0]+",
    "reservation": rf"{dhcp.FOLDERS}[^/\0]+/{_FILE}",
    "hookdata": rf"{_COMPILED}|(?:{hookdata.GUESTS}|{hookdata.NOW})/{_FILE}",
    "program": _any(hookfront.PROGRAM),
    "hook": _any(*HOOKS),
    "table": "guestnet",
    "bridge": _LINK,
    "network": r"[^/\0]+",
    "ndp": rf"\S+ dev {_LINK}",
    "admit": _ADMIT,
    "proxy": rf"{loopback.START}[^/\0]+",
    "unit": _any(unit.NAME),
    "prefer": r"[^\0]+",  # a guest; what is kept of it has a name that is made of this one
}


def possible(key: Key) -> bool:
    """Whether a step of an apply can have this kind and name. Those that `guestnet setup` alone puts are in no
    journal."""
    return key.kind in _NAMES and re.fullmatch(_NAMES[key.kind], key.name, re.DOTALL) is not None
