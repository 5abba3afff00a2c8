"""A guest's reserved addresses, where its MAC shows only when it starts."""

import os

from guestnet.faces.hook.domainxml import RUNNING, running_nics, tags, xml_nics
from guestnet.faces.hook.prepared import HOSTS, encoded, nics
from guestnet.faces.hook.programs import log

LABEL_BYTES = 63  # of a DNS name (RFC 1035)


def reserve(name: str) -> None:
    """The guest's addresses are reserved by its MAC before it asks for them, also when apply did not know it yet."""
    wanted = [nic for nic in nics(name) if nic[1] == "-" and os.path.isdir(HOSTS + nic[0])]
    if wanted:
        there = {encoded(nic.get("network", "")): nic for nic in xml_nics() if "address" in nic}
        for network, _, ipv4, ipv6 in wanted:
            if network in there:
                change_reservation(there[network]["network"], name, there[network]["address"].lower(), ipv4, ipv6)


def plugged(network: str, xml: bytes) -> None:
    """A NIC was plugged into a guest that runs: its reservation, where apply did not know its MAC. At a start `reserve`
    has seen to it. The guest's first NIC in the network is the one that counts."""
    guest, mac = port(xml)
    running = f"{RUNNING}/{guest}.xml"
    if not mac or "/" in guest or not os.path.exists(running):
        return
    others = {nic.get("address", "").lower() for nic in running_nics(running) if nic.get("network") == network}
    for folder, known, ipv4, ipv6 in nics(guest):
        if (folder, known) == (encoded(network), "-") and others <= {mac} and os.path.isdir(HOSTS + folder):
            change_reservation(network, guest, mac, ipv4, ipv6)


def port(xml: bytes) -> tuple[str, str]:
    """The guest's name and the MAC, in what libvirt says of a network's new port; empty ones when there are none. The
    first <mac> there is the bridge's own."""
    found = tags(xml)
    inside = found[next((i for i, (tag, _) in enumerate(found) if tag == "networkport"), len(found)) :]
    name = "".join(attributes.get("text", "") for tag, attributes in inside if tag == "owner/name")
    return name, next((attributes.get("address", "").lower() for tag, attributes in inside if tag == "mac"), "")


def change_reservation(network: str, name: str, mac: str, ipv4: str, ipv6: str) -> None:
    path = f"{HOSTS}{encoded(network)}/{encoded(name)}"
    old = write_reservation(path, mac, ipv4, ipv6, name)
    former = old.split(",")[0].strip()
    if old:
        reread(network)
    if former not in ("", mac):
        try:
            release(network, former)
        except (OSError, ValueError, KeyError, StopIteration) as trouble:
            log(f"{name}: {mac} waits for the end of {former}'s lease: {type(trouble).__name__} {trouble}")


def reread(network: str) -> None:
    """The network's dnsmasq drops what it knew of a guest that was defined anew (see guestnet.host.dnsmasq)."""
    try:
        with open(f"/run/libvirt/network/{network}.pid") as source:
            pid = int(source.read())
        with open(f"/proc/{pid}/comm") as source:
            if source.read().strip() == "dnsmasq":
                os.kill(pid, 1)  # SIGHUP
    except (OSError, ValueError) as trouble:
        log(f"dnsmasq of network {network}: {trouble}")


def release(network: str, mac: str) -> None:
    """Gives back the leases of a MAC that its guest no longer has, as that NIC would have done: dnsmasq keeps its
    addresses otherwise, for an hour (IPv4) or a day (IPv6), and the guest gets others. RFC 2131, 4.4.6; RFC 8415,
    18.2.7. No answer matters."""
    import json
    import socket

    with open(f"/run/libvirt/network/{network}.xml", "rb") as source:
        found = tags(source.read())
    bridge = next(attributes["name"] for tag, attributes in found if tag == "bridge")
    server = next((a["address"] for tag, a in found if tag == "ip" and "." in a["address"]), "")
    with open(f"/var/lib/libvirt/dnsmasq/{bridge}.status") as source:
        leases = [lease for lease in json.load(source) if lease.get("mac-address") == mac]
    for lease in leases:
        client = bytes.fromhex(lease.get("client-id", "").replace(":", ""))
        if ":" in lease["ip-address"]:
            address = socket.inet_pton(socket.AF_INET6, lease["ip-address"])
            duid = bytes.fromhex(lease["server-duid"].replace(":", ""))
            identity = int(lease["iaid"]).to_bytes(4, "big") + bytes(8) + option(5, address + bytes(8))
            text = b"\x08GST" + option(1, client) + option(2, duid) + option(3, identity) + option(8, bytes(2))
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as link:
                link.sendto(text, ("ff02::1:2", 547, 0, socket.if_nametoindex(bridge)))
        else:
            hardware = bytes.fromhex(mac.replace(":", ""))
            head = b"\1\1\6\0GUST" + bytes(4) + socket.inet_aton(lease["ip-address"]) + bytes(12)
            text = head + hardware + bytes(10 + 192) + b"\x63\x82\x53\x63\x35\1\7\x36\4" + socket.inet_aton(server)
            text += (bytes([61, len(client)]) + client if client else b"") + b"\xff"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
                link.sendto(text, (server, 67))


def option(code: int, data: bytes) -> bytes:
    """Of DHCPv6."""
    return code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def write_reservation(path: str, mac: str, ipv4: str, ipv6: str, name: str) -> str:
    """The other reservation that stood there; empty when there was none."""
    label = name if name.isascii() and name.replace("-", "").isalnum() and name[0] != "-" != name[-1] else ""
    parts = [
        mac,
        "" if ipv4 == "-" else ipv4,
        "" if ipv6 == "-" else f"[{ipv6}]",
        label if len(label) <= LABEL_BYTES else "",
    ]
    line = ",".join(part for part in parts if part) + "\n"
    other = ""
    if os.path.exists(path):
        with open(path) as source:
            other = source.read()
        if other == line:
            return ""
    folder, _, file = path.rpartition("/")
    temporary = f"{folder}/.{file}.guestnet-new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, line.encode())
    os.fchmod(descriptor, 0o644)
    os.fsync(descriptor)  # after a loss of power it is whole, or not there; then the guest's next start writes it again
    os.close(descriptor)
    os.rename(temporary, path)
    return other
