"""For the live tests: a lab whose host has the seed example applied by the real program, to a real libvirt."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

import pytest

from guestnet.compile import ruleset
from lab import Lab
from lab.guest import RealGuest
from lab.host import Host

FILE = "/etc/guestnet/guestnet.yaml"
SEED = (Path(__file__).parent.parent.parent / "examples" / "seed.yaml").read_text()
MAC = "52:54:00:12:34:56"
ADMIT = ["-m", "conntrack", "--ctstate", "DNAT", "-m", "connmark", "--mark", "0x2000/0x2000", "-j", "ACCEPT"]


class Way(NamedTuple):
    """A way in from the internet: protocol, the host's address, the client's."""

    protocol: str
    host: str
    client: str


WAYS = [
    Way("tcp", "203.0.113.2", "203.0.113.9"),
    Way("tcp", "2001:db8:1::2", "2001:db8:1::9"),
    Way("udp", "203.0.113.2", "203.0.113.9"),
    Way("udp", "2001:db8:1::2", "2001:db8:1::9"),
]


class Spine(NamedTuple):
    """A lab with the seed example applied, and its guest web1, running."""

    lab: Lab
    guest: RealGuest
    ipv4: IPv4Address
    ipv6: IPv6Address

    @property
    def host(self) -> Host:
        return self.lab.host

    def answers(self, port: int = 4080) -> list[str]:
        """What clients in the internet get over each way: the line that answered, or refused, or timeout."""
        found = []
        for way in WAYS:
            got = self.lab.inet.probe(way.protocol, way.host, port, source=way.client)
            found.append(got.text if got.kind == "answered" else got.kind)
        return found


# The guest says who it is and whom it sees: the client's own address is kept.
REACHED = [f"web1 {way.protocol} 80 from {way.client}" for way in WAYS]
REFUSED = ["refused"] * len(WAYS)


def apply(host: Host, text: str | None = None) -> str:
    """Write the file, apply it, and return what the apply printed."""
    if text is not None:
        host.write(FILE, text)
    done = host.guestnet("apply", "--yes")
    return done.stdout + done.stderr


def elements(host: Host) -> str:
    """The forwards in force, as nft lists them."""
    return "".join(host.run(["nft", "-s", "list", "map", "inet", "guestnet", name]).stdout for name in ruleset.MAPS)


@pytest.fixture(scope="module")
def spine() -> Iterator[Spine]:
    """One for the tests of a module; each test leaves web1 running and the host as the file says."""
    with Lab(uplink="static") as lab:
        apply(lab.host, SEED)
        lab.host.libvirtd.restart()
        guest = lab.host.define_guest("web1", "lab", MAC)
        guest.start()
        ipv4, ipv6 = guest.wait_addresses()
        assert ipv4 is not None
        assert ipv6 is not None
        yield Spine(lab, guest, ipv4, ipv6)
