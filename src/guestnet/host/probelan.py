"""Ends on the LAN, as guests are there: in a bridge or on a NIC, with addresses that the LAN gives them.

A lease is held by a `leasework` process, which gives it back when it is told to, and when we are gone.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from guestnet.host.probe import NIC, End, into, namespace
from guestnet.host.run import Talk, answering, run
from guestnet.words.families import IPV6

_LEASE = Path(__file__).with_name("leasework.py")
_MAC = "02:70:72"  # locally administered (IEEE 802, section 8.4), and then "pr", as in probe
# As a guest: an address out of a router's advertisement, and made of the MAC so that nothing is kept of it.
_AS_GUEST = {"forwarding": 0, "autoconf": 1, "addr_gen_mode": 0, "use_tempaddr": 0}
# Seconds. Checking an address takes one, twice (RFC 4862), and routers answer at once or within 3 (RFC 4861)
_ADVERTISED = 7.0
# Until anybody is offered an address, and then until the next: dnsmasq pings one for 3 s before it offers it, and hears
# nobody else meanwhile.
_OFFERED, _FURTHER = 9.0, 6.0


def in_bridge(link: str, bridge: str, *, isolated: bool, asks: bool) -> End:
    """`link` is the NIC's name on the host. asks: whether it takes addresses of the LAN, see `ask`."""
    end, mac = namespace(link), _mac()
    try:
        # A bridge takes the lowest of its ports' MACs and MTUs, if nobody gave it one: the host's own must stay as it
        # is. So libvirt does with guests' taps.
        mtu = Path("/sys/class/net", bridge, "mtu").read_text().strip()
        pair = ["ip", "link", "add", link, "address", f"fe{mac[2:]}", "mtu", mtu, "type", "veth"]
        run(*pair, "peer", "name", NIC, "address", mac, "mtu", mtu, "netns", str(end.talk.pid))
        _up(end, asks=asks)
        into(link, bridge, isolated=isolated)
    except BaseException:
        end.close()
        raise
    return end


def on_nic(nic: str, mode: str, *, asks: bool) -> End:
    """A macvlan, which is to the kernel what a macvtap is. mode: bridge, vepa, private."""
    end = namespace(NIC)
    try:
        made = ["ip", "link", "add", "link", nic, "name", NIC, "address", _mac(), "netns", str(end.talk.pid)]
        run(*made, "type", "macvlan", "mode", mode)
        _up(end, asks=asks)
    except BaseException:
        end.close()
        raise
    return end


def _mac() -> str:
    return _MAC + "".join(f":{random.SystemRandom().getrandbits(8):02x}" for _ in range(3))


def _up(end: End, *, asks: bool) -> None:
    settings = [f"net.ipv6.conf.{NIC}.{key}={value}" for key, value in _AS_GUEST.items()]
    # Without a route to them, as before it has an address, the filter would drop the answers of DHCP servers.
    settings += [f"net.ipv4.conf.{name}.rp_filter=0" for name in ("all", NIC)]
    end.inside("sysctl", "-qw", *settings, f"net.ipv6.conf.{NIC}.accept_ra={int(asks)}")
    end.inside("ip", "-batch", "-", given=f"link set lo up\nlink set {NIC} up\n")


def ask(end: End) -> None:
    """Ask the LAN for addresses; at once, and in the background."""
    end.lease = Talk("nsenter", "-t", str(end.talk.pid), "-n", "--", sys.executable, "-ISE", str(_LEASE), NIC)


def take(ends: list[End]) -> None:
    """Wait for what the LAN gives those that asked, and for link-local addresses of all."""
    began = time.monotonic()
    _await_leases([end for end in ends if end.lease])
    for end in ends:
        # Only now: a question from a link-local address would not be one of a machine that has none (RFC 2131).
        end.near[4] = f"169.254.{random.SystemRandom().randint(1, 254)}.{random.SystemRandom().randint(0, 255)}"
        end.inside("ip", "addr", "add", f"{end.near[4]}/16", "dev", NIC, "scope", "link")
    while True:
        for end in ends:
            _look(end)
        if all(_complete(end) for end in ends) or time.monotonic() > began + _ADVERTISED:
            return
        time.sleep(0.2)


def _await_leases(ends: list[End]) -> None:
    """Until all have answered, or none has for some time: then they are told that it is enough."""
    waiting, wait = {end.lease: end for end in ends if end.lease}, _OFFERED
    while waiting:
        ready = answering(waiting, wait)
        for one in () if ready else waiting:
            one.give("\n")
        for one in ready or list(waiting):
            given = one.hear()
            if "address" in given:
                _learn(waiting.pop(one), 4, given["address"].partition("/")[0], given["router"])
        wait = _FURTHER


def _learn(end: End, family: int, address: str, router: str) -> None:
    if address:
        end.addresses[family] = address
    if router:
        end.routers[family] = router


def _complete(end: End) -> bool:
    return IPV6 in end.near and (end.lease is None or (IPV6 in end.addresses and IPV6 in end.routers))


def _look(end: End) -> None:
    """Which IPv6 addresses are its own by now, and its router's."""
    for entry in _read(end, "addr", "show", "dev", NIC):
        for one in entry.get("addr_info", ()):
            if one.get("tentative") or one.get("dadfailed"):
                continue
            if one.get("scope") == "link":
                end.near[6] = f"{one['local']}%{NIC}"
            else:
                _learn(end, 6, one["local"], "")
    for route in _read(end, "route", "show", "default"):
        gateway = route.get("gateway", "")
        _learn(end, 6, "", f"{gateway}%{NIC}" if gateway.startswith("fe80:") else gateway)


def _read(end: End, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with contextlib.suppress(ValueError):
        found = json.loads(end.inside("ip", "-j", "-6", *words) or "[]")
    return found
