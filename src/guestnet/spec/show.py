"""The file as it is understood: every default and every remembered value written out, as YAML that loads again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from guestnet.spec import forwards, models, world
from guestnet.spec.document import core_scalar
from guestnet.words.addresses import network_text
from guestnet.words.ports import WHOLE, PortRange

Value = str | int | bool | list["Value"] | dict[str, "Value"]

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_./:+-]|(?<!:) )*[A-Za-z0-9_]|[A-Za-z0-9]", re.ASCII)
_TRUTH_ELSEWHERE = ("y", "n", "yes", "no", "on", "off")  # to readers of YAML 1.1


def show(spec: models.Spec, desired: world.World) -> str:
    """YAML that loads to the same world, with no memory needed. `desired` is what `spec` resolved to."""
    return "".join(f"{line}\n" for line in _lines(_document(spec, desired)))


def applied(spec: models.Spec, desired: world.World) -> str:
    """The same as JSON, and only what the host is made of: no descriptions, no forwards that are switched off."""
    guests = {
        name: guest.model_copy(
            update={
                "forwards": tuple(one.model_copy(update={"description": ""}) for one in guest.forwards if one.enabled)
            }
        )
        for name, guest in spec.guests.items()
    }
    return json.dumps(_document(spec.model_copy(update={"guests": guests}), desired), indent=1) + "\n"


def _document(spec: models.Spec, desired: world.World) -> dict[str, Value]:
    document: dict[str, Value] = {
        "networks": dict(
            sorted(
                [
                    *((network.name, _network(network, spec.networks[network.name])) for network in desired.networks),
                    *((lan.name, _lan(lan)) for lan in desired.lans),
                ]
            )
        ),
        "guests": {guest.name: _guest(spec.guests[guest.name], guest) for guest in desired.guests},
    }
    if not document["guests"]:
        del document["guests"]
    return document


def _network(network: world.Network, written: models.Network) -> Value:
    shown: dict[str, Value] = {
        "mode": network.mode,
        "bridge": network.bridge,
        "mac": network.mac,
        "ipv4": _side(network.v4),
        "ipv6": _side6(network.v6, written.ipv6),
        "autostart": network.autostart,
        "stp": network.stp,
    }
    if network.mode == "nat":
        ports: dict[str, Value] = {"ports": str(network.nat_ports)} if network.nat_ports else {}
        shown["nat"] = {"ipv6": network.nat6, **ports}
    if network.mode != "isolated":
        shown["inbound"] = {f"ipv{family}": "open" if family in network.open else "closed" for family in (4, 6)}
    shown |= {"host_access": network.host_access, "guest_isolation": network.guest_isolation}
    if written.egress.deny:
        shown["egress"] = {"deny": [_denied(item) for item in written.egress.deny]}
    for key in ("uplink", "domain", "mtu"):
        value = getattr(network, key)
        if value is not None:
            shown[key] = value
    if network.proxy_arp:
        shown["proxy_arp"] = True
    if network.routes:
        shown["routes"] = [{"to": network_text(to), "via": str(via)} for to, via in network.routes]
    if network.forwarders or network.hosts:
        shown["dns"] = _dns(network)
    if network.bandwidth:
        shown["bandwidth"] = {side: dict(rate) for side, rate in network.bandwidth}
    return shown


def _denied(item: forwards.Source | str) -> str:
    return item if isinstance(item, str) else network_text(item)


def _dns(network: world.Network) -> dict[str, Value]:
    shown: dict[str, Value] = {}
    if network.forwarders:
        shown["forwarders"] = [str(server) for server in network.forwarders]
    if network.hosts:
        hosts: dict[str, list[Value]] = {}
        for name, address in network.hosts:
            hosts.setdefault(name, []).append(str(address))
        shown["hosts"] = dict(hosts)
    return shown


def _lan(lan: world.Lan) -> Value:
    known: dict[str, Value | None] = {"mode": lan.mode, "bridge": lan.bridge, "interface": lan.interface}
    if lan.mac:
        known |= {"mac": lan.mac, "stp": lan.stp, "mtu": lan.mtu}
    if lan.bridge:
        known["guest_isolation"] = lan.guest_isolation
    elif lan.mode == "macvtap":
        known["macvtap"] = lan.macvtap
    else:
        chosen: dict[str, tuple[str, ...]] = {"devices": lan.devices, "interfaces": lan.interfaces}
        known |= {"pf": lan.pf, **{key: list(one) for key, one in chosen.items() if one}, "vlan": lan.vlan}
    return {key: value for key, value in known.items() if value is not None} | {"autostart": lan.autostart}


def _side(side: world.Side4 | world.Side6 | None) -> Value:
    if side is None:
        return "none"
    shown: dict[str, Value] = {"address": str(side.host), "dhcp": side.pool is not None}
    if side.pool:
        shown["ranges"] = [f"{side.pool[0]}-{side.pool[1]}"]
    if side.lease is not None:
        shown["lease"] = side.lease
    return shown


def _side6(side: world.Side6 | None, written: models.Side6) -> Value:
    shown = _side(side)
    if isinstance(shown, dict) and written.prefix is not None:
        shown["prefix"] = str(written.prefix)
        if written.ndp_proxy:
            shown["ndp_proxy"] = True
    return shown


def _guest(written: models.Guest, guest: world.Guest) -> Value:
    nics = [_nic(nic) for nic in guest.nics]
    shown: dict[str, Value] = {"nics": [*nics]} if written.nics else dict(nics[0]) if nics else {}
    if guest.prefer6:
        shown["prefer_ipv6"] = True
    if written.forwards:
        shown["forwards"] = [_forward(forward) for forward in written.forwards]
    return shown


def _nic(nic: world.Nic) -> dict[str, Value]:
    mac = nic.mac if nic.written else None  # libvirt's own is read anew: written down it would be the file's
    values = {"network": nic.network, "mac": mac, "ipv4": nic.ipv4, "ipv6": nic.ipv6}
    return {key: str(value) for key, value in values.items() if value is not None}


def _forward(forward: models.Forward) -> Value:
    """The short form where it says everything, else the long one."""
    more: dict[str, Value] = {}
    if forward.family != "both":
        more["family"] = forward.family
    if forward.sources:
        more["from"] = [network_text(source) for source in forward.sources]
    if forward.network is not None:
        more["network"] = forward.network
    if forward.loopback:
        more["loopback"] = True
    if not forward.enabled:
        more["enabled"] = False
    if forward.description:
        more["description"] = forward.description
    if not more and len(forward.listen) < 2:  # noqa: PLR2004  one has a short form
        short = str(forwards.Short(forward.listeners[0], forward.ports, forward.target, forward.protocol))
        return int(short) if short.isdigit() else short
    listen: list[Value] = [str(address) for address in forward.listen] or ["any"]
    ports: dict[str, Value] = {"ports": _ports(forward.ports), "to": _ports(forward.target)}
    long = {**(ports if forward.protocol != WHOLE else {}), "protocol": forward.protocol}
    return {**long, "listen": listen if len(listen) > 1 else listen[0], **more}


def _ports(ports: PortRange) -> Value:
    return ports.first if len(ports) == 1 else str(ports)


def _lines(value: dict[str, Value], indent: str = "") -> Iterator[str]:
    for key, inner in value.items():
        start = f"{indent}{scalar(key)}:"
        if isinstance(inner, dict) and inner:
            yield start
            yield from _lines(inner, indent + "  ")
        elif isinstance(inner, list):
            yield start
            yield from _items(inner, indent + "  ")
        else:
            yield f"{start} {scalar(inner)}"


def _items(items: list[Value], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, dict):
            first, *rest = _lines(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {scalar(item)}"


def scalar(value: Value) -> str:
    """A scalar, between brackets too, in quotes where it would be read as something else; an empty mapping."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.fullmatch(value) and isinstance(core_scalar(value), str) and value.lower() not in _TRUTH_ELSEWHERE
    # JSON's quotes are YAML's; the characters that JSON leaves bare and YAML refuses are not in names or descriptions
    return value if plain else json.dumps(value, ensure_ascii=False)
