"""A libvirt network of somebody's, as an entry of the file: what the file can say of it. Pure: XML in, values out.

Nothing is made otherwise than it is: where a default of the file's is another than libvirt's, it is written out.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from guestnet.words import xmltext
from guestnet.words.pci import PARTS, joined
from guestnet.words.problems import GuestnetError
from guestnet.words.xmladdress import xml_interface

Value = str | int | bool | list["Value"] | dict[str, "Value"]

_LEASE = {"seconds": 1, "minutes": 60, "hours": 3600}
_MODES = {"": "isolated", "nat": "nat", "route": "routed"}
_MACVTAP = ("bridge", "vepa", "private")


@dataclass(frozen=True)
class Entry:
    """`values`: of a network in the file. `remarks`: by key, what is to be said beside it. `reserved`: MAC -> address,
    of the reservations in the XML."""

    values: dict[str, Value]
    remarks: dict[str, str]
    reserved: dict[str, str]


def entry(xml: str, *, autostart: bool) -> Entry:
    """Raises GuestnetError where the file has no word for what such a network does."""
    root = xmltext.parse(xml)
    forward = root.find("forward")
    mode = "" if forward is None else forward.get("mode", "nat")
    values: dict[str, Value] = {}
    remarks: dict[str, str] = {}
    if mode in _MODES:
        values["mode"] = _MODES[mode]
        _virtual(root, values, remarks)
    else:
        _lan(root, mode, values)
    if not autostart:
        values["autostart"] = False
    reserved = {
        host.get("mac", "").lower(): host.get("ip", "")
        for host in root.iterfind("ip/dhcp/host")
        if "mac" in host.attrib and "ip" in host.attrib
    }
    return Entry(values, remarks, reserved)


def _virtual(root: ET.Element, values: dict[str, Value], remarks: dict[str, str]) -> None:
    forward, bridge, mac = root.find("forward"), root.find("bridge"), root.find("mac")
    if bridge is not None and bridge.get("name"):
        values["bridge"] = bridge.get("name", "")
    if mac is not None:
        values["mac"] = mac.get("address", "").lower()
    sides = [_side(root, family) for family in (4, 6)]
    if sides == ["none", "none"]:
        raise GuestnetError("it has no address, and so its guests have none from the host")
    values |= {"ipv4": sides[0], "ipv6": sides[1]}
    if bridge is not None and bridge.get("stp") == "off":
        values["stp"] = False
    if values["mode"] == "isolated":
        values["host_access"] = "full"
        remarks["host_access"] = "as it is: its guests reach the host; services or none shuts that"
    elif forward is not None and forward.get("dev"):
        values["uplink"] = forward.get("dev", "")
    if values["mode"] == "nat" and forward is not None:
        _nat(forward, values, remarks)
    _isolation(root, values)
    values |= {key: value for key, value in _knobs(root).items() if value}


def _knobs(root: ET.Element) -> dict[str, Value]:
    """Those that are written where they are not empty."""
    domain, mtu = root.find("domain"), root.find("mtu")
    routes: list[Value] = [
        {"to": str(xml_interface(one.attrib).network), "via": one.get("gateway", "")} for one in root.findall("route")
    ]
    return {
        "domain": "" if domain is None else domain.get("name", ""),
        "mtu": 0 if mtu is None else int(mtu.get("size", "0")),
        "dns": _dns(root),
        "routes": routes,
        "bandwidth": _bandwidth(root),
    }


def _nat(forward: ET.Element, values: dict[str, Value], remarks: dict[str, str]) -> None:
    nat, port = forward.find("nat"), forward.find("nat/port")
    nat66 = nat is not None and nat.get("ipv6") == "yes"
    said: dict[str, Value] = {"ipv6": nat66} if values["ipv6"] != "none" else {}
    if port is not None and (port.get("start"), port.get("end")) != ("1024", "65535"):
        said["ports"] = f"{port.get('start')}-{port.get('end')}"
    if said:
        values["nat"] = said
    if values["ipv6"] != "none" and not nat66:
        values["inbound"] = {"ipv4": "closed", "ipv6": "open"}
        remarks["inbound"] = "as it is: without NAT66 its guests are reached from outside by IPv6"


def _isolation(root: ET.Element, values: dict[str, Value]) -> None:
    port = root.find("port")
    if port is not None and port.get("isolated") == "yes":
        values["guest_isolation"] = True


def _side(root: ET.Element, family: int) -> Value:
    """The first address of a family, and its first range; what more there is stays in the XML as it was found."""
    for ip in root.findall("ip"):
        host = xml_interface(ip.attrib)
        if host.version == family:
            pool, lease = ip.find("dhcp/range"), ip.find("dhcp/range/lease")
            if pool is None:
                return {"address": str(host), "dhcp": False}
            side: dict[str, Value] = {"address": str(host), "ranges": [f"{pool.get('start')}-{pool.get('end')}"]}
            if lease is not None and int(lease.get("expiry", "0")):
                side["lease"] = int(lease.get("expiry", "0")) * _LEASE[lease.get("unit", "minutes")]
            return side
    return "none"


def _dns(root: ET.Element) -> dict[str, Value]:
    found: dict[str, Value] = {}
    servers: list[Value] = [
        one.get("addr", "") for one in root.iterfind("dns/forwarder") if set(one.attrib) == {"addr"}
    ]
    hosts: dict[str, list[Value]] = {}
    for host in root.iterfind("dns/host"):
        for name in host.findall("hostname"):
            hosts.setdefault(name.text or "", []).append(host.get("ip", ""))
    if servers:
        found["forwarders"] = servers
    if hosts:
        found["hosts"] = dict(hosts)
    return found


def _bandwidth(root: ET.Element) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for direction in ("inbound", "outbound"):
        rate = root.find(f"bandwidth/{direction}")
        if rate is not None and rate.get("average"):
            kept = {key: int(rate.get(key, "0")) for key in ("average", "peak", "burst") if rate.get(key)}
            found[direction] = dict(kept)
    return found


def _lan(root: ET.Element, mode: str, values: dict[str, Value]) -> None:
    forward, bridge = root.find("forward"), root.find("bridge")
    nics = [nic.get("dev", "") for nic in root.iterfind("forward/interface")]
    pf = root.find("forward/pf")
    if root.find("virtualport") is not None:
        raise GuestnetError("its guests are plugged into a virtual switch (virtualport)")
    if mode == "bridge" and bridge is not None and bridge.get("name"):
        values |= {"mode": "bridge", "bridge": bridge.get("name", "")}
        _isolation(root, values)
    elif mode in _MACVTAP and len(nics) == 1:
        values |= {"mode": "macvtap", "interface": nics[0], "macvtap": mode}
    elif mode == "passthrough" and nics:
        values |= {"mode": "passthrough", "interfaces": [*nics]}
    elif mode == "hostdev" and forward is not None:
        values["mode"] = "passthrough"
        if pf is not None:
            values["pf"] = pf.get("dev", "")
        else:
            places = root.iterfind("forward/address")
            values["devices"] = [joined(*(place.get(name, "0") for name in PARTS)) for place in places]
        tag = root.find("vlan/tag")
        if tag is not None:
            values["vlan"] = int(tag.get("id", "0"))
    else:
        raise GuestnetError(f"the file has no word for forward mode {mode}")
