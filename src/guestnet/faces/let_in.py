"""What the hook starts, and does not wait for, when a guest with UDP forwards has started; its argument is the file
that was prepared for the guest.

UDP clients that kept sending while the guest was off do not reach it: the kernel has their packets in a connection that
it tracked without a translation, and asks no map for them. Those connections are taken out, by their exact tuples; as
`guestnet.decide.stale` does it, except that a NIC to listen on is any of the host's addresses here: an entry more that
is not translated is made anew with the next packet.

It stands alone as the hook does: standard library only, under the system's Python. It is a file of its own because
libvirt waits for each run of the hook to be read and compiled.
"""

import ipaddress
import socket
import sys

Key = tuple[str, str, int, int]  # the address it listens on, who may connect, first and last port
RANGES = -1
Plain = tuple[dict[int, bytes], str, str, int]


def let_in(lines: list[str]) -> None:
    for family, number in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        keys = (line.split(" ", 1) for line in lines if " : " in line)
        ports: dict[int, list[Key]] = {}
        for name, item in keys:
            for key in udp_key(name, item) if name[-1] == str(family) else ():
                ports.setdefault(key[2] if key[2] == key[3] else RANGES, []).append(key)
        if not ports:
            continue
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as link:  # NETLINK_NETFILTER
            for parts, source, address, port in plain_udp(link, number):
                for where, net, first, last in ports.get(port, []) + ports.get(RANGES, []):
                    fits = first <= port <= last and where in ("", address)
                    if fits and (not net or ipaddress.ip_address(source) in ipaddress.ip_network(net)) and own(address):
                        # By its tuple, id and zone: CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE
                        body = b"".join(attribute(kind, parts[kind]) for kind in (1, 12, 18) if kind in parts)
                        link.send(message(0x102, 0x5, number, body))  # IPCTNL_MSG_CT_DELETE; NLM_F_REQUEST, NLM_F_ACK
                        link.recv(4096)
                        break


def udp_key(name: str, item: str) -> list[Key]:
    """Of an element with UDP. Else nothing."""
    words = item.partition(" : ")[0].split(" . ")
    if name.startswith("whole"):
        return [(words[0], "", 0, 65535)]
    if not name.startswith(("on", "nic", "any")) or words[-2] != "udp":
        return []
    first, _, last = words[-1].partition("-")
    where, net = words[-3] if name.startswith("on") else "", words[0] if "_from" in name else ""
    return [(where, net, int(first), int(last or first))]


def plain_udp(link: socket.socket, number: int) -> list[Plain]:
    """The tracked UDP connections of a family without any translation: what the kernel says of each, its source and
    destination, its port. Numbers are those of linux/netfilter/nfnetlink_conntrack.h."""
    bit = (0x2000).to_bytes(4, "big")
    link.send(message(0x101, 0x301, number, attribute(8, bytes(4)) + attribute(21, bit)))
    found: list[Plain] = []
    while True:
        packet = link.recv(1 << 17)
        while packet:
            size, kind = native(packet[:4]), native(packet[4:6])
            if kind in (2, 3):  # NLMSG_ERROR, NLMSG_DONE
                return found
            parts = attributes(packet[20:size])
            original = attributes(parts[1])
            ends, ports = [*attributes(original[1]).values()], attributes(original[2])
            if ports[1] == b"\x11" and not int.from_bytes(parts[3], "big") & 0x30:  # IPS_SRC_NAT, IPS_DST_NAT
                source, address = (socket.inet_ntop(number, end) for end in ends)
                found.append((parts, source, address, int.from_bytes(ports[3], "big")))
            packet = packet[size + 3 & ~3 :]


def own(address: str) -> bool:
    """Whether it is an address of the host."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as link:
        try:
            link.bind((address, 0))
        except OSError:
            return False
    return True


def message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    """Of netfilter's netlink."""
    head = (20 + len(body)).to_bytes(4, sys.byteorder) + kind.to_bytes(2, sys.byteorder)
    return head + flags.to_bytes(2, sys.byteorder) + bytes(8) + bytes([family, 0, 0, 0]) + body


def attribute(kind: int, value: bytes) -> bytes:
    head = (4 + len(value)).to_bytes(2, sys.byteorder) + kind.to_bytes(2, sys.byteorder)
    return head + value + bytes(-len(value) % 4)


def attributes(block: bytes) -> dict[int, bytes]:
    found = {}
    while block:
        size = native(block[:2])
        found[native(block[2:4]) & 0x3FFF] = block[4:size]
        block = block[size + 3 & ~3 :]
    return found


def native(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


if __name__ == "__main__":
    with open(sys.argv[1]) as source:
        let_in(source.read().splitlines())
