"""Reads what is ours on the host, in the normal form of `decide.state`. Changes nothing."""

from __future__ import annotations

from dataclasses import replace

from guestnet.compile import dhcp, hookdata, hookfront, loopback, ndp, netxml, unit
from guestnet.compile import sysctl as sysctl_file
from guestnet.decide.desired import ADMIT_FILE, HOOKS, MEMORY, localnet
from guestnet.decide.state import (
    APPLIED,
    SOURCE,
    Admit,
    File,
    Folder,
    Key,
    Ndp,
    Network,
    Setting,
    State,
    Table,
    Thing,
    keys_of,
)
from guestnet.host import bridges, chains, files, firewall, neighbours, netlink, proxies, sysctl, systemd
from guestnet.host.libvirt import Libvirt, isolated


def normal_form(desired: State) -> dict[Key, Thing]:
    """The desired state with what is ours in the firewall as this host's nft prints it, so that both sides can be
    compared."""
    admits = {key.name: thing.rules for key, thing in desired.items() if isinstance(thing, Admit)}
    rules = {name: some for name, some in admits.items() if some and name not in firewall.PROGRAMS}
    printed = chains.normal(rules) if rules else {}
    desired = {key: printed.get(key.name, thing) if key.kind == "admit" else thing for key, thing in desired.items()}
    return {
        key: replace(thing, listing=firewall.normal(thing.listing)) if isinstance(thing, Table) else thing
        for key, thing in desired.items()
    }


def observe(libvirt: Libvirt, desired: State) -> dict[Key, Thing]:
    """Everything of ours that is there. `desired` only says which sysctls to look at."""
    live: dict[Key, Thing] = {}
    _add_files(live, "memory", [MEMORY, APPLIED, SOURCE])
    _add_files(live, "sysctl.d", [sysctl_file.FILE])
    for key in keys_of(desired, "setting"):
        value = sysctl.read(key.name)
        if value is not None:
            live[key] = Setting(value)
    for folder in files.folders(dhcp.FOLDERS):
        live[Key("folder", folder)] = Folder(files.mode(folder))
        _add_files(live, "reservation", files.names(folder))
    others = [hookdata.TABLE_FILE, hookdata.LET_IN, hookdata.BRIDGES, ADMIT_FILE]
    others += [f"{hookdata.FOLDER}/{loopback.LOCALNETS}", ndp.FILE]
    _add_files(live, "hookdata", [*others, *files.names(hookdata.GUESTS), *files.names(hookdata.NOW)])
    live |= observe_standing()
    listing = firewall.listing()
    if listing is not None and not firewall.foreign(listing):
        live[Key("table", "guestnet")] = Table(listing, firewall.elements(), firewall.prefixes(listing))
    live |= {Key("bridge", name): bridge for name, bridge in netlink.our_bridges().items()}
    live |= _networks(libvirt)
    live |= {Key("ndp", entry): Ndp() for entry in neighbours.proxied()}
    live |= {Key("proxy", name): proxy for name, proxy in proxies.read().items()}
    running = [thing.running for thing in live.values() if isinstance(thing, Network) and thing.running]
    for path in [localnet(bridge) for bridge in map(netxml.own_bridge, running) if bridge]:
        if sysctl.read(path) == "1":
            live[Key("localnet", path)] = Setting("1")
    admits = {program: firewall.admitted(program) for program in firewall.PROGRAMS}
    live |= {Key("admit", program): found for program, found in admits.items() if found}
    live |= {Key("admit", name): found for name, found in chains.admitted().items()}
    return live


def observe_standing() -> dict[Key, Thing]:
    """The hooks and the unit. Needs no libvirt."""
    live: dict[Key, Thing] = {}
    _add_files(live, "hook", HOOKS)
    _add_files(live, "program", [hookfront.PROGRAM])
    found = systemd.read_unit()
    return live if found is None else live | {Key("unit", unit.NAME): found}


def _networks(libvirt: Libvirt) -> dict[Key, Thing]:
    networks, _ = libvirt.networks()
    masters, taps = (netlink.masters(), libvirt.taps()) if networks else ({}, ())
    found: dict[Key, Thing] = {}
    for name, network in networks.items():
        bridge = netxml.bridge(network.running) if network.running else ""
        mine = [tap for tap in taps if bridge and tap.belongs(name, bridge)]
        out = sorted(tap.device for tap in mine if masters.get(tap.device) != bridge)
        recorded = libvirt.recorded(name) if mine else set()
        lost = sorted(tap.device for tap in mine if tap.network == name and tap.port and tap.port not in recorded)
        wrong = [one.what for one in bridges.wrong(name, network.running, isolated(mine, name, network.running))]
        found[Key("network", name)] = replace(network, unplugged=tuple(out), unrecorded=tuple(lost), wrong=tuple(wrong))
    return found


def _add_files(live: dict[Key, Thing], kind: str, paths: tuple[str, ...] | list[str]) -> None:
    found: dict[Key, File | None] = {Key(kind, path): files.read(path) for path in paths}
    live |= {key: file for key, file in found.items() if file is not None}
