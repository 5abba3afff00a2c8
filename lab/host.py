"""The lab's host: a NIC `up0` on the fake internet, its own libvirtd, and a disk that survives `reboot`.

It starts with nothing of guestnet's on it, and with forwarding off. It must not configure what is the product's to do.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

from lab.cache import REPOSITORY
from lab.disk import INSTALL, LIBVIRTD_CONF, QEMU_CONF, Disk
from lab.fake import DHCP, Duid, FakeGuest, Plug
from lab.guest import Nic, RealGuest
from lab.inet import ROUTER4, ROUTER6, Inet
from lab.libvirtd import Libvirtd
from lab.namespace import Namespace
from lab.process import wait_for
from lab.router import LAN4, Router

Uplink = Literal["static", "ra", "ipv6", "nat44"]

NIC = "up0"
IPV4 = "203.0.113.2"
IPV6 = "2001:db8:1::2"
PRIVATE4 = "192.168.77.2"
GUESTNET = REPOSITORY / ".venv" / "bin" / "guestnet"


class Host(Namespace):
    """`uplink` static: IPV4 and IPV6 above. ra: IPv4 so, IPv6 by the kernel from the router's advertisements. ipv6:
    only that, and no IPv4 at all. nat44: IPv6 so, too, of a Router's LAN, where IPv4 is private: PRIVATE4."""

    def __init__(  # noqa: PLR0913  by keyword, all but three
        self, name: str, lan: Inet | Router, disk: Disk, *, uplink: Uplink, bridge_nf: int, libvirtd: bool
    ) -> None:
        super().__init__(name)
        self.lan = lan
        self.disk = disk
        self.uplink = uplink
        self.bridge_nf = bridge_nf
        self.wants_libvirtd = libvirtd
        self.libvirtd = Libvirtd(self)
        self.boot_log = ""
        self._fakes: list[FakeGuest] = []

    # life

    def start(self) -> None:
        """Boot: mounts, the NIC, sysctl.d, the uplink's addresses, libvirtd."""
        super().start()
        self.shell(self.disk.mount())
        if not self.disk.installed:
            self._install()
            self.disk.installed = True
        self._defaults()
        self.lan.plug(self, NIC, self.name)
        # systemd applies a NIC's keys when the NIC appears, before it has addresses; so the NIC is there first.
        self._apply_sysctls()
        self._configure_uplink()
        if self.wants_libvirtd:
            self.libvirtd.start()

    def stop(self) -> None:
        super().stop()
        # They died with the host; what is left is this process's ends of them.
        while self._fakes:
            self._fakes.pop().stop()

    def reboot(self, *, libvirtd: bool | None = None) -> None:
        """Pull the plug and boot again from the same disk: guests, links, rules, sysctls and /run are gone.

        `libvirtd` decides for this and later boots whether libvirtd is started.
        """
        if libvirtd is not None:
            self.wants_libvirtd = libvirtd
        self.stop()
        self.start()

    @property
    def ipv6(self) -> str:
        """Its address on the uplink; by router advertisement the NIC's MAC makes it, and each boot another one."""
        return wait_for("a global address of the host", self._own6)

    def _own6(self) -> str:
        found = self.run(["ip", "-6", "-o", "addr", "show", "dev", NIC, "scope", "global", "-tentative"]).stdout.split()
        return found[found.index("inet6") + 1].partition("/")[0] if found else ""

    # the product and libvirt

    def guestnet(
        self,
        *args: str | Path,
        check: bool = True,
        input: str | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run the checkout's guestnet in the host."""
        return self.run([GUESTNET, *args], check=check, input=input, timeout=timeout)

    def virsh(self, *args: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return self.run(["virsh", "-c", "qemu:///system", *args], check=check, timeout=timeout)

    def define_network(self, xml: str, *, start: bool = True) -> None:
        """Define a network from its XML, and start it."""
        # /dev/stdin is where virsh reads it from: no file is left behind.
        out = self.run(["virsh", "-c", "qemu:///system", "net-define", "/dev/stdin"], input=xml).stdout
        if start:
            self.virsh("net-start", out.split()[1])

    # guests

    def define_guest(  # noqa: PLR0913  by keyword, all but three
        self,
        name: str,
        network: str | None = None,
        mac: str | None = None,
        *,
        nics: tuple[Nic, ...] = (),
        ports: tuple[int, ...] = (22, 80, 8080),
        duid: Duid = "ll",
        memory: int = 160,
    ) -> RealGuest:
        """Define (not start) a real guest with a NIC in `network`, or with `nics`. See RealGuest."""
        plugged = nics or (Nic(network=network, mac=mac),)
        guest = RealGuest(self, name, plugged, ports=ports, duid=duid, memory=memory)
        guest.define()
        return guest

    def fake_guest(  # noqa: PLR0913  by keyword, all but two
        self,
        name: str,
        bridge: str,
        *,
        mac: str | None = None,
        plug: Plug = DHCP,
        ports: tuple[int, ...] = (22, 80, 8080),
        duid: Duid = "ll",
    ) -> FakeGuest:
        """Plug a fake guest into a bridge and start it. See FakeGuest."""
        fake = FakeGuest(self, name, bridge, mac=mac, plug=plug, ports=ports, duid=duid)
        self._fakes.append(fake)
        fake.start()
        return fake

    # what a boot does

    def _install(self) -> None:
        self.shell(INSTALL)
        self.write("/etc/resolv.conf", f"nameserver {ROUTER6 if self.uplink == 'ipv6' else ROUTER4}\n")
        self.write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/libvirt/qemu.conf", QEMU_CONF)
        self.write("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF)

    def _defaults(self) -> None:
        """What a kernel starts with; a new namespace may inherit some of it from the machine."""
        for key, value in {
            "ipv4/ip_forward": 0,
            "ipv6/conf/all/forwarding": 0,
            "ipv6/conf/default/accept_ra": 1,
            "ipv4/conf/all/rp_filter": 0,
            "ipv4/conf/default/rp_filter": 0,
        }.items():
            self.sysctl(key, value)
        self.shell(
            f"for f in /proc/sys/net/bridge/bridge-nf-call-*tables; do [ ! -e $f ] || echo {self.bridge_nf} > $f; done"
        )

    def _apply_sysctls(self) -> None:
        # Like systemd-sysctl, a key that cannot be set is told and passed over.
        script = "for f in /etc/sysctl.d/*.conf; do [ ! -e $f ] || sysctl -q -p $f || true; done"
        self.boot_log = self.run(["sh", "-c", script]).stderr

    def _configure_uplink(self) -> None:
        own4, router4 = (PRIVATE4, LAN4) if self.uplink == "nat44" else (IPV4, ROUTER4)
        lines = [f"ip link set {NIC} up"]
        if self.uplink != "ipv6":
            lines = [f"ip addr add {own4}/24 dev {NIC}", *lines, f"ip route add default via {router4}"]
        if self.uplink == "static":
            lines = [
                f"echo 0 > /proc/sys/net/ipv6/conf/{NIC}/accept_ra",
                *lines,
                f"ip addr add {IPV6}/64 dev {NIC} nodad",
                f"ip route add default via {ROUTER6} dev {NIC}",
            ]
        else:
            # Duplicate address detection costs a second twice, and there is nobody to collide with.
            lines = [f"echo 0 > /proc/sys/net/ipv6/conf/{NIC}/accept_dad", *lines]
        self.shell("\n".join(lines))
        if self.uplink != "static":
            wait_for("a default route by router advertisement", self._has_ra_route, timeout=15)

    def _has_ra_route(self) -> bool:
        return "proto ra" in self.run(["ip", "-6", "route", "show", "default"]).stdout
