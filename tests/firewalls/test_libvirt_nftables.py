"""libvirt's nftables backend: libvirt 11.3 and nft 1.1.3 of Debian 13. It has a table of its own, and rejects in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab, foreign
from tests.firewalls.conftest import ALL, World, world

pytestmark = pytest.mark.lab

NO_FORWARDS = "in none, out all, dns all"


@pytest.fixture(scope="module")
def beside() -> Iterator[World]:
    with Lab(libvirtd=False) as lab:
        foreign.debian13(lab.host)
        lab.host.libvirtd.start()
        yield world(lab)


def chain(world: World, family: str = "ip") -> str:
    return world.host.run(["nft", "list", "chain", family, "libvirt_network", "forward"]).stdout


def test_forwards_pass(beside: World) -> None:
    beside.wait_seen(ALL)
    assert "LIBVIRT_FWI" not in beside.host.run(["iptables", "-S"]).stdout
    for family in ("ip", "ip6"):
        assert chain(beside, family).count('comment "guestnet"') == 1
    assert beside.drift() == ""


def test_they_stay_on_top_when_libvirt_or_a_network_is_restarted(beside: World) -> None:
    beside.host.libvirtd.restart()
    beside.wait_seen(ALL)
    other = (
        "<network><name>other</name><forward mode='nat'/><bridge name='virbr9'/><ip address='192.168.9.1' prefix='24'/>"
    )
    beside.host.define_network(f"{other}</network>")
    beside.wait_seen(ALL)
    beside.host.virsh("net-destroy", "other")
    beside.host.virsh("net-undefine", "other")
    beside.wait_seen(ALL)


@pytest.mark.parametrize("how", ["hook", "unit", "apply"])
def test_what_is_lost_is_seen_and_comes_back(beside: World, how: str) -> None:
    """Only our rules are gone: libvirt's own table stands."""
    for family in ("ip", "ip6"):
        beside.host.shell(
            f'nft -a list chain {family} libvirt_network forward | sed -n \'s/.*comment "guestnet" # handle /'
            f"delete rule {family} libvirt_network forward handle /p' | nft -f -"
        )
    assert beside.seen() == NO_FORWARDS
    assert "admit rule in ip libvirt_network forward" in beside.drift()
    beside.mend(how)
    beside.wait_seen(ALL)
    assert beside.drift() == ""


def test_a_flush_of_everything(beside: World) -> None:
    """libvirt makes its table anew when it starts; then the hook of the network that is started is what we hear of."""
    beside.host.run(["nft", "flush", "ruleset"])
    assert "libvirt's own firewall rules are gone" in beside.notes()
    beside.host.libvirtd.restart()
    beside.hook()
    beside.wait_seen(ALL)
    assert chain(beside).splitlines()[3].strip().endswith('comment "guestnet"')


@pytest.mark.parametrize("chain", ["guest_nat", "guest_output", "guest_cross"])
def test_a_chain_of_libvirts_that_is_emptied(beside: World, chain: str) -> None:
    for family in ("ip", "ip6"):
        beside.host.run(["nft", "flush", "chain", family, "libvirt_network", chain])
    for family in ("ip", "ip6"):
        assert f"{chain} of {family} libvirt_network (network " in beside.notes()
    beside.host.libvirtd.restart()
    assert "libvirt's own firewall rules are gone" not in beside.notes()
    beside.wait_seen(ALL)


def test_a_rule_that_came_above_is_put_below(beside: World) -> None:
    beside.host.run(["nft", "insert", "rule", "ip", "libvirt_network", "forward", "counter"])
    assert "admit rule in ip libvirt_network forward, on top again" in beside.drift()
    beside.hook()
    assert beside.drift() == ""
    assert chain(beside).count('comment "guestnet"') == 1


INPUT = """for i in iptables ip6tables; do
$i -P INPUT {policy}
$i -{verb} INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
$i -{verb} INPUT -i up0 -j ACCEPT
done"""


def test_a_closed_input_closes_guests_dns(beside: World) -> None:
    """libvirt's iptables backend opens it, this one does not; doctor says the commands."""
    host = beside.host
    host.shell(INPUT.format(policy="DROP", verb="A"))
    assert beside.seen().endswith(", dns none")
    doctor = host.guestnet("doctor", check=False).stdout
    assert "look   guests' DHCP and DNS: INPUT drops by default in iptables, ip6tables" in doctor
    commands = [line.strip() for line in doctor.splitlines() if " -I INPUT -i virbr84 " in line]
    for command in commands:
        host.shell(command)
    beside.wait_seen(ALL)
    host.shell("\n".join(command.replace(" -I ", " -D ") for command in commands))
    host.shell(INPUT.format(policy="ACCEPT", verb="D"))
    beside.wait_seen(ALL)


def test_destroy_takes_them(beside: World) -> None:
    said = beside.host.guestnet("destroy", "--yes").stderr
    assert "admit rule in ip6 libvirt_network forward removed" in said
    for family in ("ip", "ip6"):
        assert "guestnet" not in chain(beside, family)
