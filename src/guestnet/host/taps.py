"""The door to taps: running guests' ends of their NICs go back into the bridge of a network that was made anew."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from guestnet.host import netlink, sysctl
from guestnet.host.run import ProgramError, run
from guestnet.words.problems import GuestnetError


def plug(bridge: str, taps: Collection[str], isolated: Collection[str], *, stp: bool) -> None:
    """Taps that are elsewhere go into the bridge, at once; `isolated` ones of them do not reach each other there.

    `stp`: the bridge is libvirt's, and speaks it. A port would then wait 4 s before it forwards (two times the forward
    delay, at least 2 s: br_stp_start in the kernel), as one that is there before the bridge speaks it does not. In a
    new bridge the host's own IPv6 address would wait up to 2 s for duplicate address detection, which begins with the
    first port.
    """
    masters = netlink.masters()
    out = [tap for tap in taps if masters.get(tap) != bridge]
    if bridge not in masters.values():
        with contextlib.suppress(GuestnetError):  # no IPv6 on this host
            sysctl.write(f"net/ipv6/conf/{bridge}/accept_dad", "0")
    lines = [f"link set {tap} master {bridge}" for tap in out]
    if lines and stp:
        lines = [f"link set {bridge} type bridge stp_state 0", *lines, f"link set {bridge} type bridge stp_state 1"]
    lines += [f"link set {tap} type bridge_slave isolated on" for tap in taps if tap in isolated]
    if lines:
        with contextlib.suppress(ProgramError):  # a guest, and its tap, may go meanwhile; -force goes on then
            run("ip", "-force", "-batch", "-", given="\n".join(lines) + "\n")
