"""Follows a probe's packets through every rule of the host, with nftables' own trace.

The marking rules stand in a table of their own, for one 5-tuple and its answers, and go when this is done; the probes'
worker takes them away should we be killed (see act.why).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guestnet.decide.trace import OURS, REPLIES
from guestnet.host.run import Monitor, ProgramError, run

AWAY = f"table {OURS}\ndelete table {OURS}\n"
_LISTENS = 2.0  # seconds within which nft listens
_SETTLE = 0.3  # seconds: nft prints that late
_NETLINK_NETFILTER = "12"  # linux/netlink.h


def traced(
    protocol: str, source: str, target: str, port: int, act: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """What `act` answers, and the lines of the trace of the packets it sent to `target` and of what came back.

    `source` "": whichever address the host asks from.
    """
    try:
        run("nft", "-f", "-", given=_table(protocol, source, target, port))
        # It reads all rules when it starts, to name them: of one that comes later it may know the handle only.
        monitor = Monitor("nft", "monitor", "trace")
        try:
            _wait(monitor.pid)
            answer = act()
            time.sleep(_SETTLE)
        finally:
            lines = monitor.close()
    finally:
        with contextlib.suppress(ProgramError):
            run("nft", "-f", "-", given=AWAY)
    return answer, lines


def _wait(pid: int) -> None:
    """Until nft's socket is subscribed to a group of netfilter's messages; it says nothing itself."""
    last = time.monotonic() + _LISTENS
    while time.monotonic() < last:
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path("/proc/net/netlink").read_text().splitlines()[1:]]
            if any(row[1:3] == [_NETLINK_NETFILTER, str(pid)] and int(row[3], 16) for row in rows):
                return
        time.sleep(0.02)


def _table(protocol: str, source: str, target: str, port: int) -> str:
    """At -350 before all others. Of what comes back after NAT nothing but conntrack (-200) tells whose it is."""
    ip = "ip6" if ":" in target else "ip"
    # Not neighbour discovery, which is of one address with what it is for.
    icmp = "icmpv6 type != { nd-neighbor-solicit, nd-neighbor-advert }" if ip == "ip6" else "meta l4proto icmp"
    way = icmp if protocol == "icmp" else f"{protocol} dport {port}"
    back = icmp if protocol == "icmp" else f"meta l4proto {protocol}"
    first = [f"{ip} saddr {source} " if source else "", f"{ip} daddr {target} {way} meta nftrace set 1\n"]
    if source:  # whom the answer comes from is not known: from a forward's guest, before NAT is undone
        first.append(f"{ip} daddr {source} {back} meta nftrace set 1\n")
    late = f"ct direction reply {f'ct original {ip} saddr {source} ' if source else ''}ct original {ip} daddr {target} "
    late += f"{back} {'' if protocol == 'icmp' else f'ct original proto-dst {port} '}meta nftrace set 1"
    chains = [
        f"chain {name} {{\ntype filter hook {hook} priority {priority};\n{rules}\n}}"
        for name, hook, priority, rules in (
            ("prerouting", "prerouting", -350, "".join(first)),
            ("output", "output", -350, "".join(first)),
            (REPLIES, "prerouting", -199, late),
            (f"{REPLIES}_out", "output", -199, late),
        )
    ]
    return "\n".join([f"{AWAY}table {OURS} {{", *chains, "}"]) + "\n"
