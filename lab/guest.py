"""A real guest: a libvirt domain under QEMU's software emulation, talked to through its guest agent.

/dev/kvm is not used, so a lab behaves the same on every machine. It must not know how the host's networks are made.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from lab.addresses import first, look, made_up_mac, usable
from lab.errors import CommandError, LabError
from lab.image import image
from lab.probe import Address, Answer, question, understand
from lab.process import wait_for

if TYPE_CHECKING:
    from lab.host import Host

BOOT_SECONDS = 60.0


@dataclass(frozen=True)
class Nic:
    """Where a NIC is plugged: exactly one of a libvirt network, a bridge, or a host NIC to put a macvtap on."""

    network: str | None = None
    bridge: str | None = None
    macvtap: str | None = None
    mac: str | None = None

    def xml(self, mac: str) -> str:
        if [self.network, self.bridge, self.macvtap].count(None) != 2:  # noqa: PLR2004  two of the three are None
            raise LabError(f"a NIC needs exactly one of network, bridge, macvtap: {self}")
        if self.network:
            kind, source = "network", f"network={quoteattr(self.network)}"
        elif self.bridge:
            kind, source = "bridge", f"bridge={quoteattr(self.bridge)}"
        else:
            kind, source = "direct", f"dev={quoteattr(self.macvtap or '')} mode='bridge'"
        return (
            f"<interface type='{kind}'><mac address={quoteattr(self.mac or mac)}/>"
            f"<source {source}/><model type='virtio'/></interface>"
        )


class RealGuest:
    """Make it with `host.define_guest`, then `start`. It dies with the host."""

    def __init__(  # noqa: PLR0913  by keyword, all but three
        self, host: Host, name: str, nics: tuple[Nic, ...], *, ports: tuple[int, ...], duid: str, memory: int
    ) -> None:
        self.host = host
        self.name = name
        self.nics = nics
        self.ports = ports
        self.duid = duid
        self.memory = memory

    @property
    def mac(self) -> str:
        """The first NIC's MAC."""
        return self._macs[0]

    @property
    def _macs(self) -> list[str]:
        return [nic.mac or made_up_mac(f"{self.name}{i or ''}") for i, nic in enumerate(self.nics)]

    def xml(self) -> str:
        nics = "".join(nic.xml(mac) for nic, mac in zip(self.nics, self._macs, strict=True))
        command_line = (
            f"console=ttyS0 quiet panic=-1 hn={self.name} duid={self.duid} ports={','.join(map(str, self.ports))}"
        )
        return f"""<domain type='qemu'>
  <name>{self.name}</name><memory unit='MiB'>{self.memory}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{image().kernel}</kernel><initrd>{image().initramfs}</initrd>
    <cmdline>{command_line}</cmdline></os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {nics}
    <serial type='pty'><log file='{self._serial_log}' append='off'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
  </devices>
</domain>
"""

    # life

    def define(self) -> None:
        self.host.run(["virsh", "-c", "qemu:///system", "define", "/dev/stdin"], input=self.xml())

    def start(self) -> None:
        """Start the domain; it is up some seconds later, see wait_addresses and wait_agent."""
        self.host.virsh("start", self.name)

    def autostart(self, on: bool = True) -> None:
        self.host.virsh("autostart", self.name, *([] if on else ["--disable"]))

    def destroy(self) -> None:
        """Pull the guest's plug through libvirt."""
        self.host.virsh("destroy", self.name)

    def shutdown(self, *, timeout: float = 30) -> None:
        """Ask the guest's agent to shut down, and wait until it is off."""
        self.host.virsh("shutdown", self.name, "--mode", "agent")
        wait_for(f"{self.name} to be off", lambda: self.state == "shut off", timeout=timeout)

    def kill9(self) -> None:
        """Kill its QEMU behind libvirt's back. libvirt notices a little later, and its hooks later still."""
        self.host.kill(self._qemu_pid(), signal.SIGKILL)

    def undefine(self) -> None:
        self.host.virsh("undefine", self.name)

    @property
    def state(self) -> str:
        """What libvirt says: running, in shutdown, shut off ..."""
        return self.host.virsh("domstate", self.name).stdout.strip()

    @property
    def running(self) -> bool:
        return self.state == "running"

    # inside

    def wait_agent(self, *, timeout: float = BOOT_SECONDS) -> None:
        """Wait until commands can be run in the guest."""
        try:
            wait_for(f"the agent of {self.name}", self._pinged, timeout=timeout, interval=0.2)
        except LabError as error:
            raise LabError(f"{error}\nserial console:\n{self.serial()}") from error

    def wait_addresses(
        self, *, v4: bool = True, v6: bool = True, nic: str = "eth0", timeout: float = BOOT_SECONDS
    ) -> tuple[IPv4Address | None, IPv6Address | None]:
        """The guest's addresses, as soon as it has those that are asked for; None for a family it has none in."""
        deadline = time.monotonic() + timeout
        self.wait_agent(timeout=timeout)

        def found() -> tuple[IPv4Address | None, IPv6Address | None] | None:
            found4, found6 = usable(self.run(look(nic)).stdout)
            if (v4 and not found4) or (v6 and not found6):
                return None
            return first(found4), first(found6)

        what = f"addresses of {self.name} on {nic} (v4={v4}, v6={v6})"
        return wait_for(what, found, timeout=max(deadline - time.monotonic(), 0), interval=0.2)

    def run(
        self,
        argv: Sequence[str] | str,
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float = 30,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, or a shell script when it is a string, in the guest through its agent."""
        words = ["sh", "-c", argv] if isinstance(argv, str) else list(argv)
        arguments: dict[str, Any] = {
            # The agent looks for no program along a path; env does.
            "path": "/bin/env",
            "arg": words,
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            "capture-output": True,
        }
        if input is not None:
            arguments["input-data"] = base64.b64encode(input.encode()).decode()
        pid = self.agent("guest-exec", arguments)["pid"]

        def ended() -> dict[str, Any] | None:
            status: dict[str, Any] = self.agent("guest-exec-status", {"pid": pid})
            return status if status["exited"] else None

        status = wait_for(f"the end of {' '.join(words)} in {self.name}", ended, timeout=timeout, interval=0.02)
        code = int(status.get("exitcode", -int(status.get("signal", 1))))
        done = subprocess.CompletedProcess(words, code, _decoded(status, "out-data"), _decoded(status, "err-data"))
        if check and code != 0:
            raise CommandError(done, self.name)
        return done

    def agent(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """One command of the QEMU guest agent protocol; returns its `return`."""
        message = json.dumps({"execute": command} | ({"arguments": arguments} if arguments else {}))
        out = self.host.virsh("qemu-agent-command", self.name, message, "--timeout", "10").stdout
        return json.loads(out)["return"]

    def probe(
        self,
        protocol: str,
        address: str | Address,
        port: int,
        *,
        source: str | Address | None = None,
        timeout: float = 3.0,
    ) -> Answer:
        """Ask whether a port answers, from the guest; see Answer."""
        argv = question("/bin/probe", protocol, address, port, source, timeout)
        return understand(self.run(argv, check=False, timeout=timeout + 20))

    def serial(self) -> str:
        """What the guest wrote to its serial console in this run."""
        try:
            return self.host.path(self._serial_log).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    @property
    def _serial_log(self) -> str:
        return f"/var/log/libvirt/qemu/{self.name}.serial"

    def _qemu_pid(self) -> int:
        return int(self.host.read(f"/run/libvirt/qemu/{self.name}.pid"))

    def _pinged(self) -> bool:
        message = json.dumps({"execute": "guest-ping"})
        ping = ["qemu-agent-command", self.name, message, "--timeout", "1"]
        return self.host.virsh(*ping, check=False).returncode == 0


def _decoded(status: dict[str, Any], key: str) -> str:
    return base64.b64decode(status.get(key, "")).decode(errors="replace")
