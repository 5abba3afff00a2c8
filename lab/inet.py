"""The fake internet: a router on a LAN with the host, clients' addresses, DNS, DHCP and router advertisements.

It knows nothing of the host's networks and has no route to them: what comes back was NATed, or went to the host itself.
"""

from __future__ import annotations

from lab.namespace import Namespace, connect

BRIDGE = "lan0"
IPV4 = ("203.0.113.1", "203.0.113.9", "203.0.113.10")
IPV6 = ("2001:db8:1::1", "2001:db8:1::9", "2001:db8:1::10")
ROUTER4, ROUTER6 = IPV4[0], IPV6[0]
PREFIX6 = "2001:db8:1::"
ECHO_PORTS = (7, 80, 8080)


def dnsmasq(pool4: tuple[str, str], prefix6: str) -> list[str]:
    """What serves a LAN: DHCP, router advertisements, and the names of the fake internet."""
    # It must not read the machine's files. The router lifetime is long: a route learned once stays for a whole test.
    return [
        "dnsmasq",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        "--user=root",
        "--pid-file=/run/lab/dnsmasq.pid",
        "--dhcp-leasefile=/run/lab/leases",
        "--log-facility=/run/lab/dnsmasq.log",
        "--no-ping",
        f"--interface={BRIDGE}",
        "--interface=lo",
        "--bind-interfaces",
        f"--host-record=echo.example,{ROUTER4},{ROUTER6}",
        f"--host-record=v4.example,{ROUTER4}",
        f"--host-record=v6.example,{ROUTER6}",
        "--local=/example/",
        f"--dhcp-range={pool4[0]},{pool4[1]},255.255.255.0,1h",
        f"--dhcp-range={prefix6},ra-only,64,1h",
        "--enable-ra",
        f"--ra-param={BRIDGE},5,1800",
    ]


DNSMASQ = dnsmasq(("203.0.113.100", "203.0.113.199"), PREFIX6)


class Inet(Namespace):
    """Addresses IPV4 and IPV6 on the bridge `lan0`; a host's NIC is plugged into that bridge."""

    def start(self) -> None:
        super().start()
        addresses = [f"ip addr add {address}/24 dev {BRIDGE}" for address in IPV4]
        addresses += [f"ip addr add {address}/64 dev {BRIDGE} nodad" for address in IPV6]
        self.shell(
            "\n".join(
                [
                    f"ip link add {BRIDGE} type bridge",
                    # A bridge takes the lowest of its ports' MACs and would change it as ports come and go.
                    f"ip link set {BRIDGE} address 02:00:00:00:00:01",
                    f"echo 0 > /proc/sys/net/ipv6/conf/{BRIDGE}/accept_ra",
                    # It says that it is a router when it is asked, or who learned the route forgets it again (RFC 4861,
                    # section 7.2.5). It still forwards nothing: for that the kernel looks at `all`.
                    f"echo 1 > /proc/sys/net/ipv6/conf/{BRIDGE}/forwarding",
                    "for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -e $f ] || echo 0 > $f; done",
                    *addresses,
                    f"ip link set {BRIDGE} up",
                ]
            )
        )
        self.run(DNSMASQ)
        self.echo(*ECHO_PORTS, name="inet")

    def plug(self, host: Namespace, nic: str, port: str) -> None:
        """Make a NIC in `host`, down, whose other end is `port` in the bridge here. An older port of that name goes."""
        # A namespace that was killed takes its NICs with it a little later, so the port may still be there.
        self.run(["ip", "link", "del", port], check=False)
        connect(self, port, host, nic)
        self.shell(f"ip link set {port} master {BRIDGE} up")
