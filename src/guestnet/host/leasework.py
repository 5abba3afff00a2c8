"""Holds an IPv4 address of the LAN for one NIC, by DHCP (RFC 2131), and gives it back. Runs as a program of its own in
an end's network namespace, with the NIC's name as its argument. Standard library only, and nothing of guestnet.

It asks at once and until a line comes in, which means enough of that. It prints {"offered": true} when it is to have an
address, and {"address": "203.0.113.104/24", "router": "203.0.113.1"} when it and the NIC have it, or with nothing in
them when that was not to be. It ends when its input ends, after a DHCPRELEASE; so no lease outlives who started it, who
may be killed at any point.

It also asks for router advertisements (RFC 4861, section 4.1): the kernel's own questions are three, and lost in a
bridge that was still learning. The address out of the answer is the kernel's business.
"""

import contextlib
import errno
import fcntl
import ipaddress
import itertools
import json
import os
import select
import socket
import struct
import sys
import time

DISCOVER, OFFER, REQUEST, ACK, NAK, RELEASE = 1, 2, 3, 5, 6, 7  # RFC 2132, section 9.6
MASK, ROUTER, WANTED, KIND, SERVER, NAMES, VENDOR, CLIENT, END = 1, 3, 50, 53, 54, 55, 60, 61, 255  # RFC 2132
COOKIE = b"\x63\x82\x53\x63"
# op htype hlen hops, xid, secs flags, ciaddr yiaddr siaddr giaddr, chaddr, (sname, file,) magic cookie: RFC 2131, 2
HEADER = struct.Struct("!4B4sHH4s4s4s4s16s192x4s")
BROADCAST_FLAG = 0x8000  # answer to all: the address is not ours yet, so the kernel would drop what is sent to it
SHORTEST = 300  # bytes, of BOOTP (RFC 1542, section 2.1); some servers still want them
NOBODY = bytes(4)
WHO = {VENDOR: b"guestnet probe", NAMES: bytes((MASK, ROUTER))}
AGAIN = 4.0  # seconds after which to ask again (RFC 2131, section 4.1)
SOLICITATIONS = 3  # at most (RFC 4861, section 10)
SIOCGIFHWADDR = 0x8927
RESOLVED = 2  # linux/if_arp.h: ATF_COM, in /proc/net/arp

Answer = tuple[bytes, dict[int, bytes]]  # the address that is ours, and the options


class Gone(Exception):  # noqa: N818  not an error: whoever started us is gone, or done
    pass


class Enough(Exception):  # noqa: N818  not an error: the answer that was waited for
    pass


def main(nic: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, nic.encode())
        one.setblocking(False)
        one.bind(("", 68))
        mac = fcntl.ioctl(one, SIOCGIFHWADDR, struct.pack("256s", nic.encode()))[18:24]
        number = os.urandom(4)
        offer, given = None, None
        try:
            with contextlib.suppress(Enough):
                while given is None:
                    offer = None
                    offer = discover(one, nic, number, mac)
                    say(offered=True)
                    given = request(one, number, mac, offer)
            address, router = configure(nic, given) if given else ("", "")
            say(address=address, router=router)
            while os.read(0, 1):
                pass
        finally:
            # From the first request on the server may think that the address is ours, whether its answer came or not.
            if offer:
                address, router = configure(nic, offer)
                release(ipaddress.IPv4Interface(address), router, mac, offer[1])


def say(**words: object) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def discover(one: socket.socket, nic: str, number: bytes, mac: bytes) -> Answer:
    for count in itertools.count():
        if count < SOLICITATIONS:
            solicit(nic)
        send(one, message(DISCOVER, number, mac, NOBODY, WHO))
        offer = hear(one, number, OFFER)
        if offer and SERVER in offer[1]:
            return offer
    raise Enough  # never: it is asked without end


def request(one: socket.socket, number: bytes, mac: bytes, offer: Answer) -> Answer | None:
    """None when somebody else got it: dnsmasq may offer an address to two who ask at one time."""
    wanted = {**WHO, WANTED: offer[0], SERVER: offer[1][SERVER]}
    while True:
        send(one, message(REQUEST, number, mac, NOBODY, wanted))
        given = hear(one, number, ACK, NAK)
        if given:
            return given if given[1][KIND][0] == ACK else None


def message(kind: int, number: bytes, mac: bytes, own: bytes, options: dict[int, bytes]) -> bytes:
    flags = 0 if own != NOBODY else BROADCAST_FLAG
    head = HEADER.pack(1, 1, 6, 0, number, 0, flags, own, NOBODY, NOBODY, NOBODY, mac, COOKIE)
    every = {KIND: bytes((kind,)), CLIENT: b"\x01" + mac, **options}
    body = b"".join(bytes((name, len(value))) + value for name, value in every.items())
    return (head + body + bytes((END,))).ljust(SHORTEST, b"\0")


def send(one: socket.socket, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # the link is down for now: the next try may do
        one.sendto(packet, ("255.255.255.255", 67))


def hear(one: socket.socket, number: bytes, *kinds: int) -> Answer | None:
    """The first answer of these kinds, for a while. Raises Enough, or Gone when our input ends."""
    end = time.monotonic() + AGAIN
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([one, sys.stdin], [], [], left)
        if sys.stdin in ready:
            raise Enough if os.read(0, 1) else Gone
        try:
            found = read(one.recv(4096), number) if ready else None
        except BlockingIOError:  # its checksum was wrong
            continue
        if found and found[1].get(KIND, NOBODY)[0] in kinds:
            return found
    return None


def read(packet: bytes, number: bytes) -> Answer | None:
    """What a server says to us; None for what is no such thing."""
    if len(packet) < HEADER.size:
        return None
    op, _, _, _, xid, _, _, _, own, _, _, _, cookie = HEADER.unpack_from(packet)
    if (op, xid, cookie) != (2, number, COOKIE):
        return None
    options: dict[int, bytes] = {}
    rest = packet[HEADER.size :]
    while rest and rest[0] != END:
        if rest[0] == 0:  # padding
            rest = rest[1:]
            continue
        length = rest[1] if len(rest) > 1 else 0
        options.setdefault(rest[0], rest[2 : 2 + length])
        rest = rest[2 + length :]
    return (own, options) if options.get(KIND) else None


def configure(nic: str, answer: Answer) -> tuple[str, str]:
    """Give the NIC the address, and the router; nothing happens where it has them."""
    own, options = answer
    length = bin(int.from_bytes(options.get(MASK, b"\xff\xff\xff\xff"), "big")).count("1")
    address = f"{ipaddress.IPv4Address(own)}/{length}"
    router = str(ipaddress.IPv4Address(options[ROUTER][:4])) if len(options.get(ROUTER, b"")) >= len(NOBODY) else ""
    run("ip", "addr", "add", address, "dev", nic)
    if router:
        run("ip", "route", "add", "default", "via", router, "dev", nic, "onlink")
    return address, router


def release(own: ipaddress.IPv4Interface, router: str, mac: bytes, options: dict[int, bytes]) -> None:
    server = ipaddress.IPv4Address(options[SERVER])
    packet = message(RELEASE, os.urandom(4), mac, own.packed, {SERVER: options[SERVER]})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((str(own.ip), 68))
        one.sendto(packet, (str(server), 67))
        # What waits for the next hop's MAC would be lost with the namespace, which goes with us.
        hop = str(server) if server in own.network else router
        end = time.monotonic() + 1
        while time.monotonic() < end and not resolved(hop):
            time.sleep(0.02)


def resolved(address: str) -> bool:
    with open("/proc/net/arp") as file:  # noqa: PTH123  pathlib would cost this program its start
        lines = [line.split() for line in file]
    return any(words[0] == address and int(words[2], 16) & RESOLVED for words in lines[1:])


def solicit(nic: str) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as one:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            one.sendto(struct.pack("!BBHI", 133, 0, 0, 0), ("ff02::2", 0, 0, socket.if_nametoindex(nic)))
    except OSError as error:
        # Its own address is still being checked, so the kernel has not asked yet, and will; or there is no IPv6 at all
        if error.errno not in (errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EAFNOSUPPORT):
            raise


def run(*argv: str) -> None:
    quiet = (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)
    os.waitpid(os.posix_spawnp(argv[0], argv, os.environ, file_actions=[quiet]), 0)


if __name__ == "__main__":
    with contextlib.suppress(Gone, BrokenPipeError):
        main(sys.argv[1])
