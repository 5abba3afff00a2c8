"""Guests' own ways out while libvirt writes its NAT rules anew: what is lost, and what leaves with addresses that
nobody outside can answer.

A real guest sends to the internet as lab/programs/call.c does: one known flow, and a new one 100 times a second.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.inside import WrongError
from lab import Lab, flow
from lab.guest import RealGuest
from lab.inet import ROUTER4, ROUTER6
from lab.process import wait_for

PORT = 5003
SECONDS = 15  # longer than an apply on a busy machine
RATE = 100  # of call.c
WAYS = {"IPv4": ROUTER4, "IPv6": ROUTER6}
PRIVATE = {"IPv4": "ip saddr 10.9.1.0/24", "IPv6": "ip6 saddr fd00:9:0:1::/64"}  # of the nat network


class Way(NamedTuple):
    """Of one family: the longest time without an answer, of the known flow and of new ones, in seconds; and packets
    that came out un-NATed."""

    known: float
    new: float
    leaked: int


@contextmanager
def answering(lab: Lab) -> Iterator[None]:
    """The internet sends back what comes to PORT, and counts what has a guest's own address."""
    argv = ["/usr/bin/python3", "-c", Path(flow.__file__).read_text(), "serve", str(PORT), *WAYS.values()]
    server = lab.inet.popen(argv)
    try:
        if server.stdout is None or server.stdout.readline() != "ready\n":
            raise WrongError("the internet does not answer")
        yield
    finally:
        server.kill()
        server.wait()
        lab.inet.run(["nft", "delete", "table", "inet", "leaks"], check=False)


def during(lab: Lab, guest: RealGuest, act: Callable[[], object]) -> dict[str, Way]:
    """By family, what the guest's ways out were like while `act` was done; inside `answering`."""
    rules = "\n".join(f"{match} counter" for match in PRIVATE.values())
    head = "table inet leaks\ndelete table inet leaks\n"
    chain = f"chain c {{\ntype filter hook prerouting priority -300;\n{rules}\n}}\n"
    lab.inet.run(["nft", "-f", "-"], input=f"{head}table inet leaks {{\n{chain}}}\n")
    for family, address in WAYS.items():
        guest.run(f"rm -f /tmp/{family}; (call {address} {PORT} {SECONDS} >/tmp/{family}.new 2>&1; "
                  f"mv /tmp/{family}.new /tmp/{family}) >/dev/null 2>&1 &")  # fmt: skip
    began = time.monotonic()
    time.sleep(1)
    act()
    if time.monotonic() - began > SECONDS:
        raise WrongError(f"it took longer than the {SECONDS} s that the guest sends")

    words = {}
    for family in WAYS:
        text = wait_for(f"what {guest.name} tells", partial(_told, guest, family), timeout=2 * SECONDS, interval=0.5)
        words[family] = {line.split()[0]: int(line.split()[3]) / RATE for line in text.splitlines()}
    leaked = [int(word) for word in _after(lab.inet.run(["nft", "list", "chain", "inet", "leaks", "c"]), "packets")]
    return {
        family: Way(words[family]["known"], words[family]["new"], count)
        for family, count in zip(WAYS, leaked, strict=True)
    }


def _told(guest: RealGuest, family: str) -> str:
    return guest.run(f"cat /tmp/{family} 2>/dev/null", check=False).stdout


def _after(done: subprocess.CompletedProcess[str], word: str) -> Iterator[str]:
    words = done.stdout.split()
    return (value for before, value in pairwise(words) if before == word)
