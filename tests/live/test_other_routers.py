"""destroy and rollback leave forwarding on for who else routes here, by family, and say for whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab
from tests.live.conftest import FILE, SEED, apply

pytestmark = pytest.mark.lab

# As docker makes them; the last by a firewall of the admin's own
DOCKER = """
ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
"""
GONE = """
ip link del docker0
iptables -t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
"""
OWN = "nft 'table ip6 own { chain post { type nat hook postrouting priority 100; oifname \"up0\" masquerade; }; }'"
FOUR, SIX = "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.host.guestnet("plan", check=False)
        apply(lab.host, SEED)
        yield lab


def forwarding(lab: Lab) -> tuple[str, str]:
    four, six = lab.host.run(["sysctl", "-n", FOUR, SIX]).stdout.split()
    return four, six


@pytest.mark.parametrize("verb", ["destroy", "rollback"])
def test_docker(lab: Lab, verb: str) -> None:
    host = lab.host
    host.shell(DOCKER)
    done = host.guestnet(verb, "--yes")
    assert forwarding(lab) == ("1", "0")
    said = " ".join(done.stdout.split())
    assert "forwarding of IPv4 was off before guestnet, and stays on: bridge docker0, a rule in iptables that" in said
    assert "forwarding of IPv6" not in said
    assert not host.exists("/var/lib/guestnet/memory.json")


def test_a_rule_of_the_admins_own(lab: Lab) -> None:
    lab.host.shell(OWN)
    said = " ".join(lab.host.guestnet("destroy", "--yes").stdout.split())
    assert "forwarding of IPv6 was off before guestnet, and stays on: a rule in table ip6 own that translates" in said
    assert forwarding(lab) == ("0", "1")


def test_libvirts_own_rules_are_nobody_elses(lab: Lab) -> None:
    lab.host.guestnet("destroy", "--yes")
    assert forwarding(lab) == ("0", "0")


def test_it_goes_back_once_they_are_gone(lab: Lab) -> None:
    host = lab.host
    host.shell(DOCKER)
    host.write(FILE, "networks: {}\n")
    host.guestnet("apply", "--yes")
    assert forwarding(lab) == ("1", "0")
    assert "the first apply after they are gone turns it off" in " ".join(host.guestnet("plan").stdout.split())
    host.shell(GONE)
    host.guestnet("apply", "--yes")
    assert forwarding(lab) == ("0", "0")


DEFAULT = """<network><name>default</name><forward mode='nat'/><bridge name='virbr9'/>
<ip address='192.168.122.1' netmask='255.255.255.0'/></network>"""
ONLY4 = "networks:\n  lab: {mode: nat, bridge: vlab, ipv4: 192.168.84.1/24, ipv6: none}\n"


@pytest.mark.parametrize("how", ["destroy", "release", "out of the file"])
def test_a_network_that_is_given_back_keeps_its_way_out(how: str) -> None:
    """Forwarding was off before guestnet, and libvirt found it on when it started that network."""
    with Lab() as lab:
        host = lab.host
        assert forwarding(lab) == ("0", "0")
        apply(host, ONLY4)
        host.define_network(DEFAULT)
        host.guestnet("adopt", "default", "--yes")
        if how == "destroy":
            done = host.guestnet("destroy", "--yes")
        elif how == "release":
            apply(host, host.read(FILE).replace(ONLY4.partition("\n")[2], ""))
            done = host.guestnet("release", "default", "--yes")
        else:
            host.write(FILE, "networks: {}\n")
            done = host.guestnet("apply", "--yes")
        said = " ".join(done.stdout.split())
        assert "given back" in said
        assert "forwarding of IPv4 was off before guestnet, and stays on: network default needs it" in said
        assert " ".join(done.stderr.split()).count("done /var/lib/guestnet/memory.json changed") <= 1, "in one round"
        assert forwarding(lab) == ("1", "0")
        if how == "destroy":
            return
        assert host.guestnet("plan", "--detailed-exitcode", check=False).returncode == 0
        host.virsh("net-destroy", "default")
        apply(host)
        assert forwarding(lab) == ("0", "0"), "nobody needs it any more"
