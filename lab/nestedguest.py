"""A guest inside the nested machine: a libvirt domain whose only NIC is in a network that a test names.

With addresses it boots Debian's kernel, doubly emulated, and pings; without, it has no disk and stays in its firmware,
which is enough to see how it gets its NIC. It must not know how the network is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from lab.errors import LabError
from lab.nestedimage import OURS
from lab.process import wait_for

if TYPE_CHECKING:
    from lab.nested import Nested

# Two minutes when nothing else runs.
BOOT_SECONDS = 600.0
COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr audit=0 no_timer_check tsc=reliable"


class NestedGuest:
    """Make it with `machine.define_guest`, then `start`. addresses: with prefix lengths. pings: whom, in that order."""

    def __init__(  # noqa: PLR0913  by keyword, all but four
        self,
        machine: Nested,
        name: str,
        network: str,
        mac: str,
        *,
        vlan: int | None,
        addresses: tuple[str, ...],
        pings: tuple[str, ...],
    ) -> None:
        self.machine = machine
        self.name = name
        self.network = network
        self.mac = mac
        self.vlan = vlan
        self.addresses = addresses
        self.pings = pings

    def xml(self) -> str:
        kernel, memory = "", 64
        if self.addresses:
            words = f"{COMMAND_LINE} address={','.join(self.addresses)} ping={','.join(self.pings)}"
            kernel = f"<kernel>/{OURS}/vmlinux</kernel><initrd>/{OURS}/guest.cpio</initrd><cmdline>{words}</cmdline>"
            memory = 256
        vlan = "" if self.vlan is None else f"<vlan><tag id='{self.vlan}'/></vlan>"
        return f"""<domain type='qemu'>
  <name>{self.name}</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>{kernel}</os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='network'>
      <mac address={quoteattr(self.mac)}/><source network={quoteattr(self.network)}/>{vlan}
    </interface>
    <serial type='file'><source path='{self._serial_log}'/></serial>
    <controller type='usb' model='none'/><memballoon model='none'/>
  </devices>
</domain>
"""

    def define(self) -> None:
        self.machine.run(["virsh", "define", "/dev/stdin"], input=self.xml())

    def start(self) -> None:
        self.machine.virsh("start", self.name)

    def destroy(self) -> None:
        """Pull the guest's plug through libvirt."""
        self.machine.virsh("destroy", self.name)

    def undefine(self) -> None:
        self.machine.virsh("undefine", self.name)

    @property
    def running(self) -> bool:
        return self.machine.virsh("domstate", self.name).stdout.strip() == "running"

    def serial(self) -> str:
        """What the guest wrote to its serial console."""
        return self.machine.run(["cat", self._serial_log], check=False).stdout

    def pinged(self, *, timeout: float = BOOT_SECONDS) -> dict[str, bool]:
        """Wait until it has pinged all that it was told to, and return who answered."""
        try:
            wait_for(f"{self.name} to have pinged", self._done, timeout=timeout, interval=1)
        except LabError as error:
            raise LabError(f"{error}\nserial console:\n{self.serial()}") from error
        said = [line.split() for line in self.serial().splitlines() if line.startswith("GUEST ")]
        return {words[3]: words[4] == "answered" for words in said if words[2] == "ping"}

    def _done(self) -> bool:
        return self.machine.run(["grep", "-q", "^GUEST .* DONE", self._serial_log], check=False).returncode == 0

    @property
    def _serial_log(self) -> str:
        return f"/var/log/libvirt/qemu/{self.name}.serial"
