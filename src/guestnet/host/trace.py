"""Follows a probe's packets through every rule of the host, with nftables' own trace.

The marking rules stand in a table of their own, for one 5-tuple and its answers, and go when this is done; the probes'
worker takes them away should we be killed (see act.measure).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from guestnet.decide.trace import OURS
from guestnet.host.run import Monitor, ProgramError, run

AWAY = f"table {OURS}\ndelete table {OURS}\n"
_SETTLE = 0.3  # seconds: nft listens that soon, and prints that late


def traced(
    protocol: str, source: str, target: str, port: int, act: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """What `act` answers, and the lines of the trace of the packets it sent to `target` and of what came back.

    `source` "": whichever address the host asks from.
    """
    rules = _rules(protocol, source, target, port)
    chains = [
        f"chain {hook} {{\ntype filter hook {hook} priority -350;\n{rules}\n}}" for hook in ("prerouting", "output")
    ]
    monitor = Monitor("nft", "monitor", "trace")
    try:
        run("nft", "-f", "-", given="\n".join([f"{AWAY}table {OURS} {{", *chains, "}"]) + "\n")
        time.sleep(_SETTLE)
        answer = act()
        time.sleep(_SETTLE)
    finally:
        lines = monitor.close()
        with contextlib.suppress(ProgramError):
            run("nft", "-f", "-", given=AWAY)
    return answer, lines


def _rules(protocol: str, source: str, target: str, port: int) -> str:
    ip = "ip6" if ":" in target else "ip"
    icmp = protocol == "icmp"
    way = "meta l4proto { icmp, ipv6-icmp }" if icmp else f"{protocol} dport {port}"
    back = "meta l4proto { icmp, ipv6-icmp }" if icmp else f"meta l4proto {protocol}"
    there = f"{ip} saddr {source} " if source else ""
    # What comes back may come from another address: a forward's guest, before NAT is undone.
    to = f"{ip} daddr {source}" if source else f"{ip} saddr {target}"
    return f"{there}{ip} daddr {target} {way} meta nftrace set 1\n{to} {back} meta nftrace set 1"
