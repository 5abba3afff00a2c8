"""`vlanpeer.py NIC TAG ADDRESS`: a neighbour on a tagged LAN. It answers ARP and ping for one IPv4 address.

A program of its own, on packet sockets, because a kernel without 8021q has no NIC for a tag. For each sender it prints
one line, `MAC TAG`, or `MAC -` for frames that bear none. It must import nothing but the standard library.
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv4Address
from typing import NamedTuple

OURS = bytes.fromhex("020000000042")
ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
AUXDATA = struct.Struct("=IIIHHHH")
TP_STATUS_VLAN_VALID = 0x10
VLAN, ARP, IPV4 = b"\x81\x00", b"\x08\x06", b"\x08\x00"
ARP_REQUEST, ARP_REPLY = b"\x00\x01", b"\x00\x02"
ICMP, ECHO_REQUEST, ECHO_REPLY = 1, 8, 0


class Auxdata(NamedTuple):
    """The kernel's struct tpacket_auxdata."""

    status: int
    length: int
    captured: int
    mac: int
    net: int
    tci: int
    tpid: int


class Frame(NamedTuple):
    """An Ethernet frame without its tag."""

    source: bytes
    tag: int | None
    kind: bytes
    payload: bytes

    @classmethod
    def parse(cls, data: bytes, tag: int | None) -> Frame:
        """`tag` is what the kernel has taken out of the frame, if it has."""
        if data[12:14] == VLAN:
            return cls(data[6:12], int.from_bytes(data[14:16], "big") & 0xFFF, data[16:18], data[18:])
        return cls(data[6:12], tag, data[12:14], data[14:])


def reply(frame: Frame, address: bytes) -> bytes | None:
    """What the neighbour with this address answers to a frame, None when nothing; with the frame's own tag."""
    payload = None
    if frame.kind == ARP:
        payload = _arp(frame.payload, address)
    elif frame.kind == IPV4:
        payload = _echo(frame.payload, address)
    if payload is None or frame.tag is None:
        return None
    return frame.source + OURS + VLAN + frame.tag.to_bytes(2, "big") + frame.kind + payload


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _arp(packet: bytes, address: bytes) -> bytes | None:
    if packet[6:8] != ARP_REQUEST or packet[24:28] != address:
        return None
    return packet[:6] + ARP_REPLY + OURS + address + packet[8:18]


def _echo(packet: bytes, address: bytes) -> bytes | None:
    length = (packet[0] & 15) * 4
    icmp = packet[length : int.from_bytes(packet[2:4], "big")]
    if packet[9] != ICMP or packet[16:20] != address or icmp[0] != ECHO_REQUEST:
        return None
    # With the two addresses exchanged the header's checksum stays right.
    header = packet[:12] + packet[16:20] + packet[12:16] + packet[20:length]
    answer = bytes([ECHO_REPLY, 0, 0, 0]) + icmp[4:]
    even = answer + bytes(len(answer) % 2)
    return header + answer[:2] + checksum(even).to_bytes(2, "big") + answer[4:]


def _tag(messages: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in messages:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            found = Auxdata._make(AUXDATA.unpack(data))
            return found.tci & 0xFFF if found.status & TP_STATUS_VLAN_VALID else None
    return None


def main() -> None:
    nic, tag, address = sys.argv[1], int(sys.argv[2]), IPv4Address(sys.argv[3]).packed
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind((nic, 0))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    seen = set()
    while True:
        data, messages, _, where = wire.recvmsg(65536, 256)
        if where[2] == PACKET_OUTGOING:
            continue
        frame = Frame.parse(data, _tag(messages))
        sender = f"{frame.source.hex(':')} {'-' if frame.tag is None else frame.tag}"
        if sender not in seen:
            seen.add(sender)
            print(sender, flush=True)
        answer = reply(frame, address) if frame.tag == tag else None
        if answer:
            wire.send(answer)


if __name__ == "__main__":
    main()
