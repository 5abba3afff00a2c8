"""For the tests beside other firewalls: a host with the seed example, a fake guest that answers as web1, and packets.

Everything is measured over both families and both protocols: in by a forward, out, and the guest's DNS at the bridge.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv6Address

from lab import Lab
from lab.fake import FakeGuest
from lab.host import Host
from lab.inet import ROUTER4, ROUTER6
from lab.process import wait_for
from tests.live.conftest import FILE, MAC, SEED, WAYS

HOOK = "/etc/libvirt/hooks/qemu.d/50-guestnet"
PORT = 4080
TEXT = SEED.replace("mode: nat", "mode: nat\n    stp: false")  # with it, a new port is deaf for 4 s
ALL = "in all, out all, dns all"
# Asks for a name that the host's dnsmasq knows by itself.
DNS = """
import socket, sys
query = bytes.fromhex("0007010000010000000000000477656231036c616208696e7465726e616c0000010001")
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as link:
    link.settimeout(0.7)
    try:
        link.sendto(query, (sys.argv[1], 53))
        sys.exit(link.recv(512)[:2] != query[:2])
    except OSError:
        sys.exit(1)
"""


@dataclass
class World:
    """A lab, and the fake guest that answers in the place of web1."""

    lab: Lab
    guest: FakeGuest
    gateway6: str

    @property
    def host(self) -> Host:
        return self.lab.host

    def seen(self) -> str:
        """What passes: `in all, out all, dns all`, or which ways of each (tcp4 tcp6 udp4 udp6), or none."""
        inet, guest = self.lab.inet, self.guest
        questions: dict[str, dict[str, Callable[[], bool]]] = {"in": {}, "out": {}, "dns": {}}
        for way in WAYS:
            family = "6" if ":" in way.host else "4"
            wanted = f"web1 {way.protocol} 80 from {way.client}"
            questions["in"][way.protocol + family] = lambda way=way, wanted=wanted: (  # type: ignore[misc]
                inet.probe(way.protocol, way.host, PORT, source=way.client, timeout=0.7).text == wanted
            )
            router = ROUTER6 if family == "6" else ROUTER4
            questions["out"][way.protocol + family] = lambda way=way, router=router: (  # type: ignore[misc]
                guest.probe(way.protocol, router, 7, timeout=0.7).text == f"inet {way.protocol} 7 from {way.host}"
            )
        for family, server in (("4", "192.168.84.1"), ("6", self.gateway6)):
            argv = ["/usr/bin/python3.11", "-ISc", DNS, server]
            questions["dns"][f"udp{family}"] = lambda argv=argv: guest.run(argv, check=False).returncode == 0  # type: ignore[misc]
        with ThreadPoolExecutor(10) as pool:
            answers = {
                kind: {name: pool.submit(ask) for name, ask in asked.items()} for kind, asked in questions.items()
            }
        said = []
        for kind, found in answers.items():
            yes = sorted(name for name, answer in found.items() if answer.result())
            said.append(f"{kind} {'all' if len(yes) == len(found) else ' '.join(yes) or 'none'}")
        return ", ".join(said)

    def wait_seen(self, wanted: str, timeout: float = 10) -> None:
        """A neighbour that was not heard is asked for again after a second."""
        wait_for(f"{wanted} (now: {self.seen()})", lambda: self.seen() == wanted, timeout=timeout)

    def apply(self, *options: str) -> str:
        """What apply printed. For libvirt nobody runs, so the forwards are put back by the hook."""
        done = self.host.guestnet("apply", "--yes", *options)
        self.hook("started")
        return done.stdout + done.stderr

    def hook(self, operation: str = "start") -> None:
        """A guest starts: `start` is what restores what is missing."""
        self.host.write("/run/libvirt/qemu/web1.xml", "<domstatus/>")
        self.host.run([HOOK, "web1", operation, "begin", "-"], input="<domain/>")

    def restore(self) -> None:
        """What guestnet.service does at boot and at a reload."""
        done = self.host.run([HOOK, "-", "rules"])
        assert done.stderr == ""

    def mend(self, how: str) -> None:
        """By hook, unit or apply."""
        if how == "hook":
            self.hook()
        elif how == "unit":
            self.restore()
        else:
            self.apply()

    def notes(self) -> str:
        """What plan says, problems too, in one line."""
        return " ".join(self.host.guestnet("plan", check=False).stdout.split())

    def drift(self) -> str:
        """What status says of admit rules."""
        lines = self.host.guestnet("status").stdout.splitlines()
        return "\n".join(line.removeprefix("drift").strip() for line in lines if "admit rule" in line)


def world(lab: Lab, *options: str) -> World:
    """Applies the seed example, and plugs the guest in."""
    lab.host.write(FILE, TEXT)
    lab.host.guestnet("apply", "--yes", *options)
    shown = lab.host.run(["ip", "-6", "-o", "addr", "show", "dev", "virbr84", "scope", "global"]).stdout
    gateway6 = shown.split(" inet6 ")[1].split("/")[0]
    guest = lab.host.fake_guest("web1", "virbr84", mac=MAC)
    found = World(lab, guest, str(IPv6Address(gateway6)))
    guest.wait_addresses()
    found.hook("started")
    return found
