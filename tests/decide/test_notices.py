"""What a plan and a status tell besides: guests that are not what the file thinks, ports and addresses of the host."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from guestnet.decide import served
from guestnet.decide.conflicts import conflicts
from guestnet.decide.facts import Domain, DomainNic, Facts, HostNic, Listener, Route
from guestnet.decide.notices import notices
from guestnet.decide.state import Key, Proxy
from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Macs, Taken, resolve
from guestnet.spec.world import World
from guestnet.words.ports import Protocol

MAC, OTHER = "52:54:00:12:34:56", "52:54:00:00:00:99"
FILE = f"""
networks: {{lab: {{mode: nat, bridge: virbr84, ipv4: 192.168.84.1/24, ipv6: 'fd84::1/64'}}}}
guests: {{web1: {{network: lab, mac: '{MAC}', ipv4: 192.168.84.10, ipv6: '::10', forwards: [%s]}}}}
"""
ON_LAB = DomainNic("lab", MAC)
WEB1 = Domain("web1", False, (ON_LAB,))
FACTS = Facts(
    hostname="kvm1",
    libvirt="9.0.0",
    domains=(WEB1,),
    hooks_loaded=True,
    addresses=(("up0", ip_interface("203.0.113.2/24")), ("up0", ip_interface("2001:db8:1::2/64"))),
)


def world(forwards: str = "", text: str = FILE, macs: Macs | None = None) -> World:
    spec = load_spec(text % forwards if "%s" in text else text, "test.yaml")
    chance = random.Random(1)  # noqa: S311  not a secret
    return resolve(spec, Memory(), random=chance, taken=Taken(), macs=macs or {})[0]


def test_nothing_to_tell() -> None:
    assert notices(world("80, '203.0.113.2:81'"), FACTS) == ()


def test_what_others_have_beside_us() -> None:
    facts = replace(FACTS, routes=(Route(ip_network("192.168.0.0/16"), link="tun0"),))
    (note,) = notices(world(), facts)
    assert "lies in the route 192.168.0.0/16 on tun0" in note


# guests


def domains(*found: Domain) -> Facts:
    return replace(FACTS, domains=found)


def test_a_guest_that_is_not_defined_yet() -> None:
    assert notices(world(), domains()) == ("guest web1 is not defined in libvirt yet; all is ready for when it is",)


@pytest.mark.parametrize("nic", [ON_LAB, DomainNic("", MAC, "virbr84"), DomainNic("default", MAC)])
def test_a_renamed_guest_is_known_by_its_mac(nic: DomainNic) -> None:
    (note,) = notices(world(), domains(Domain("web new", False, (nic,))))
    assert f"guest web1 is not defined in libvirt, but domain web new has its MAC {MAC}" in note
    assert note.endswith("rename it back: virsh domrename 'web new' web1")


def test_also_when_the_mac_is_only_remembered() -> None:
    made = world(text=FILE.replace(f"mac: '{MAC}', ", ""), macs={"web1": (("lab", MAC),)})
    (note,) = notices(made, domains(Domain("web-new", True, (ON_LAB,))))
    assert "but domain web-new has its MAC" in note


@pytest.mark.parametrize(
    ("nic", "told"),
    [
        (ON_LAB, True),
        (DomainNic("", MAC, "virbr84"), True),
        (DomainNic("lab", OTHER), False),
        (DomainNic("default", MAC), False),
        (DomainNic("", MAC, "br0"), False),
    ],
)
def test_a_mac_of_two_in_one_network(nic: DomainNic, told: bool) -> None:
    found = notices(world(), domains(WEB1, Domain("clone", False, (nic,))))
    assert len(found) == told
    if told:
        assert f"domain clone has the MAC {MAC} of guest web1, in network lab too" in found[0]
        assert "both would get 192.168.84.10 and fd84::10" in found[0]
        assert "virsh edit clone" in found[0]


def test_two_of_the_file_with_one_mac_are_told_once() -> None:
    text = "networks: {lab: {mode: nat, ipv6: none}}\nguests: {a: {network: lab}, b: {network: lab}}"
    macs = {name: (("lab", MAC),) for name in "ab"}
    both = domains(*(Domain(name, False, (ON_LAB,)) for name in "ab"))
    assert len(notices(world(text=text, macs=macs), both)) == 1


@pytest.mark.parametrize(("running", "how"), [(False, "--config"), (True, "--live --config")])
def test_a_guest_that_is_not_attached(running: bool, how: str) -> None:
    (note,) = notices(world(), domains(Domain("web1", running, (DomainNic("default", OTHER),))))
    attach = "virsh attach-interface web1 network lab --model virtio"
    assert note == f"guest web1 has no NIC on network lab; attach it: {attach} --mac {MAC} {how}"


def test_a_guest_in_the_bridge_itself() -> None:
    (note,) = notices(world(), domains(Domain("web1", False, (DomainNic("", OTHER, "virbr84"),))))
    assert "plugged into bridge virbr84 itself, not into network lab" in note
    assert "when somebody else than apply restarts the network it is cut off" in note
    assert OTHER in note
    (note,) = notices(world(), domains(Domain("web1", False, (DomainNic("", OTHER, "br0"),))))
    assert "has no NIC on network lab" in note


def test_another_mac_than_the_file_has() -> None:
    (note,) = notices(world(), domains(Domain("web1", False, (DomainNic("lab", OTHER),))))
    assert note.startswith(f"guest web1 has the MAC {OTHER} on network lab, and {MAC} in the file: ")


# addresses and NICs that forwards listen on


def test_a_nic_that_the_host_does_not_have() -> None:
    made = world("'up0:80:80', 'ppp0:81:80', 'ppp0:81:80/udp', 'virbr84:82:80'")
    facts = replace(FACTS, nics=(HostNic("up0"),))
    (note,) = notices(made, facts)
    assert note == (
        "the host does not have NIC ppp0, where guest web1 has forwards (81/tcp, 81/udp): they work as soon as it has; "
        "make that NIC, or correct the file"
    )


def test_an_address_that_the_host_does_not_have() -> None:
    made = world("'203.0.113.77:80/tcp+udp', '203.0.113.77:90-91', '203.0.113.2:80', '[2001:db8::7]:80'")
    four, six = notices(made, FACTS)
    assert "the host does not have 203.0.113.77, where guest web1 has forwards (80/tcp, 80/udp, 90-91/tcp)" in four
    assert "the host does not have 2001:db8::7, where guest web1 has forwards (80/tcp)" in six
    (whole,) = notices(world("203.0.113.77/all"), FACTS)
    assert whole.startswith(
        "the host does not have 203.0.113.77, which is to be guest web1's as a whole: nothing comes "
    )


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, addresses=(*FACTS.addresses, ("lo", ip_interface("203.0.113.77/32")))),
        replace(FACTS, routes=(Route(ip_network("203.0.113.64/27"), "local", table=255),)),
    ],
    ids=["on lo", "a local route"],
)
def test_it_has_it_in_another_way(facts: Facts) -> None:
    assert notices(world("'203.0.113.77:80'"), facts) == ()


def test_a_route_to_it_is_not_enough() -> None:
    facts = replace(FACTS, routes=(Route(ip_network("203.0.113.64/27"), link="up1"),))
    assert len(notices(world("'203.0.113.77:80'"), facts)) == 1


def test_an_address_that_apply_brings() -> None:
    assert notices(world("'192.168.84.1:80'"), FACTS) == ()


# ports that the host serves itself

ANY4, ANY6, UP0, UP6, ELSE = "0.0.0.0", "::", "203.0.113.2", "2001:db8:1::2", "203.0.113.3"  # noqa: S104  only text


def listener(address: str, port: int = 80, protocol: Protocol = "tcp") -> Listener:
    return Listener(protocol, ip_address(address), port, port)


@pytest.mark.parametrize(
    ("forward", "where", "taken"),
    [
        ("80", ANY4, True),
        ("80", ANY6, True),
        ("80", UP0, True),
        ("80", UP6, True),
        ("80", "224.0.0.251", False),  # no address of the host
        ("79-81", ANY4, True),
        ("81", ANY4, False),
        ("80/udp", ANY4, False),
        ("{ports: 80, family: ipv6}", ANY4, False),
        ("{ports: 80, family: ipv4}", ANY6, True),  # most such sockets take both
        ("{ports: 80, family: ipv4}", UP6, False),
        ("'203.0.113.2:80'", ANY4, True),
        ("'203.0.113.2:80'", ANY6, True),
        ("'203.0.113.2:80'", UP0, True),
        ("'203.0.113.2:80'", UP6, False),
        ("'203.0.113.2:80'", ELSE, False),
        ("'[2001:db8:1::2]:80'", ANY6, True),
        ("'[2001:db8:1::2]:80'", ANY4, False),
        ("'[2001:db8:1::2]:80'", UP6, True),
        ("{ports: 80, listen: up0}", ANY4, True),
        ("{ports: 80, listen: up0}", UP0, True),
        ("{ports: 80, listen: up1}", UP0, False),
    ],
)
def test_a_port_that_the_host_serves(forward: str, where: str, taken: bool) -> None:
    addresses = (*FACTS.addresses, ("up1", ip_interface("203.0.113.3/24")))
    facts = replace(FACTS, listening=(listener(where),), addresses=addresses)
    found = [note for note in notices(world(forward), facts) if "is served by a process of the host" in note]
    assert len(found) == taken
    assert served.sockets(world(forward), facts) == ({80} if taken else set())


def test_a_service_for_ipv6_alone_serves_no_ipv4() -> None:
    """As dnsmasq's DHCPv6."""
    facts = replace(FACTS, listening=(replace(listener(ANY6), only6=True),))
    assert served.sockets(world("'203.0.113.2:80', {ports: 80, family: ipv4}, 203.0.113.2/all"), facts) == set()
    assert served.sockets(world("80"), facts) == {80}


def test_dns_and_dhcp_on_our_bridges_stay_with_the_guests() -> None:
    own = (*FACTS.addresses, ("virbr84", ip_interface("192.168.84.1/24")))
    dnsmasq = replace(FACTS, addresses=own, listening=(listener("192.168.84.1", 53), listener("192.168.84.1", 80)))
    assert served.sockets(world("53, 80"), dnsmasq) == {80}
    assert served.sockets(world("'192.168.84.1:53'"), dnsmasq) == {53}, "written out it holds"
    # libvirt's own default network, whose guests would lose their DNS
    foreign = replace(
        FACTS, addresses=(("virbr0", ip_interface("192.168.122.1/24")),), listening=(listener("192.168.122.1", 53),)
    )
    assert served.sockets(world("53"), foreign)


def test_the_process_is_named_and_one_service_is_one_line() -> None:
    both = (listener(ANY4), replace(listener(ANY6), inode=8))
    facts = replace(FACTS, listening=both, programs={80: "nginx (pid 812)", 8: "nginx (pid 812)"})
    assert notices(world("80, '203.0.113.2:80:81/udp'"), facts) == (
        "port 80/tcp is served by a process of the host, nginx (pid 812); "
        "while web1 runs, it is web1 that answers there",
    )
    at = notices(world("'203.0.113.2:80'"), facts)
    assert at[0].startswith("port 80/tcp at 203.0.113.2 is served by a process of the host, nginx (pid 812);")


@pytest.mark.parametrize(
    ("forward", "where", "taken"),
    [
        ("{ports: 80, loopback: true}", "127.0.0.1", True),
        ("{ports: 80, loopback: true}", "127.0.0.53", True),
        ("{ports: 80, loopback: true, listen: 203.0.113.2}", "127.0.0.1", True),
        ("{ports: 80, loopback: true, family: ipv6}", "127.0.0.1", False),
        ("{ports: 80, loopback: true}", "::1", False),
        ("{ports: 81, loopback: true}", "127.0.0.1", False),
        ("80", "127.0.0.1", False),
        ("80", "::1", False),
    ],
)
def test_what_is_served_on_loopback(forward: str, where: str, taken: bool) -> None:
    facts = replace(FACTS, listening=(listener(where),), systemd=False)
    found = [note for note in notices(world(forward), facts) if f"port 80/tcp at {where} is served by" in note]
    assert len(found) == taken


def test_a_whole_address_takes_what_the_host_serves_there() -> None:
    mine = (listener(ANY4, 22), listener(ANY6, 22), listener(UP0, 80), listener(ELSE, 81), listener("127.0.0.1", 25))
    facts = replace(FACTS, listening=(*mine, listener(ANY4, 123, "udp"), listener(ANY4, 40000, "udp")))
    facts = replace(facts, programs={22: "sshd (pid 8)"})
    assert notices(world("203.0.113.2/all"), facts) == (
        "what the host itself serves at 203.0.113.2 is web1's while that runs: 22/tcp, sshd (pid 8); 80/tcp; 123/udp",
    )
    assert len(notices(world("203.0.113.2/all, '203.0.113.2:80:81'"), facts)) == 2, "a forward of a port goes before"
    assert notices(world("'[2001:db8:1::2]/all'"), replace(facts, listening=(listener(ANY4, 22),))) == ()


@pytest.mark.parametrize(
    ("forward", "where", "systemd", "active", "wrong"),
    [
        ("{ports: 80, loopback: true}", "::1", True, None, True),
        ("{ports: 79-81, loopback: true}", "::1", True, None, True),
        ("{ports: 80, loopback: true, family: ipv4}", "::1", True, None, True),  # the proxy serves [::1] all the same
        ("{ports: 80, loopback: true}", ANY6, True, None, True),
        ("{ports: 80, loopback: true}", "::1", True, False, True),  # ours is there, and does not run
        ("{ports: 80, loopback: true}", "::1", True, True, False),  # it is ours
        ("{ports: 80, loopback: true}", "::1", False, None, False),  # no unit where systemd does not run
        ("{ports: 80, loopback: true}", "127.0.0.1", True, None, False),
        ("{ports: 80, loopback: true}", ANY4, True, None, False),
        ("{ports: 81, loopback: true}", "::1", True, None, False),
        ("{ports: 80, loopback: true, protocol: udp}", "::1", True, None, False),
        ("80", "::1", True, None, False),
    ],
)
def test_a_proxy_that_could_not_listen(
    forward: str, where: str, systemd: bool, active: bool | None, wrong: bool
) -> None:
    facts = replace(FACTS, listening=(listener(where),), programs={80: "nginx (pid 8)"}, systemd=systemd)
    live = {} if active is None else {Key("proxy", "guestnet-loopback-80"): Proxy("", "", active)}
    found = [problem.what for problem in conflicts(world(forward), facts, live, ()) if "of [::1]" in problem.what]
    told = "port 80 of [::1] is served by a process of the host, nginx (pid 8), and guest web1 has a forward of it"
    assert found == ([f"{told} with loopback: true"] if wrong else [])
    if wrong:
        assert served.sockets(world(forward), facts) == {80}, "its process is looked for"
