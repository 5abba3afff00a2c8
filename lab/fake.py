"""A fake guest: a namespace inside the host's tree, a NIC in one of its bridges, a DHCP client, an echo service.

To the host's network it behaves as a real guest does, in a fraction of the time; libvirt knows nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from lab import image
from lab.addresses import first, look, made_up_mac, usable
from lab.cache import LAB
from lab.namespace import Namespace, connect
from lab.process import wait_for

NIC = "eth0"
FORWARDING = "3"  # BR_STATE_FORWARDING
GUEST = LAB / "guest"

# Its own /etc, as a layer over the host's, so that a test can write a gai.conf or a resolv.conf.
PRIVATE_FILES = """
mkdir -p /run/lab/upper /run/lab/work /run/dhcpcd /var/lib/dhcpcd
mount -t overlay -o lowerdir=/etc,upperdir=/run/lab/upper,workdir=/run/lab/work overlay /etc
mount -t tmpfs tmpfs /var/lib/dhcpcd
rm -f /etc/gai.conf
"""


@dataclass(frozen=True)
class Static:
    """Addresses with prefix lengths, set by hand, and the routers; None leaves a family out."""

    ipv4: str | None = None
    ipv6: str | None = None
    router4: str | None = None
    router6: str | None = None


Plug = Literal["dhcp"] | Static
Duid = str
"""As in dhcpcd.conf(5): ll; lt (LLT) or uuid, by whether the machine has one; a whole one: 00:02:00:00:ab:11:01."""
DHCP: Literal["dhcp"] = "dhcp"


class FakeGuest(Namespace):
    """Make it with `host.fake_guest`. It dies with the host, and with `stop`."""

    def __init__(  # noqa: PLR0913  by keyword, all but three
        self,
        host: Namespace,
        name: str,
        bridge: str,
        *,
        mac: str | None,
        plug: Plug,
        ports: tuple[int, ...],
        duid: Duid = "ll",
    ) -> None:
        super().__init__(name, parent=host)
        self.host = host
        self.bridge = bridge
        self.mac = mac or made_up_mac(name)
        self.plug = plug
        self.ports = ports
        self.duid = duid
        # Linux allows 15 characters in a NIC's name.
        self.port = f"f-{name}"[:15]

    def start(self) -> None:
        super().start()
        connect(self.host, self.port, self, NIC)
        self.shell(PRIVATE_FILES)
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/resolv.conf", "")
        self.shell(f"ip link set {NIC} address {self.mac}\nip link set {NIC} up")
        self.host.run(["ip", "link", "set", self.port, "master", self.bridge, "up"])
        if self.ports:
            self.echo(*self.ports)
        if isinstance(self.plug, Static):
            self._configure(self.plug)
        else:
            self.start_dhcp()

    def start_dhcp(self) -> None:
        """Start dhcpcd in the background, as a guest does at boot."""
        text = (GUEST / "dhcpcd.conf").read_text().replace("duid ll\n", f"duid {self.duid}\n")
        self.write("/run/lab/dhcpcd.conf", text)
        dhcpcd = f"{image.packages()}/usr/sbin/dhcpcd -q -b -c {GUEST}/dhcpcd-hook -f /run/lab/dhcpcd.conf {NIC}"
        self.run(["sh", "-c", f"(sleep {self._deaf_seconds()}; exec {dhcpcd}) >/dev/null 2>&1 &"])

    def wait_addresses(
        self, *, v4: bool = True, v6: bool = True, timeout: float = 20
    ) -> tuple[IPv4Address | None, IPv6Address | None]:
        """The guest's addresses, as soon as it has those that are asked for; None for a family it has none in."""

        def found() -> tuple[IPv4Address | None, IPv6Address | None] | None:
            found4, found6 = usable(self.shell(look(NIC)).stdout)
            if (v4 and not found4) or (v6 and not found6):
                return None
            return first(found4), first(found6)

        wait_for(f"the bridge port of {self.name} to forward", self._forwards, timeout=timeout)
        return wait_for(f"{self.name}'s addresses (v4={v4}, v6={v6})", found, timeout=timeout)

    # libvirt's bridges run STP: a new port is deaf for 4 s, which a real guest spends booting. A DHCP client that
    # starts earlier loses its first questions, and repeats them much later.

    def _forwards(self) -> bool:
        return self.host.run(["cat", f"/sys/class/net/{self.port}/brport/state"]).stdout.strip() == FORWARDING

    def _deaf_seconds(self) -> float:
        if self._forwards():
            return 0
        hundredths = self.host.run(["cat", f"/sys/class/net/{self.bridge}/bridge/forward_delay"]).stdout
        # Once for listening, once for learning.
        return 2 * int(hundredths) / 100 + 0.1

    def _configure(self, static: Static) -> None:
        lines = []
        if static.ipv4:
            lines.append(f"ip addr add {static.ipv4} dev {NIC}")
        if static.ipv6:
            lines.append(f"ip addr add {static.ipv6} dev {NIC} nodad")
        lines += [f"ip route add default via {router}" for router in (static.router4, static.router6) if router]
        self.shell("\n".join(lines))
