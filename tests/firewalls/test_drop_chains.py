"""nft base chains of others with policy drop, foomuuri style: named, admitted in with --admit, and lost by a reload."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.fake import Static
from lab.process import wait_for
from tests.firewalls.conftest import ALL, HOOK, World, world
from tests.live.conftest import FILE

pytestmark = pytest.mark.lab

# As foomuuri loads it: all that its zones do not name is dropped, at priorities of its own.
THEIRS = """
table inet theirs
delete table inet theirs
table inet theirs {{
	chain forward {{
		type filter hook forward priority {priority}; policy drop;
		ct state established,related accept
	}}
	chain input {{
		type filter hook input priority {priority}; policy drop;
		iifname {{ "lo", "up0" }} accept
		ct state established,related accept
	}}
	chain output {{
		type filter hook output priority {priority}; policy drop;
		oifname {{ "lo", "up0" }} accept
		ct state established,related accept
	}}
}}
"""
MORE = "nft 'add table inet more; add chain inet more c { type filter hook forward priority 0; policy drop; }'"
NOTHING = "in none, out none, dns none"


def load(world: World, priority: str = "filter + 5") -> None:
    world.host.run(["nft", "-f", "-"], input=THEIRS.format(priority=priority))


@pytest.fixture(scope="module")
def beside() -> Iterator[World]:
    with Lab() as lab:
        yield world(lab)


def test_named_with_the_rules_that_mend_it(beside: World) -> None:
    load(beside)
    assert beside.seen() == NOTHING
    said = beside.notes()
    assert "chain forward of table inet theirs (hook forward, priority 5) drops what none of its rules accepts" in said
    lines = beside.host.guestnet("plan").stdout.splitlines()
    commands = [line.strip() for line in lines if line.startswith("      nft 'insert rule inet theirs ")]
    assert len(commands) == 3 + 2 + 2
    for command in commands:
        beside.host.shell(command)
    beside.wait_seen(ALL)  # the commands do as they stand
    beside.apply()
    assert beside.seen() == NOTHING, "what has our comment is ours, and nobody asked for it"


@pytest.mark.parametrize("priority", ["-200", "filter - 10", "filter + 5", "300"])
def test_admitted_at_any_priority(beside: World, priority: str) -> None:
    load(beside, priority)
    assert beside.seen() == NOTHING
    said = beside.apply("--admit")
    assert "admit rules in inet theirs forward added" in said
    beside.wait_seen(ALL)
    assert beside.drift() == ""
    assert "theirs" not in beside.notes()


@pytest.mark.parametrize("how", ["hook", "unit", "apply"])
def test_a_reload_of_theirs_loses_it_until_we_are_asked(beside: World, how: str) -> None:
    """Asked once for --admit, a later apply, a guest's start and the unit put it back."""
    load(beside)
    assert beside.seen() == NOTHING
    assert len(beside.drift().splitlines()) == 3
    beside.mend(how)
    beside.wait_seen(ALL)
    assert beside.drift() == ""


def test_doctor_mends_what_is_ours_and_nothing_else(beside: World) -> None:
    host = beside.host
    host.libvirtd.restart()  # so that it has seen the hooks
    host.guestnet("apply", "--yes")
    done = host.guestnet("doctor")
    assert done.stdout.endswith("\nnothing is wrong\n")
    assert "fine   a chain that drops: chain inet theirs forward (hook forward, priority 5)" in done.stdout
    load(beside)
    host.shell(MORE)
    checks = json.loads(host.guestnet("doctor", "--format", "json", check=False).stdout)
    assert [check["todo"] for check in checks if check["verdict"] == "wrong"] == [
        *["guestnet apply"] * 3,  # one a chain that was agreed to
        "guestnet apply --admit",
        "guestnet apply",  # drift
    ]
    before = host.run(["nft", "-s", "list", "table", "inet", "more"]).stdout
    done = host.guestnet("doctor", "--fix", "--yes", check=False)
    assert done.returncode == 1
    assert "1 wrong\n" in done.stdout
    assert "wrong  a chain that drops: chain inet more" in done.stdout
    assert host.run(["nft", "-s", "list", "table", "inet", "more"]).stdout == before
    host.run(["nft", "delete", "table", "inet", "more"])
    assert host.guestnet("doctor").returncode == 0
    beside.hook("started")
    beside.wait_seen(ALL)


def test_it_comes_back_though_an_apply_found_theirs_stopped(beside: World) -> None:
    beside.host.run(["nft", "delete", "table", "inet", "theirs"])
    beside.wait_seen(ALL)
    assert "theirs" not in beside.apply()
    load(beside)
    beside.hook()
    beside.wait_seen(ALL)


def test_without_need_they_go(beside: World) -> None:
    chain = ["nft", "chain", "inet", "theirs", "forward", "{ policy accept; }"]
    beside.host.run(chain)
    assert "admit rules in inet theirs forward removed" in beside.apply()
    beside.host.run([word.replace("accept", "drop") for word in chain])
    assert "admit rules in inet theirs forward added" in beside.apply()
    assert "admit rules in inet theirs forward removed" in beside.apply("--no-admit")
    assert beside.seen() == "in none, out none, dns none"
    assert "guestnet" not in beside.host.run(["nft", "list", "table", "inet", "theirs"]).stdout


def test_before_us_and_after_destroy(beside: World) -> None:
    """They were there first; and are as they were when we are gone."""
    before = beside.host.run(["nft", "-s", "list", "table", "inet", "theirs"]).stdout
    beside.host.guestnet("destroy", "--yes")
    assert beside.host.run(["nft", "-s", "list", "table", "inet", "theirs"]).stdout == before
    beside.host.guestnet("apply", "--yes", "--admit")
    beside.host.run(["ip", "link", "set", beside.guest.port, "master", "virbr84"])
    beside.guest.wait_addresses()
    beside.hook("started")
    beside.wait_seen(ALL)
    beside.host.guestnet("destroy", "--yes")
    assert beside.host.run(["nft", "-s", "list", "table", "inet", "theirs"]).stdout == before


GLOBAL = """
networks:
  dmz: {mode: routed, inbound: closed, stp: false, bridge: virbr5, ipv4: 198.51.100.1/24, ipv6: "2001:db8:5::1/64"}
guests:
  www: {network: dmz, mac: "52:54:00:00:1b:01", ipv4: 198.51.100.10, ipv6: "::10", forwards: ["8443:80"]}
"""


def test_what_a_forward_opens_at_the_guests_own_address() -> None:
    """Its network is closed: only that port is open there, beside such a chain as without one."""
    with Lab() as lab:
        lab.host.write(FILE, GLOBAL)
        lab.host.guestnet("apply", "--yes")
        lab.inet.shell("ip -6 route add 2001:db8:5::/64 via 2001:db8:1::2")
        plug = Static(ipv6="2001:db8:5::10/64", router6="2001:db8:5::1")
        lab.host.fake_guest("www", "virbr5", mac="52:54:00:00:1b:01", plug=plug, ports=(80, 81))
        lab.host.write("/run/libvirt/qemu/www.xml", "<domstatus/>")
        lab.host.run([HOOK, "www", "started", "begin", "-"], input="<domain/>")

        wanted = ["answered", "answered", "timeout"]

        def kinds() -> list[str]:
            asked = (("2001:db8:1::2", 8443), ("2001:db8:5::10", 80), ("2001:db8:5::10", 81))
            return [lab.inet.probe("tcp", address, port, timeout=0.7).kind for address, port in asked]

        wait_for("both to be open", lambda: kinds() == wanted, timeout=10)
        lab.host.run(["nft", "-f", "-"], input=THEIRS.format(priority="filter + 5"))
        assert kinds() == ["timeout"] * 3
        lab.host.guestnet("apply", "--yes", "--admit")
        lab.host.run([HOOK, "www", "started", "begin", "-"], input="<domain/>")
        wait_for("both to be open", lambda: kinds() == wanted, timeout=10)


def test_our_mark_alone_admits_nobody() -> None:
    """Others set marks too, and ours may be among them: it counts only with a translation."""
    with Lab() as lab:
        here = world(lab)
        lab.host.shell("ip link add vfar type bridge; ip link set vfar up; ip addr add 198.51.100.1/24 dev vfar")
        lab.inet.shell("ip route add 198.51.100.0/24 via 203.0.113.2")
        lab.host.fake_guest("far", "vfar", plug=Static("198.51.100.7/24", router4="198.51.100.1"), ports=(9998,))
        assert lab.inet.probe("tcp", "198.51.100.7", 9998).peer == "far"
        load(here)
        here.apply("--admit")
        here.wait_seen(ALL)
        chain = "chain pre {\ntype filter hook prerouting priority -150\nct mark set 0x2000\n}"
        marking = f"table inet marking {{\n{chain}\n}}\n"
        lab.host.run(["nft", "-f", "-"], input=marking)
        assert lab.inet.probe("tcp", "198.51.100.7", 9998, timeout=1).kind == "timeout"
        lab.host.run(["nft", "insert rule inet theirs forward tcp dport 9998 accept"])
        assert lab.inet.probe("tcp", "198.51.100.7", 9998).peer == "far", "only their chain was in its way"
