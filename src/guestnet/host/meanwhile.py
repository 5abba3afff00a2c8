"""Whether a thing is still what the plan was made for, looked at right before its step. Changes nothing.

Not everything is asked: reservations and forwards are written by hooks too, whenever a guest starts, and rules are put
whole in any case. It is what people edit that must not be lost.
"""

from __future__ import annotations

from dataclasses import replace

from guestnet.decide.state import Change, Network, Setting, Thing
from guestnet.host import files, netlink, sysctl
from guestnet.host.libvirt import Libvirt
from guestnet.words.problems import ConflictError

_FILES = ("memory", "sysctl.d", "hook")


def check(libvirt: Libvirt, change: Change) -> None:
    """Raises ConflictError when somebody else has changed it since."""
    kind, name = change.key
    if kind in _FILES:
        there: Thing | None = files.read(name)
    elif kind == "setting":
        value = sysctl.read(name)
        there = None if value is None else Setting(value)
    elif kind == "network":
        there = libvirt.networks()[0].get(name)
    elif kind == "bridge":
        there = netlink.our_bridges().get(name)
    else:
        return
    if _plain(there) != _plain(change.before):
        what = f"{kind} {name} was changed meanwhile by somebody else"
        raise ConflictError(what, "look at it: guestnet plan; then apply again")


def _plain(thing: Thing | None) -> Thing | None:
    """Taps come and go with guests; what is wrong about a bridge is mended whoever made it so."""
    return replace(thing, unplugged=(), unrecorded=(), wrong=()) if isinstance(thing, Network) else thing
