"""Reads the facts of the host that decisions need. Changes nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from guestnet.decide.desired import FORWARDING, accept_ra
from guestnet.decide.facts import Facts
from guestnet.host import firewall, listeners, netlink, sysctl
from guestnet.host.libvirt import Libvirt
from guestnet.spec.memory import Memory

_DAEMON_PIDS = ("/run/libvirtd.pid", "/run/libvirt/libvirtd.pid", "/run/virtqemud.pid", "/run/libvirt/virtqemud.pid")
_HOOKS = Path("/etc/libvirt/hooks")


def read_facts(libvirt: Libvirt, memory: Memory) -> Facts:
    ours, foreign = libvirt.networks()
    bridges = {network.bridge for network in memory.networks.values() if network.bridge}
    uplinks = netlink.uplinks()
    learning = netlink.learning()
    keys = [*FORWARDING, *(accept_ra(nic) for nic in learning), *memory.sysctls]
    values = {key: sysctl.read(key) for key in keys}
    return Facts(
        hostname=socket.gethostname(),
        libvirt=libvirt.version(),
        domains=libvirt.domains(),
        leases=tuple(lease for name in ours for lease in libvirt.leases(name)),
        uplinks=uplinks,
        learning=learning,
        networks=foreign,
        bridges=frozenset(netlink.links().values()),
        subnets=tuple((link, subnet) for link, subnet in netlink.subnets() if not (ours and link in bridges)),
        settings={key: value for key, value in values.items() if value is not None},
        foreign_table=firewall.foreign(firewall.listing()),
        libvirt_rules=not any(network.running for network in ours.values()) or firewall.libvirt_rules(),
        listening=listeners.listening(),
        hooks_loaded=_hooks_loaded(),
    )


def _hooks_loaded() -> bool:
    """libvirt looks for a hook, of each kind, only when it starts (libvirt 9.0, virhook.c: virHookInitialize)."""
    started = [os.stat(path).st_mtime for path in _DAEMON_PIDS if Path(path).exists()]  # noqa: PTH116
    if not started:
        return True  # socket activated, not running before our own connection
    return all(_first_hook(kind) <= max(started) for kind in ("qemu", "network"))


def _first_hook(kind: str) -> float:
    """When the oldest hook of a kind came to be, in seconds since 1970; infinity when there is none."""
    paths = [_HOOKS / kind, *(_HOOKS / f"{kind}.d").glob("*")]
    return min((path.stat().st_mtime for path in paths if path.is_file()), default=float("inf"))
