"""A network that is restarted by hand, where another hook makes the forwards: what is left for its guest.

The hooks are those of `bench.peers`, from checkouts; nothing of theirs is here. They are run by libvirt itself, for a
real guest. A name without a checkout stands for no hook at all.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from bench.inside import WrongError
from lab import Lab
from lab.addresses import made_up_mac
from lab.inet import ROUTER4
from lab.process import wait_for

PATIENCE = 5  # seconds without an answer after which nobody comes back by itself
NAME, ADDRESS, PORT, TO = "web1", "192.168.84.10", 4023, 22
HOST, CLIENT = "203.0.113.2", "203.0.113.9"
NETWORK = f"""<network><name>lab</name><forward mode='nat'/><bridge name='virbr84'/>
<ip address='192.168.84.1' prefix='24'><dhcp><range start='192.168.84.100' end='192.168.84.200'/>
<host mac='{made_up_mac(NAME)}' ip='{ADDRESS}'/></dhcp></ip></network>"""


class Left(NamedTuple):
    """What works: a forward before; forward and way out `PATIENCE` seconds after the network's restart, and after the
    guest's."""

    before: bool
    forward: bool
    out: bool
    again: bool


def restarted(checkout: Path | None) -> Left:
    """Raises WrongError when the forward does not work in the first place."""
    with Lab() as lab:
        host = lab.host
        host.shell("echo 1 > /proc/sys/net/ipv4/ip_forward; mkdir -p /etc/libvirt/hooks")
        if checkout is not None:
            entry = {"interface": "virbr84", "private_ip": ADDRESS, "port_map": {"tcp": [[PORT, TO]]}}
            entry["private_ipv6"] = "fd00:84::10"  # one fork asks for it; the network has none
            host.write("/etc/libvirt/hooks/hooks.json", json.dumps({NAME: entry}))
            host.write("/etc/libvirt/hooks/qemu", (checkout / "hooks").read_text(), mode=0o755)
            host.libvirtd.restart()
        host.run(["virsh", "-c", "qemu:///system", "net-define", "/dev/stdin"], input=NETWORK)
        host.virsh("net-start", "lab")
        guest = host.define_guest(NAME, "lab")
        guest.start()
        guest.wait_addresses(v6=False)

        def forward() -> bool:
            return lab.inet.probe("tcp", HOST, PORT, source=CLIENT).answered

        before = forward()
        if checkout is not None and not before:
            raise WrongError(f"{checkout}: its forward does not work")
        host.virsh("net-destroy", "lab")
        host.virsh("net-start", "lab")
        time.sleep(PATIENCE)
        after, out = forward(), guest.probe("tcp", ROUTER4, 7).answered
        guest.destroy()
        guest.start()
        guest.wait_addresses(v6=False)
        wait_for("the guest's way out", lambda: guest.probe("tcp", ROUTER4, 7).answered, timeout=20)
        return Left(before, after, out, forward())
