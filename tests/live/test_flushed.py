"""libvirt's own firewall chains are gone, as after `nft flush ruleset` or a reload of Debian's nftables.service.

libvirt makes them once, when it starts. Until it is started again it can start no network (libvirt 9.0): so a network
that runs must not be stopped to change it.
"""

from __future__ import annotations

import json

import pytest

from lab import Lab
from tests.live.conftest import FILE, MAC, SEED, apply

pytestmark = pytest.mark.lab


def plugged(lab: Lab) -> bool:
    return "vnet" in lab.host.run(["ip", "-o", "link", "show", "master", "virbr84"], check=False).stdout


def test_no_network_is_stopped_that_could_not_be_started_again() -> None:
    with Lab() as lab:
        apply(lab.host, SEED)
        lab.host.libvirtd.restart()
        lab.host.define_guest("web1", "lab", MAC, memory=16)
        lab.host.virsh("start", "web1", "--paused")
        assert plugged(lab)
        lab.host.run(["nft", "flush", "ruleset"])
        lab.host.write(FILE, SEED.replace("lab.internal", "other.internal"))
        done = lab.host.guestnet("apply", "--yes", check=False)
        assert done.returncode == 1
        assert "restart libvirtd" in " ".join(done.stderr.split())
        assert plugged(lab)
        lab.host.libvirtd.restart()
        apply(lab.host)
        assert "other.internal" in lab.host.virsh("net-dumpxml", "lab").stdout
        assert plugged(lab)


def test_only_the_way_out_is_flushed() -> None:
    """libvirt's NAT alone: plan and doctor say so."""
    with Lab() as lab:
        apply(lab.host, SEED)
        lab.host.libvirtd.restart()
        lab.host.run(["iptables", "-t", "nat", "-F"])
        assert "libvirt's own firewall rules are gone" in " ".join(lab.host.guestnet("plan").stdout.split())
        lab.host.libvirtd.restart()
        assert "libvirt's own firewall rules are gone" not in " ".join(lab.host.guestnet("plan").stdout.split())


CHAINS = {
    "iptables -t nat -F LIBVIRT_PRT": "LIBVIRT_PRT of iptables (network lab)",
    "ip6tables -t nat -F LIBVIRT_PRT": "LIBVIRT_PRT of ip6tables (network lab)",
    "iptables -F LIBVIRT_FWO": "LIBVIRT_FWO of iptables (network lab)",
    "ip6tables -F LIBVIRT_FWI": "LIBVIRT_FWI of ip6tables (network lab)",
    "iptables -F LIBVIRT_INP": "LIBVIRT_INP of iptables (network lab)",
    "ip6tables -D LIBVIRT_FWX 1": "LIBVIRT_FWX of ip6tables (network lab)",
}


def test_only_chains_are_emptied() -> None:
    """The jumps to them stand. Each is named; a restart of libvirtd brings all of them back, and a network starts
    meanwhile as before."""
    rules = "for one in iptables-save ip6tables-save; do $one | grep LIBVIRT_ | sort; done"
    with Lab() as lab:
        host = lab.host
        apply(host, SEED)
        host.libvirtd.restart()
        before = host.shell(rules).stdout
        for flush in CHAINS:
            host.shell(flush)
        assert host.shell(rules).stdout != before
        plan = " ".join(host.guestnet("plan").stdout.split())
        status = json.loads(host.guestnet("--format", "json", "status").stdout)
        doctor = host.guestnet("doctor", check=False)
        assert doctor.returncode == 1
        for chain in CHAINS.values():
            assert chain in plan
            assert chain in " ".join(status["drift"])
            assert chain in " ".join(doctor.stdout.split())
        assert "it puts them back when it starts: restart libvirtd" in plan
        assert "none: the host is as the file says" not in host.guestnet("status").stdout
        host.libvirtd.restart()
        assert host.shell(rules).stdout == before
        assert "libvirt's own firewall rules are gone" not in host.guestnet("plan").stdout
        assert "none: the host is as the file says" in host.guestnet("status").stdout
