"""The door to bridges of our own: Linux bridges over one NIC each, for networks whose guests are on the LAN."""

from __future__ import annotations

import contextlib

from guestnet.compile import bridge
from guestnet.decide.state import Bridge
from guestnet.host import netlink, sysctl
from guestnet.host.run import run
from guestnet.words.problems import GuestnetError


def put_bridge(name: str, after: Bridge | None) -> None:
    """Makes the bridge what `after` says, None: not there. Guests that are plugged in stay so through a change."""
    there = netlink.our_bridges().get(name)
    if after is None:
        if there is not None:
            run("ip", "link", "set", name, "down")
            run("ip", "link", "delete", name, "type", "bridge")
            if there.port:
                run("ip", "link", "set", there.port, "down")
                with contextlib.suppress(GuestnetError):
                    sysctl.write(bridge.silent(there.port), "0")
        return
    text = bridge.lines(name, after.port, after.mac, stp=after.stp, mtu=after.mtu)
    if there is None:
        run("ip", "-batch", "-", given="\n".join(bridge.new(name, after.port)) + "\n")
    for link in (name, after.port):
        with contextlib.suppress(GuestnetError):  # no IPv6 at all on this host
            sysctl.write(bridge.silent(link), "1")
    if there is not None and there.port not in ("", after.port):
        text.insert(0, f"link set {there.port} nomaster")
    run("ip", "-batch", "-", given="\n".join(text) + "\n")
