"""Reads the facts of the host that decisions need. Changes nothing."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from guestnet.compile import hookdata, netxml
from guestnet.decide.desired import HOOKS, accept_ra, proxy_arp, proxy_ndp
from guestnet.decide.facts import Facts
from guestnet.decide.routers import FORWARDING
from guestnet.host import (
    chains,
    files,
    firewall,
    libvirtrules,
    listeners,
    masquerades,
    netlink,
    netlink6,
    others,
    pci,
    session,
    sysctl,
    systemd,
)
from guestnet.host.libvirt import Libvirt
from guestnet.spec.memory import Memory

_DAEMON_PIDS = ("/run/libvirtd.pid", "/run/libvirt/libvirtd.pid", "/run/virtqemud.pid", "/run/libvirt/virtqemud.pid")
_HOOKS = Path("/etc/libvirt/hooks")


def read_facts(libvirt: Libvirt, memory: Memory) -> Facts:
    ours, foreign = libvirt.networks()
    bridges = {netxml.own_bridge(xml) for network in ours.values() for xml in (network.xml, network.running) if xml}
    running = {name: one.running for name, one in ours.items() if one.running and netxml.own_bridge(one.running)}
    addresses = netlink.addresses()
    connected = dict.fromkeys((link, address.network) for link, address in addresses)
    uplinks = netlink.uplinks()
    learning = netlink.learning()
    nics = netlink.nics()
    keys = [*FORWARDING, *(accept_ra(nic) for nic in learning), *(proxy_arp(nic.name) for nic in nics), *memory.sysctls]
    keys += [proxy_ndp(name) for name in ("all", *(nic.name for nic in nics))]
    found = chains.read()
    values = {key: sysctl.read(key) for key in keys}
    return Facts(
        hostname=socket.gethostname(),
        libvirt=libvirt.version(),
        domains=libvirt.domains(),
        leases=tuple(lease for name in ours for lease in libvirt.leases(name)),
        neighbours=netlink.neighbours(bridges),
        followed=_followed(),
        uplinks=uplinks,
        learning=learning,
        learned=tuple(nic for nic, accepts in netlink6.autoconfigured().items() if accepts == "0"),
        routers6=netlink6.routers(),
        own6=netlink6.addresses(bridges),
        locked=frozenset(key for key in values if not sysctl.writable(key)),
        networks=foreign,
        nics=nics,
        pci=pci.read(),
        bridge_filter=firewall.bridge_filter(),
        subnets=tuple((link, subnet) for link, subnet in connected if link not in bridges),
        # What a guest is the gateway to is no subnet of ours
        routes=tuple(
            route
            for route in netlink.routes()
            if (route.link, route.subnet) not in connected and (route.link not in bridges or route.gateway)
        ),
        addresses=addresses,
        fading=netlink.fading(),
        own=frozenset(ours),
        settings={key: value for key, value in values.items() if value is not None},
        chains=found,
        others=others.read(found),
        masquerades=masquerades.read(found),
        strict=tuple(uplink.nic for uplink in uplinks if _strict(uplink.nic)),
        foreign_table=firewall.foreign(firewall.listing()),
        libvirt_rules=not running or libvirtrules.jumped_to(),
        libvirt_lacks=libvirtrules.lacking(running),
        listening=listeners.listening(),
        systemd=systemd.booted(),
        session=session.session(),
        sessions=session.sessions(),
        multiplexed=session.multiplexed(),
        installed=systemd.installed() or any(Path(path).exists() for path in HOOKS),
        hooks_loaded=hooks_loaded(),
    )


def _followed() -> dict[tuple[str, str], tuple[IPv4Address | IPv6Address, ...]]:
    found: dict[tuple[str, str], tuple[IPv4Address | IPv6Address, ...]] = {}
    for path in files.names(hookdata.NOW):
        file = files.read(path)
        its = hookdata.followed(file.text) if file else {}
        found |= {(Path(path).name, network): addresses for network, addresses in its.items()}
    return found


def _strict(nic: str) -> bool:
    """The kernel takes the larger of both values (Documentation/networking/ip-sysctl), and 1 is the strict one."""
    values = [sysctl.read(f"net/ipv4/conf/{name}/rp_filter") for name in ("all", nic)]
    return max(int(value or 0) for value in values) == 1


def hooks_loaded() -> bool:
    """libvirt looks for a hook, of each kind, only when it starts (libvirt 9.0, virhook.c: virHookInitialize)."""
    started = [Path(path).stat().st_mtime for path in _DAEMON_PIDS if Path(path).exists()]
    if not started:
        return True  # socket activated, not running before our own connection
    return all(_first_hook(kind) <= max(started) for kind in ("qemu", "network"))


def _first_hook(kind: str) -> float:
    """When the oldest hook of a kind came to be, in seconds since 1970; infinity when there is none."""
    paths = [_HOOKS / kind, *(_HOOKS / f"{kind}.d").glob("*")]
    return min((path.stat().st_mtime for path in paths if path.is_file()), default=float("inf"))
