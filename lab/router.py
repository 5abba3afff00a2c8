"""A home router between the host and the fake internet: NAT44 for a private LAN, and a public IPv6 prefix for it.

What most of the seed's readers sit behind. IPv6 it routes, with an advertised prefix, and translates nothing of it.
"""

from __future__ import annotations

from lab.inet import BRIDGE, Inet, dnsmasq
from lab.namespace import Namespace, connect

WAN = "wan0"
WAN4, WAN6 = "203.0.113.3", "2001:db8:1::3"
LAN4, LAN6 = "192.168.77.1", "2001:db8:2::1"
PREFIX6 = "2001:db8:2::"

NAT = f"""
table ip nat {{
    chain postrouting {{ type nat hook postrouting priority srcnat; oifname "{WAN}" masquerade
    }}
}}
"""


class Router(Namespace):
    """Its LAN is the bridge `lan0`, as the fake internet's is, and a host's NIC is plugged in in the same way."""

    def __init__(self, name: str, inet: Inet) -> None:
        super().__init__(name)
        self.inet = inet

    def start(self) -> None:
        super().start()
        self.inet.plug(self, WAN, self.name)
        self.shell(
            "\n".join(
                [
                    f"ip addr add {WAN4}/24 dev {WAN}",
                    f"echo 0 > /proc/sys/net/ipv6/conf/{WAN}/accept_ra",
                    f"ip addr add {WAN6}/64 dev {WAN} nodad",
                    f"ip link set {WAN} up",
                    f"ip link add {BRIDGE} type bridge",
                    f"ip link set {BRIDGE} address 02:00:00:00:00:02",
                    f"ip addr add {LAN4}/24 dev {BRIDGE}",
                    f"ip addr add {LAN6}/64 dev {BRIDGE} nodad",
                    f"ip link set {BRIDGE} up",
                    "echo 1 > /proc/sys/net/ipv4/ip_forward",
                    "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
                    "for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -e $f ] || echo 0 > $f; done",
                ]
            )
        )
        self.run(["nft", "-f", "-"], input=NAT)
        self.run(dnsmasq(("192.168.77.100", "192.168.77.199"), PREFIX6))
        # Who has sold the prefix routes it here.
        self.inet.shell(f"ip -6 route replace {PREFIX6}/64 via {WAN6} dev {BRIDGE}")

    def plug(self, host: Namespace, nic: str, port: str) -> None:
        """As Inet.plug."""
        self.run(["ip", "link", "del", port], check=False)
        connect(self, port, host, nic)
        self.shell(f"ip link set {port} master {BRIDGE} up")
