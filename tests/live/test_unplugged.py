"""A guest that lost its bridge gets it back by apply, also where libvirt does not call our hook yet."""

from __future__ import annotations

import pytest

from lab import Lab
from tests.live.conftest import FILE, MAC, SEED, apply

pytestmark = pytest.mark.lab

# A dnsmasq that fails the first time it is started as a daemon.
ONCE = """#!/bin/sh
[ "$1" = --version ] || [ -e /run/failed ] || { touch /run/failed; exit 1; }
exec /run/real-dnsmasq "$@"
"""


def plugged(lab: Lab) -> bool:
    return "vnet" in lab.host.run(["ip", "-o", "link", "show", "master", "virbr84"], check=False).stdout


def test_taps_of_running_guests_are_part_of_the_plan() -> None:
    with Lab() as lab:
        apply(lab.host, SEED)  # libvirtd is not restarted: it calls no hook
        lab.host.define_guest("web1", "lab", MAC).start()
        assert plugged(lab)
        lab.host.virsh("net-destroy", "lab")
        apply(lab.host)
        assert plugged(lab), "apply started the network and put the tap back"

        lab.host.virsh("net-destroy", "lab")
        lab.host.virsh("net-start", "lab")
        assert not plugged(lab)
        plan = lab.host.guestnet("plan", "--detailed-exitcode", check=False)
        assert (plan.returncode, "vnet0 back into virbr84" in plan.stdout) == (2, True)
        apply(lab.host)
        assert plugged(lab)

        # A restart that fails once: the undo starts the old network again, and the guest is in it.
        lab.host.write("/run/dnsmasq", ONCE, mode=0o755)
        lab.host.shell("cp /usr/sbin/dnsmasq /run/real-dnsmasq; mount --bind /run/dnsmasq /usr/sbin/dnsmasq")
        lab.host.write(FILE, SEED.replace("lab.internal", "other.internal"))
        failed = lab.host.guestnet("apply", "--yes", check=False)
        assert failed.returncode == 1
        assert "The host is as it was before." in failed.stderr
        assert "lab.internal" in lab.host.virsh("net-dumpxml", "lab").stdout
        assert plugged(lab)
