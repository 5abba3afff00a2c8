"""Carries running guests through a restart of their network.

libvirt sets the bridge down first and up last. In between it takes its firewall rules out and puts them in again, some
forty each way and one program run for each (libvirt 9.0: networkShutdownNetworkVirtual, networkStartNetworkVirtual):
nearly all of a restart. So the old bridge is set up again while its rules go, and the new one gets the guests' taps as
soon as it is there. What guests may do meanwhile is up to our own table, which does not go, and to `guard`.

All of it is by netlink, in a thread: a program's start would take longer than most of what is left of the outage.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from pyroute2 import IPRoute, NetlinkError

from guestnet.decide.facts import Neighbour
from guestnet.host import netlink, sysctl
from guestnet.spec.world import Subnet
from guestnet.words.problems import GuestnetError

_LINKS = 1  # linux/rtnetlink.h: RTMGRP_LINK
_NEWLINK = 16  # RTM_NEWLINK
_HEAD, _INFO, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")
_NAME = 3  # IFLA_IFNAME
_UP = 1  # IFF_UP
_STALE = 4  # linux/neighbour.h: NUD_STALE
_NO_DAD = 2  # linux/if_addr.h: IFA_F_NODAD
_SCOPE_LINK = 253
LAST = 9999  # metric of routes that count only until libvirt gives the bridge its addresses
_PATIENCE = 0.2  # seconds for libvirt's own settings of a bridge, which take some ms


@dataclass(frozen=True)
class Made:
    """The bridge that libvirt makes anew, and what is put into it. `isolated`: taps that do not reach each other."""

    bridge: str
    stp: bool
    subnets: tuple[Subnet, ...]
    taps: Collection[str]
    isolated: Collection[str]


@contextlib.contextmanager
def carried(before: str, after: Made) -> Iterator[None]:
    """While libvirt restarts a network whose bridge was `before`. What does not succeed leaves a longer outage, no
    other harm: who restarts it puts taps back in the end anyway."""
    try:
        old = socket.if_nametoindex(before)
    except OSError:
        old = 0
    if not old or not after.taps:
        yield
        return
    was = {}
    for key, value in ((f"net/ipv6/conf/{before}/keep_addr_on_down", "1"), (f"net/ipv6/conf/{before}/accept_dad", "0")):
        with _as_far_as_it_goes():
            was[key] = sysctl.read(key)
            sysctl.write(key, value)
    stop, stopped = os.pipe()
    ready = threading.Event()
    follower = threading.Thread(
        target=_follow, args=(old, netlink.neighbours({before}), after, stop, ready), daemon=True
    )
    follower.start()
    try:
        ready.wait(_PATIENCE)
        yield
    except BaseException:
        for key, former in was.items():
            with _as_far_as_it_goes():  # the bridge may be still there, when libvirt has refused
                sysctl.write(key, former or "")
        raise
    finally:
        os.close(stopped)
        follower.join()
        os.close(stop)


def _follow(old: int, known: tuple[Neighbour, ...], after: Made, stop: int, ready: threading.Event) -> None:
    """Until `stop` has been closed at its other end."""
    with _as_far_as_it_goes(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as events, IPRoute() as door:
        events.bind((0, _LINKS))
        ready.set()
        new = 0
        try:
            lifted = False
            while stop not in select.select([events.fileno(), stop], [], [])[0]:
                for index, flags, name in _links(events.recv(1 << 16)):
                    if index == old and not flags & _UP and not lifted:
                        lifted = True
                        with _as_far_as_it_goes():  # it may have gone already
                            _lift(door, old, known)
                    elif name == after.bridge and index != old and not new:
                        new = index
                        with _as_far_as_it_goes():
                            _plug(door, index, after, known)
        finally:
            _routes(door, "del", new, after.subnets)


def _as_far_as_it_goes() -> contextlib.suppress:
    """A link may go while we work at it, and a host may have no IPv6."""
    return contextlib.suppress(OSError, NetlinkError, GuestnetError)


def _links(packet: bytes) -> Iterator[tuple[int, int, str]]:
    """Index, flags and name of each link that the kernel tells of."""
    at = 0
    while at + _HEAD.size <= len(packet):
        size, kind, *_ = _HEAD.unpack_from(packet, at)
        end = min(at + size, len(packet))
        if kind == _NEWLINK and end - at >= _HEAD.size + _INFO.size:
            family, _, index, flags, _ = _INFO.unpack_from(packet, at + _HEAD.size)
            part = at + _HEAD.size + _INFO.size
            while part + _ATTRIBUTE.size <= end and family == socket.AF_UNSPEC:
                length, what = _ATTRIBUTE.unpack_from(packet, part)
                if what == _NAME:
                    text = packet[part + _ATTRIBUTE.size : part + length].rstrip(b"\0")
                    yield index, flags, text.decode(errors="replace")
                    break
                part += max(length + 3 & ~3, _ATTRIBUTE.size)
        at += max(size + 3 & ~3, _HEAD.size)


def _lift(door: IPRoute, index: int, known: tuple[Neighbour, ...]) -> None:
    """A bridge is set up: its ports forward at once, which they would not if it spoke STP.

    What the kernel has forgotten of its neighbours it is told again: a question that goes out a moment too early is
    asked again only after a second. For others it asks with its link-local address, which it has up to a second later
    (linkwatch: events of one second together), so it gets that now."""
    door.link("set", index=index, kind="bridge", br_stp_state=0)
    door.link("set", index=index, state="up")
    with _as_far_as_it_goes():  # it may be there
        mac = door.get_links(index)[0].get_attr("IFLA_ADDRESS")
        door.addr("add", index=index, address=_link_local(mac), prefixlen=64, flags=_NO_DAD)
    for one in known:
        with _as_far_as_it_goes():
            door.neigh("replace", dst=str(one.address), lladdr=one.mac, ifindex=index, state=_STALE)


def _link_local(mac: str) -> str:
    """As the kernel makes it (RFC 4291, appendix A)."""
    parts = bytearray.fromhex(mac.replace(":", ""))
    parts[0] ^= 2
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + parts[:3] + b"\xff\xfe" + parts[3:]))


def _plug(door: IPRoute, index: int, after: Made, known: tuple[Neighbour, ...]) -> None:
    """A new bridge, which is still down, gets its ports, and is up: before it speaks STP, as `taps` says why."""
    _await_libvirt(door, index, after)
    with _as_far_as_it_goes():
        sysctl.write(f"net/ipv6/conf/{after.bridge}/accept_dad", "0")
    for tap in after.taps:
        with _as_far_as_it_goes():
            port = socket.if_nametoindex(tap)
            door.link("set", index=port, master=index)
            if tap in after.isolated:
                door.brport("set", index=port, isolated=1)
    _lift(door, index, known)
    if after.stp:
        door.link("set", index=index, kind="bridge", br_stp_state=1)
    _routes(door, "add", index, after.subnets)


def _await_libvirt(door: IPRoute, index: int, after: Made) -> None:
    """libvirt's own settings of a new bridge come next: STP, then IPv6, autoconf last (networkSetIPv6Sysctls)."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        link = door.get_links(index)[0]
        info = link.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
        autoconf = sysctl.read(f"net/ipv6/conf/{after.bridge}/autoconf")
        if bool(info.get_attr("IFLA_BR_STP_STATE")) == after.stp and autoconf != "1":
            return
        time.sleep(0.001)


def _routes(door: IPRoute, verb: str, index: int, subnets: tuple[Subnet, ...]) -> None:
    for subnet in subnets if index else ():
        with _as_far_as_it_goes():
            door.route(verb, dst=str(subnet), oif=index, scope=_SCOPE_LINK, priority=LAST)
