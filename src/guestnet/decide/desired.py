"""From the desired world and the facts of the host to the desired state. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from guestnet.compile import (
    bridge,
    dhcp,
    hookdata,
    hookfront,
    loopback,
    ndp,
    netxml,
    ruleset,
    sysctl,
    translation,
    unit,
)
from guestnet.decide import admit, whereabouts, whole
from guestnet.decide.facts import Facts
from guestnet.decide.routers import FORWARDING, needed
from guestnet.decide.state import Bridge, File, Folder, Key, Ndp, Network, Proxy, Setting, State, Table, Thing, Unit
from guestnet.spec.memory import Memory, to_text
from guestnet.spec.world import Guest, World

MEMORY = "/var/lib/guestnet/memory.json"
ADMIT_FILE = f"{hookdata.FOLDER}/admit"
HOOKS = ("/etc/libvirt/hooks/qemu.d/50-guestnet", "/etc/libvirt/hooks/network.d/50-guestnet")


def settings(world: World, facts: Facts, memory: Memory) -> dict[str, str]:
    """The sysctls a world needs, in the order to set them.

    accept_ra=2 comes before forwarding: with forwarding on, the kernel drops a default route it learned from a router
    advertisement at once unless accept_ra is 2 (Documentation/networking/ip-sysctl), and the host has lost its own
    IPv6. `all.accept_ra` does not change NICs that exist, so each is named. `default` is left alone: with 2 there, each
    new bridge of the host would take a default route from whatever its guests or containers advertise. A NIC once named
    stays named while it exists: a router that is silent today must not cost the host its route tomorrow.
    """
    wanted: dict[str, str] = {}
    routers = [network for network in world.networks if network.mode != "isolated"]
    v6 = any(network.v6 for network in routers)
    names = {accept_ra(nic) for nic in facts.learning}
    names |= {key for key in memory.sysctls if key.endswith("/accept_ra") and key in facts.settings}
    if v6:
        wanted |= dict.fromkeys(sorted(names), "2")
    if any(network.v4 for network in routers):
        wanted["net/ipv4/ip_forward"] = "1"
    if v6:
        wanted["net/ipv6/conf/all/forwarding"] = "1"
    # On `all` too: by that the kernel looks for proxied addresses in what it forwards (ip6_forward), and so answers the
    # unicast solicitations by which a router makes sure of a neighbour that it knows already. Without it those go to
    # the guest, which ignores them (hop limit), and the router forgets it: 15 s and more without answers each time.
    nics = {side.outside.nic for network in routers if (side := network.v6) and side.outside and side.outside.nic}
    wanted |= dict.fromkeys((proxy_ndp(nic) for nic in (*sorted(nics), *(["all"] if nics else []))), "1")
    # The upstream router asks for guests' addresses as if they were on its own link, and the host answers.
    return wanted | {proxy_arp(network.uplink): "1" for network in routers if network.proxy_arp and network.uplink}


def proxy_arp(nic: str) -> str:
    return f"net/ipv4/conf/{nic}/proxy_arp"


def proxy_ndp(nic: str) -> str:
    return f"net/ipv6/conf/{nic}/proxy_ndp"


def accept_ra(nic: str) -> str:
    return f"net/ipv6/conf/{nic}/accept_ra"


def desired_state(world: World, facts: Facts, memory: Memory, hook: str, let_in: str = "") -> tuple[State, Memory]:
    """The state to have, and the memory that goes with it (it remembers the sysctls as they were before us).

    `hook` is the hook's program text, `let_in` that of what it starts. The listing in `Table` is still source text: the
    host's nft knows its own normal form, so `host.observe` brings both sides into it.
    """
    world = whole.outwards(world, facts)
    wanted = settings(world, facts, memory)
    given_back = _given_back(wanted, facts, memory)
    before = {key: memory.sysctls.get(key, facts.settings.get(key, "")) for key in wanted}
    kept = {key: value for key, value in memory.sysctls.items() if key in facts.settings and key not in given_back}
    memory = replace(memory, sysctls=kept | before)
    state: dict[Key, Thing] = {Key("memory", MEMORY): File(to_text(memory))}
    if world.networks:
        table = ruleset.table(world)
        state |= _files(world, wanted, table)
        state[Key("hookdata", hookdata.LET_IN)] = File(let_in)
        state |= in_force(world, facts, table)
        state |= admit.admits(world, facts, memory)
        state[Key("hookdata", ADMIT_FILE)] = File(admit.hook_file(world, memory))
    state |= _loopback(world, facts)
    for lan in world.lans:
        xml = netxml.canonical(netxml.lan_xml(lan))
        state[Key("network", lan.name)] = Network(xml, xml, lan.autostart)
        if lan.bridge and lan.interface and lan.mac:
            state[Key("bridge", lan.bridge)] = Bridge(lan.interface, lan.mac, lan.stp, lan.mtu)
    if any(lan.bridge and lan.interface for lan in world.lans):
        state[Key("hookdata", hookdata.BRIDGES)] = File(bridge.hook_file(world.lans))
    if world.networks or world.lans or facts.installed:
        state |= standing(hook, systemd=facts.systemd)
    state |= {Key("setting", key): Setting(value) for key, value in (wanted | given_back).items()}
    for network in world.networks:
        xml = netxml.canonical(netxml.network_xml(network))
        state[Key("network", network.name)] = Network(xml, xml, network.autostart)
    return state, memory


def _given_back(wanted: Mapping[str, str], facts: Facts, memory: Memory) -> dict[str, str]:
    """What we once set and no longer need, with the value it had before us; forwarding before accept_ra."""
    keys = [key for key in memory.sysctls if key not in wanted and key in facts.settings and not needed(key, facts)]
    return {key: memory.sysctls[key] for key in sorted(keys, key=lambda key: key not in FORWARDING)}


def standing(hook: str, *, systemd: bool) -> dict[Key, Thing]:
    """What belongs to the host, not to the file's networks: the hooks, and the unit where systemd runs. It comes with
    `guestnet setup` or the first network, and stays without networks, until `guestnet setup --remove` or destroy:
    otherwise libvirt would have to be restarted again for the next first network."""
    state: dict[Key, Thing] = {Key("hook", path): File(hookfront.text(), 0o755) for path in HOOKS}
    state[Key("program", hookfront.PROGRAM)] = File(hook)
    if systemd:
        state[Key("unit", unit.NAME)] = Unit(unit.text(HOOKS[0]))
    return state


def _loopback(world: World, facts: Facts) -> dict[Key, Thing]:
    """What forwards need that serve the host's own 127.0.0.1 and ::1."""
    bridges = loopback.bridges(world)
    state: dict[Key, Thing] = {Key("localnet", localnet(bridge)): Setting("1") for bridge in bridges}
    if bridges:
        state[Key("hookdata", f"{hookdata.FOLDER}/{loopback.LOCALNETS}")] = File("".join(f"{one}\n" for one in bridges))
    if facts.systemd:
        state |= {Key("proxy", name): Proxy(*texts) for name, texts in loopback.units(world).items()}
    return state


def localnet(bridge: str) -> str:
    return f"net/ipv4/conf/{bridge}/route_localnet"


def _files(world: World, wanted: Mapping[str, str], table: str) -> dict[Key, Thing]:
    state: dict[Key, Thing] = {}
    if wanted:
        state[Key("sysctl.d", sysctl.FILE)] = File(sysctl.conf(wanted))
    state[Key("hookdata", hookdata.TABLE_FILE)] = File(table)
    shared = ndp.hook_file(world.networks)
    if shared:
        state[Key("hookdata", ndp.FILE)] = File(shared)
    for network in world.networks:
        state[Key("folder", dhcp.hosts_folder(network.name))] = Folder()
    for guest in world.guests:
        name = dhcp.file_name(guest.name)
        state[Key("hookdata", f"{hookdata.GUESTS}/{name}")] = File(hookdata.guest_file(guest))
        for nic in guest.nics:
            if nic.mac and (nic.ipv4 or nic.reserved6):
                path = f"{dhcp.hosts_folder(nic.network)}/{name}"
                state[Key("reservation", path)] = File(dhcp.line(nic.mac, nic.ipv4, nic.reserved6, guest.name))
    return state


def _running(guests: tuple[Guest, ...], facts: Facts) -> tuple[Guest, ...]:
    running = {domain.name for domain in facts.domains if domain.running}
    return tuple(guest for guest in guests if guest.name in running)


def _followed(world: World, facts: Facts) -> dict[Key, Thing]:
    """For the hook: of guests that have another address than they are to have. Of one that is off, what it had: it has
    that again when libvirt restores it from a saved state, and at any other start the hook forgets it."""
    state: dict[Key, Thing] = {}
    running = {guest.name for guest in _running(world.guests, facts)}
    for guest in world.guests:
        has = whereabouts.elsewhere(guest, facts, running=guest.name in running)
        if has:
            text = hookdata.now_file(guest, has, whereabouts.led(guest, has))
            state[Key("hookdata", f"{hookdata.NOW}/{dhcp.file_name(guest.name)}")] = File(text)
    return state


def in_force(world: World, facts: Facts, table: str | None) -> dict[Key, Thing]:
    """What follows the guests as they start, stop and move, whatever else changes: the forwards of those that run, to
    the address that each has now, in the table of that text (None: there is none); what is translated and answered for
    on the uplink; what the hook is to know of addresses that are others."""
    if not world.networks:
        return {} if table is None else {Key("table", "guestnet"): Table(table)}
    world = whole.outwards(world, facts)
    running = _running(world.guests, facts)
    state = _followed(world, facts) | {Key("ndp", entry): Ndp() for guest in running for entry in ndp.entries(guest)}
    if table is None:
        return state
    prefixes = translation.elements(world.networks, running)
    return state | {
        Key("table", "guestnet"): Table(table, running_elements(world.guests, facts), tuple(prefixes.items()))
    }


def follows(key: Key) -> bool:
    """Whether it comes and goes with guests as `in_force` has it, but for the table."""
    return key.kind == "ndp" or (key.kind == "hookdata" and key.name.startswith(f"{hookdata.NOW}/"))


def running_elements(guests: tuple[Guest, ...], facts: Facts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The forwards in force: those of guests that run, to the address that each has now."""
    merged = ruleset.merge(
        ruleset.elements(whereabouts.led(guest, whereabouts.elsewhere(guest, facts)))
        for guest in _running(guests, facts)
    )
    return tuple(merged.items())
