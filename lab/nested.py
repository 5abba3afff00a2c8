"""The nested machine: emulated hardware that the machine under the tests lacks, an IOMMU and a NIC with SR-IOV.

It runs this machine's own programs, and the checkout's guestnet, on a kernel of its own: its root is lent to it
read-only, what it writes stays in its memory. The emulator, and the other end of its NIC's cable, are in a namespace.
It must not do what is the product's to do: there are no VFs and no networks until a test makes them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lab import state
from lab.agent import Agent
from lab.cache import LAB
from lab.disk import DEV
from lab.errors import LabError
from lab.host import GUESTNET
from lab.kernel import Release
from lab.lab import uninterrupted
from lab.namespace import ENVIRONMENT, Namespace
from lab.nestedguest import NestedGuest
from lab.nestedimage import Parts, emulator, parts
from lab.nestedroot import ROOT, lend
from lab.process import Word, wait_for

NIC = "eth0"
NIC_MAC = "52:54:00:00:01:00"
ADDRESS = "198.51.100.2"
PEER = "198.51.100.1"
"""The NIC's address, and that of its neighbour at the other end of the cable; both have a prefix of 24 bits."""

CABLE = "cable0"
BOOT_SECONDS = 120.0
ENVIRON = {**ENVIRONMENT, "LIBVIRT_DEFAULT_URI": "qemu:///system"}

PLUG = f"""
ip tuntap add {CABLE} mode tap
ip addr add {PEER}/24 dev {CABLE}
ip link set {CABLE} up
"""
SOCKET = "/run/lab/agent"

HARDWARE = (
    *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
    *("-machine", "q35", "-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "Nehalem", "-smp", "2", "-m", "3072"),
    *("-fsdev", f"local,id=root,path={ROOT},security_model=none,readonly=on,multidevs=remap"),
    *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
    *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
    *("-chardev", f"socket,id=agent,path={SOCKET},server=on,wait=off"),
    *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    *("-netdev", f"tap,id=cable,ifname={CABLE},script=no,downscript=no"),
    # Behind a port of its own each of its functions is in an IOMMU group of its own. Its boot ROM would only cost time.
    *("-device", "pcie-root-port,id=slot1,chassis=1,slot=1"),
    *("-device", f"igb,bus=slot1,netdev=cable,mac={NIC_MAC},rombar=0"),
)
# Without remapping of interrupts vfio refuses the devices.
IOMMU = "intel-iommu,intremap="
# NICs keep the kernel's names, as there is no udev.
COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 intel_iommu=on mitigations=off nokaslr audit=0 net.ifnames=0"
    f" address={ADDRESS}/24 router={PEER}"
)


@dataclass(frozen=True)
class Vf:
    """A virtual function: its PCI address, the driver it is bound to, and its MAC and VLAN as the NIC has them."""

    pci: str
    driver: str | None
    mac: str
    vlan: int | None


class Nested:
    """`with Nested() as machine:` boots it; nothing of it is left afterwards, however the block ends.

    iommu: whether it has one; remapping: of interrupts, by it. kernel: whose it runs, see Release. libvirtd: whether it
    runs. Needs root. Make it in the main thread, as a Lab.
    """

    def __init__(
        self,
        *,
        iommu: bool = True,
        remapping: bool = True,
        kernel: Release = "bookworm",
        libvirtd: bool = True,
        name: str = "nested",
    ) -> None:
        self.name = name
        self._iommu = iommu
        self._remapping = remapping
        self._kernel: Release = kernel
        self._wants_libvirtd = libvirtd
        self._directory: Path | None = None
        self._qemu: subprocess.Popen[str] | None = None
        self._agent: Agent | None = None
        self.outside = Namespace(f"{name}-outside")
        """Where the emulator runs, and what is at the other end of the NIC's cable, see PEER."""

    # life

    def start(self) -> None:
        """Boot, and wait until commands can be run; the NIC is up and has its address."""
        if self._directory is not None:
            raise LabError(f"{self.name} is already there")
        made = parts(self._kernel)
        words: list[Word] = [*emulator(), *self._hardware(made)]
        try:
            self._directory = state.make(self.name)
            self.outside.on_start = self._record
            self.outside.start()
            self.outside.shell(f"{DEV}\n{PLUG}")
            lend(self.outside, made.usr)
            self._power_on([*words, "-serial", f"file:{self._directory / 'console.log'}"], self._directory)
            if self._wants_libvirtd:
                self.start_libvirtd()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End and remove everything. Does nothing the second time."""
        with uninterrupted(), ExitStack() as todo:
            if self._directory is not None:
                todo.callback(state.remove, self._directory)
            if self._qemu is not None:
                todo.callback(self._qemu.communicate)
                todo.callback(self._qemu.kill)
            todo.callback(self.outside.stop)
            if self._agent is not None:
                todo.callback(self._agent.close)
            self._agent = self._qemu = self._directory = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def console(self) -> str:
        """What the machine wrote to its serial console, and its emulator to its own output."""
        if self._directory is None:
            raise LabError(f"{self.name} is not running")
        return "".join(path.read_text(errors="replace") for path in sorted(self._directory.glob("*.log")))

    # commands

    def run(
        self,
        argv: Sequence[Word] | str,
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, or a shell script when it is a string, in the machine; `env` adds to its environment.

        A daemon that keeps its output open keeps the command waiting, too. See process.run.
        """
        if self._agent is None:
            raise LabError(f"{self.name} is not running: use it inside `with Nested() as machine`")
        words = ["sh", "-euc", argv] if isinstance(argv, str) else argv
        return self._agent.run(words, env={**ENVIRON, **(env or {})}, check=check, input=input, timeout=timeout)

    def guestnet(
        self, *args: Word, check: bool = True, input: str | None = None, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run the checkout's guestnet in the machine."""
        return self.run([GUESTNET, *args], check=check, input=input, timeout=timeout)

    def virsh(self, *args: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return self.run(["virsh", *args], check=check, timeout=timeout)

    def read(self, path: str | Path) -> str:
        return self.run(["cat", path]).stdout

    def write(self, path: str | Path, text: str, *, mode: int = 0o644) -> None:
        """Write a file, and make the directories above it."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "sh", path, f"{mode:o}"], input=text)

    # libvirt

    def start_libvirtd(self) -> None:
        """Start it, and virtlogd when that does not run, and wait until it answers."""
        self.run("[ -e /run/virtlogd.pid ] || virtlogd -d\nlibvirtd -d")
        wait_for("an answer of libvirtd", lambda: self.virsh("version", check=False).returncode == 0, timeout=120)

    def stop_libvirtd(self) -> None:
        """Stop it; networks' dnsmasq and guests' QEMU go on."""
        self.run("pid=$(cat /run/libvirtd.pid); kill $pid; while [ -e /proc/$pid ]; do sleep 0.1; done")

    def define_network(self, xml: str, *, start: bool = True) -> None:
        """Define a network from its XML, and start it."""
        out = self.run(["virsh", "net-define", "/dev/stdin"], input=xml).stdout
        if start:
            self.virsh("net-start", out.split()[1])

    def define_guest(  # noqa: PLR0913  by keyword, all but three
        self,
        name: str,
        network: str,
        mac: str,
        *,
        vlan: int | None = None,
        addresses: tuple[str, ...] = (),
        pings: tuple[str, ...] = (),
    ) -> NestedGuest:
        """Define (not start) a guest with a NIC in `network`. See NestedGuest."""
        guest = NestedGuest(self, name, network, mac, vlan=vlan, addresses=addresses, pings=pings)
        guest.define()
        return guest

    # the NIC

    def make_vfs(self, count: int) -> list[Vf]:
        """Make so many virtual functions of the NIC, instead of those there are."""
        self.run(f"cd /sys/class/net/{NIC}/device; echo 0 > sriov_numvfs; echo {count} > sriov_numvfs")
        return self.vfs()

    def vfs(self) -> list[Vf]:
        """The virtual functions, in the order of the NIC."""
        # The shell's pattern would put virtfn10 before virtfn2; the emulated NIC has 7 at most.
        script = f"""
for f in /sys/class/net/{NIC}/device/virtfn*; do
    [ ! -e $f ] || echo $(basename $(readlink $f)) $(basename $(readlink $f/driver || echo -))
done
ip -j link show dev {NIC}
"""
        *lines, link = self.run(script).stdout.splitlines()
        shown = json.loads(link)[0].get("vfinfo_list", [])
        return [_vf(line, vf) for line, vf in zip(lines, shown, strict=True)]

    def vlan_peer(self, tag: int, address: str) -> subprocess.Popen[str]:
        """Start a neighbour on a tagged LAN at the other end of the cable. See vlanpeer for what it prints."""
        return self.outside.popen([sys.executable, "-S", LAB / "vlanpeer.py", CABLE, str(tag), address])

    # what a start does

    def _record(self) -> None:
        if self._directory is not None:
            state.write(self._directory, (self.outside.init,))

    def _power_on(self, words: list[Word], directory: Path) -> None:
        with (directory / "emulator.log").open("w") as log:
            qemu = self._qemu = self.outside.popen(words, stdout=log.fileno(), stderr=log.fileno())
        socket = self.outside.path(SOCKET)
        try:
            wait_for("the emulator", lambda: socket.exists() or qemu.poll() is not None)
            self._agent = Agent(socket, self.name)
            self._agent.call("guest-ping", timeout=BOOT_SECONDS)
        except LabError as error:
            raise LabError(f"{self.name} did not boot: {error}\n{self.console()}") from error

    def _hardware(self, made: Parts) -> list[Word]:
        iommu = ("-device", f"{IOMMU}{'on' if self._remapping else 'off'}") if self._iommu else ()
        return [*HARDWARE, *iommu, "-kernel", made.kernel, "-initrd", made.initramfs, "-append", COMMAND_LINE]


def _vf(line: str, shown: dict[str, object]) -> Vf:
    pci, driver = line.split()
    vlans = shown.get("vlan_list")
    vlan = vlans[0].get("vlan") if isinstance(vlans, list) and vlans else None
    return Vf(pci, None if driver == "-" else driver, str(shown["address"]), vlan or None)
