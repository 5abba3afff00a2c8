"""The checks of `doctor`, over hosts that are made up; and the hooks of others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Interface, ip_interface

import pytest

from guestnet.decide import hookscript
from guestnet.decide.desired import desired_state
from guestnet.decide.doctor import Check, checks
from guestnet.decide.facts import Chain, Facts, Legacy, OldHook, Others, Own6, Router6, Uplink
from guestnet.decide.oldhook import notes, problems
from guestnet.decide.plan import make_plan
from guestnet.decide.state import Admit, Key, Setting
from guestnet.spec.memory import Memory
from tests.compile.test_golden import GOLDEN, made

WORLD, _ = made(GOLDEN / "040-forwards", Memory())
FACTS = Facts(
    hostname="kvm1",
    libvirt="9.0.0",
    hooks_loaded=True,
    routers6=(Router6("eth0", "fe80::1"),),
    own6=(Own6("eth0", IPv6Interface("2001:db8:1::2/64")),),
)
GUEST = next(guest.name for guest in WORLD.guests if guest.forwards)
BRIDGE = WORLD.networks[0].bridge
THEIRS = Chain("inet", "theirs", "forward", "filter", "forward", 5, "drop")


def found(facts: Facts, without: tuple[str, ...] = ()) -> dict[str, Check]:
    """The checks that are not fine, by name; of a host that is as the file says, but for the things named."""
    state, _ = desired_state(WORLD, facts, Memory(), "")
    live = {key: thing for key, thing in state.items() if key.name not in without}
    there = checks(make_plan(WORLD, facts, live, state))
    # What of IPv6 a host can have is no fault of it: test_prefixes
    return {one.name: one for one in there if one.verdict != "fine" and not one.name.startswith("IPv6 for guests")}


def others(**seen: object) -> Facts:
    return replace(FACTS, others=Others(**seen))  # type: ignore[arg-type]


def test_the_old_iptables_beside_nftables() -> None:
    def check(*rules: str) -> Check | None:
        return found(others(legacy=(Legacy("ip6tables-legacy", rules),))).get("ip6tables-legacy")

    accepts = ("-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT")
    assert check(*accepts) is None
    closed = check("-P FORWARD DROP")
    assert closed is not None
    assert closed.verdict == "wrong"
    ways = [line.split(" ", 4)[4] for line in closed.todo.splitlines()[1:]]
    assert check("-P FORWARD DROP", *(f"-A FORWARD {way}" for way in ways)) is None, "its own commands mend it"
    some = check(*accepts, "-A INPUT -j DROP")
    assert some is not None
    assert some.verdict == "look"
    missing = check()
    assert missing is not None
    assert "what it drops is not known" in missing.evidence


def test_nothing_is_wrong() -> None:
    assert found(FACTS) == {}


@pytest.mark.parametrize("name", ["docker", "ufw"])
def test_who_lives_in_iptables_needs_our_rule_on_top(name: str) -> None:
    facts = others(**{name: "chain X in iptables"}, policies=(("iptables", "FORWARD"),))
    assert found(facts) == {}
    check = found(facts, without=("ip6tables",))[name]
    assert check.mends
    assert "FORWARD drops by default in iptables; our rule is not on top of FORWARD in ip6tables" in check.evidence


def test_a_forward_that_lets_no_guest_out() -> None:
    """With libvirt's nftables backend, which leaves iptables alone; whoever closed it."""
    chain = Chain("ip", "libvirt_network", "forward", "filter", "forward")
    facts = replace(others(policies=(("iptables", "FORWARD"),)), chains=(chain,))
    assert found(facts) == {}
    check = found(facts, without=("iptables",))["guests' way out"]
    assert (check.verdict, check.mends) == ("wrong", True)
    assert "FORWARD drops by default in iptables, and libvirt's nftables backend admits nobody there" in check.evidence
    state, _ = desired_state(WORLD, facts, Memory(), "")
    (fine,) = [check for check in checks(make_plan(WORLD, facts, state, state)) if check.name == "guests' way out"]
    assert fine.evidence.endswith("; our rules do")


def test_firewalld() -> None:
    seen = {"firewalld": "table inet firewalld"}
    assert found(others(**seen, zones=((BRIDGE, "libvirt"),))) == {}
    none = found(others(**seen))["firewalld"]
    assert none.verdict == "wrong"
    assert f"--zone=libvirt --add-interface={BRIDGE}" in none.todo
    assert found(others(**seen, zones=((BRIDGE, "public"),)))["firewalld"].verdict == "look"
    assert found(others(**seen, zones=None))["firewalld"].verdict == "look"
    assert "firewalld's panic mode" in found(others(panic=True))


def test_a_chain_that_drops() -> None:
    facts = replace(FACTS, chains=(THEIRS,))
    check = found(facts)["a chain that drops"]
    assert (check.verdict, check.todo, check.mends) == ("wrong", "guestnet apply --admit", False)
    agreed = Memory(admitted={"inet theirs forward": "forward"})
    state, _ = desired_state(WORLD, facts, agreed, "")
    assert isinstance(state[Key("admit", "inet theirs forward")], Admit)
    (check,) = [check for check in checks(make_plan(WORLD, facts, state, state)) if check.name == "a chain that drops"]
    assert check.verdict == "fine"
    live = {key: thing for key, thing in state.items() if key.name != "inet theirs forward"}
    (wrong, drift) = [check for check in checks(make_plan(WORLD, facts, live, state)) if check.verdict == "wrong"]
    assert (wrong.name, wrong.mends) == ("a chain that drops", True)
    assert drift.name == "drift"


def test_what_libvirt_lacks() -> None:
    assert "systemctl restart libvirtd" in found(replace(FACTS, libvirt_rules=False))["libvirt's rules"].todo
    assert "has not seen them" in found(replace(FACTS, hooks_loaded=False))["hooks"].evidence
    assert found(FACTS, without=("/etc/libvirt/hooks/qemu.d/50-guestnet",))["hooks"].mends


def test_settings() -> None:
    state, _ = desired_state(WORLD, FACTS, Memory(), "")
    live = {**state, Key("setting", "net/ipv4/ip_forward"): Setting("0")}
    wrong = [check for check in checks(make_plan(WORLD, FACTS, live, state)) if check.verdict == "wrong"]
    assert [(check.name, check.mends) for check in wrong] == [("forwarding", True)]
    assert "net.ipv4.ip_forward is 0" in wrong[0].evidence


def test_a_strict_path_filter_bites_with_several_uplinks() -> None:
    one, two = (Uplink(nic, (4,), kernel_ra=False) for nic in ("up0", "up1"))
    assert found(replace(FACTS, uplinks=(one,), strict=("up0",))) == {}
    assert found(replace(FACTS, uplinks=(one, two), strict=("up1",)))["rp_filter"].todo.endswith("up1.rp_filter=2")


def test_bridges_that_filter() -> None:
    assert found(replace(FACTS, bridge_filter=("iptables",)))["br_netfilter"].verdict == "look"


@pytest.mark.parametrize(("text", "both"), [(f'"{GUEST}": x', True), (f'"{GUEST}-2": x', False), ("", False)])
def test_the_hook_of_others(text: str, both: bool) -> None:
    hook = OldHook("/etc/libvirt/hooks/qemu", "/etc/libvirt/hooks/hooks.json", text)
    facts = others(hooks=(hook,))
    assert bool(list(problems(WORLD, facts))) == both
    assert bool(list(notes(WORLD, facts))) != both
    check = found(facts)["another hook"]
    assert check.verdict == ("wrong" if both else "look")
    assert "mv /etc/libvirt/hooks/qemu /etc/libvirt/hooks/qemu.retired" in check.todo


CONFIG = '{"else": {"private_ip": "192.168.122.9", "port_map": {"%s": [%s]}%s}}'


@pytest.mark.parametrize(
    ("protocol", "ports", "more", "fights"),
    [
        ("tcp", "[8080, 80]", "", "8080/tcp is web1's here"),
        ("tcp", "8081", "", ""),
        ("udp", "8080", "", ""),
        ("tcp", "443", "", "443/tcp is web1's here"),
        ("tcp", "443", ', "public_ip": "203.0.113.5"', "443/tcp is web1's here"),
        ("tcp", "443", ', "public_ip": "203.0.113.6"', ""),
        ("tcp", "9300", ', "public_ip": "203.0.113.6"', "9300/tcp is web1's here"),  # by the NIC it is on
        ("tcp", "9300", ', "public_ip": "203.0.113.99"', ""),
        ("tcp", "1", ', "public_ip": "203.0.113.7"', "1/tcp is whole's here"),
        ("udp", "9500", ', "source_ip": "198.51.100.128/25"', "9500/udp is web1's here"),
        ("udp", "9500", ', "source_ip": "192.0.2.1"', ""),
        ("tcp", "9000", "", ""),  # IPv6 only
        ("udp", ", ".join(map(str, range(20000, 20010))), "", "20004/udp is web1's and so on, 5 more here"),
    ],
)
def test_the_hook_of_others_wants_a_port_of_ours(protocol: str, ports: str, more: str, fights: str) -> None:
    """For a guest that this file does not have: two would translate one port."""
    config = CONFIG % (protocol, ports, more)
    hook = OldHook("/etc/libvirt/hooks/qemu", "hooks.json", config, hookscript.forwards("", config))
    facts = replace(others(hooks=(hook,)), addresses=(("up0", ip_interface("203.0.113.6/24")),))
    found = [problem.what for problem in problems(WORLD, facts)]
    assert bool(list(notes(WORLD, facts))) != bool(fights)
    if not fights:
        assert found == []
        return
    (what,) = found
    assert what.startswith("/etc/libvirt/hooks/qemu forwards ports for others that are this file's: ")
    assert what.endswith(fights)
    assert "qemu else stopped end -; mv " in next(problems(WORLD, facts)).todo


def test_what_it_left() -> None:
    facts = others(leftovers=("iptables -t nat -X DNAT-x",))
    (note,) = notes(WORLD, facts)
    assert note.endswith("\niptables -t nat -X DNAT-x")
    assert found(facts)["another hook's rules"].verdict == "wrong"
