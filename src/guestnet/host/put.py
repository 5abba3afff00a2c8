"""Puts one thing of the state in place: the single way in which anything of ours comes, changes or goes."""

from __future__ import annotations

from guestnet.decide import acceptra
from guestnet.decide.routers import FORWARDING
from guestnet.decide.state import (
    Admit,
    Bridge,
    Change,
    File,
    Folder,
    Link,
    Network,
    Prefer,
    Proxy,
    Setting,
    Table,
    Thing,
    Unit,
)
from guestnet.host import (
    bridge,
    chains,
    dnsmasq,
    files,
    firewall,
    neighbours,
    netlink6,
    preferences,
    proxies,
    sysctl,
    systemd,
)
from guestnet.host.libvirt import Libvirt
from guestnet.host.lock import rules_lock
from guestnet.words.problems import GuestnetError


def put(libvirt: Libvirt, change: Change) -> None:
    """Makes `change.key` what `change.after` says. Doing it again changes nothing more, so that it can be repeated
    after a crash. Raises GuestnetError with the reason when it can't."""
    name, before, after = change.key.name, change.before, change.after
    match change.key.kind:
        case "network":
            libvirt.put_network(
                name, before if isinstance(before, Network) else None, after if isinstance(after, Network) else None
            )
        case "bridge":
            bridge.put_bridge(name, after if isinstance(after, Bridge) else None)
        case "prefer":
            preferences.put(libvirt, name, after if isinstance(after, Prefer) else None)
        case _:
            put_locally(change)


def put_locally(change: Change) -> None:
    """As `put`, for everything but networks and their bridges; needs no libvirt."""
    kind, name = change.key
    before, after = change.before, change.after
    match kind:
        case "folder":
            files.make_folder(name) if isinstance(after, Folder) else files.remove_folder(name)
        case "setting" | "localnet":
            if isinstance(after, Setting) or kind == "localnet":
                _set(name, after.value if isinstance(after, Setting) else "0")
        case "table" | "admit" | "ndp":
            with rules_lock():
                _put_rules(kind, name, before, after)
        case "proxy":
            proxies.put(name, after if isinstance(after, Proxy) else None)
        case "unit":
            systemd.put_unit(after if isinstance(after, Unit) else None)
        case "link":
            files.link(name, after.target) if isinstance(after, Link) else files.remove(name)
        case "reservation":
            files.write(name, after) if isinstance(after, File) else files.remove(name)
            dnsmasq.reread(name)
        case _ if isinstance(after, File):
            # A hook's time says since when libvirt could see one there: see host.facts.
            files.write(name, after, keep_time=kind == "hook")
        case _:
            files.remove(name)


def _set(key: str, value: str) -> None:
    """Forwarding of IPv6 is not turned on where that would cost the host its own, whatever the plan has seen: the
    kernel says no word about it."""
    now = sysctl.read(key)
    if now == value:
        return  # also where it could not be written
    if key == FORWARDING[1] and now == "0":
        for nic, accepts in netlink6.autoconfigured().items():
            if accepts != "2":
                raise GuestnetError(*acceptra.flushed(nic, accepts))
    sysctl.write(key, value)


def _put_rules(kind: str, name: str, before: Thing | None, after: Thing | None) -> None:
    if kind == "ndp":
        neighbours.answer(name, there=after is not None)
    elif kind == "admit":
        if name in firewall.PROGRAMS:
            firewall.put_admit(name, after if isinstance(after, Admit) else None)
        else:
            chains.put(name, after if isinstance(after, Admit) else None)
    else:
        firewall.put_table(before if isinstance(before, Table) else None, after if isinstance(after, Table) else None)
