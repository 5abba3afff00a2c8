"""Whether IPv6 packets of the host get out: an answer of any kind from its gateway, or from those who are named."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from guestnet.host import probe
from guestnet.host.run import ProgramError, run

_PATIENCE = 2.0  # seconds, for all at once
_PORTS = (53, 80, 443)  # what hosts with a name mostly serve; a refusal is an answer, too
_HEARD = ("answered", "refused")


def silent(addresses: Iterable[str] = ()) -> str:
    """Why not, "" when they do. Without addresses the gateway is asked; one on a point-to-point link has none to ask.
    Raises GuestnetError."""
    routes = _defaults()
    if not routes:
        return "the host has no IPv6 default route"
    whom = list(addresses)
    asked = whom or [
        f"{gateway}%{nic}" if gateway.startswith("fe80:") else gateway for gateway, nic in routes if gateway
    ]
    if not asked:
        return ""
    here = probe.here()
    try:
        orders = [order for one in asked for order in _orders(one, ports=bool(whom))]
        heard = here.ask(orders)
    finally:
        here.close()
    if any(one["outcome"] in _HEARD for one in heard) or (not whom and _neighbour(routes)):
        return ""
    return f"no answer over IPv6 comes back to the host from {'' if whom else 'its gateway '}{', '.join(asked)}"


def _orders(address: str, *, ports: bool) -> list[dict[str, Any]]:
    ping = {"protocol": "icmp", "to": address, "port": 0, "timeout": _PATIENCE, "tries": 2}
    knocks = [{"protocol": "tcp", "to": address, "port": port, "timeout": _PATIENCE} for port in _PORTS]
    return [ping, *(knocks if ports else [])]


def _defaults() -> list[tuple[str, str]]:
    """(gateway or "", NIC) of each default route."""
    found = []
    for route in json.loads(run("ip", "-j", "-6", "route", "show", "default") or "[]"):
        for hop in route.get("nexthops", [route]):
            found.append((hop.get("gateway", ""), hop.get("dev", "")))
    return found


def _neighbour(routes: list[tuple[str, str]]) -> bool:
    """A gateway may answer no pings; that it answers for its address on the link shows after one."""
    for gateway, nic in routes:
        with contextlib.suppress(ProgramError, ValueError):
            entries = json.loads(run("ip", "-j", "-6", "neigh", "show", gateway, "dev", nic) or "[]")
            if any({"REACHABLE", "DELAY", "PROBE"} & set(entry.get("state", [])) for entry in entries):
                return True
    return False
