"""Talks to one place until its stdin ends: over one TCP connection that stays, and by UDP, ten numbered messages a
second each (or as many as a third argument says); then prints as JSON how many it sent, and what of it did not come
back. With `serve`: the other end, which sends everything back; in a real guest that is lab/programs/mirror.c. It runs
inside the lab, alone: standard library only."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import time

RATE, LAST = 10, 1.0  # messages a second, and seconds to wait for the last answers
SIZE = 64


def serve(port: int, addresses: list[str]) -> None:
    """Each address has its socket: from one for all, an answer may leave from another address than was asked."""
    datagrams, listeners = [], []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        datagrams.append(socket.socket(family, socket.SOCK_DGRAM))
        datagrams[-1].bind((address, port))
        listeners.append(socket.create_server((address, port), family=family))
    print("ready", flush=True)
    there = [*datagrams, *listeners]
    while True:
        for ready in select.select(there, [], [])[0]:
            if ready in listeners:
                there.append(ready.accept()[0])
            elif ready in datagrams:
                with contextlib.suppress(OSError):  # from an address to which there is no way back
                    ready.sendto(*ready.recvfrom(SIZE))
            elif data := ready.recv(SIZE):
                ready.sendall(data)
            else:
                there.remove(ready)


def refused(name: str) -> contextlib.suppress:
    """While a datagram that nobody takes is no end of anything."""
    return contextlib.suppress(*([ConnectionRefusedError] if name == "udp" else []))


def talk(address: str, port: int, rate: int = RATE) -> dict[str, object]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ways = {}
    for name, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):
        ways[name] = socket.socket(family, kind)
        ways[name].settimeout(3)
        ways[name].connect((address, port))
    print("ready", flush=True)
    back = dict.fromkeys(ways, b"")
    began, sent, end = time.monotonic(), 0, float("inf")
    while time.monotonic() < end:
        if end == float("inf"):
            sent += 1
            for name, way in ways.items():
                # The network may be gone for a moment: a datagram then is lost, and the connection waits.
                with refused(name):
                    way.send(b"%08d" % sent)
        until = began + sent / rate if end == float("inf") else time.monotonic() + 1 / rate
        while (left := until - time.monotonic()) > 0:
            for ready in select.select([*ways.values(), sys.stdin], [], [], left)[0]:
                if ready is sys.stdin:
                    end = min(end, time.monotonic() + LAST)
                    time.sleep(0.01)
                for name, way in ways.items():
                    if way is ready:
                        with refused(name):
                            back[name] += way.recv(SIZE)
    numbers = [b"%08d" % number for number in range(1, sent + 1)]
    came = {name: [data[i : i + 8] for i in range(0, len(data), 8)] for name, data in back.items()}
    answered = set(came["udp"])  # of minutes, there are tens of thousands
    return {
        "began": began,
        "sent": sent,
        "tcp": "whole" if came["tcp"] == numbers else f"broken after {len(came['tcp'])}",
        "udp lost": [int(number) for number in numbers if number not in answered],
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3:])
    try:
        print(json.dumps(talk(sys.argv[1], *map(int, sys.argv[2:]))), flush=True)
    except OSError as error:
        print(json.dumps({"error": repr(error)}), flush=True)
